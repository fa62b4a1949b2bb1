"""Recordings: MIT-BIH, QTDB and LUDB as training material at 250 Hz, split by patient.

The folders are those of PhysioNet, read through `wfdb`. Signals are resampled with the filter that runs before the
network, and marks are moved onto the R peak of each lead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs.datasets import LUDB_TRAIN, LUDB_VALIDATION, MITDB_VALIDATION, QTDB_VALIDATION
from streamqrs.datasets import MITDB_FOR_TRAINING as MITDB_TRAIN
from streamqrs.errors import BadRecord
from streamqrs.marks import refine_marks
from streamqrs.readers import BEAT_CODES
from streamqrs.resample import Resampler, resample
from streamqrs.types import RATE
from streamqrs.wfdb_files import load_wfdb

FAR_S = 0.05
"""A mark that would have to move this far, in s, is no R peak of this lead: whether its QRS complex is at the one or at
the other, nobody has said."""

HEARD = 0.8
"""Share of the recorded noise, from its beginning, that networks are trained in."""

PACED = frozenset("/f")
"""But beats of a pacemaker, whose marks lie at the stimulus: where no R peak is near, the stimulus is learnt."""

UNSURE_S = 0.15
"""So much around such a mark is unknown, in s."""

SURE_S = 0.2
"""LUDB: what lies this far outside the first and last marked QRS is still known to hold no other one, in s."""


@dataclass(frozen=True, slots=True)
class Recording:
    """An annotated recording of one patient.

    Attributes
    ----------
    name : str
        Database and record, such as ``mitdb/101``.
    ecg : numpy.ndarray
        Shape (leads, n), float32, 250 Hz, in units of the lead's median QRS height (peak to peak).
    beats : tuple of numpy.ndarray
        For each lead the R peaks, shape (k,), float64, 250 Hz samples.
    labels : tuple of tuple of str
        For each lead the annotators' codes of its beats.
    known : tuple of numpy.ndarray
        For each lead the spans whose beats are all marked, shape (m, 2), float64, 250 Hz samples.
    """

    name: str
    ecg: NDArray[np.float32]
    beats: tuple[NDArray[np.float64], ...]
    labels: tuple[tuple[str, ...], ...]
    known: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, slots=True)
class Material:
    """What a model is trained and validated on.

    Attributes
    ----------
    train, validation : dict of str to tuple of Recording
        By database.
    noise : numpy.ndarray
        Shape (series, n), float32, 250 Hz, standard deviation 1: real noise; empty if the folder is not there.
    """

    train: dict[str, tuple[Recording, ...]]
    validation: dict[str, tuple[Recording, ...]]
    noise: NDArray[np.float32]

    @property
    def heard_noise(self) -> NDArray[np.float32]:
        """The part of the noise that networks are trained in."""
        return self.noise[:, : int(HEARD * self.noise.shape[1])]

    @property
    def unheard_noise(self) -> NDArray[np.float32]:
        """The part of the noise that no training hears."""
        return self.noise[:, int(HEARD * self.noise.shape[1]) :]


def load_material(data: Path) -> Material:
    """Read the databases that lie under a folder.

    Parameters
    ----------
    data : pathlib.Path
        Holds ``mitdb``, ``qtdb``, ``ludb/data`` and ``nstdb-noise``; at least one of the first three.

    Raises
    ------
    BadRecord
        If none is there, or a record cannot be read.
    """
    check_data(data)
    qtdb = sorted(path.stem for path in (data / "qtdb").glob("*.hea"))
    parts = {
        "mitdb": (MITDB_TRAIN, MITDB_VALIDATION),
        "qtdb": ([name for name in qtdb if name not in QTDB_VALIDATION], QTDB_VALIDATION),
        "ludb": (list(map(str, LUDB_TRAIN)), list(map(str, LUDB_VALIDATION))),
    }
    there = [name for name in parts if (data / name).is_dir()]
    train = {name: load_database(data, name, parts[name][0]) for name in there}
    validation = {name: load_database(data, name, parts[name][1]) for name in there}
    return Material(train, validation, load_noise(data))


def check_data(data: Path) -> None:
    """Raise a `BadRecord` unless the folder holds one of the databases."""
    if not any((data / name).is_dir() for name in ("mitdb", "qtdb", "ludb")):
        raise BadRecord(f"no training data in {data}: it must hold mitdb, qtdb or ludb, as PhysioNet gives them")


def load_database(data: Path, database: str, names: Sequence[str]) -> tuple[Recording, ...]:
    """Read records of ``mitdb``, ``qtdb`` or ``ludb`` by name."""
    read = read_ludb if database == "ludb" else read_two_leads
    with ThreadPoolExecutor(2) as pool:
        return tuple(pool.map(lambda name: read(data, database, name), names))


def read_two_leads(data: Path, database: str, name: str) -> Recording:
    """Read a record whose ``.atr`` holds for all leads; flutter (from ``[`` to ``]``) counts as unknown."""
    path = data / database / name
    record, (marks,) = _read(path, ["atr"])
    symbol = np.array(marks.symbol)
    at = np.asarray(marks.sample)
    beat = np.isin(symbol, sorted(BEAT_CODES)) & (at >= 0) & (at < record.sig_len)
    edges = [0.0, *(float(s) for s, code in zip(at, symbol, strict=True) if code in "[]"), float(record.sig_len)]
    known = np.array(edges[: len(edges) // 2 * 2]).reshape(-1, 2)
    leads = [(at[beat], known)] * record.n_sig
    return _recording(f"{database}/{name}", record, leads, [tuple(symbol[beat])] * record.n_sig)


def read_ludb(data: Path, database: str, name: str) -> Recording:
    """Read a record with marks for each lead; outside its first and last marked QRS a lead is unknown."""
    path = data / database / "data" / name
    leads = []
    record, annotations = _read(path, None)
    for marks in annotations:
        at = np.asarray(marks.sample)[np.array(marks.symbol) == "N"]
        sure = SURE_S * record.fs
        known = np.array([[at[0] - sure, at[-1] + sure]]) if len(at) else np.empty((0, 2))
        leads.append((at, known))
    return _recording(f"{database}/{name}", record, leads, [("N",) * len(at) for at, _ in leads])


def load_noise(data: Path) -> NDArray[np.float32]:
    """Read the noise records ``bw`` and ``ma`` of the MIT-BIH Noise Stress Test Database."""
    series = []
    for path in sorted((data / "nstdb-noise").glob("*.hea")):
        record, _ = _read(path.with_suffix(""), [])
        for x in record.p_signal.T:
            y = resample(x - x.mean(), record.fs)
            series.append(y / y.std())
    return np.stack(series).astype(np.float32) if series else np.empty((0, 0), np.float32)


def position(samples: NDArray[Any], rate: float) -> NDArray[np.float64]:
    """Convert source samples to samples of the recording that `resample` returns, which may lie half a sample off."""
    late = Resampler(rate).delay_s * RATE
    return np.asarray(samples, dtype=np.float64) * (RATE / rate) + late - round(late)


def _recording(
    name: str,
    record: Any,
    leads: Iterable[tuple[NDArray[Any], NDArray[np.float64]]],
    labels: Iterable[tuple[str, ...]],
) -> Recording:
    ecg, beats, known = [], [], []
    codes = tuple(labels)
    for x, (at, spans), code in zip(record.p_signal.T, leads, codes, strict=True):
        x = np.nan_to_num(x, nan=float(np.nanmedian(x)))
        moved = refine_marks(x, at, record.fs)
        paced = np.isin(np.array(code, dtype="U1"), sorted(PACED))
        is_far = np.abs(moved - at) > FAR_S * record.fs
        moved = np.where(is_far & paced, at, moved)
        far = at[is_far & ~paced]
        peaks = position(moved, record.fs)
        y = resample(x, record.fs)
        ecg.append(y / qrs_height(y, peaks))
        beats.append(peaks)
        known.append(position(_without(spans, far, UNSURE_S * record.fs), record.fs))
    return Recording(name, np.stack(ecg), tuple(beats), codes, tuple(known))


def _without(spans: NDArray[np.float64], at: NDArray[Any], around: float) -> NDArray[np.float64]:
    """Cut what lies around some marks out of spans; shape (m, 2)."""
    left: list[tuple[float, float]] = []
    for start, stop in spans.tolist():
        for mark in at[(at > start - around) & (at < stop + around)].tolist():
            if mark - around > start:
                left.append((start, mark - around))
            start = mark + around
        if start < stop:
            left.append((start, stop))
    return np.array(left).reshape(-1, 2)


def qrs_height(ecg: NDArray[np.float32], beats: NDArray[np.float64]) -> float:
    """Median peak-to-peak height of the QRS complexes, ±48 ms around R."""
    inside = np.clip(beats[:, None].astype(np.int64) + np.arange(-12, 13), 0, len(ecg) - 1)
    height = float(np.median(np.ptp(ecg[inside], axis=1))) if len(beats) else 0.0
    return height or float(ecg.std()) or 1.0


def _read(path: Path, extensions: list[str] | None) -> tuple[Any, list[Any]]:
    """Read a WFDB record and its annotations; no extensions means one for each lead."""
    wfdb = load_wfdb()
    try:
        record = wfdb.rdrecord(str(path))
        names = list(map(str.lower, record.sig_name)) if extensions is None else extensions
        return record, [wfdb.rdann(str(path), extension) for extension in names]
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise BadRecord(f"record {path} cannot be read: {error}") from error
