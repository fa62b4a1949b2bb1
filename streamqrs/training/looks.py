"""Looks: what a longer look ahead of the gate would bring with a new model, and what it costs in delay.

In hard noise the network knows R much better once it has seen the whole QRS complex. A scanner can make up for a delay
that is constant, not for jitter: so each look-ahead is scored at once, and held until one moment after R.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamqrs.evaluation import TRIGGER_S, trigger_times
from streamqrs.metrics import Score, pooled, score
from streamqrs.model import Model
from streamqrs.records import Record
from streamqrs.settings import Settings
from streamqrs.training.appraise import Remembering, gate_records, marks_of, run
from streamqrs.types import RATE, Beat

DEPTHS = (18, 24)
"""Look-aheads that are tried beside the model's own, in samples at 250 Hz (72 and 96 ms)."""

ALIGNS_MS = tuple(float(ms) for ms in range(8, 97, 4))
"""Delays after R until which triggers may be held, in ms: to be true ones they must come 100 ms after R at most."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look-ahead of the gate.

    Attributes
    ----------
    depth : int
        Samples at 250 Hz.
    at_once : Score
        Triggers as soon as they are known; offsets are delays after R.
    align_ms : float
        Delay after R of the best F1, if all triggers are held until then, in ms.
    held : Score
        Triggers that are held so; those that are known later are missed.
    """

    depth: int
    at_once: Score
    align_ms: float
    held: Score

    @property
    def depth_ms(self) -> int:
        """The look-ahead in ms."""
        return 1000 * self.depth // RATE


def look_ahead(model: Model, records: Sequence[Record]) -> tuple[Look, ...]:
    """Score the gate of a model by look-ahead: its own, and longer ones.

    Parameters
    ----------
    model : Model
        With its thresholds in its settings.
    records : sequence of Record
        With marked beats; the first minute of some counts, as when the gate's threshold is chosen.
    """
    own = Settings.of(model.settings).gate_depth
    depths = (own, *(depth for depth in DEPTHS if depth > own))
    found: dict[int, list[tuple[Record, list[Beat]]]] = {depth: [] for depth in depths}
    for record in gate_records(records):
        network = Remembering(model)  # of one record at a time: ten of them would take 200 MB
        for depth, heard in found.items():
            events = run(record, network, gate=True, gate_depth=depth)
            heard.append((record, [event for event in events if event.kind == "trigger"]))
    return tuple(_look(depth, heard) for depth, heard in found.items())


def _look(depth: int, heard: Sequence[tuple[Record, Sequence[Beat]]]) -> Look:
    def scored(align_ms: float | None) -> Score:
        return pooled(
            score(marks_of(record), trigger_times(triggers, align_ms), TRIGGER_S) for record, triggers in heard
        )

    held = {ms: scored(ms) for ms in ALIGNS_MS}
    best = max(held, key=lambda ms: (float(np.nan_to_num(held[ms].f1)), -ms))
    return Look(depth, scored(None), best, held[best])
