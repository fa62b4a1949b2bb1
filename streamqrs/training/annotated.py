"""Annotated: a user's recording with its beats, checked, and made into training material.

Everything that training would stumble on is refused here, before it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamqrs.errors import BadRecord
from streamqrs.excerpts import UNMARKED
from streamqrs.records import Record, read_record
from streamqrs.resample import resample
from streamqrs.training.recordings import Recording, position, qrs_height
from streamqrs.types import RATE, WINDOW

SHORTEST_S = 2 * WINDOW / RATE
"""Shortest recording in s: the first window of each is not scored."""

LONGEST_GAP_S = 0.2
"""Longest run of missing samples that is bridged, as in the detector, in s."""

_PATIENT = re.compile(
    r"^\W*(?:(?:patient|subject)[ _-]?(?:id|name|number|no|code)?\s*[:=]\s*|source\s+(?=\w+/))(\S+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """An annotated recording.

    Attributes
    ----------
    path : pathlib.Path
        Where it was read from.
    patient : str
        Whose it is.
    told : str
        What said so: ``list``, ``header`` or ``name``.
    record : Record
        As it was read.
    recording : Recording
        As it is trained on: one lead at 250 Hz.
    """

    path: Path
    patient: str
    told: str
    record: Record
    recording: Recording


def read_annotated(
    path: Path,
    patient: str | None = None,
    *,
    lead: str | int | None = None,
) -> Annotated:
    """Read and check a recording; `find_patient` says whose it is unless `patient` does.

    Raises
    ------
    SourceNotFound, BadRecord
        If it cannot be read, or one cannot train on it.
    """
    record = read_record(path, lead=lead)
    check_record(record)
    whose, told = (patient, "list") if patient else find_patient(path)
    return Annotated(path, whose, told, record, to_recording(record))


def find_patient(path: Path) -> tuple[str, str]:
    """Patient of a recording, and what said so: a comment of the header, or else the name up to its first _ or -."""
    header = path.with_suffix(".hea") if path.suffix in {".hea", ".dat"} else path.with_name(f"{path.name}.hea")
    if header.is_file():
        for line in header.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("#") and (said := _PATIENT.match(line)):
                return said[1].strip(",;."), "header"
    return re.split(r"[_-]", path.stem if path.suffix else path.name)[0], "name"


def check_record(record: Record) -> None:
    """Raise a `BadRecord` unless one can train on a recording."""
    name, beats = record.name, record.beats
    if beats is None:
        raise BadRecord(f"{name} has no marked beats: wanted is an annotation file beside it, such as .atr")
    if len(np.unique(beats)) < 2:
        raise BadRecord(f"{name} has {len(beats)} marked beat{'s' * (len(beats) != 1)}: allowed are 2 and more")
    if record.duration_s < SHORTEST_S:
        raise BadRecord(f"{name} lasts {record.duration_s:.3g} s: allowed are {SHORTEST_S:g} s and more")
    edges = np.flatnonzero(np.diff(~np.isfinite(record.samples), prepend=False, append=False))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start > LONGEST_GAP_S * record.rate:
            raise BadRecord(
                f"{name}: {stop - start} samples are missing (NaN) from sample {start}: allowed are gaps of up to "
                f"{LONGEST_GAP_S:g} s ({int(LONGEST_GAP_S * record.rate)} samples); cut the recording there"
            )


def to_recording(record: Record) -> Recording:
    """Make training material of a checked record: 250 Hz, short gaps bridged, marks where the annotator put them.

    In a scanner the largest wave near a mark is often not the R peak, so that marks are not moved.
    """
    beats = np.unique(record.beats if record.beats is not None else np.empty(0, np.int64))
    at, good = np.arange(len(record.samples)), np.isfinite(record.samples)
    y = resample(np.interp(at, at[good], record.samples[good]), record.rate)
    peaks = position(beats, record.rate)
    codes = dict(zip(beats.tolist(), ("N",) * len(beats), strict=True))
    if record.beats is not None and record.labels is not None:
        codes |= dict(zip(record.beats.tolist(), record.labels, strict=True))
    known = _known(record)
    ecg = (y - np.median(y)) / qrs_height(y, peaks)
    return Recording(record.name, ecg[None].astype(np.float32), (peaks,), (tuple(codes.values()),), (known,))


def _known(record: Record) -> NDArray[np.float64]:
    """Spans whose beats are all marked, (m, 2), in 250 Hz samples: not ventricular flutter or fibrillation."""
    spans = record.rhythm_spans()
    edges = [0.0]
    for start, stop in sorted(span for name in UNMARKED for span in spans.get(name, [])):
        edges += [start * RATE, stop * RATE]
    return np.array([*edges, record.duration_s * RATE + 1]).reshape(-1, 2)
