"""Appraise: what fine-tuning brought, what it cost, and which thresholds suit the new model.

All figures come from the streaming `Detector`, within 75 ms. Thresholds are chosen on the validation part.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs.datasets import MAIN_MS, MITDB_TEST, SAME_PATIENT
from streamqrs.evaluation import run_detector
from streamqrs.metrics import Score, pooled, score
from streamqrs.model import Model
from streamqrs.records import Record, read_record
from streamqrs.settings import Settings
from streamqrs.training.recordings import Material
from streamqrs.types import RATE, Beat, Samples

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
LIMIT_S = 900.0
"""Seconds of each validation recording that thresholds are chosen on, at most."""

ORDINARY_LIMIT_S = 300.0

EDGE = 25
"""Samples at the ends of an ordinary recording that need not be marked: resampling moves its ends a little."""


@dataclass(frozen=True, slots=True)
class PartScore:
    """Scores of one part, before and after.

    Attributes
    ----------
    name : str
        Of the part.
    records : tuple of str
        Names of its recordings.
    before, after : tuple of Score
        Confirmed beats of each recording, by the base model and by the new one.
    """

    name: str
    records: tuple[str, ...]
    before: tuple[Score, ...]
    after: tuple[Score, ...]

    @property
    def total_before(self) -> Score:
        """All recordings as one, by the base model."""
        return pooled(self.before)

    @property
    def total_after(self) -> Score:
        """All recordings as one, by the new model."""
        return pooled(self.after)


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold, and what else was tried.

    Attributes
    ----------
    name : str
        Of the setting.
    value : float
        What was chosen, 0 to 1.
    trials : tuple of (float, Score)
        Thresholds and what they scored.
    ordinary : tuple of (float, Score)
        The same on ordinary ECG; empty without any.
    """

    name: str
    value: float
    trials: tuple[tuple[float, Score], ...]
    ordinary: tuple[tuple[float, Score], ...] = ()

    @property
    def score(self) -> Score:
        """What the chosen one scored."""
        return dict(self.trials)[self.value]


def compare(
    name: str,
    records: Sequence[Record],
    before: Model,
    after: Model,
    *,
    threads: int = 1,
) -> PartScore:
    """Score two models on the same recordings."""

    def one(record: Record) -> tuple[Score, Score]:
        first, second = (score_beats(record, run_detector(record, model)) for model in (before, after))
        return first, second

    with ThreadPoolExecutor(threads) as pool:
        pairs = list(pool.map(one, records))
    return PartScore(name, tuple(r.name for r in records), tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))


def score_beats(record: Record, events: Sequence[Beat]) -> Score:
    """Count confirmed beats against the marks as they are, for in a scanner no peak near them is surer."""
    return score(marks_of(record), [event.time for event in events if event.kind == "beat"], MAIN_MS / 1000)


def read_ordinary(data: Path) -> list[Record]:
    """First five minutes of each MIT-BIH test record: ordinary ECG that no model was trained on; empty without it."""
    names = [name for name in MITDB_TEST.split() if name not in SAME_PATIENT]
    paths = [data / "mitdb" / name for name in names]
    return [cut_record(read_record(path, lead=0), ORDINARY_LIMIT_S) for path in paths if _is_there(path)]


def cut_record(record: Record, limit_s: float) -> Record:
    """Return the beginning of a recording, at most so many seconds."""
    stop = int(limit_s * record.rate)
    if stop >= len(record.samples) or record.beats is None:
        return record
    inside = record.beats < stop
    labels = None if record.labels is None else tuple(np.array(record.labels)[inside].tolist())
    return replace(record, samples=record.samples[:stop], beats=record.beats[inside], labels=labels, rhythms=())


def set_aside(material: Material) -> list[Record]:
    """First five minutes of the ordinary validation recordings whose beats are all marked, one lead of each."""
    whole = [
        one
        for part in material.validation.values()
        for one in part
        if len(one.known[0]) == 1 and np.ptp(one.known[0]) > one.ecg.shape[1] - EDGE
    ]
    records = []
    for one in whole:
        ecg = one.ecg[0][: int(ORDINARY_LIMIT_S * RATE)]
        beats = np.round(one.beats[0]).astype(np.int64)
        records.append(Record(one.name, ecg, float(RATE), beats=beats[(beats >= 0) & (beats < len(ecg))]))
    return records


def choose_threshold(model: Model, records: Sequence[Record], ordinary: Sequence[Record] = ()) -> Choice:
    """Choose the `threshold` of confirmed beats: the best F1, smoothed over neighbours, for few recordings say little.

    Parameters
    ----------
    model : Model
        The new model.
    records : sequence of Record
        With marked beats; the first 15 minutes of each count.
    ordinary : sequence of Record
        What a threshold loses on these counts as much against it: see `set_aside`.
    """
    trials, others = _try(model, records), _try(model, ordinary)
    return choose("threshold", trials, others if ordinary else {})


def to_settings(model: Model, choices: Sequence[Choice]) -> dict[str, Any]:
    """Detector settings of a model with the chosen thresholds; what lies above them is lowered."""
    own, chosen = Settings.of(model.settings), {choice.name: choice.value for choice in choices}
    for low, high in (("low", "threshold"), ("gate_low", "gate_threshold")):
        if getattr(own, low) > chosen.get(high, 1.0):
            chosen[low] = chosen[high]
    return {**model.settings, **chosen}


def _try(model: Model, records: Sequence[Record]) -> dict[float, list[Score]]:
    own = Settings.of(model.settings)
    found: dict[float, list[Score]] = {value: [] for value in THRESHOLDS}
    for record in records:
        record, network = cut_record(record, LIMIT_S), Remembering(model)
        for value, scores in found.items():
            beats = run_detector(record, network, threshold=value, low=min(own.low, value))
            scores.append(score_beats(record, beats))
    return found


class Remembering(Model):
    """A model that answers what it was asked before from memory."""

    def __init__(self, model: Model) -> None:
        self.__dict__.update(model.__dict__)
        self._answers: dict[bytes, Samples] = {}

    def __call__(self, windows: Samples) -> Samples:
        """Probabilities of windows, as `Model` gives them."""
        key = blake2b(windows.tobytes(), digest_size=16).digest()
        if key not in self._answers:
            self._answers[key] = super().__call__(windows)
        return self._answers[key].copy()


def choose(name: str, found: dict[float, list[Score]], ordinary: dict[float, list[Score]] | None = None) -> Choice:
    """Choose the threshold of the best F1, smoothed over neighbours, less what it loses on ordinary ECG."""
    trials, others = (
        tuple((value, pooled(scores)) for value, scores in each.items()) for each in (found, ordinary or {})
    )
    smooth = _smooth(trials)
    if others:
        kept = _smooth(others)
        smooth = smooth - (kept.max() - kept)
    best = max(zip(np.round(smooth, 6), trials, strict=True), key=lambda pair: (pair[0], -abs(pair[1][0] - 0.5)))
    return Choice(name, best[1][0], trials, others)


def _smooth(trials: Sequence[tuple[float, Score]]) -> NDArray[np.float64]:
    """F1 in %, each mixed with its neighbours."""
    f1 = np.pad([np.nan_to_num(s.f1) for _, s in trials], 1, mode="edge")
    return np.convolve(f1, (0.25, 0.5, 0.25), "valid")


def marks_of(record: Record) -> NDArray[np.float64]:
    """Marked beats in s, shape (k,)."""
    beats = record.beats if record.beats is not None else np.empty(0)
    return np.asarray(beats / record.rate)


def _is_there(path: Path) -> bool:
    return path.with_name(f"{path.name}.hea").is_file()
