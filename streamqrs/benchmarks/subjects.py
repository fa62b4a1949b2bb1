"""Subjects: annotated leads that benchmarks listen to, the first minutes of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamqrs.datasets import Item, find_data
from streamqrs.evaluation import normal_beats, reference_peaks
from streamqrs.metrics import Span
from streamqrs.records import Record, read_record

SIMULATED = tuple((preset, seed) for preset in ("none", "1.5T", "3T", "7T") for seed in (101, 102, 103))
"""Rooms and patients that the data ``sim`` stands for."""
SIMULATED_HZ = 500.0
END_S = 0.7
"""What happens this close to the end of what is heard does not count, in s: the slowest gate has not spoken yet."""
LONGEST_MIN = 31.0
"""A simulated patient without a limit is heard this long, in minutes, about as long as a record of MIT-BIH."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """An annotated lead.

    Attributes
    ----------
    record : Record
        The lead, cut to the minutes that are heard.
    peaks_s : numpy.ndarray
        Shape (k,), float64: R peak of each mark, in s since the first sample.
    normal : numpy.ndarray or None
        Shape (k,), bool: which marks are labelled normal; None if nothing is labelled.
    spans : list of (float, float)
        Parts that count, in s.
    group : str
        Level of noise, or the room; empty if it has none by name.
    """

    record: Record
    peaks_s: NDArray[np.float64]
    normal: NDArray[np.bool_] | None
    spans: list[Span]
    group: str = ""

    @property
    def marks_s(self) -> NDArray[np.float64]:
        """The annotator's marks in s, shape (k,)."""
        beats = self.record.beats
        return np.empty(0) if beats is None else beats / self.record.rate


def subjects(data: str, *, minutes: float | None = None, records: Sequence[str] | None = None) -> Iterator[Subject]:
    """Read the leads of a data set, one at a time.

    Parameters
    ----------
    data : str
        ``sim`` (virtual patients in four rooms, the truth known), or what `streamqrs.datasets.find_data` takes.
    minutes : float, optional
        How much of each is heard. Default: all of it; of noise that comes late, as much from where it begins.
    records : sequence of str, optional
        Names of the records. Default: all that count in the data set's pooled figures.

    Yields
    ------
    Subject
        In the order of the data set.

    Raises
    ------
    ValueError
        If the minutes are out of range, or the data set has no record of such a name.
    """
    if minutes is not None and not minutes >= 0.25:
        raise ValueError(f"minutes are {minutes:g}: allowed are 0.25 and more")
    if data == "sim":
        chosen = [(f"{preset}-{seed}", preset, seed) for preset, seed in SIMULATED]
        _check(records, [name for name, _, _ in chosen], data)
        for name, preset, seed in chosen:
            if records is None or name in records:
                yield simulated(name, preset, seed, minutes or LONGEST_MIN)
        return
    items = find_data(data).items
    _check(records, [item.path.stem for item in items], data)
    for item in items:
        if item.path.stem in records if records is not None else item.counted:
            yield _real(item, minutes)


def simulated(name: str, preset: str, seed: int, minutes: float) -> Subject:
    """Make a virtual patient in a room; the truth is exact."""
    from streamqrs.scanner import VirtualPatient

    patient = VirtualPatient(SIMULATED_HZ, seed, preset)
    samples = patient.read(round(minutes * 60 * patient.rate))
    beats = patient.take_beats()
    at = np.array([index for index, _ in beats], np.int64)
    record = Record(name, samples, patient.rate, "ECG", patient.unit, at, tuple(label for _, label in beats))
    return Subject(record, at / patient.rate, normal_beats(record), _before_end(None, record), preset)


def _check(records: Sequence[str] | None, names: list[str], data: str) -> None:
    if unknown := sorted(set(records or ()) - set(names)):
        raise ValueError(f"no record {', '.join(unknown)} in {data}: allowed are {', '.join(names)}")


def _real(item: Item, minutes: float | None) -> Subject:
    record = read_record(item.path, lead=item.lead)
    peaks, spans = reference_peaks(record, item), item.spans(record)
    stop_s = record.duration_s
    if minutes is not None:
        stop_s = min(stop_s, minutes * 60 + (spans[0][0] if spans else 0.0))
    if record.beats is None:
        raise ValueError(f"{record.name} has no marked beats")
    stop = round(stop_s * record.rate)
    kept = record.beats < stop
    cut = replace(
        record,
        samples=record.samples[:stop],
        beats=record.beats[kept],
        labels=None if record.labels is None else tuple(np.array(record.labels, object)[kept]),
        rhythms=(),
    )
    return Subject(cut, peaks[kept], normal_beats(cut), _before_end(spans, cut), item.group)


def _before_end(spans: list[Span] | None, record: Record) -> list[Span]:
    stop_s = record.duration_s - END_S
    return [(start, min(stop, stop_s)) for start, stop in spans or [(0.0, stop_s)] if start < stop_s]
