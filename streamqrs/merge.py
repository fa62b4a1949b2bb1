"""OverlapMerger: probabilities of overlapping windows → one finished curve."""

from __future__ import annotations

import numpy as np

from streamqrs.types import WINDOW, Probabilities

RAMP = 75
"""Samples over which a window's weight rises from its edges: the network knows less where it sees one side only."""


class OverlapMerger:
    """Weighted mean of all windows that saw a sample, in two running sums.

    After a window that ends at e, all samples below e − `margin` are finished; each is given out once, in order.

    Parameters
    ----------
    hop : int
        Distance between the starts of two windows in samples.
    margin : int
        Samples at the right edge of the newest window that wait for the next window, 0 to 750 − hop.
    """

    def __init__(self, hop: int, margin: int) -> None:
        if not 0 <= margin <= WINDOW - hop:
            raise ValueError(f"margin is {margin} samples: allowed are 0 to {WINDOW - hop} with a hop of {hop}")
        self.hop, self.margin = hop, margin
        edge = np.arange(1, WINDOW + 1) / RAMP
        self._weight = np.minimum(1.0, np.minimum(edge, edge[::-1]))
        self.reset()

    @property
    def delay(self) -> int:
        """Samples held back at most: from the newest sample of the stream to the end of the finished curve."""
        return self.margin + self.hop - 1

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._start = 0  # first unfinished sample
        self._known = 0
        self._sum = np.zeros(WINDOW)
        self._total = np.zeros(WINDOW)

    def push(self, window: Probabilities) -> Probabilities:
        """Take the probabilities of the next window.

        Parameters
        ----------
        window : Probabilities
            750 values; windows come in the order of their ends, none starts after the first unfinished sample.

        Returns
        -------
        Probabilities
            What this window finished, perhaps nothing; contiguous with what was given out before.
        """
        at = window.start - self._start
        if at > 0:
            raise ValueError(f"window starts at {window.start}, {at} samples after the first unfinished one")
        part = slice(-at, WINDOW)  # of the window: what is not finished yet
        size = WINDOW + at
        self._sum[:size] += self._weight[part] * window.values[part]
        self._total[:size] += self._weight[part]
        self._known = max(self._known, window.known)
        return self._finish(size - self.margin)

    def flush(self) -> Probabilities:
        """Finish all that any window saw."""
        return self._finish(int(np.count_nonzero(self._total)))

    def _finish(self, count: int) -> Probabilities:
        count = max(count, 0)
        values = (self._sum[:count] / self._total[:count]).astype(np.float32)
        for sums in (self._sum, self._total):
            sums[: WINDOW - count] = sums[count:]
            sums[WINDOW - count :] = 0.0
        finished = Probabilities(values, self._start, self._known)
        self._start += count
        return finished
