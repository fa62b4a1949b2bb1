"""PeakLock: hold a decision of the gate until the R peak has just passed."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from statistics import median

import numpy as np

from streamqrs.types import Peak, Samples

BASELINE = 190
"""Newest samples whose median is the baseline (0.76 s)."""

AROUND = 15
"""A peak is looked for this many samples to either side of where the network put it (60 ms)."""

LEARNT_AFTER = 25
"""Samples after R from which it is known what it was like: the whole mask, and what follows, is seen (100 ms)."""

PEAKS = 8
"""Heights that the expected one is the median of."""

ENOUGH = 3
"""So many heartbeats must have been heard before what they were like counts."""

SHARE = 0.6
"""Of the expected height: what is smaller is on the way up to R, or another wave."""

SLOPE = 0.25
"""Of the steepest rise: what rises more slowly is at its peak."""

NEAR = 4
"""Once it is known where R mostly lies, a peak counts from so many samples ahead of it (16 ms).

Two waves of a QRS complex may be about equally tall; the one that is mostly R is waited for.
"""

HALF_MASK = 12
"""The network is trained on masks that reach this many samples to both sides of R: R follows the onset by as many."""


class PeakLock:
    """Wait for the R peak itself, so that triggers come at a constant delay after it.

    The network sees a QRS complex coming; whether its R peak has passed, the signal says best. A trigger leaves as soon
    as the signal has the polarity and about the height of the last R peaks, and rises no more. If that does not happen
    within `patience` samples after the R peak that is expected, it leaves then.

    R is expected where the network puts it, later or earlier by as much as the network itself said of the last
    heartbeats when it had seen all of their QRS complexes (`learn`). That, too, is the R time of the trigger: in noise
    the next peak of the signal may be anything.

    Parameters
    ----------
    patience : int
        Longest wait after the expected R peak, in samples at 250 Hz; 0: decisions pass at once.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self._kept = np.zeros(4 * BASELINE, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._stop = 0  # count of the samples taken
        self._fill = 0  # of the buffer, whose last sample is the newest
        self._open: Peak | None = None
        self._learn: deque[int] = deque()
        self._heights: deque[float] = deque(maxlen=PEAKS)
        self._lags: deque[float] = deque(maxlen=PEAKS)

    def push(self, samples: Samples) -> Peak | None:
        """Take the next samples, shape (n,), 250 Hz; return the trigger that leaves at one of them, if any."""
        if not self.patience:
            return None
        passed = None
        for x in samples:
            if self._fill == len(self._kept):
                self._kept[:BASELINE] = self._kept[-BASELINE:]
                self._fill = BASELINE
            self._kept[self._fill] = x
            self._fill += 1
            self._stop += 1
            if self._learn and self._stop >= self._learn[0] + LEARNT_AFTER:
                self._heights.append(self._height(self._learn.popleft()))
            passed = self._check() or passed
        return passed

    def open(self, peak: Peak) -> Peak | None:
        """Take a decision; return it at once if there is nothing to wait for."""
        if not self.patience:
            return peak
        self._open = peak
        return self._check()

    def learn(self, lag: float) -> None:
        """Take how many samples after where the network first put it an R peak has turned out to be."""
        self._lags.append(lag)

    def _check(self) -> Peak | None:
        """Whether the R peak of the open decision has passed by now."""
        if self._open is None:
            return None
        told = round(self._open.at)
        learnt = len(self._lags) >= ENOUGH
        lag = min(max(median(self._lags), -HALF_MASK), HALF_MASK) if learnt else 0.0  # no further than a mask reaches
        expected = told + round(lag)
        if self._stop < expected + self.patience and not self._has_passed(expected - (NEAR if learnt else HALF_MASK)):
            return None
        found = replace(self._open, at=self._open.at + lag, known=self._stop)
        self._learn.append(told)
        self._open = None
        return found

    def _has_passed(self, start: int) -> bool:
        """Whether an R peak has passed since sample `start`."""
        if len(self._heights) < ENOUGH or self._stop - start < 2:
            return False
        height = median(self._heights)
        x = self._last(self._stop - start) - _middle(self._last(BASELINE))
        if height < 0:
            x = -x
        rise = x[1:] - x[:-1]
        top = int(x.argmax())
        tall = bool(x[top] >= SHARE * abs(height))
        return tall and (0 < top < len(rise) or (top > 2 and bool(rise[-1] < SLOPE * rise.max())))

    def _height(self, r: int) -> float:
        """Signed height over the baseline of the tallest wave around sample `r`."""
        x = self._last(BASELINE)
        around = x[max(r - AROUND - self._stop, -len(x)) : min(r + AROUND - self._stop, -1)] - _middle(x)
        return float(around[np.abs(around).argmax()])

    def _last(self, count: int) -> Samples:
        """Return the newest samples, at most so many as there are."""
        return self._kept[max(self._fill - count, 0) : self._fill]


def _middle(x: Samples) -> float:
    """Median, shape (n,), n ≥ 1: np.median takes ten times as long, and a trigger waits for it."""
    half = len(x) // 2
    least = half - 1 + len(x) % 2
    parted = np.partition(x, (least, half))
    return 0.5 * (float(parted[least]) + float(parted[half]))
