"""PeakLock: hold a decision of the gate until the R peak has just passed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamqrs.types import HALF_MASK, Peak, Samples

BASELINE = 190
"""Newest samples whose median is the baseline (0.76 s)."""

AROUND = 15
"""A peak is looked for this many samples to either side of where the network put it (60 ms)."""

LEARNT_AFTER = 25
"""Samples after R from which it is known what it was like: the whole mask, and what follows, is seen (100 ms)."""

BEFORE, AFTER = 20, 8
"""Samples before and after where the network first put R that heartbeats are compared by (80 and 32 ms)."""

BEATS = 40
"""Last heartbeats that are remembered."""

ALIKE = 3
"""So many of them, those that began most like the one at hand, tell what to expect; fewer tell nothing."""

SHARE = 0.6
"""Of the expected height: what is smaller is on the way up to R, or another wave."""

SLOPE = 0.25
"""Of the steepest rise: what rises more slowly is at its peak."""

NEAR = 4
"""Once it is known where R mostly lies, a peak counts from so many samples ahead of it (16 ms).

Two waves of a QRS complex may be about equally tall; the one that is mostly R is waited for.
"""


class PeakLock:
    """Wait for the R peak itself, so that triggers come at a constant delay after it.

    The network sees a QRS complex coming; whether its R peak has passed, the signal says best. A trigger leaves as soon
    as the signal has the expected polarity and about the expected height, and rises no more. If that does not happen
    within `patience` samples after the R peak that is expected, it leaves then.

    What is expected, the patient's own heartbeats say: of the last ones those count that began like the one at hand,
    for an ectopic beat may have its R peak on the other side, and later, than its neighbours. R is expected where the
    network puts it, later or earlier by as much as the network itself said of those heartbeats when it had seen all of
    their QRS complexes (`learn`). That, too, is the R time of the trigger: in noise the next peak of the signal may be
    anything.

    Parameters
    ----------
    patience : int
        Longest wait after the expected R peak, in samples at 250 Hz; 0: decisions pass at once.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self._kept = np.zeros(4 * BASELINE, np.float32)
        self._began = np.zeros((BEATS, BEFORE + AFTER), np.float32)
        self._heights = np.zeros(BEATS)
        self._lags = np.zeros(BEATS)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._stop = 0  # count of the samples taken
        self._fill = 0  # of the buffer, whose last sample is the newest
        self._open: Peak | None = None
        self._learnt = 0

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
            passed = self._check() or passed
        return passed

    def open(self, peak: Peak) -> Peak | None:
        """Take a decision; return it at once if there is nothing to wait for."""
        if not self.patience:
            return peak
        self._open = peak
        return self._check()

    def learn(self, told: float, lag: float) -> None:
        """Take how many samples after where the network first put it (`told`) an R peak has turned out to be.

        `LEARNT_AFTER` samples after it, or a little later.
        """
        began = self._piece(round(told))
        if not self.patience or len(began) < BEFORE + AFTER:
            return
        at = self._learnt % BEATS
        self._began[at] = began
        self._heights[at] = self._height(round(told))
        self._lags[at] = min(max(lag, -HALF_MASK), HALF_MASK)  # no further than a mask reaches
        self._learnt += 1

    def _check(self) -> Peak | None:
        """Whether the R peak of the open decision has passed by now."""
        if self._open is None:
            return None
        told = round(self._open.at)
        alike = self._alike(told)
        lag = float(_middle(self._lags[alike])) if len(alike) else 0.0
        expected = told + round(lag)
        if self._stop < expected + self.patience and not (
            len(alike) and self._has_passed(expected - NEAR, float(_middle(self._heights[alike])))
        ):
            return None
        found = replace(self._open, at=self._open.at + lag, known=self._stop)
        self._open = None
        return found

    def _alike(self, told: int) -> NDArray[np.int64]:
        """Which of the last heartbeats began most like the one at `told`, as far as it is seen; none if too few are."""
        known = min(self._learnt, BEATS)
        if known < ALIKE:
            return np.empty(0, np.int64)
        began = self._piece(told)
        others = self._began[:known, : len(began)]
        off = others - began
        off -= off.mean(axis=1, keepdims=True)  # wherever the baseline is
        nearest: NDArray[np.int64] = np.einsum("ij,ij->i", off, off).argsort(kind="stable")[:ALIKE]
        return nearest

    def _piece(self, told: int) -> Samples:
        """The signal about `told` that heartbeats are compared by, as far as it is seen and kept."""
        first = told - BEFORE - self._stop + self._fill
        return self._kept[max(first, 0) : min(first + BEFORE + AFTER, self._fill)]

    def _has_passed(self, start: int, height: float) -> bool:
        """Whether an R peak of that height has passed since sample `start`."""
        if self._stop - start < 2:
            return False
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


def _middle(x: NDArray[np.floating]) -> float:
    """Median, shape (n,), n ≥ 1: np.median takes ten times as long, and a trigger waits for it."""
    half = len(x) // 2
    least = half - 1 + len(x) % 2
    parted = np.partition(x, (least, half))
    return 0.5 * (float(parted[least]) + float(parted[half]))
