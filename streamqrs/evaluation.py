"""Evaluation: how well a model finds the beats of annotated records.

Every figure comes from the streaming `Detector`, fed in chunks: what is scored is what runs. Beats are counted against
the annotators' marks; timing is measured against the R peak near each mark.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamqrs import model as models
from streamqrs.datasets import MAIN_MS, DataSet, Item, find_data
from streamqrs.detector import Detector
from streamqrs.errors import BadRecord
from streamqrs.marks import refine_marks
from streamqrs.metrics import Score, mean, pooled, score
from streamqrs.records import Record, read_record
from streamqrs.triggers import TOLERANCE_MS
from streamqrs.types import Beat

TOLERANCES_MS = (50.0, 75.0, 150.0)
CHUNK_S = 10.0
"""Length of a chunk in s: long, so that windows go through the network in batches; the beats are the same."""
TRIGGER_S = (0.060, 0.100)
"""A trigger is true from this long before R to this long after it, in s."""
NORMAL = "N"

By = Literal["record", "noise", "rhythm"]


@dataclass(frozen=True, slots=True)
class RecordScore:
    """Scores of one record.

    Attributes
    ----------
    name, lead : str
        Of the record.
    group : str
        Its level of noise, empty if it has none by name.
    counted : bool
        Whether it goes into pooled and mean figures.
    duration_s : float
        Length of the record in s.
    scores : dict of float to Score
        Confirmed beats, by tolerance in ms.
    rhythms : dict of str to Score
        Confirmed beats at the main tolerance, by rhythm; empty unless asked for.
    triggers, normal_triggers : Score or None
        Triggers, their delay as offset; those of normal beats. None without the gate.
    scanner : str
        Preset of the virtual scanner that it was made in, empty if in none.
    families : tuple of str
        Families of scanner noise in it.
    """

    name: str
    lead: str
    group: str
    counted: bool
    duration_s: float
    scores: dict[float, Score]
    rhythms: dict[str, Score] = field(default_factory=dict)
    triggers: Score | None = None
    normal_triggers: Score | None = None
    scanner: str = ""
    families: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a model on a data set.

    Attributes
    ----------
    model, version, sha256 : str
        The network.
    data, note : str
        The data set, and what is special about how it is scored.
    main_ms : float
        Tolerance of the main figure in ms.
    tolerances_ms : tuple of float
        All tolerances in ms.
    records : tuple of RecordScore
        In the order of the data set.
    align_ms : float or None
        How long after R triggers were sent, in ms; None: as soon as they were known.
    """

    model: str
    version: str
    sha256: str
    data: str
    note: str
    main_ms: float
    tolerances_ms: tuple[float, ...]
    records: tuple[RecordScore, ...]
    align_ms: float | None = None

    def scores(self, tolerance_ms: float | None = None) -> list[Score]:
        """Scores of the records that go into pooled and mean figures."""
        return [record.scores[tolerance_ms or self.main_ms] for record in self.records if record.counted]

    def pooled(self, tolerance_ms: float | None = None) -> Score:
        """All records as one."""
        return pooled(self.scores(tolerance_ms))

    def mean(self, figure: Callable[[Score], float], tolerance_ms: float | None = None) -> float:
        """Mean of a figure over the records."""
        return mean(self.scores(tolerance_ms), figure)

    def worst(self, tolerance_ms: float | None = None) -> RecordScore:
        """Record of the lowest F1; one without a beat is passed over."""
        tolerance_ms = tolerance_ms or self.main_ms
        return min(self.records, key=lambda record: np.nan_to_num(record.scores[tolerance_ms].f1, nan=np.inf))

    def groups(self) -> dict[str, Score]:
        """Pooled score of each level of noise, at the main tolerance."""
        return _by_name((r.group, r.scores[self.main_ms]) for r in self.records if r.counted)

    def scanners(self) -> dict[str, list[RecordScore]]:
        """Records of each virtual scanner, by its name."""
        return {name: [r for r in self._scanned() if r.scanner == name] for name in self._all(lambda r: [r.scanner])}

    def families(self) -> dict[str, tuple[list[RecordScore], list[RecordScore]]]:
        """For each family of scanner noise the records that have it, and those that do not, by its name."""
        return {
            name: (
                [r for r in self._scanned() if name in r.families],
                [r for r in self._scanned() if name not in r.families],
            )
            for name in self._all(lambda r: r.families)
        }

    def _scanned(self) -> list[RecordScore]:
        return [record for record in self.records if record.counted and record.scanner]

    def _all(self, names: Callable[[RecordScore], Iterable[str]]) -> list[str]:
        return sorted({name for record in self._scanned() for name in names(record)})

    def rhythms(self) -> dict[str, Score]:
        """Pooled score of each rhythm, at the main tolerance; the most frequent first."""
        found = _by_name(pair for r in self.records if r.counted for pair in r.rhythms.items())
        return dict(sorted(found.items(), key=lambda pair: -pair[1].beats))

    def triggers(self, *, normal: bool = False) -> Score | None:
        """Triggers of all records as one, or those of normal beats alone; None without the gate."""
        found = [r.normal_triggers if normal else r.triggers for r in self.records if r.counted]
        scores = [s for s in found if s is not None]
        return pooled(scores) if scores else None


def evaluate(
    model: str | os.PathLike[str] | models.Model,
    data: str | DataSet,
    *,
    tolerances_ms: Sequence[float] = TOLERANCES_MS,
    main_ms: float | None = None,
    by: By | None = None,
    gate: bool = False,
    gate_depth: int | None = None,
    align_ms: float | None = None,
    lead: str | int | None = None,
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Score a model.

    Parameters
    ----------
    model : str, path or Model
        Name of a shipped model, or a model package.
    data : str or DataSet
        What to score it on; see `find_data`.
    tolerances_ms : sequence of float
        How far a detection may lie from an annotator's mark, in ms.
    main_ms : float, optional
        Tolerance of the main figure, in ms. Default: the data set's own, 75 or 150.
    by : {"record", "noise", "rhythm"}, optional
        Break the figures down. ``rhythm`` needs marks of rhythm, ``noise`` a data set whose noise is known: levels in
        NSTDB, scanners and families of noise in MRI-300.
    gate : bool
        Score triggers, too. This runs many more windows.
    gate_depth : int, optional
        Look-ahead of the gate in samples at 250 Hz. Default: the model's own.
    align_ms : float, optional
        Hold triggers until so long after R, as ``run --align`` does. One that is known later is not sent, and counts as
        missed.
    lead : str or int, optional
        Lead to score, if it is not the data set's own.
    workers : int, optional
        Records that are worked on side by side. Default: one a core.
    progress : callable, optional
        Called with the name of each record that is done, the count of those done, and of all.

    Returns
    -------
    Evaluation
        Scores of every record.

    Raises
    ------
    BadRecord
        If a record has no marked beats.
    ValueError
        If the data set has no such breakdown, or a tolerance is out of range.
    """
    found = find_data(data, lead=lead) if isinstance(data, str) else data
    main = float(main_ms if main_ms is not None else found.main_ms)
    tolerances = tuple(sorted({*map(float, tolerances_ms), main}))
    if not 0 < tolerances[0] <= tolerances[-1] <= 1000:
        raise ValueError(f"tolerances are {', '.join(f'{t:g}' for t in tolerances)} ms: allowed are above 0 to 1000")
    if by == "noise" and not any(item.group or item.scanner for item in found.items):
        raise ValueError(f"what noise is in {found.name} is not known: --by noise is for nstdb and parts of MRI-300")
    network = model if isinstance(model, models.Model) else models.load(model)

    def one(item: Item) -> RecordScore:
        record = read_record(item.path, lead=item.lead)
        return score_record(
            record,
            network,
            item,
            tolerances,
            main_ms=main,
            rhythm=by == "rhythm",
            gate=gate,
            gate_depth=gate_depth,
            align_ms=align_ms,
        )

    scores = []
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        try:
            for done, result in enumerate(pool.map(one, found.items), 1):
                scores.append(result)
                if progress:
                    progress(result.name, done, len(found.items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if by == "rhythm" and not any(record.rhythms for record in scores):
        raise ValueError(f"{found.name} has no marks of rhythm: --by rhythm is for mitdb")
    return Evaluation(
        network.name, network.version, network.sha256, found.name, found.note, main, tolerances, tuple(scores), align_ms
    )


def score_record(
    record: Record,
    model: models.Model,
    item: Item,
    tolerances_ms: Sequence[float] = TOLERANCES_MS,
    *,
    main_ms: float = MAIN_MS,
    rhythm: bool = False,
    gate: bool = False,
    gate_depth: int | None = None,
    align_ms: float | None = None,
) -> RecordScore:
    """Run the streaming detector over one record and count what it found; parameters as in `evaluate`."""
    if record.beats is None:
        raise BadRecord(f"{record.name} has no marked beats: wanted is an annotation file beside it, such as .atr")
    marks, peaks = record.beats / record.rate, reference_peaks(record, item)
    own = {} if gate_depth is None else {"gate_depth": gate_depth}
    events = run_detector(record, model, gate=gate, **own)
    beats = [event.time for event in events if event.kind == "beat"]
    spans = item.spans(record)
    scores = {t: score(marks, beats, t / 1000, peaks_s=peaks, spans=spans) for t in tolerances_ms}
    rhythms = {
        name: score(marks, beats, main_ms / 1000, peaks_s=peaks, spans=parts)
        for name, parts in (record.rhythm_spans() if rhythm else {}).items()
    }
    triggers = normal = None
    if gate:
        known = trigger_times([event for event in events if event.kind == "trigger"], align_ms)
        triggers = score(peaks, known, TRIGGER_S, spans=spans)
        normal = score(peaks, known, TRIGGER_S, spans=spans, only=normal_beats(record))
    return RecordScore(
        record.name,
        record.lead,
        item.group,
        item.counted,
        record.duration_s,
        scores,
        rhythms,
        triggers,
        normal,
        item.scanner,
        item.families,
    )


def reference_peaks(record: Record, item: Item) -> NDArray[np.float64]:
    """R peaks that timing is measured against: shape (k,), s since the first sample, one for each mark."""
    if record.beats is None:
        raise BadRecord(f"{record.name} has no marked beats: wanted is an annotation file beside it, such as .atr")
    if item.exact:  # in scanner noise the peak next to a mark is anybody's
        return record.beats / record.rate
    return refine_marks(_without_gaps(record.samples), record.beats, record.rate) / record.rate


def normal_beats(record: Record) -> NDArray[np.bool_] | None:
    """Which marks are labelled normal: shape (k,); None if nothing is labelled."""
    return None if record.labels is None else np.array([label == NORMAL for label in record.labels])


def trigger_times(triggers: Sequence[Beat], align_ms: float | None) -> list[float]:
    """When triggers are sent: as soon as they are known, or `align_ms` after R, those that are known later not at all.

    All times are in s on the source clock.
    """
    if align_ms is None:
        return [event.known for event in triggers]
    due = [event.time + align_ms / 1000 for event in triggers]
    return [at for event, at in zip(triggers, due, strict=True) if event.known <= at + TOLERANCE_MS / 1000]


def run_detector(record: Record, model: models.Model, *, gate: bool = False, **settings: Any) -> list[Beat]:
    """Events of a streaming detector that is fed the record in chunks."""
    detector = Detector(record.rate, model, gate, **settings)
    size = round(CHUNK_S * record.rate)
    events = []
    for start in range(0, len(record.samples), size):
        events += detector.push(record.samples[start : start + size])
    return events + detector.flush()


def _without_gaps(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Missing samples replaced by a line between those around them."""
    good = np.isfinite(samples)
    if good.all():
        return samples
    at = np.arange(len(samples))
    return np.interp(at, at[good], samples[good]).astype(np.float32)


def _by_name(pairs: Iterable[tuple[str, Score]]) -> dict[str, Score]:
    found: dict[str, list[Score]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: pooled(scores) for name, scores in found.items()}
