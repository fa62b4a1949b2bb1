"""Evaluation: how well a model finds the beats of annotated records.

Every figure comes from the streaming `Detector`, fed in chunks: what is scored is what runs. Beats are counted against
the annotators' marks; timing is measured against the R peak near each mark.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamqrs import model as models
from streamqrs.datasets import MAIN_MS, DataSet, Item, find_data
from streamqrs.detector import Detector
from streamqrs.errors import BadRecord
from streamqrs.marks import refine_marks
from streamqrs.metrics import score
from streamqrs.records import Record, read_record
from streamqrs.scores import Evaluation, RecordScore
from streamqrs.triggers import TOLERANCE_MS
from streamqrs.types import Beat

TOLERANCES_MS = (50.0, 75.0, 150.0)
CHUNK_S = 10.0
"""Length of a chunk in s: long, so that windows go through the network in batches; the beats are the same."""
TRIGGER_S = (0.060, 0.100)
"""A trigger is true from this long before R to this long after it, in s."""
NORMAL = "N"

By = Literal["record", "noise", "rhythm"]


def evaluate(
    model: str | os.PathLike[str] | models.Model,
    data: str | DataSet,
    *,
    tolerances_ms: Sequence[float] = TOLERANCES_MS,
    main_ms: float | None = None,
    by: By | None = None,
    gate: bool = False,
    settings: Mapping[str, Any] | None = None,
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
    settings : dict, optional
        Of the detector, such as ``gate_depth``, over the model's own.
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
            settings=settings,
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
    settings: Mapping[str, Any] | None = None,
    align_ms: float | None = None,
) -> RecordScore:
    """Run the streaming detector over one record and count what it found; parameters as in `evaluate`."""
    if record.beats is None:
        raise BadRecord(f"{record.name} has no marked beats: wanted is an annotation file beside it, such as .atr")
    marks, peaks = record.beats / record.rate, reference_peaks(record, item)
    events = run_detector(record, model, gate=gate, **(settings or {}))
    beats = [event.time for event in events if event.kind == "beat"]
    spans = item.spans(record)
    scores = {t: score(marks, beats, t / 1000, peaks_s=peaks, spans=spans) for t in tolerances_ms}
    rhythms = {
        name: score(marks, beats, main_ms / 1000, peaks_s=peaks, spans=parts)
        for name, parts in (record.rhythm_spans() if rhythm else {}).items()
    }
    triggers = normal = None
    if gate:
        given = [(event.time, event.known) for event in events if event.kind == "trigger"]
        at, newest = np.array(given, np.float64).reshape(-1, 2).T
        known = trigger_times(at, newest, align_ms)
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
    return refine_marks(without_gaps(record.samples), record.beats, record.rate) / record.rate


def normal_beats(record: Record) -> NDArray[np.bool_] | None:
    """Which marks are labelled normal: shape (k,); None if nothing is labelled."""
    return None if record.labels is None else np.array([label == NORMAL for label in record.labels])


def trigger_times(time: NDArray[np.float64], known: NDArray[np.float64], align_ms: float | None) -> NDArray[np.float64]:
    """When triggers are sent: as soon as they are known, or `align_ms` after R, those that are known later not at all.

    All times are in s on the source clock: R peaks, and the newest samples that were needed, both of shape (k,).
    """
    if align_ms is None:
        return known
    due = time + align_ms / 1000
    return due[known <= due + TOLERANCE_MS / 1000]


def run_detector(record: Record, model: models.Model, *, gate: bool = False, **settings: Any) -> list[Beat]:
    """Events of a streaming detector that is fed the record in chunks."""
    detector = Detector(record.rate, model, gate, **settings)
    size = round(CHUNK_S * record.rate)
    events = []
    for start in range(0, len(record.samples), size):
        events += detector.push(record.samples[start : start + size])
    return events + detector.flush()


def without_gaps(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Missing samples replaced by a line between those around them."""
    good = np.isfinite(samples)
    if good.all():
        return samples
    at = np.arange(len(samples))
    return np.interp(at, at[good], samples[good]).astype(np.float32)
