"""Intervals: how likely the next RR interval of a heart is, given those before it.

The log of an interval is about normal around the running RR interval. Hearts are irregular, so there is a floor: how
high it is, each patient's own beats say. After a premature beat the next one is as likely in its old place (a
compensatory pause) as one interval later; and the more premature beats there were, the likelier is another one as long
after the beat before it as the last one was (fixed coupling): in bigeminy every second beat is expected early.

Hearts with premature beats repeat themselves, as in trigeminy: where this heart had three intervals like the last ones
before, the next one is likely to be what it was then (`Repeats`).

References
----------
Langendorf, Pick, Winternitz, "Mechanisms of intermittent ventricular bigeminy", Circulation 11, 1955 (coupling).
Lorenz, "Atmospheric predictability as revealed by naturally occurring analogues", J. Atmos. Sci. 26, 1969 (repeats).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LONGEST_RR = 625
"""Longest interval in samples at 250 Hz (2.5 s); after a longer pause all begins anew."""
IRREGULAR, LEAST_IRREGULAR, MOST_IRREGULAR = 0.2, 0.1, 0.6
"""Share of intervals that follow no rhythm (ectopic beats, pauses, atrial fibrillation): first guess, least, most."""
SLOWLY = 0.02
"""By how much each interval between two sure beats changes that share: a running mean of about fifty."""
PREMATURE, COMPENSATED = -0.12, 0.5
"""An interval whose log is so much shorter is of a premature beat; share of those with a compensatory pause."""
SHORTEST_COUPLING = 95
"""Shortest interval to a premature beat, in samples (380 ms), that another one is expected after: no T wave's."""
OFTEN, MOST_OFTEN = 0.15, 0.8
"""By how much each beat changes the share of premature ones; the largest share that is expected."""
SPREAD, LEAST_SPREAD = 0.12, 0.06
"""Standard deviation of log RR intervals, from one to the next: the first guess, and the least that is believed."""
CONTEXT = (0.7, 0.85, 1.0)
"""Weights of the last three intervals, the newest last, in looking for three like them."""
SELDOM = 0.1
"""Share of intervals far from the running one from which such places are looked for: regular hearts need none."""
MEMORY, ANALOGUES, FEWEST = 120, 3, 12
"""Intervals that are remembered; most alike places that count; fewest places that are chosen from."""
REPEATS, REPEAT_SPREAD = 0.7, 0.05
"""Share of regular intervals that are what they were in those places, and their standard deviation from it (log)."""
LEAST = math.log(0.35)
WIDTH = math.log(2.2 / 0.35)
"""Range of the log of intervals that follow no rhythm."""
ROOT_TWO_PI = math.sqrt(2 * math.pi)
REPEAT_TOP, REPEAT_CURVE = 1 / (REPEAT_SPREAD * ROOT_TWO_PI), -0.5 / REPEAT_SPREAD**2


@dataclass(slots=True, eq=False)
class Course:
    """What the RR intervals up to a beat tell about the next one; made of no beat but the first.

    Attributes
    ----------
    rr : float or None
        Running RR interval in samples.
    spread : float
        Running standard deviation of its log.
    interval : float or None
        Interval to the beat before.
    pause : float or None
        After a premature beat: log of the interval with a compensatory pause, over `rr`.
    coupling : float or None
        Interval to the last premature beat.
    often : float
        Share of premature beats among those that follow beats in their time.
    uneven : float
        Running share of intervals that are far from the running one.
    again : tuple of float
        Log of what the next interval was where those before were like the last ones, see `Repeats`.
    """

    rr: float | None = None
    spread: float = SPREAD
    interval: float | None = None
    pause: float | None = None
    coupling: float | None = None
    often: float = 0.0
    uneven: float = 0.0
    again: tuple[float, ...] = ()

    def follow(self, interval: float) -> Course:
        """Go on to the next beat, so many samples later."""
        rr, spread, pause, coupling, often = self.rr, self.spread, None, self.coupling, self.often
        if rr is None:
            return Course(interval, SPREAD, interval)
        off = unexplained = math.log(interval / rr)
        early = off < PREMATURE
        uneven = self.uneven + OFTEN * ((early or off > -PREMATURE) - self.uneven)
        if self.pause is not None:
            unexplained = min(off, off - self.pause, key=abs)
        else:
            often += OFTEN * (early - often)
            if coupling is not None:
                unexplained = min(off, math.log(interval / coupling), key=abs)
        if abs(unexplained) < 0.5:
            spread = max(spread + 0.1 * (min(abs(unexplained) * 1.25, 0.35) - spread), LEAST_SPREAD)
        follows = rr * math.exp(0.2 * off if abs(off) < 0.5 else 0.05 * max(min(off, 0.5), -0.5))
        if early:
            pause = math.log((2 * rr - interval) / follows)
            coupling = interval if interval >= SHORTEST_COUPLING else coupling
        return Course(follows, spread, interval, pause, coupling, often, uneven)


class Repeats:
    """Remember the last RR intervals, and tell what came after those like the newest ones."""

    def __init__(self) -> None:
        self._contexts = np.zeros((MEMORY, len(CONTEXT)))  # logs of the intervals, weighted
        self._next = np.zeros(MEMORY)  # logs of those that came next
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._known = 0
        self._newest: tuple[float, ...] = ()

    def push(self, interval: float) -> None:
        """Take the next interval."""
        if len(self._newest) == len(CONTEXT):
            self._contexts[self._known % MEMORY] = _weighted(self._newest)
            self._next[self._known % MEMORY] = math.log(interval)
            self._known += 1
        self._newest = (*self._newest, interval)[-len(CONTEXT) :]

    def end(self) -> None:
        """The next interval does not follow the last one."""
        self._newest = ()

    def after(self, more: Sequence[float] = ()) -> tuple[float, ...]:
        """Logs of what came after three intervals like the newest ones, `more` among them; empty: too few are known."""
        newest = (*self._newest, *more)[-len(CONTEXT) :]
        known = min(self._known, MEMORY)
        if known < FEWEST or len(newest) < len(CONTEXT):
            return ()
        off = self._contexts[:known] - _weighted(newest)
        nearest = np.einsum("ij,ij->i", off, off).argpartition(ANALOGUES)[:ANALOGUES]
        return tuple(self._next[nearest].tolist())


def likelihood(interval: float, course: Course, irregular: float) -> float:
    """Log density of the log of the next interval: normal, with a floor for the irregular; 0 after the first beat.

    Written out, and in one piece: the rhythm asks it of every pair of candidates.
    """
    if course.rr is None:
        return 0.0
    exp, x = math.exp, math.log(interval)
    off, curve = x - math.log(course.rr), -0.5 / course.spread**2
    regular = exp(curve * off * off)
    if course.pause is not None:
        regular += COMPENSATED * (exp(curve * (off - course.pause) ** 2) - regular)
    elif course.coupling is not None:
        again = exp(curve * (x - math.log(course.coupling)) ** 2)
        regular += min(course.often, MOST_OFTEN) * (again - regular)
    regular /= course.spread * ROOT_TWO_PI
    if course.again:
        same = 0.0
        for one in course.again:
            same += exp(REPEAT_CURVE * (x - one) ** 2)
        regular += REPEATS * (same * REPEAT_TOP / ANALOGUES - regular)
    floor = irregular / WIDTH
    if off < LEAST:  # a third of the running interval is hardly ever a heart's
        floor *= exp(6 * (off - LEAST))
    return math.log((1 - irregular) * regular + floor)


def most_likely(course: Course) -> float:
    """Upper bound of the log density of the next interval, however many are irregular."""
    if course.rr is None:
        return 0.0
    regular = _normal(0.0, course.spread)
    if course.again:
        regular += REPEATS * (REPEAT_TOP - regular)
    return math.log((1 - LEAST_IRREGULAR) * regular + MOST_IRREGULAR / WIDTH)


def irregular_share(irregular: float, interval: float, course: Course) -> float:
    """What the share of irregular intervals is after one more between two sure beats."""
    if course.rr is None:
        return irregular
    none = irregular / WIDTH
    share = none / (none + (1 - irregular) * _normal(math.log(interval / course.rr), course.spread))
    return min(max(irregular + SLOWLY * (share - irregular), LEAST_IRREGULAR), MOST_IRREGULAR)


def _weighted(intervals: Sequence[float]) -> list[float]:
    return [weight * math.log(interval) for weight, interval in zip(CONTEXT, intervals, strict=True)]


def _normal(x: float, spread: float) -> float:
    return math.exp(-0.5 * (x / spread) ** 2) / (spread * ROOT_TWO_PI)
