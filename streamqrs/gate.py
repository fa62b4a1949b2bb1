"""Gate: the newest edge of the newest window → "R, now"."""

from __future__ import annotations

from streamqrs.lock import HALF_MASK, PeakLock
from streamqrs.types import Peak, Probabilities, Samples

REACH = 3 * HALF_MASK
"""How far back the onset of a QRS complex is looked for."""


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
        self._lock.reset()

    def watch(self, samples: Samples) -> Peak | None:
        """Take samples, shape (n,), 250 Hz, up to the end of the window that comes next; return a trigger, if any."""
        return self._lock.push(samples)

    def push(self, window: Probabilities) -> Peak | None:
        """Take the probabilities of the newest window, and return the trigger that they give at once, if any."""
        at = len(window.values) - 1 - self.depth
        p = float(window.values[at])
        if not self._armed:
            self._armed = p < self.low
            return None
        if p < self.threshold:
            return None
        onset = at
        while onset > 0 and at - onset < REACH and window.values[onset - 1] >= self.threshold:
            onset -= 1
        r = float(window.start + onset + HALF_MASK)
        if self._last is not None:
            since = r - self._last
            if since < self.distance or p < self._asked(since):
                return None
            self._rr = since if self._rr is None else self._rr + 0.2 * (min(since, 2 * self._rr) - self._rr)
        self._last = r
        self._armed = False
        return self._lock.open(Peak(r, p, window.known))

    def flush(self) -> None:
        """Nothing is held back."""

    def _asked(self, since: float) -> float:
        """Probability asked of a candidate that comes so many samples after the last trigger."""
        half = 0.5 * self._rr if self._rr is not None else 0.0
        if since >= half:
            return self.threshold
        early = (half - since) / (half - self.distance)
        return self.threshold + 0.8 * (1 - self.threshold) * early
