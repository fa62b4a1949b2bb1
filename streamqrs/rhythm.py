"""Rhythm: candidates → beats. A distance criterion that weighs the rhythm of the heart against probability.

An artefact that looks like a QRS complex to the network often stands where no beat is likely, for example half way
between two others. So each chain of candidates is scored by the log odds of its members and by the likelihood of the
intervals between them, given the running RR interval along the chain; the best chain decides (the Viterbi algorithm).
The likelihood has a floor, for hearts are irregular: a confident candidate is a beat wherever it stands, and a doubtful
one is a beat where one was due. How high that floor is, each patient's own sure beats say. After a premature beat the
next one is as likely in its old place (a compensatory pause) as one interval later; and the more premature beats there
were along a chain, the likelier is another one as long after the beat before it as the last one was (fixed coupling):
in bigeminy every second beat is expected early.

Where no heart is to be seen, as in a lead that is off, candidates are doubtful one and all: a doubtful one counts only
for some seconds after one that is sure. Of a patient whose beats are known (`streamqrs.templates`), a probable one that
looks like them is sure, too, and one that is neither probable nor like them never counts, not even where one is due.

A candidate that comes in its time waits for `distance` only (and for the end of a stretch that begins in it); one that
comes early, or is doubtful, waits until a better one would have come, at most `patience`. What was said is never taken
back.

References
----------
Viterbi, "Error bounds for convolutional codes", IEEE Trans. Inf. Theory 13, 1967.
Langendorf, Pick, Winternitz, "Mechanisms of intermittent ventricular bigeminy", Circulation 11, 1955 (coupling).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from streamqrs.types import Peak

LONGEST_RR = 625
"""Longest interval of a chain in samples at 250 Hz (2.5 s); after a longer pause a new chain begins."""
IRREGULAR, LEAST_IRREGULAR, MOST_IRREGULAR = 0.2, 0.1, 0.6
"""Share of intervals that follow no rhythm (ectopic beats, pauses, atrial fibrillation): first guess, least, most."""
SLOWLY = 0.02
"""By how much each interval between two sure beats changes that share: a running mean of about fifty."""
PREMATURE, COMPENSATED = -0.12, 0.5
"""An interval whose log is so much shorter is of a premature beat; share of those with a compensatory pause."""
SHORTEST_COUPLING = 95
"""Shortest interval to a premature beat, in samples (380 ms), that another one is expected after: no T wave's."""
OFTEN, MOST_OFTEN = 0.15, 0.8
"""By how much each beat changes the share of premature ones along a chain; the largest share that is expected."""
LEAST = math.log(0.35)
ROOT_TWO_PI = math.sqrt(2 * math.pi)
WIDTH = math.log(2.2 / 0.35)
"""Range of the log of intervals that follow no rhythm."""
RESTART = -6.0
"""Log likelihood of a chain that begins anew, against one that goes on."""
SURE = 6.0
"""Log odds are cut here: nothing counts as more certain."""
RESTING_RR, RESTING_SPREAD, FASTEST = 200, 0.3, -1.5
"""Below 200 samples (75 beats per minute) the mean of two intervals loses likelihood, as a normal law of its log, at
most so much: one early beat does not make a heart fast.

Without it, two waves in each heartbeat would make as good a rhythm, twice as fast, as one."""
TAIL = 15
"""Samples from the R peak to the end of its stretch: half of a mask, and a little."""
ASSURED = 1250
"""Samples for which doubtful candidates count after a sure one (5 s)."""
ALIKE = 0.5
"""Likeness to the patient's beats from which a probable candidate is sure."""
UNLIKE, UNLIKELY = 0.1, 0.15
"""A candidate of a known patient that is below both, likeness and probability, never counts, even where one is due."""
SPREAD = 0.12
"""First guess of the standard deviation of log RR intervals, from one to the next."""


@dataclass(slots=True, eq=False)
class _Node:
    """A candidate at the end of its best chain."""

    peak: Peak
    score: float
    before: _Node | None
    rr: float | None  # running RR interval along the chain
    spread: float
    interval: float | None = None  # to the candidate before it
    pause: float | None = None  # log of the interval to the beat after a premature one, if there is a pause, over `rr`
    coupling: float | None = None  # interval to the last premature beat along the chain
    often: float = 0.0  # share of premature beats among those that follow beats in their time
    most: float = math.inf  # score that the likeliest next interval would lead to
    sure: bool = False
    counts: bool = True  # is sure, or comes soon after one that is


class Rhythm:
    """Choose the beats among candidates.

    Parameters
    ----------
    threshold : float
        Probability at which a candidate speaks as much for a beat as against one, 0 to 1.
    distance : int
        Refractory time: shortest distance between two beats in 250 Hz samples.
    patience : int
        Longest wait for a better candidate in 250 Hz samples, at least `distance`.
    weight : float
        Weight of the rhythm against probability; with 0 only threshold and refractory time count.
    sure : float
        Probability from which any candidate is sure, 0 to 1; with 0 every one is.

    Attributes
    ----------
    last : float or None
        The newest beat that was given out, in 250 Hz samples.
    """

    def __init__(self, threshold: float, distance: int, patience: int, weight: float, sure: float = 0.0) -> None:
        self.distance, self.patience, self.weight, self.sure = distance, patience, weight, sure
        self._bias = _log_odds(threshold)
        self.reset()

    @property
    def delay(self) -> int:
        """Samples after a candidate that are awaited at most."""
        return max(self.distance + TAIL, self.patience)

    def reset(self, last: float | None = None) -> None:
        """Forget everything, as if newly made, but for a beat at `last`, whose refractory time may go on."""
        self._nodes: deque[_Node] = deque()  # candidates of the last 2.5 s
        self._anew = 0.0  # score of a chain that has not begun yet
        self._waiting: deque[_Node] = deque()
        self.last = last
        self._seen = 0.0
        self._sure = -math.inf  # the newest sure candidate
        self._irregular = IRREGULAR

    @property
    def settled(self) -> float:
        """No beat among the candidates so far that is not given out comes before this sample."""
        return self._waiting[0].peak.at if self._waiting else self._seen

    def push(self, candidates: list[Peak], seen: float, known: int) -> list[Peak]:
        """Take all candidates that end up to the sample `seen`, in order, and return the beats that are certain now.

        Each beat's `known` is as given.
        """
        found: list[Peak] = []
        for peak in candidates:
            found += self._decide(peak.stop - 1, known)
            node = self._join(peak)
            node.sure = self._is_sure(peak)
            if node.sure:
                self._sure = peak.at
            node.counts = self._may_count(peak) and peak.at - self._sure <= ASSURED
            self._nodes.append(node)
            self._waiting.append(node)
        self._seen = seen
        return found + self._decide(seen, known)

    def flush(self, known: int) -> list[Peak]:
        """No more candidates come: return the beats among those that waited."""
        return self._decide(math.inf, known)

    def _is_sure(self, peak: Peak) -> bool:
        """Whether this is a beat, whatever else there is."""
        alike = peak.likeness is not None and peak.likeness >= ALIKE and peak.probability >= 0.5
        return alike or peak.probability >= self.sure

    def _may_count(self, peak: Peak) -> bool:
        """Whether a candidate may be a beat where one is due; of a known patient it must look a little like one."""
        return peak.likeness is None or peak.likeness >= UNLIKE or peak.probability >= UNLIKELY

    def _join(self, peak: Peak) -> _Node:
        """Find the best chain that ends in a candidate."""
        gain = _log_odds(peak.probability) - self._bias
        while self._nodes and peak.at - self._nodes[0].peak.at > LONGEST_RR:
            gone = self._nodes.popleft()
            gone.before = None
            self._anew = max(self._anew, gone.score + RESTART * self.weight)
        best, score = None, self._anew + gain
        for node in reversed(self._nodes):
            interval = peak.at - node.peak.at
            if interval < self.distance or node.most + gain <= score:
                continue
            now = node.score + gain + self.weight * _likelihood(interval, node, self._irregular)
            if now > score:
                best, score = node, now
        if best is None:
            node = _Node(peak, score, None, None, SPREAD)
        else:
            node = _follow(peak, score, peak.at - best.peak.at, best)
        node.most = score + self.weight * _most(node)
        return node

    def _decide(self, seen: float, known: int) -> list[Peak]:
        """Settle the waiting candidates whose time is over when everything before `seen` is known."""
        found: list[Peak] = []
        while self._waiting:
            node = self._waiting[0]
            moment = node.peak.at + self._wait(node)
            if moment > seen:
                break
            self._waiting.popleft()
            early = self.last is not None and node.peak.at - self.last < self.distance
            if node.counts and not early and self._on_best_chain(node, moment):
                self.last = node.peak.at
                self._learn(node)
                found.append(Peak(node.peak.at, node.peak.probability, known))
        return found

    def _learn(self, node: _Node) -> None:
        """Learn from a beat, and the one before it, how many intervals of this heart follow no rhythm."""
        before = node.before
        if before is not None and before.rr is not None and node.sure and before.sure:
            off = math.log((node.peak.at - before.peak.at) / before.rr)
            none = self._irregular / WIDTH
            share = none / (none + (1 - self._irregular) * _normal(off, before.spread))
            share = self._irregular + SLOWLY * (share - self._irregular)
            self._irregular = min(max(share, LEAST_IRREGULAR), MOST_IRREGULAR)

    def _wait(self, node: _Node) -> float:
        """How long a candidate waits for a better one, in samples."""
        shortest = self.distance + TAIL
        if self.last is None or node.rr is None or not self.weight:
            return shortest
        due = self.last + 0.75 * node.rr
        if node.peak.at >= due and _log_odds(node.peak.probability) > self._bias + 1:
            return shortest
        return max(shortest, min(0.5 * node.rr, self.patience))

    def _on_best_chain(self, node: _Node, moment: float) -> bool:
        end: _Node | None = None
        best = self._anew
        for other in reversed(self._nodes):
            if other.score >= best and (score := self._ended(other, moment)) >= best:
                end, best = other, score
        while end is not None and end.peak.at > node.peak.at:
            end = end.before
        return end is node

    def _ended(self, node: _Node, moment: float) -> float:
        """Score of a chain that no beat followed until now: one that is overdue speaks against it."""
        if node.rr is None:
            return node.score
        overdue = (moment - node.peak.at) / node.rr - 1.2
        return node.score if overdue <= 0.0 else node.score - self.weight * min(4 * overdue, -RESTART)


def _log_odds(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return min(max(math.log(p / (1 - p)), -SURE), SURE)


def _likelihood(interval: float, node: _Node, irregular: float) -> float:
    """Log density of the log of an interval after a candidate: normal, with a floor for the irregular."""
    rate = 0.0
    mean = interval if node.interval is None else 0.5 * (interval + node.interval)
    if mean < RESTING_RR:
        fast = math.log(mean / RESTING_RR) / RESTING_SPREAD
        rate = max(-0.5 * fast * fast, FASTEST)
    if node.rr is None:  # the first interval of a chain tells nothing but how fast it is
        return rate
    off = math.log(interval / node.rr)
    regular = _normal(off, node.spread)
    if node.pause is not None:
        regular += COMPENSATED * (_normal(off - node.pause, node.spread) - regular)
    elif node.coupling is not None:
        again = _normal(math.log(interval / node.coupling), node.spread)
        regular += min(node.often, MOST_OFTEN) * (again - regular)
    floor = irregular / WIDTH
    if off < LEAST:  # a third of the running interval is hardly ever a heart's
        floor *= math.exp(6 * (off - LEAST))
    return rate + math.log((1 - irregular) * regular + floor)


def _most(node: _Node) -> float:
    """Upper bound of the log density after a candidate, however many intervals are irregular."""
    if node.rr is None:
        return 0.0
    return math.log((1 - LEAST_IRREGULAR) * _normal(0.0, node.spread) + MOST_IRREGULAR / WIDTH)


def _normal(x: float, spread: float) -> float:
    return math.exp(-0.5 * (x / spread) ** 2) / (spread * ROOT_TWO_PI)


def _follow(peak: Peak, score: float, interval: float, node: _Node) -> _Node:
    """Go on with a chain after a node: what its running RR interval, its spread and its premature beats are then."""
    rr, spread, pause, coupling, often = node.rr, node.spread, None, node.coupling, node.often
    if rr is None:
        return _Node(peak, score, node, interval, SPREAD, interval)
    off = unexplained = math.log(interval / rr)
    early = off < PREMATURE
    if node.pause is not None:
        unexplained = min(off, off - node.pause, key=abs)
    else:
        often += OFTEN * (early - often)
        if coupling is not None:
            unexplained = min(off, math.log(interval / coupling), key=abs)
    if abs(unexplained) < 0.5:
        spread = max(spread + 0.1 * (min(abs(unexplained) * 1.25, 0.35) - spread), 0.06)
    follows = rr * math.exp(0.2 * off if abs(off) < 0.5 else 0.05 * max(min(off, 0.5), -0.5))
    if early:
        pause = math.log((2 * rr - interval) / follows)
        coupling = interval if interval >= SHORTEST_COUPLING else coupling
    return _Node(peak, score, node, follows, spread, interval, pause, coupling, often)
