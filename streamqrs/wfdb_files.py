"""WFDB recordings and annotations, the format of PhysioNet, through the `wfdb` package.

Headers are checked against the size of the files that they name before anything is read, and long recordings are read
in blocks, so that neither a broken header nor a long recording with many leads costs more memory than the lead itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from streamqrs.errors import BadRecord, MissingExtra, SourceNotFound, StreamqrsError
from streamqrs.readers import BEAT_CODES, LONGEST, Marks, Raw, one_line, pick_lead, to_float32

BLOCK = 1 << 23
"""Samples of all leads together that are read at a time."""

SAMPLE_BYTES = {
    "8": 1, "16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
}  # fmt: skip
"""Bytes a sample in each signal format whose files are not compressed."""


def load_wfdb() -> ModuleType:
    """Import `wfdb`.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        import wfdb
    except ImportError as error:
        raise MissingExtra.of("wfdb", "files") from error
    return cast(ModuleType, wfdb)


def read_wfdb(path: Path, lead: str | int | None) -> Raw:
    """Read a lead of a recording.

    Parameters
    ----------
    path : pathlib.Path
        The header file, without its ending.
    lead : str, int or None
        See `pick_lead`.

    Returns
    -------
    Raw
        At the lead's own rate, which in records with several samples a frame is above the frame rate.
    """
    wfdb = load_wfdb()
    try:
        header = wfdb.rdheader(str(path))
        leads = header.sig_name or _segment_leads(wfdb, path, header)
        if not leads:
            raise BadRecord(f"{path.name} holds no signal")
        index = pick_lead(path.name, [str(label) for label in leads], lead)
        frames = _check_header(path, header)
        parts = []
        step = max(1, BLOCK // max(1, len(leads)))
        for start in range(0, frames, step):
            stop = min(start + step, frames)
            part = wfdb.rdrecord(
                str(path), sampfrom=start, sampto=stop, channels=[index], smooth_frames=False, return_res=32
            )
            parts.append(to_float32(part.e_p_signal[0]))
        samples = np.concatenate(parts) if parts else np.empty(0, np.float32)
        per_frame = round(len(samples) / frames) if frames else 1
        unit = str(part.units[0]) if parts else ""
        return Raw(samples, float(header.fs) * per_frame, str(leads[index]), unit, None)
    except StreamqrsError:
        raise
    except Exception as error:  # wfdb lets through what its parsing stumbles on, and raises bare Exceptions
        raise BadRecord(f"{path.name} cannot be read as WFDB: {one_line(error)}") from error


def read_marks(path: Path, annotator: str) -> Marks:
    """Read the beats of an annotation file.

    Parameters
    ----------
    path : pathlib.Path
        The file, without its ending.
    annotator : str
        The ending.

    Raises
    ------
    SourceNotFound, BadRecord
        If it is not there, or not an annotation file.
    """
    file = path.with_name(f"{path.name}.{annotator}")
    if not file.is_file():
        raise SourceNotFound(f"no annotation file {file}")
    wfdb = load_wfdb()
    try:
        found = wfdb.rdann(str(path), annotator)
    except Exception as error:  # as above
        raise BadRecord(f"{file.name} cannot be read as annotations: {one_line(error)}") from error
    at = np.asarray(found.sample, np.int64)
    beats = [i for i, code in enumerate(found.symbol) if code in BEAT_CODES]
    changes = zip(at, found.symbol, found.aux_note, strict=True)
    rhythms = tuple(
        (int(sample), note.strip("\0 ").lstrip("("))
        for sample, code, note in changes
        if code == "+" and note.startswith("(")
    )
    return Marks(at[beats], tuple(found.symbol[i] for i in beats), rhythms)


def encode_marks(
    at: ArrayLike, rate: float, *, codes: Sequence[str] = (), rhythms: Sequence[tuple[int, str]] = ()
) -> bytes:
    """Content of an annotation file with a beat at each sample.

    Parameters
    ----------
    at : array_like
        Shape (k,), samples since the recording began, rising.
    rate : float
        Rate that they count at, in Hz.
    codes : sequence of str, optional
        Code of each beat; ``N`` by default.
    rhythms : sequence of (int, str), optional
        Changes of rhythm, as sample and WFDB name (``AFIB``).
    """
    samples = np.asarray(at, np.int64)
    if not len(samples) and not rhythms:
        return bytes(2)  # the end mark alone; wfdb does not write an empty file
    beats = zip(samples.tolist(), codes or ["N"] * len(samples), strict=True)
    lines = sorted([*((s, code, "") for s, code in beats), *((s, "+", f"({name}") for s, name in rhythms)])
    where, symbols, notes = map(list, zip(*lines, strict=True))
    wfdb = load_wfdb()
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrann("beats", "atr", np.array(where), symbol=symbols, aux_note=notes, fs=rate, write_dir=folder)
        return Path(folder, "beats.atr").read_bytes()


def _segment_leads(wfdb: ModuleType, path: Path, header: Any) -> list[str]:
    """Labels of the leads of a recording in segments: those of its layout, or of its first segment."""
    names = [name for name in getattr(header, "seg_name", None) or [] if name != "~"]
    return list(wfdb.rdheader(str(path.with_name(names[0]))).sig_name or []) if names else []


def _check_header(path: Path, header: Any) -> int:
    """Frames of a recording; raise a `BadRecord` if its files cannot hold them."""
    frames: int = header.sig_len or 0
    for name, (width, offset) in _frame_bytes(header).items():
        file = path.with_name(name)
        if not file.is_file():
            raise BadRecord(f"{path.name}.hea names {name}, which is not there")
        held = int((file.stat().st_size - offset) / width) if width else frames
        frames = frames or held
        if frames > held + 2:  # packed formats may leave out the end of the last group
            raise BadRecord(f"{path.name}.hea says {frames} samples, {name} holds {max(0, held)}")
    if not 0 < frames <= LONGEST:
        raise BadRecord(f"{path.name}.hea says {frames} samples: allowed are 1 to {LONGEST}")
    return frames


def _frame_bytes(header: Any) -> dict[str, tuple[float, int]]:
    """Bytes a frame (0 if compressed) and bytes ahead of the first one, of each signal file."""
    files: dict[str, tuple[float, int]] = {}
    columns = (getattr(header, key, None) or [] for key in ("file_name", "fmt", "samps_per_frame", "byte_offset"))
    for name, form, per_frame, offset in zip(*columns, strict=True):
        width, _ = files.get(name, (0.0, 0))
        files[name] = width + (per_frame or 1) * SAMPLE_BYTES.get(form, 0.0), offset or 0
    return files
