"""Look-ahead: delay, jitter and errors of triggers against how far past R the gate waits.

The gate at every depth reads the same windows, so the network runs once: one detector for each depth goes through the
same chunk, and all but the first are given the rows that the network has already said. Each is an ordinary `Detector`
with `gate_depth` set: what is scored is what runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from streamqrs.benchmarks.subjects import Subject
from streamqrs.detector import Detector
from streamqrs.evaluation import TRIGGER_S
from streamqrs.metrics import Score, pooled, score
from streamqrs.model import Model
from streamqrs.types import RATE, Samples

LOOKAHEADS_MS = (0, 8, 16, 24, 40, 60, 80, 120, 200, 500)
"""Look-aheads of the curve in ms: whole samples at 250 Hz."""
UNSHIFTED_MS = 40.0
"""Up to this look-ahead in ms the window of the protocol (−60 to +100 ms) holds as it is; beyond, it moves along."""
CHUNK_S = 8.0


@dataclass(frozen=True, slots=True)
class Point:
    """Triggers at one look-ahead.

    Attributes
    ----------
    lookahead_ms : float
        How far behind the newest sample the gate decides, in ms.
    triggers, normal : Score
        All beats, and normal beats alone; offsets are `known` − R peak, in ms of source time. A trigger is true from 60
        ms before R to 100 ms after it. Past `UNSHIFTED_MS` that window moves with the look-ahead: a constant delay can
        be set off in a scanner, a wrong beat cannot.
    marked : Score
        All beats, each as the annotator marked it: where a mark lies on a pacing stimulus, R peaks and marks differ.
    records : dict of str to Score
        The triggers of each record.
    """

    lookahead_ms: float
    triggers: Score
    normal: Score
    marked: Score
    records: dict[str, Score]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a curve was measured on: how many records and beats, and minutes in all."""

    records: int
    beats: int
    minutes: float


def lookahead_curve(
    model: Model,
    heard: Iterable[Subject],
    lookaheads_ms: Sequence[float] = LOOKAHEADS_MS,
    *,
    progress: Callable[[str], None] | None = None,
) -> tuple[Heard, list[Point]]:
    """Score the gate at several look-aheads.

    Parameters
    ----------
    model : Model
        The network; its own settings hold but for the depth.
    heard : iterable of Subject
        The leads.
    lookaheads_ms : sequence of float
        In ms; whole samples at 250 Hz, 0 to 1000.
    progress : callable, optional
        Called with the name of each record that is done.

    Returns
    -------
    Heard, list of Point
        What it was measured on, and a point for each look-ahead.

    Raises
    ------
    ValueError
        If a look-ahead is no whole number of samples.
    """
    depths = [_depth(ms) for ms in lookaheads_ms]
    rows: list[list[tuple[str, Score, Score, Score]]] = [[] for _ in depths]
    count, seconds = 0, 0.0
    for subject in heard:
        for found, ms, known_s in zip(rows, lookaheads_ms, triggers_at(model, subject, depths), strict=True):
            found.append((subject.record.name, *_score(subject, known_s, ms)))
        count, seconds = count + 1, seconds + subject.record.duration_s
        if progress:
            progress(subject.record.name)
    points = [
        Point(
            ms,
            pooled(every for _, every, _, _ in found),
            pooled(normal for _, _, normal, _ in found),
            pooled(marked for _, _, _, marked in found),
            {name: every for name, every, _, _ in found},
        )
        for ms, found in zip(lookaheads_ms, rows, strict=True)
    ]
    return Heard(count, points[0].triggers.beats if points else 0, seconds / 60), points


def triggers_at(model: Model, subject: Subject, depths: Sequence[int]) -> list[list[float]]:
    """Source times in s at which triggers are known, for each gate depth in samples at 250 Hz."""
    shared = SharedModel(model)
    record = subject.record
    detectors = [Detector(record.rate, shared, True, gate_depth=depth) for depth in depths]
    known: list[list[float]] = [[] for _ in depths]
    size = round(CHUNK_S * record.rate)
    for start in range(0, len(record.samples), size):
        shared.forget()
        for detector, found in zip(detectors, known, strict=True):
            events = detector.push(record.samples[start : start + size])
            found += [event.known for event in events if event.kind == "trigger"]
    return known


class SharedModel(Model):
    """A network that answers the same windows once: the others who ask get what it said."""

    def __init__(self, model: Model) -> None:
        self.__dict__.update(model.__dict__)  # one session, whoever asks
        self._said: dict[bytes, Samples] = {}
        self.asked = self.answered = 0

    def forget(self) -> None:
        """Forget what was said, so that memory stays bounded."""
        self._said.clear()

    def __call__(self, windows: Samples) -> Samples:
        """Probability of QRS for each sample; see `Model`."""
        self.asked += len(windows)
        key = hashlib.blake2b(windows.tobytes(), digest_size=16).digest()
        if key not in self._said:
            self.answered += len(windows)
            self._said[key] = super().__call__(windows)
        return self._said[key].copy()  # the detector writes into it


def _score(subject: Subject, known_s: list[float], lookahead_ms: float) -> tuple[Score, Score, Score]:
    late_ms = max(0.0, lookahead_ms - UNSHIFTED_MS)
    moved = [known - late_ms / 1000 for known in known_s]
    every = score(subject.peaks_s, moved, TRIGGER_S, spans=subject.spans)
    normal = score(subject.peaks_s, moved, TRIGGER_S, spans=subject.spans, only=subject.normal)
    marked = score(subject.marks_s, moved, TRIGGER_S, spans=subject.spans)
    return _later(every, late_ms), _later(normal, late_ms), _later(marked, late_ms)


def _later(s: Score, ms: float) -> Score:
    return Score(s.tp, s.fp, s.fn, s.offsets_ms + ms)


def _depth(lookahead_ms: float) -> int:
    depth = lookahead_ms / 1000 * RATE
    if depth != round(depth) or not 0 <= depth <= RATE:
        raise ValueError(f"look-ahead is {lookahead_ms:g} ms: allowed are multiples of 4 ms from 0 to 1000")
    return round(depth)
