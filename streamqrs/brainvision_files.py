"""BrainVision recordings: a header (.vhdr), the samples (.eeg) and the markers (.vmrk).

The core data format of BrainVision, version 1 and 2: binary, multiplexed or vectorised. Pauses inside a recording
(``New Segment``) are not bridged: the samples are counted as they lie in the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamqrs.errors import BadRecord
from streamqrs.readers import LONGEST, Marks, Raw, beat_code, one_line, pick_lead, to_float32

FORMATS = {"INT_16": "<i2", "INT_32": "<i4", "IEEE_FLOAT_32": "<f4"}
"""numpy's name of each binary format."""
BLOCK = 1 << 23
"""Samples of all channels together that are read at a time."""

_SECTION = re.compile(r"\[(.+)\]")
_NOT_BEATS = {"new segment", "stimulus", "response"}
"""Kinds of markers that are no beats, whatever they describe."""

Sections = dict[str, dict[str, str]]


def read_brainvision(path: Path, lead: str | int | None) -> Raw:
    """Read a channel of a BrainVision recording, in its own unit (µV unless the header says otherwise).

    Parameters
    ----------
    path : pathlib.Path
        The header, ``.vhdr``.
    lead : str, int or None
        See `streamqrs.readers.pick_lead`.

    Returns
    -------
    Raw
        Markers that name beats (``R``, ``QRS`` …) are its marks, stimuli and responses never.

    Raises
    ------
    BadRecord, SourceNotFound
        If it cannot be read, or has no such channel.
    """
    try:
        sections = _sections(path)
        common = sections["common infos"]
        form = _check(path, common, sections)
        count = int(common["numberofchannels"])
        rate = 1e6 / float(common["samplinginterval"])
        channels = [_cells(sections["channel infos"][f"ch{i + 1}"]) for i in range(count)]
        index = pick_lead(path.name, [cells[0] for cells in channels], lead)
        label, _, resolution, unit = (*channels[index], "", "", "")[:4]
        data = _beside(path, common["datafile"])
        vectorised = common.get("dataorientation", "MULTIPLEXED").upper() == "VECTORIZED"
        values = _values(data, form, count, index, vectorised)
    except (KeyError, ValueError, OSError, ZeroDivisionError, UnicodeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"cannot be read: {one_line(error)}"
        raise BadRecord(f"{path.name} {what}") from error
    samples = to_float32(values * float(resolution or 1))
    marks = _marks(_beside(path, common["markerfile"])) if common.get("markerfile") else None
    return Raw(samples, rate, label, unit or "µV", marks)


def _sections(path: Path) -> Sections:
    """Sections of a header or marker file, with their keys in lower case."""
    raw = path.read_bytes()
    if not raw.lstrip(b"\xef\xbb\xbf").startswith((b"Brain Vision", b"BrainVision")):
        raise ValueError(f"{path.name} does not begin as BrainVision's files do")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    sections: Sections = {}
    section: dict[str, str] = {}
    for line in text.splitlines():
        if found := _SECTION.fullmatch(line.strip()):
            section = sections.setdefault(found[1].casefold(), {})
        elif "=" in line and not line.startswith(";"):
            key, _, value = line.partition("=")
            section[key.strip().casefold()] = value.strip()
    return sections


def _check(path: Path, common: dict[str, str], sections: Sections) -> str:
    """Return numpy's name of the binary format; raise if it is one that is not read."""
    if (kind := common.get("dataformat", "BINARY").upper()) != "BINARY":
        raise BadRecord(f"{path.name} holds its samples as {kind}: allowed is BINARY")
    if (kind := common.get("datatype", "TIMEDOMAIN").upper()) != "TIMEDOMAIN":
        raise BadRecord(f"{path.name} holds {kind}: allowed is TIMEDOMAIN")
    binary = sections["binary infos"]
    if (form := binary.get("binaryformat", "").upper()) not in FORMATS:
        raise BadRecord(f"{path.name} has samples as {form or 'nothing'}: allowed are {', '.join(FORMATS)}")
    if binary.get("usebigendianorder", "NO").upper() == "YES":
        raise BadRecord(f"{path.name} has its bytes in big-endian order: allowed is little-endian")
    return FORMATS[form]


def _cells(line: str) -> list[str]:
    return [cell.replace("\\1", ",").strip() for cell in line.split(",")]


def _beside(path: Path, name: str) -> Path:
    """File that a header names, or where it was renamed, the one called like the header."""
    named = path.with_name(Path(name.replace("$b", path.stem)).name)
    renamed = path.with_suffix(named.suffix)
    if not named.is_file() and renamed.is_file():
        return renamed
    if not named.is_file():
        raise BadRecord(f"{path.name} names {named.name}, which is not there")
    return named


def _values(data: Path, form: str, count: int, index: int, vectorised: bool) -> NDArray[np.float64]:
    """Samples of one channel, shape (n,), in steps of its resolution."""
    width = np.dtype(form).itemsize
    n = data.stat().st_size // (width * count)
    if n > LONGEST:
        raise BadRecord(f"{data.name} has {n} samples: allowed are {LONGEST}")
    if vectorised:
        return np.fromfile(data, form, n, offset=index * n * width).astype(np.float64)
    rows = max(1, BLOCK // count)
    parts = []
    for start in range(0, n, rows):
        block = np.fromfile(data, form, min(rows, n - start) * count, offset=start * count * width)
        parts.append(block.reshape(-1, count)[:, index].astype(np.float64))
    return np.concatenate(parts) if parts else np.empty(0)


def _marks(path: Path) -> Marks | None:
    """Beats of a marker file: ``Mk1=Type,Description,position from 1,…``."""
    try:
        rows = [_cells(line) for line in _sections(path).get("marker infos", {}).values()]
        beats = sorted(
            (int(cells[2]) - 1, code)
            for cells in rows
            if cells[0].casefold() not in _NOT_BEATS and (code := beat_code(cells[1]))
        )
    except (ValueError, IndexError, OSError) as error:
        raise BadRecord(f"{path.name} cannot be read: {one_line(error)}") from error
    if not beats:
        return None
    return Marks(np.array([at for at, _ in beats], np.int64), tuple(code for _, code in beats))
