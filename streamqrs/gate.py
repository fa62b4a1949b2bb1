"""Gate: the newest edge of the newest window → "R, now"."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Self

from streamqrs.expectation import REACH, Expectation, onset
from streamqrs.followers import AGAIN, FAINTER, FARTHEST, NEAREST, Followers
from streamqrs.likeness import Likeness
from streamqrs.lock import LEARNT_AFTER, PeakLock
from streamqrs.settings import Settings
from streamqrs.types import HALF_MASK, Peak, Probabilities, Samples

EVEN = 0.5
"""The network says how likely R is within half a mask of a sample: where that rises to one half is the median onset."""

USUAL = 0.32
"""Likeness to the patient's beats that speaks neither for a beat nor against one.

At it a logistic regression asks a probability of 0.9 of what the network takes for the beginning of a QRS complex, in
50 validation recordings of the virtual scanner; the weight there is 3.75."""

FOLLOWS = 0.05
"""By how much each onset changes the share of those that came to nothing: about the last twenty count."""

DOUBTFUL = 0.05
"""That share from which on it counts in full that an onset looks like none of this patient's beats.

Where every onset is a beat's, one of a new shape is an ectopic beat; in noise it is noise."""

EARLY = 0.8
"""Share of the way from the threshold to certainty that is asked more of a candidate at the refractory time."""


class Gate:
    """Say at each hop whether an R peak is at hand, from the newest window and what this heart did before.

    The probability `depth` samples behind the newest one decides. A trigger is given when it rises to `threshold`, and
    the next one only after it has fallen below `low` (hysteresis). Where a beat is due in the rhythm of this heart,
    less is enough, see `Expectation`: in bigeminy that is early in every second interval. The shortest distance
    between two triggers is `distance`; from there up to half of the running RR interval, a little more probability is
    asked the earlier a candidate comes: premature beats pass, T waves do not. What begins like one of this patient's
    beats needs less, see `Likeness`; what does not, or is not seen far enough to tell, needs more where onsets came to
    nothing of late. A wave that follows each beat needs more, see `Followers`. In white noise as tall as this patient's
    beats there is no trigger. Once decided, the trigger waits for the R peak to pass, see `PeakLock`.

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
    rhythm : float
        Weight of the rhythm against probability, where a beat is due; with 0 it does not count.
    likeness : float
        Weight of the likeness to this patient's beats against probability; with 0 it does not count.
    followers : Followers or None
        Those of the beats that are confirmed.
    """

    def __init__(
        self,
        threshold: float,
        low: float,
        depth: int,
        distance: int,
        patience: int = 0,
        rhythm: float = 0.0,
        likeness: float = 0.0,
        followers: Followers | None = None,
    ) -> None:
        self.threshold, self.low, self.depth, self.distance, self.rhythm = threshold, low, depth, distance, rhythm
        self.likeness = likeness
        self._onset_at = min(threshold, EVEN)
        self._lock = PeakLock(patience)
        self._expectation = Expectation(distance, depth)
        self._looks = Likeness()
        self._followers = followers
        self.reset()

    @classmethod
    def of(cls, settings: Settings, followers: Followers | None = None) -> Self:
        """Make the gate of a detector."""
        s = settings
        return cls(
            s.gate_threshold,
            s.gate_low,
            s.gate_depth,
            s.distance,
            s.gate_patience,
            s.gate_rhythm,
            s.gate_likeness,
            followers,
        )

    @property
    def delay(self) -> int:
        """Samples between the one that decides and the newest one."""
        return self.depth

    def reset(self, last: float | None = None) -> None:
        """Forget everything, as if newly made, but for a beat at `last`, whose refractory time may go on."""
        self._armed = True
        self._last = last
        self._told: deque[float] = deque()  # R peaks whose QRS complexes have not been seen to their ends
        self._begun: deque[float] = deque()  # R peaks that onsets led to expect
        self._rising = False  # above an onset, since it was counted
        self._nothing = 0.0  # share of the last onsets that came to nothing
        self._lock.reset()
        self._expectation.reset()
        self._looks.reset()

    def watch(self, samples: Samples) -> Peak | None:
        """Take samples, shape (n,), 250 Hz, up to the end of the window that comes next; return a trigger, if any."""
        if self.likeness:
            self._looks.push(samples)
        return self._lock.push(samples)

    def push(self, window: Probabilities) -> Peak | None:
        """Take the probabilities of the newest window, and return the trigger that they give at once, if any."""
        self._look_back(window)
        self._expectation.hear(window)
        at = len(window.values) - 1 - self.depth
        p = float(window.values[at])
        if not self._armed:
            self._armed = p < self.low
            return None
        if p < self._onset_at:
            self._rising = self._rising and p >= self.low
            return None
        r = window.start + onset(window.values, at, self._onset_at) + HALF_MASK + 0.5
        if not self._rising:
            self._rising = True
            self._begun.append(r)
        if (self._last is not None and r - self._last < self.distance) or p < self._asked(r, window):
            return None
        if self.likeness and self._looks.drowned():
            return None
        self._last = r
        self._armed = False
        self._rising = False
        self._told.append(r)
        self._expectation.trigger(r)
        return self._lock.open(Peak(r, p, window.known))

    def confirm(self, beats: Iterable[Peak]) -> None:
        """Take beats that are confirmed, in order: what the gate expects follows from them."""
        for beat in beats:
            self._expectation.confirm(beat.at)
            if self.likeness:
                self._looks.learn(beat)

    def flush(self) -> None:
        """Nothing is held back."""

    def _look_back(self, window: Probabilities) -> None:
        """See what came of onsets, and tell the lock how much later R is than was said: the network sees more now."""
        while self._begun and window.known - self._begun[0] >= LEARNT_AFTER:
            top = _top(window, self._begun.popleft())
            nothing = bool(window.values[top] < self._onset_at)
            self._nothing += FOLLOWS * (nothing - self._nothing)
        while self._told and window.known - self._told[0] >= LEARNT_AFTER:
            told = self._told.popleft()
            p, top = window.values, _top(window, told)
            if p[top] >= self._onset_at:
                self._lock.learn(told, window.start + _middle(p, top, self._onset_at) - told)

    def _asked(self, r: float, window: Probabilities) -> float:
        """Probability asked of a candidate at `r`."""
        due, early = self._expectation.due(r)
        asked = self.threshold + EARLY * (1 - self.threshold) * early
        more = self.rhythm * due - self._follows(r, window)
        if self.likeness and (like := self._looks.of(r)) is not None:
            off = like - USUAL
            more += self.likeness * (off if off > 0 else off * min(1.0, self._nothing / DOUBTFUL))
        if not more:
            return asked
        return max(1 / (1 + (1 - asked) / asked * math.exp(more)), self._onset_at)

    def _follows(self, r: float, window: Probabilities) -> float:
        """What a candidate at `r` loses, in log odds, for waves like it follow each beat."""
        if self._followers is None:
            return 0.0
        p, r = window.values, r - window.start
        first = max(round(r) - FARTHEST, 0)
        near = p[first : max(round(r) - NEAREST + 1, 0)]
        highest = float(near.max(initial=0.0))
        if highest < self.low:
            return 0.0
        gap = r - _middle(p, first + int(near.argmax()), EVEN * highest)
        if not NEAREST <= gap <= FARTHEST:
            return 0.0
        before = round(r - 2 * gap)
        again = p[max(before - AGAIN, 0) : max(before + AGAIN + 1, 0)].max(initial=0.0)
        return 0.0 if again >= FAINTER * highest else self._followers.loss(gap)


def _middle(p: Samples, top: int, level: float) -> float:
    """Half way between where a curve rises to a level before its highest sample and where it falls below it after."""
    last = len(p) - 1
    return 0.5 * (onset(p, top, level) + last - onset(p[::-1], last - top, level))


def _top(window: Probabilities, r: float) -> int:
    """Where in a window the probability near sample `r` is highest."""
    near = max(round(r) - window.start - REACH // 2, 0)
    return near + int(window.values[near : near + REACH].argmax())
