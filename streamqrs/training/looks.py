"""Looks: how far ahead the gate looks with a new model, at which threshold, and what it costs in delay.

In hard noise the network knows R much better once it has seen the whole QRS complex. A scanner can make up for a delay
that is constant, not for jitter: so each look-ahead is scored at once, and held until one moment after R.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamqrs.evaluation import TRIGGER_S, without_gaps
from streamqrs.metrics import Score, pooled, score
from streamqrs.model import Model
from streamqrs.records import Record
from streamqrs.resample import Resampler
from streamqrs.settings import Settings
from streamqrs.training.appraise import Choice, choose, cut_record, marks_of
from streamqrs.training.edges import Edges, find_triggers, hear
from streamqrs.types import RATE

THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Gate thresholds that are tried with each look-ahead."""

LIMIT_S, RECORDS = 60.0, 50
"""The gate asks the network 125 times a second: so many seconds of so many recordings have to do.

Half as many are not enough: of the hearts that need the threshold lower, with premature beats, there are few."""

DEPTHS = (14, 18, 24)
"""Look-aheads that are tried beside the model's own, in samples at 250 Hz (56, 72 and 96 ms)."""

ALIGNS_MS = tuple(float(ms) for ms in range(8, 97, 4))
"""Delays after R until which triggers may be held, in ms: to be true ones they must come 100 ms after R at most."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look-ahead of the gate.

    Attributes
    ----------
    depth : int
        Samples at 250 Hz.
    choice : Choice
        The threshold that suits it, and what the others scored at once; offsets are delays after R.
    align_ms : float
        The best delay after R to hold all triggers until, in ms: halving the errors (100 − F1) is worth as much as
        halving the jitter.
    held : Score
        Triggers that are held so; those that are known later are missed.
    """

    depth: int
    choice: Choice
    align_ms: float
    held: Score

    @property
    def depth_ms(self) -> int:
        """The look-ahead in ms."""
        return 1000 * self.depth // RATE

    @property
    def at_once(self) -> Score:
        """Triggers as soon as they are known."""
        return self.choice.score


@dataclass(frozen=True, slots=True)
class _Heard:
    """A recording, as gates hear it: its marks in s, the delay of its resampler in s."""

    edges: Edges
    marks: NDArray[np.float64]
    delay_s: float

    def score(self, settings: Settings, aligns_ms: Sequence[float | None]) -> list[Score]:
        """Triggers that are sent at once (None), or held so long."""
        triggers = find_triggers(self.edges, settings)
        triggers = triggers._replace(time=triggers.time - self.delay_s)
        return [score(self.marks, triggers.sent(align_ms), TRIGGER_S) for align_ms in aligns_ms]


def look_ahead(model: Model, records: Sequence[Record], *, threads: int = 1) -> tuple[Look, ...]:
    """Choose the `gate_threshold` of each look-ahead: the model's own, and longer ones.

    As for confirmed beats, the best F1 counts, smoothed over neighbours.

    Parameters
    ----------
    model : Model
        The new model.
    records : sequence of Record
        With marked beats; the first minute of some counts.
    threads : int
        Recordings that the network is asked about at once.
    """
    own = Settings.of(model.settings)
    with ThreadPoolExecutor(threads) as pool:
        heard = list(pool.map(lambda record: _hear(model, record, own.gate_hop), gate_records(records)))
    depths = (own.gate_depth, *(depth for depth in DEPTHS if depth > own.gate_depth))
    return tuple(_look(replace(own, gate_depth=depth), heard) for depth in depths)


def gate_records(records: Sequence[Record]) -> list[Record]:
    """Cut the beginnings of some recordings, evenly spread, that triggers are scored on."""
    return [cut_record(record, LIMIT_S) for record in records[:: max(1, len(records) // RECORDS)][:RECORDS]]


def _hear(model: Model, record: Record, hop: int) -> _Heard:
    resampler = Resampler(record.rate)
    return _Heard(hear(model, resampler.push(without_gaps(record.samples)), hop), marks_of(record), resampler.delay_s)


def _look(own: Settings, heard: Sequence[_Heard]) -> Look:
    at_once = {value: [one.score(_with_threshold(own, value), [None])[0] for one in heard] for value in THRESHOLDS}
    choice = choose("gate_threshold", at_once)
    rows = [one.score(_with_threshold(own, choice.value), ALIGNS_MS) for one in heard]
    held = dict(zip(ALIGNS_MS, (pooled(scores) for scores in zip(*rows, strict=True)), strict=True))
    best = min(held, key=lambda ms: (_cost(held[ms]), ms))
    return Look(own.gate_depth, choice, best, held[best])


def _cost(held: Score) -> float:
    """Errors times jitter, each with a little added, so that a beat or two of few do not decide."""
    return (100.5 - float(np.nan_to_num(held.f1))) * (1 + float(np.nan_to_num(held.jitter_ms)))


def _with_threshold(settings: Settings, value: float) -> Settings:
    return replace(settings, gate_threshold=value, gate_low=min(settings.gate_low, value))
