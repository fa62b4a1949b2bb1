"""What all formats of recordings share, and the readers of EDF, BDF and npz.

A reader returns what the file says, as `Raw`; `streamqrs.records` checks it. WFDB, CSV, XDF and BrainVision have
modules of their own.
"""

from __future__ import annotations

import re
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamqrs.errors import BadRecord, MissingExtra, SourceNotFound

LONGEST = 1 << 29
"""Most samples that a lead may have: 6 days at 1 kHz. What says it has more is taken for broken."""

BEAT_CODES = frozenset("NLRBAaJSVrFejnE/fQ?")
"""Annotation codes of WFDB that mark a QRS complex."""

_BEAT_TEXTS = {"r", "qrs", "beat", "r peak", "r-peak", "rpeak", "r wave", "r-wave"}


class Marks(NamedTuple):
    """Marks of QRS complexes: samples, shape (k,), int64; their codes; and changes of rhythm as (sample, name)."""

    at: NDArray[np.int64]
    codes: tuple[str, ...] | None
    rhythms: tuple[tuple[int, str], ...] = ()


class Raw(NamedTuple):
    """What a file says: samples, shape (n,), float32, NaN where missing; rate in Hz, None if it does not say.

    A file with a clock of its own has `knots`, (sample, time in s), between which it runs evenly.
    """

    samples: NDArray[np.float32]
    rate: float | None
    lead: str
    unit: str
    marks: Marks | None
    knots: tuple[tuple[int, float], ...] = ()
    clock: str = "stream"


def pick_lead(name: str, leads: Sequence[str], lead: str | int | None) -> int:
    """Index of a lead.

    Parameters
    ----------
    name : str
        Name of the recording, for the error.
    leads : sequence of str
        Labels of all leads.
    lead : str, int or None
        Label (upper and lower case alike) or index from 0. None: the first lead labelled ECG or EKG, otherwise the
        first one.

    Raises
    ------
    SourceNotFound
        If there is no such lead.
    BadRecord
        If there is none at all.
    """
    if not leads:
        raise BadRecord(f"{name} has no lead at all")
    if lead is None:
        labelled = labelled_ecg(leads)
        return labelled[0] if labelled else 0
    if (index := find_label(leads, lead)) is not None:
        return index
    allowed = ", ".join(label or str(i) for i, label in enumerate(leads))
    raise SourceNotFound(f"{name} has no lead {str(lead)!r}: it has {allowed}")


def labelled_ecg(labels: Sequence[str]) -> list[int]:
    """Indices of the labels that say ECG or EKG."""
    return [i for i, label in enumerate(labels) if re.search("ecg|ekg", label, re.IGNORECASE)]


def find_label(labels: Sequence[str], wanted: str | int) -> int | None:
    """Index of a label, upper and lower case alike; else `wanted` itself if it is an index (from 0); else None."""
    text = str(wanted).strip().casefold()
    for i, label in enumerate(labels):
        if label.strip().casefold() == text:
            return i
    return int(text) if text.isdecimal() and int(text) < len(labels) else None


def beat_code(text: str) -> str | None:
    """MIT-BIH code of an annotation's text, ``N`` for names such as ``QRS`` or ``R peak``; None if it is no beat."""
    if text in BEAT_CODES:
        return text
    return "N" if text.casefold() in _BEAT_TEXTS else None


def to_float32(values: Any) -> NDArray[np.float32]:
    """Samples as float32; what float32 cannot hold becomes NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        samples = np.asarray(values).astype(np.float32)
    samples[~np.isfinite(samples)] = np.nan
    return samples


def one_line(error: BaseException) -> str:
    """What another library's error says, without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def read_edf(path: Path, lead: str | int | None) -> Raw:
    """Read a lead of an EDF, EDF+ or BDF file; annotations such as ``N``, ``QRS`` or ``R peak`` mark beats."""
    try:
        import edfio
    except ImportError as error:
        raise MissingExtra.of("edfio", "files") from error
    with path.open("rb") as file:
        if file.read(256)[192:197] in {b"EDF+D", b"BDF+D"}:
            raise BadRecord(f"{path.name} is EDF+D, a recording with interruptions: allowed are EDF, EDF+C, BDF, BDF+C")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a recording that was cut off is read as far as it goes
            edf = edfio.read_bdf(path) if path.suffix.lower() == ".bdf" else edfio.read_edf(path)
            leads = list(edf.labels)
            if not leads:
                raise BadRecord(f"{path.name} holds no signal")
            signal = edf.signals[pick_lead(path.name, leads, lead)]
            notes = [(note.onset, note.text.strip()) for note in edf.annotations]
            samples, rate = to_float32(signal.data), float(signal.sampling_frequency)
    except (BadRecord, SourceNotFound):
        raise
    except Exception as error:  # edfio lets through what its parsing stumbles on
        raise BadRecord(f"{path.name} cannot be read as EDF: {one_line(error)}") from error
    beats = sorted((onset, code) for onset, text in notes if (code := beat_code(text)))
    at = np.array([round(onset * rate) for onset, _ in beats], np.int64)
    codes = tuple(code for _, code in beats)
    return Raw(samples, rate, signal.label, signal.physical_dimension, Marks(at, codes) if beats else None)


_NPZ_ERRORS = (zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError, RuntimeError, KeyError, TypeError)
"""What numpy and zipfile raise besides, by what is broken."""


def read_npz(path: Path, lead: str | int | None) -> Raw:
    """Read a numpy archive: ``ecg``, ``samples`` or ``signal``; ``rate`` or ``fs``; ``beats``, the samples of R."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            sizes = [entry.file_size for entry in archive.zip.infolist()]
            if max(sizes, default=0) > 8 * LONGEST:
                raise BadRecord(f"{path.name} unpacks to {max(sizes)} bytes: allowed are {8 * LONGEST}")
            key = _key(archive, "ecg", "samples", "signal")
            if key is None:
                raise BadRecord(
                    f"{path.name} holds {', '.join(archive) or 'nothing'}: wanted is ecg, samples or signal"
                )
            values = {name: archive[name] for name in (key, *_optional(archive))}
    except (*_NPZ_ERRORS, OSError, ValueError, EOFError, MemoryError, AttributeError) as error:
        raise BadRecord(f"{path.name} is not an npz archive that can be read: {one_line(error)}") from error
    label = _text(values, "lead")
    pick_lead(path.name, [label or "ecg"], lead)
    return Raw(
        to_float32(_numbers(path.name, key, values[key])),
        _number(path.name, values, "rate", "fs"),
        label,
        _text(values, "unit"),
        _npz_marks(path.name, values),
    )


def _key(names: Any, *allowed: str) -> str | None:
    return next((name for name in allowed if name in names), None)


def _optional(archive: Any) -> list[str]:
    return [name for name in ("rate", "fs", "beats", "lead", "unit") if name in archive]


def _text(values: dict[str, Any], key: str) -> str:
    return str(values[key]) if key in values and np.ndim(values[key]) == 0 else ""


def _number(name: str, values: dict[str, Any], *keys: str) -> float | None:
    key = _key(values, *keys)
    if key is None:
        return None
    value = np.asarray(values[key]).reshape(-1)
    if len(value) != 1 or value.dtype.kind not in "iuf":
        raise BadRecord(f"{name}: {key} is {values[key]!r}: allowed is one number, in Hz")
    return float(value[0])


def _numbers(name: str, key: str, value: NDArray[Any]) -> NDArray[Any]:
    value = value.reshape(-1) if value.ndim == 2 and 1 in value.shape else value
    if value.ndim != 1 or value.dtype.kind not in "iufb":
        raise BadRecord(f"{name}: {key} has shape {value.shape} and type {value.dtype}: allowed is (n,), numbers")
    return value


def _npz_marks(name: str, values: dict[str, Any]) -> Marks | None:
    if "beats" not in values:
        return None
    beats = _numbers(name, "beats", values["beats"])
    if beats.dtype.kind == "b":
        return Marks(np.flatnonzero(beats), None)
    if not (np.isfinite(beats).all() and np.array_equal(beats, np.round(beats))):
        raise BadRecord(f"{name}: beats are not whole numbers: allowed are samples of the signal, counted from 0")
    return Marks(beats.astype(np.int64), None)
