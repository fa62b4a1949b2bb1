"""Recordings of one lead, with or without the beats that annotators marked.

WFDB, EDF, BDF, XDF, BrainVision, CSV and npz. `read_record` reads one, `find_records` finds those of a folder;
`streamqrs.beat_files` writes what a detector found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamqrs.brainvision_files import read_brainvision
from streamqrs.csv_files import read_csv
from streamqrs.errors import BadRecord, SourceNotFound
from streamqrs.readers import LONGEST, Marks, Raw, read_edf, read_npz
from streamqrs.resample import HIGHEST, LOWEST
from streamqrs.types import RATE, WINDOW
from streamqrs.wfdb_files import read_marks, read_wfdb
from streamqrs.xdf_files import read_xdf

SHORTEST_S = WINDOW / RATE
"""A recording is at least one window long, in s."""

ENDINGS = (".hea", ".edf", ".bdf", ".xdf", ".vhdr", ".csv", ".tsv", ".txt", ".npz")

REVIEWED = "rev"
"""Ending of marks that a person went through (`streamqrs review`): they come before all others of a recording."""

_READERS = {
    ".edf": read_edf, ".bdf": read_edf, ".xdf": read_xdf, ".vhdr": read_brainvision, ".npz": read_npz,
}  # fmt: skip

_STANDARD_LEADS = frozenset(["i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6"])


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One lead of a recording.

    Attributes
    ----------
    name : str
        Name of the file without its ending.
    samples : numpy.ndarray
        Shape (n,), float32, in `unit`; NaN where samples are missing. At least 3 s, not all the same.
    rate : float
        Sampling rate in Hz, 100 to 10,000.
    lead : str
        Label of the lead, empty if the file does not say.
    unit : str
        Unit of the samples, empty if the file does not say.
    beats : numpy.ndarray or None
        Shape (k,), int64, rising: the marks of the QRS complexes as samples; None if nobody marked them.
    labels : tuple of str or None
        The annotator's code of each beat; None if there are none.
    rhythms : tuple of (int, str)
        Changes of rhythm, as sample and WFDB name (``AFIB``).
    knots : tuple of (int, float)
        Clock of a recording that has one: samples, and their times in s. Between them it runs evenly.
    clock : str
        What it counts; see `streamqrs.types.SourceInfo`.
    """

    name: str
    samples: NDArray[np.float32]
    rate: float
    lead: str = ""
    unit: str = ""
    beats: NDArray[np.int64] | None = None
    labels: tuple[str, ...] | None = None
    rhythms: tuple[tuple[int, str], ...] = ()
    knots: tuple[tuple[int, float], ...] = ()
    clock: str = "stream"

    @property
    def duration_s(self) -> float:
        """Length in s."""
        return len(self.samples) / self.rate

    def time(self, sample: int) -> float:
        """Time of a sample in s: on the recording's own clock if it has one, otherwise since the first sample."""
        if not self.knots:
            return sample / self.rate
        at, times = zip(*self.knots, strict=True)
        return float(np.interp(sample, at, times))

    def rhythm_spans(self) -> dict[str, list[tuple[float, float]]]:
        """Parts of the record by rhythm, as (start, stop) in s; empty if no rhythm is marked."""
        spans: dict[str, list[tuple[float, float]]] = {}
        edges = [sample / self.rate for sample, _ in self.rhythms] + [self.duration_s]
        for (_, name), start, stop in zip(self.rhythms, edges[:-1], edges[1:], strict=True):
            spans.setdefault(name, []).append((start, stop - 1e-6))  # its last sample belongs to the next one
        return spans


def read_record(
    path: str | os.PathLike[str],
    *,
    lead: str | int | None = None,
    annotator: str | None = None,
    rate: float | None = None,
) -> Record:
    """Read one lead of a recording, with its beats where they are marked.

    Parameters
    ----------
    path : str or path
        ``.hea`` or the bare name (WFDB), ``.edf``, ``.bdf``, ``.xdf`` (LabRecorder), ``.vhdr`` (BrainVision), ``.csv``,
        ``.tsv``, ``.txt``, ``.npz``.
    lead : str or int, optional
        Label or index of the lead. Default: the first one labelled ECG or EKG, otherwise the first one.
    annotator : str, optional
        Ending of the annotation file beside the recording. Default: ``rev``, what a person reviewed; otherwise beats
        that the file itself holds; otherwise ``atr``, or a file named after the lead (``.ii``), if there is one.
    rate : float, optional
        Sampling rate in Hz, for a file that does not say.

    Returns
    -------
    Record
        Checked: its samples and marks can be worked with.

    Raises
    ------
    SourceNotFound
        If the file, the lead or the annotation file is not there.
    BadRecord
        If it cannot be read, or holds nothing that could be an ECG.
    MissingExtra
        If the library that reads it is not installed.
    ValueError
        If `rate` is not what the file says.
    """
    base, ending = _locate(Path(path).expanduser())
    if ending == ".hea":
        raw = read_wfdb(base, lead)
    else:
        file = base.with_name(base.name + ending)
        raw = _READERS.get(ending.lower(), read_csv)(file, lead)
    marks = _find_marks(base, ending, raw, annotator)
    return _check(base.name, raw, marks, rate)


def find_records(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Find recordings.

    Parameters
    ----------
    path : str or path
        A folder (if it holds PhysioNet's list ``RECORDS``, what that names), a text file that names one recording a
        line, relative to itself, or a recording.

    Returns
    -------
    iterator of pathlib.Path
        Paths for `read_record`, in the order of the list or of their names.

    Raises
    ------
    SourceNotFound
        If nothing is there.
    """
    root = Path(path).expanduser()
    if root.is_dir():
        if (root / "RECORDS").is_file():
            return find_records(root / "RECORDS")
        found = sorted(file for file in root.iterdir() if file.suffix.lower() in ENDINGS and file.suffix != ".txt")
    elif root.is_file() and (root.name == "RECORDS" or root.suffix in {".txt", ".lst", ".list"}):
        lines = [line.strip() for line in root.read_text(errors="replace").splitlines()]
        found = [root.parent / line for line in lines if line and not line.startswith("#")]
    else:
        found = [root] if _locate(root) else []
    if not found:
        raise SourceNotFound(f"no recordings in {root}: wanted are files that end in {', '.join(ENDINGS)}")
    return iter(found)


def _locate(path: Path) -> tuple[Path, str]:
    """Path of a recording without its ending, and the ending; ``.hea`` stands for WFDB."""
    if path.with_name(f"{path.name}.hea").is_file() and path.name:
        return path, ".hea"
    if path.suffix == ".dat" and path.with_suffix(".hea").is_file():
        return path.with_suffix(""), ".hea"
    if path.is_dir():
        raise SourceNotFound(f"{path} is a folder: wanted is a recording")
    if not path.is_file():
        raise SourceNotFound(f"no recording {path}")
    if path.suffix.lower() not in ENDINGS:
        raise BadRecord(f"{path.name} ends in {path.suffix!r}: allowed are {', '.join(ENDINGS)}")
    return path.with_suffix(""), path.suffix


def _find_marks(base: Path, ending: str, raw: Raw, annotator: str | None) -> Marks | None:
    full = base if ending == ".hea" else base.with_name(base.name + ending)

    def beside(name: str) -> Path | None:
        return next((path for path in (base, full) if path.with_name(f"{path.name}.{name}").is_file()), None)

    if annotator is not None:
        return read_marks(full if full.with_name(f"{full.name}.{annotator}").is_file() else base, annotator)
    if path := beside(REVIEWED):
        return read_marks(path, REVIEWED)
    if raw.marks is not None:
        return raw.marks
    for name in ("atr", *({raw.lead.lower()} & _STANDARD_LEADS)):
        if path := beside(name):
            return read_marks(path, name)
    return None


def _check(name: str, raw: Raw, marks: Marks | None, rate: float | None) -> Record:
    if rate is not None and raw.rate is not None and abs(rate - raw.rate) > 1e-6 * rate:
        raise ValueError(f"rate is given as {rate:g} Hz: {name} says {raw.rate:g} Hz")
    rate = raw.rate if raw.rate is not None else rate
    if rate is None:
        raise BadRecord(f"{name} does not say its sampling rate: give it (rate, in Hz)")
    if not LOWEST <= rate <= HIGHEST:
        raise BadRecord(f"{name} has a rate of {rate:g} Hz: allowed are {LOWEST:g} to {HIGHEST:g} Hz")
    n = len(raw.samples)
    if n > LONGEST:
        raise BadRecord(f"{name} has {n} samples: allowed are {LONGEST}")
    if n < SHORTEST_S * rate:
        raise BadRecord(f"{name} lasts {n / rate:.3g} s ({n} samples): allowed are {SHORTEST_S:g} s and more")
    low, high = np.fmin.reduce(raw.samples), np.fmax.reduce(raw.samples)
    if np.isnan(low):
        raise BadRecord(f"{name}: all {n} samples of lead {raw.lead or '0'} are NaN")
    if low == high:
        raise BadRecord(f"{name}: lead {raw.lead or '0'} is a flat line, all samples are {low:g}")
    if marks is None:
        return Record(name, raw.samples, rate, raw.lead, raw.unit, knots=raw.knots, clock=raw.clock)
    order = np.argsort(marks.at, kind="stable")
    at = marks.at[order]
    for beat in at[:1], at[-1:]:
        if len(beat) and not 0 <= beat[0] < n:
            raise BadRecord(f"{name}: a beat is marked at sample {beat[0]}: allowed are 0 to {n - 1}")
    labels = None if marks.codes is None else tuple(marks.codes[i] for i in order)
    return Record(name, raw.samples, rate, raw.lead, raw.unit, at, labels, marks.rhythms, raw.knots, raw.clock)
