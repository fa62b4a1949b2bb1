"""Rhythm: candidates → beats. A distance criterion that weighs the rhythm of the heart against probability.

An artefact that looks like a QRS complex to the network often stands where no beat is likely, for example half way
between two others. So each chain of candidates is scored by the log odds of its members and by the likelihood of the
intervals between them, given the running RR interval along the chain; the best chain decides (the Viterbi algorithm).
The likelihood (see `streamqrs.intervals`) has a floor, for hearts are irregular: a confident candidate is a beat
wherever it stands, and a doubtful one is a beat where one was due.

Where no heart is to be seen, as in a lead that is off, candidates are doubtful one and all: a doubtful one counts only
at the end of a chain that is evidence of a heart, by what its last members added to the score. A heart that is heard
through a scanner's noise, no beat of it beyond doubt, makes such a chain soon; noise makes none. Of a patient whose
beats are known (`streamqrs.templates`), a probable one that looks like them is sure, too, and one that is neither
probable nor like them never counts, not even where one is due. Before that, when there may be no patient at all, more
is asked of a sure one.

A candidate that comes in its time waits for `distance` only (and for the end of a stretch that begins in it); one that
comes early, or is doubtful, waits until a better one would have come, at most `patience`. What was said is never taken
back.

References
----------
Viterbi, "Error bounds for convolutional codes", IEEE Trans. Inf. Theory 13, 1967.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from operator import attrgetter

from streamqrs.intervals import (
    CONTEXT,
    IRREGULAR,
    LEAST_SPREAD,
    LONGEST_RR,
    SELDOM,
    Course,
    Repeats,
    irregular_share,
    likelihood,
    most_likely,
)
from streamqrs.odds import log_odds
from streamqrs.types import Peak

RESTART = -6.0
"""Log likelihood of a chain that begins anew, against one that goes on."""
RESTING_RR, RESTING_SPREAD, FASTEST = 200, 0.3, -1.5
"""Below 200 samples (75 beats per minute) the mean of two intervals loses likelihood, as a normal law of its log, at
most so much: one early beat does not make a heart fast.

Without it, two waves in each heartbeat would make as good a rhythm, twice as fast, as one."""
TAIL = 15
"""Samples from the R peak to the end of its stretch: half of a mask, and a little."""
FADES, EVIDENT = 0.9, 10.0
"""Evidence of a heart fades by this factor with each candidate of a chain; from so much on doubtful ones count, too.

Of 359 leads that are off (20 s, no heart heard before) two had chains of doubtful candidates that came to 8, none had
one that came to 10; each beat of a plain rhythm adds 8.
"""
ALIKE, PROBABLY = 0.5, 0.5
"""Likeness to the patient's beats, and probability, from which a candidate is sure."""
UNKNOWN = 0.9
"""Probability from which a candidate is sure, at least, while the patient's beats are not known."""
UNLIKE, UNLIKELY = 0.1, 0.25
"""A candidate of a known patient that is below both, likeness and probability, never counts, even where one is due."""
MOST_LIKELY = most_likely(Course(rr=1.0, spread=LEAST_SPREAD, again=(0.0,)))
"""Upper bound of the log density of any interval."""
MOST = attrgetter("most")


@dataclass(slots=True, eq=False)
class _Node:
    """A candidate at the end of its best chain."""

    peak: Peak
    score: float
    before: _Node | None
    most: float  # score that the likeliest next interval would lead to, or more
    evidence: float  # what speaks for a heart: what each candidate of the chain added to the score, the last ones most
    course: Course | None = None  # made when it is asked for: most candidates are far behind the best ones
    sure: bool = False
    counts: bool = True  # is sure, or of a chain that a heart's beats make


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
        self._bias = log_odds(threshold)
        self._repeats = Repeats()
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
        self._irregular = IRREGULAR
        self._repeats.reset()

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
            node.counts = node.sure or (node.evidence >= EVIDENT and self._may_count(peak))
            self._nodes.append(node)
            self._waiting.append(node)
        self._seen = seen
        return found + self._decide(seen, known)

    def flush(self, known: int) -> list[Peak]:
        """No more candidates come: return the beats among those that waited."""
        return self._decide(math.inf, known)

    def _is_sure(self, peak: Peak) -> bool:
        """Whether this is a beat, whatever else there is."""
        if peak.likeness is None or peak.likeness < UNLIKE:
            return not self.sure or peak.probability >= max(self.sure, UNKNOWN)
        alike = peak.likeness >= ALIKE and peak.probability >= PROBABLY
        return alike or peak.probability >= self.sure

    def _may_count(self, peak: Peak) -> bool:
        """Whether a candidate may be a beat where one is due; of a known patient it must look a little like one."""
        return peak.likeness is None or peak.likeness >= UNLIKE or peak.probability >= UNLIKELY

    def _join(self, peak: Peak) -> _Node:
        """Find the best chain that ends in a candidate."""
        gain = log_odds(peak.probability) - self._bias
        while self._nodes and peak.at - self._nodes[0].peak.at > LONGEST_RR:
            gone = self._nodes.popleft()
            gone.before = None
            self._anew = max(self._anew, gone.score + RESTART * self.weight)
        best, score = None, self._anew + gain
        for node in sorted(self._nodes, key=MOST, reverse=True):
            if node.most + gain <= score:
                break
            interval = peak.at - node.peak.at
            if interval < self.distance:
                continue
            course = self._course(node)
            if node.most + gain <= score:  # as is known by now
                continue
            now = node.score + gain + self.weight * _likelihood(interval, course, self._irregular)
            if now > score:
                best, score = node, now
        evidence = gain if best is None else FADES * best.evidence + score - best.score
        return _Node(peak, score, best, score + self.weight * MOST_LIKELY, evidence)

    def _course(self, node: _Node) -> Course:
        """Return the course of the best chain up to a node."""
        if node.course is not None:
            return node.course
        course, before = Course(), node.before
        if before is not None:
            course = self._course(before).follow(node.peak.at - before.peak.at)
            if course.uneven >= SELDOM:
                course.again = self._repeats.after(_last_intervals(course, before))
        node.course, node.most = course, node.score + self.weight * most_likely(course)
        return course

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
                self._learn(node)
                self.last = node.peak.at
                found.append(Peak(node.peak.at, node.peak.probability, known))
        return found

    def _learn(self, node: _Node) -> None:
        """Learn from a beat, and the one before it, what the intervals of this heart are like."""
        before = node.before
        if before is not None and node.sure and before.sure:
            interval, course = node.peak.at - before.peak.at, self._course(before)
            self._irregular = irregular_share(self._irregular, interval, course)
        if self.last is not None and node.peak.at - self.last <= LONGEST_RR:
            self._repeats.push(node.peak.at - self.last)
        else:
            self._repeats.end()

    def _wait(self, node: _Node) -> float:
        """How long a candidate waits for a better one, in samples."""
        shortest = self.distance + TAIL
        if self.patience <= shortest or self.last is None or not self.weight:
            return shortest
        rr = self._course(node).rr
        if rr is None:
            return shortest
        due = self.last + 0.75 * rr
        if node.peak.at >= due and log_odds(node.peak.probability) > self._bias + 1:
            return shortest
        return max(shortest, min(0.5 * rr, self.patience))

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
        rr = self._course(node).rr
        if rr is None:
            return node.score
        overdue = (moment - node.peak.at) / rr - 1.2
        return node.score if overdue <= 0.0 else node.score - self.weight * min(4 * overdue, -RESTART)


def _likelihood(interval: float, course: Course, irregular: float) -> float:
    """Log likelihood of the next interval: its log density, and how fast a heart it makes."""
    rate = 0.0
    mean = interval if course.interval is None else 0.5 * (interval + course.interval)
    if mean < RESTING_RR:
        fast = math.log(mean / RESTING_RR) / RESTING_SPREAD
        rate = max(-0.5 * fast * fast, FASTEST)
    return rate if course.rr is None else rate + likelihood(interval, course, irregular)


def _last_intervals(course: Course, before: _Node | None) -> list[float]:
    """The last intervals along a chain, the newest last."""
    intervals: list[float] = []
    now: Course | None = course
    while now is not None and now.interval is not None and len(intervals) < len(CONTEXT):
        intervals.insert(0, now.interval)
        if before is None:
            break
        now, before = before.course, before.before
    return intervals
