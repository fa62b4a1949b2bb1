"""Expectation: whether a beat is due now, for the gate.

The gate decides before a QRS complex is over, and so it may miss one, or take a wave for one. What is due does not hang
on what it has said: the beats that count are those that are confirmed. After the last of these, which is up to a second
ago, heartbeats count as the network sees them a quarter of a second later; only after those, triggers.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamqrs.intervals import IRREGULAR, LONGEST_RR, SELDOM, WIDTH, Course, Repeats, irregular_share, likelihood
from streamqrs.types import HALF_MASK, Probabilities

BACK = 60
"""Samples at 250 Hz after which a heartbeat is seen well enough to count (240 ms)."""

SEEN = 0.5
"""Probability of a heartbeat then."""

FORGOTTEN = 250
"""Samples after which a heartbeat that is seen, but not confirmed, counts no more: it was none (1 s)."""

REACH = 3 * HALF_MASK
"""How far back the onset of a QRS complex is looked for."""

ANYWHERE = -math.log(WIDTH)
"""Log density of the log of an interval of which nothing is known."""


class Expectation:
    """Follow a heart's rhythm up to the newest edge.

    Parameters
    ----------
    distance : int
        Refractory time in samples at 250 Hz.
    depth : int
        Look-ahead of the gate in samples at 250 Hz: a heartbeat is not counted before the gate has decided on it.
    """

    def __init__(self, distance: int, depth: int) -> None:
        self.distance, self.back = distance, max(BACK, depth + REACH)
        self._repeats = Repeats()
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._repeats.reset()
        self._course = Course()
        self._last: float | None = None  # the newest beat that is confirmed
        self._seen: deque[float] = deque()  # heartbeats after it
        self._triggered: deque[float] = deque()  # triggers after those
        self._searched = 0
        self._irregular = IRREGULAR
        self._now: tuple[float, Course] | None = None  # the newest of them all, and the course up to it

    def hear(self, window: Probabilities) -> None:
        """Take the probabilities of the newest window."""
        stop = len(window.values) - self.back
        first = max(self._searched - window.start, 1)
        if stop <= first:
            return
        self._searched = window.start + stop
        high = window.values[first - 1 : stop] >= SEEN
        for end in np.flatnonzero(high[:-1] & ~high[1:]) + first - 1 if high.any() else ():
            self._see(window.start + 0.5 * (onset(window.values, int(end), SEEN) + end))
        while self._triggered and self._triggered[0] < self._searched - 2 * HALF_MASK:
            self._triggered.popleft()
            self._now = None
        while self._seen and self._seen[0] < self._searched - FORGOTTEN:
            self._seen.popleft()
            self._now = None

    def trigger(self, r: float) -> None:
        """Take a trigger: it counts as a beat until the network has seen whether it was one."""
        self._triggered.append(r)
        self._now = None

    def confirm(self, r: float) -> None:
        """Take a beat that is confirmed."""
        since = math.inf if self._last is None else r - self._last
        if since > LONGEST_RR:
            self._course = Course()
            self._repeats.end()
        else:
            self._repeats.push(since)
            self._irregular = irregular_share(self._irregular, since, self._course)
            self._course = self._course.follow(since)
        self._last, self._now = r, None
        while self._seen and self._seen[0] < r + self.distance:
            self._seen.popleft()

    def due(self, r: float) -> tuple[float, float]:
        """How much a beat at `r` is expected.

        Returns
        -------
        due : float
            Log of how much likelier the interval to it is than if nothing were known of the rhythm, at least 0.
        early : float
            How early it comes: 0 from half of the running RR interval on, 1 at the refractory time.
        """
        if self._now is None:
            self._now = self._follow()
        last, course = self._now
        since = r - last
        if course.rr is None or since > LONGEST_RR:
            return 0.0, 0.0
        if since < self.distance:
            return 0.0, 1.0
        half = 0.5 * course.rr
        early = (half - since) / (half - self.distance) if since < half else 0.0
        return max(likelihood(since, course, self._irregular) - ANYWHERE, 0.0), early

    def _see(self, r: float) -> None:
        """Count a heartbeat that the network has seen."""
        last = self._seen[-1] if self._seen else self._last
        if last is None or r - last >= self.distance:
            self._seen.append(r)
            self._now = None

    def _follow(self) -> tuple[float, Course]:
        """Go on from the newest beat that is confirmed over those after it, and the triggers after them."""
        last, course = self._last, self._course
        more: list[float] = []
        for r in (*self._seen, *self._triggered):
            since = math.inf if last is None else r - last
            if since > LONGEST_RR:
                course, more, last = Course(), [], r
            elif since >= self.distance:
                more.append(since)
                course, last = course.follow(since), r
        again = self._repeats.after(more) if course.uneven >= SELDOM else ()
        course = replace(course, again=again)  # that of the last confirmed beat stays as it is
        return (-math.inf if last is None else last), course


def onset(p: NDArray[np.float32], at: int, level: float) -> float:
    """Sample, with its fraction, at which a curve last rose to `level` before sample `at`."""
    first = at
    while first > 0 and at - first < REACH and p[first - 1] >= level:
        first -= 1
    if first == 0 or p[first - 1] >= level:
        return float(first)
    below = float(p[first - 1])
    return first - 1 + (level - below) / (float(p[first]) - below)
