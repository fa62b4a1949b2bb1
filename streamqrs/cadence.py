"""Cadence: how long a live source may be silent before one can say that samples are missing."""

from __future__ import annotations

import math

MARGIN_S = 0.2
"""Silence beyond what is usual, in s, after which samples are taken to be missing."""
MEMORY_S = 10.0
"""Time constant with which an interval is forgotten, in s."""


class Cadence:
    """Learn the usual interval between chunks.

    The second longest interval of late is the usual one, or the length of a chunk: a device that sends packets of
    0.5 s is silent for 0.5 s, and a single stall on the way is no habit.
    """

    def __init__(self) -> None:
        self._longest = self._usual = math.nan

    @property
    def limit_s(self) -> float:
        """Longest silence that means nothing, in s; NaN as long as nothing was heard."""
        return self._usual + MARGIN_S

    def push(self, interval_s: float, length_s: float) -> None:
        """Take a chunk that follows on the one before without a loss.

        Parameters
        ----------
        interval_s : float
            Time since the arrival of the one before, in s; NaN for the first.
        length_s : float
            Its length, in s.
        """
        if math.isnan(interval_s):
            self._longest = self._usual = length_s
            return
        kept = math.exp(-max(interval_s, 0.0) / MEMORY_S)
        longest, usual = self._longest * kept, self._usual * kept
        span_s = max(interval_s, length_s)
        self._longest = max(longest, span_s)
        self._usual = max(usual, min(longest, span_s), length_s)
