"""Gate: the newest edge of the newest window → "R, now"."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from streamqrs.lock import HALF_MASK, LEARNT_AFTER, PeakLock
from streamqrs.types import Peak, Probabilities, Samples

REACH = 3 * HALF_MASK
"""How far back the onset of a QRS complex is looked for."""

EVEN = 0.5
"""The network says how likely R is within half a mask of a sample: where that rises to one half is the median onset."""


class Gate:
    """Say at each hop whether an R peak is at hand, from one window alone.

    The probability `depth` samples behind the newest one decides. A trigger is given when it rises to `threshold`, and
    the next one only after it has fallen below `low` (hysteresis). The shortest distance between two triggers is
    `distance`; from there up to half of the running RR interval, a little more probability is asked the earlier a
    candidate comes: premature beats pass, T waves do not. Once decided, the trigger waits for the R peak to pass, see
    `PeakLock`.

    Parameters
    ----------
    threshold, low : float
        Probabilities, 0 to 1.
    depth : int
        Look-ahead: samples at 250 Hz after the one that decides.
    distance : int
        Refractory time in samples at 250 Hz.
    patience : int
        Longest wait for the R peak after the one that the network expects, in samples at 250 Hz; 0: none.
    """

    def __init__(self, threshold: float, low: float, depth: int, distance: int, patience: int = 0) -> None:
        self.threshold, self.low, self.depth, self.distance = threshold, low, depth, distance
        self._onset_at = min(threshold, EVEN)
        self._lock = PeakLock(patience)
        self.reset()

    @property
    def delay(self) -> int:
        """Samples between the one that decides and the newest one."""
        return self.depth

    def reset(self, last: float | None = None) -> None:
        """Forget everything, as if newly made, but for a beat at `last`, whose refractory time may go on."""
        self._armed = True
        self._last = last
        self._rr: float | None = None
        self._told: deque[float] = deque()  # R peaks whose QRS complexes have not been seen to their ends
        self._lock.reset()

    def watch(self, samples: Samples) -> Peak | None:
        """Take samples, shape (n,), 250 Hz, up to the end of the window that comes next; return a trigger, if any."""
        return self._lock.push(samples)

    def push(self, window: Probabilities) -> Peak | None:
        """Take the probabilities of the newest window, and return the trigger that they give at once, if any."""
        self._look_back(window)
        at = len(window.values) - 1 - self.depth
        p = float(window.values[at])
        if not self._armed:
            self._armed = p < self.low
            return None
        if p < self.threshold:
            return None
        r = window.start + _onset(window.values, at, self._onset_at) + HALF_MASK + 0.5
        if self._last is not None:
            since = r - self._last
            if since < self.distance or p < self._asked(since):
                return None
            self._rr = since if self._rr is None else self._rr + 0.2 * (min(since, 2 * self._rr) - self._rr)
        self._last = r
        self._armed = False
        self._told.append(r)
        return self._lock.open(Peak(r, p, window.known))

    def flush(self) -> None:
        """Nothing is held back."""

    def _look_back(self, window: Probabilities) -> None:
        """Tell the lock how much later R is than was said, now that the network sees all around it."""
        while self._told and window.known - self._told[0] >= LEARNT_AFTER:
            told = self._told.popleft()
            p, near = window.values, max(round(told) - window.start - REACH // 2, 0)
            top = near + int(p[near : near + REACH].argmax())
            if p[top] >= self._onset_at:
                last = len(p) - 1
                begin = _onset(p, top, self._onset_at)
                end = last - _onset(p[::-1], last - top, self._onset_at)
                self._lock.learn(window.start + 0.5 * (begin + end) - told)

    def _asked(self, since: float) -> float:
        """Probability asked of a candidate that comes so many samples after the last trigger."""
        half = 0.5 * self._rr if self._rr is not None else 0.0
        if since >= half:
            return self.threshold
        early = (half - since) / (half - self.distance)
        return self.threshold + 0.8 * (1 - self.threshold) * early


def _onset(p: NDArray[np.float32], at: int, level: float) -> float:
    """Sample, with its fraction, at which the curve last rose to `level` before `at`."""
    first = at
    while first > 0 and at - first < REACH and p[first - 1] >= level:
        first -= 1
    if first == 0 or p[first - 1] >= level:
        return float(first)
    below = float(p[first - 1])
    return first - 1 + (level - below) / (float(p[first]) - below)
