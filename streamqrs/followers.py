"""Followers: waves that come after each beat, always as far after it.

Blood that leaves the heart in a magnetic field makes a wave after each QRS complex, as sharp as that and taller where
the field is strong. To a network both waves of a cycle look like beats, at times the second one more than the first;
the rhythm is as even along either, and who has once taken the second for R knows it by its looks from then on. But of
two waves in each cycle that are closer than a heart beats again and again, the first is the cause, the second the
effect. So a candidate that follows another one as far as those of the last seconds did loses log odds.

A heart that beats so fast is told by its next beat, which is as far away again; an irregular one by its intervals,
which are of all lengths, or are seldom so short.

References
----------
Krug, Rose, Clifford, Oster, "ECG-based gating in ultra high field cardiovascular magnetic resonance using an
independent component analysis approach", J. Cardiovasc. Magn. Reson. 15, 104, 2013 (waves after R that gates take for
it).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from streamqrs.odds import log_odds, probability
from streamqrs.types import RATE, Peak

MEMORY = 8 * RATE
"""Samples that pairs of waves are remembered for: eight cycles of a slow heart."""

NEAREST, FARTHEST = 40, 85
"""Distance of the second wave of a pair from the first one, in samples (160 to 340 ms): a P wave is closer to its R,
and two beats are hardly ever so close in each cycle."""

TOGETHER = 22
"""Candidates this close to each other (88 ms) are one wave, whose place the network does not know well."""

ALIKE = 9
"""Samples by which two distances may differ and be the same (36 ms)."""

AGAIN = 12
"""Samples within which a heart that beats as fast has had a beat before."""

FAINTER = 0.5
"""Share of the first wave's probability from which on that earlier one counts."""

EVIDENCE = {
    "often": (1.0, 2.5),
    "pure": (0.6, 0.9),
    "each": (0.3, 0.5),
    "clear": (0.2, 0.5),
    "even": (-1.7, -0.7),
}
"""From where on, and from where in full, evidence counts: how many pairs of the same distance there were, their share
of all pairs, and of all cycles; the mean probability of their first waves, and how much surer those were than the
second ones, in log odds. Pairs count as much as the fainter wave of each is probable.

Chosen on validation recordings, most of them in virtual scanners."""

LOSS = 8.0
"""Log odds that a follower loses where all evidence is full."""


@dataclass(slots=True)
class _Wave:
    """Candidates close together."""

    at: float  # mean, by probability
    probability: float  # highest
    mass: float  # sum


@dataclass(slots=True)
class _Pair:
    """A wave and the most probable one that it follows."""

    at: float
    gap: float
    weight: float
    first: float  # probability of the first wave
    surer: float  # its log odds less those of the second one
    run: bool  # a third wave was as far before them


class Followers:
    """Find candidates that follow another wave as far as those of the last seconds did, and make them less probable."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._waves: deque[_Wave] = deque()  # the last ones, the newest may not be whole
        self._pairs: deque[_Pair] = deque()
        self._heights: deque[tuple[float, float]] = deque()  # where waves were, and how probable

    def push(self, candidates: list[Peak]) -> dict[float, float]:
        """Take all candidates, in order, and return what some of them lose, in log odds, by their R peaks."""
        losses: dict[float, float] = {}
        for peak in candidates:
            at = self._take(peak)
            first = self._first(at)
            if first is not None:
                gap = at - first.at
                before = self._highest(at - 2 * gap)
                loss = self.loss(gap) if before < FAINTER * first.probability else 0.0
                if loss:
                    losses[peak.at] = loss
        return losses

    def loss(self, gap: float) -> float:
        """Return what a candidate loses, in log odds, that follows another one at a distance in samples.

        Nothing where most waves that are as far apart are beats of a heart so fast: a third one was as far before them.
        Not asked is whether one was as far before these two.
        """
        weight = others = first = surer = runs = 0.0
        for pair in self._pairs:
            if abs(pair.gap - gap) <= ALIKE:
                weight += pair.weight
                first += pair.weight * pair.first
                surer += pair.weight * pair.surer
                runs += pair.weight * pair.run
            else:
                others += pair.weight
        if weight <= EVIDENCE["often"][0] or 2 * runs > weight:
            return 0.0
        found = {
            "often": weight,
            "pure": weight / (weight + others),
            "each": weight / max(sum(height for _, height in self._heights) - weight, 1.0),
            "clear": first / weight,
            "even": surer / weight,
        }
        parts = ((found[name] - start) / (full - start) for name, (start, full) in EVIDENCE.items())
        return LOSS * math.prod(min(max(part, 0.0), 1.0) for part in parts)

    def _take(self, peak: Peak) -> float:
        """Add a candidate to the newest wave, or begin one; return where that wave is."""
        p, newest = peak.probability, self._waves[-1] if self._waves else None
        if newest is not None and peak.at - newest.at <= TOGETHER:
            newest.mass += p
            newest.at += p / newest.mass * (peak.at - newest.at)
            newest.probability = max(newest.probability, p)
            return newest.at
        if newest is not None:
            self._end(newest)
        self._waves.append(_Wave(peak.at, p, p))
        while peak.at - self._waves[0].at > 2 * FARTHEST + AGAIN + TOGETHER:
            self._waves.popleft()
        while self._pairs and peak.at - self._pairs[0].at > MEMORY:
            self._pairs.popleft()
        while self._heights and peak.at - self._heights[0][0] > MEMORY:
            self._heights.popleft()
        return peak.at

    def _end(self, wave: _Wave) -> None:
        """Remember a wave that is whole, and the pair that it is the second of."""
        self._heights.append((wave.at, wave.probability))
        first = self._first(wave.at)
        if first is not None:
            p, q, gap = first.probability, wave.probability, wave.at - first.at
            run = self._highest(first.at - gap) >= FAINTER * p
            self._pairs.append(_Pair(wave.at, gap, min(p, q), p, log_odds(p) - log_odds(q), run))

    def _first(self, at: float) -> _Wave | None:
        """Return the most probable wave that one at `at` may follow."""
        best: _Wave | None = None
        for wave in reversed(self._waves):
            gap = at - wave.at
            if gap > FARTHEST:
                break
            if gap >= NEAREST and (best is None or wave.probability >= best.probability):
                best = wave
        return best

    def _highest(self, at: float) -> float:
        """Probability of a wave near a place."""
        return max((wave.probability for wave in self._waves if abs(at - wave.at) <= AGAIN), default=0.0)


def lessened(peak: Peak, loss: float) -> Peak:
    """Return a candidate that lost log odds; however much it looks like the patient's beats, that no longer counts.

    Parameters
    ----------
    peak : Peak
        A candidate, weighed.
    loss : float
        Log odds.
    """
    likeness = None if peak.likeness is None else 0.0
    return replace(peak, probability=probability(log_odds(peak.probability) - loss), likeness=likeness)
