"""Recordings in CSV: a column of samples, and perhaps one of times and one that marks the beats.

The delimiter (comma, semicolon, tab, blanks), the header and the columns are found out. The rate comes from the column
of times or from a comment line such as ``# rate: 360``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamqrs.errors import BadRecord
from streamqrs.readers import LONGEST, Marks, Raw, one_line, pick_lead, to_float32

LINE = 1 << 16
"""Longest line at the top of a file, in characters."""

_TIMES = {"time", "times", "t", "timestamp", "timestamps", "elapsed time", "seconds", "sec", "s"}
_TIMES |= {"ms", "msec", "milliseconds", "us", "ns"}
_COUNTS = {"", "index", "sample", "sample #", "n", "#"}
_BEATS = {"beat", "beats", "qrs", "r", "r peak", "rpeak", "r_peak"}
_SECONDS = {"ms": 1e-3, "msec": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_NAME = re.compile(r"^(.*?)[\s_]*(?:[\[(]([^\])]*)[\])]|[\s_](s|ms|us|µs|ns|mv|uv|µv|v))?$", re.IGNORECASE)
_COMMENT = re.compile(r"^[#%]\s*(rate|fs|sampling[ _]rate|sampling[ _]frequency)\s*[:=]?\s*([-+.\deE]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the top of a file says.

    Attributes
    ----------
    skip : int
        Lines ahead of the first row of numbers.
    delimiter : str or None
        None: blanks.
    names, units : tuple of str
        Of the columns; names are numbers where there is no header.
    header : bool
        Whether there is one.
    rate : float or None
        Rate in Hz, if a comment says.
    """

    skip: int
    delimiter: str | None
    names: tuple[str, ...]
    units: tuple[str, ...]
    header: bool
    rate: float | None


def read_csv(path: Path, lead: str | int | None) -> Raw:
    """Read the samples, and if they are there the times and the beats, of a CSV file."""
    try:
        layout = read_layout(path)
        time, beats = _column(layout, _TIMES), _column(layout, _BEATS)
        if time is None and not layout.header and layout.rate is None and len(layout.names) > 1:
            time = 0
        aside = {time, beats, *(i for i, name in enumerate(layout.names) if layout.header and name.lower() in _COUNTS)}
        ours = [i for i in range(len(layout.names)) if i not in aside]
        if not ours:
            raise BadRecord(f"{path.name} has no column of samples: it has {', '.join(layout.names)}")
        ecg = ours[pick_lead(path.name, [layout.names[i] for i in ours], lead)]
        table = _load(path, layout, [i for i in (ecg, time, beats) if i is not None])
    except (OSError, ValueError) as error:
        raise BadRecord(f"{path.name} cannot be read as CSV: {one_line(error)}") from error
    columns = iter(table.T)
    samples = to_float32(next(columns))
    rate, place = layout.rate, None
    if time is not None:
        times = next(columns) * _SECONDS.get((layout.units[time] or layout.names[time]).lower(), 1.0)
        rate, place = time_grid(path.name, times)
    at = np.flatnonzero(np.nan_to_num(next(columns))) if beats is not None else None
    if place is not None and place[-1] != len(place) - 1:  # rows are missing: NaN in their place
        full = np.full(int(place[-1]) + 1, np.nan, np.float32)
        full[place] = samples
        samples, at = full, None if at is None else place[at]
    name = layout.names[ecg] if layout.header else ""
    return Raw(samples, rate, name, layout.units[ecg], None if at is None else Marks(at.astype(np.int64), None))


def read_layout(path: Path) -> Layout:
    """Find out delimiter, header, columns and rate from the top of a file."""
    rate, skip = None, 0
    rows: list[list[str]] = []
    delimiter: str | None = None
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        while line := file.readline(LINE):
            if line[0] in "#%" or not line.strip():
                if comment := _COMMENT.match(line):
                    rate = float(comment[2])
                skip += 1
                continue
            if not rows:
                delimiter = next((d for d in ",;\t" if d in line), None)
            cells = [cell.strip(" \t\r\n'\"") for cell in line.split(delimiter)]
            if all(map(_is_number, cells)) and any(cells):
                break
            rows.append(cells)
            skip += 1
            if len(rows) > 2:  # names, and perhaps units
                raise BadRecord(f"{path.name}: {line.strip()[:40]!r} is no row of numbers")
        else:
            raise BadRecord(f"{path.name} holds no row of numbers")
    parts = [_NAME.fullmatch(cell) for cell in rows[0]] if rows else []
    names = tuple((part[1] if part else "") or cell for part, cell in zip(parts, rows[0] if rows else [], strict=True))
    units = tuple((part[2] or part[3] or "") if part else "" for part in parts)
    if len(rows) == 2 and len(rows[1]) == len(names):
        units = tuple(rows[1])
    if rows and len(names) != len(cells):
        raise BadRecord(f"{path.name}: {len(names)} columns in the header, {len(cells)} below it")
    if not rows:
        names, units = tuple(map(str, range(len(cells)))), ("",) * len(cells)
    return Layout(skip, delimiter, names, units, bool(rows), rate)


def time_grid(name: str, times: NDArray[np.float64]) -> tuple[float, NDArray[np.int64]]:
    """Rate and place of each row, from its time.

    Times may be rounded, as in files with three decimals; rows may be missing.

    Parameters
    ----------
    name : str
        Name of the file, for the error.
    times : numpy.ndarray
        Shape (n,), in s.

    Returns
    -------
    rate : float
        In Hz; a whole number if that explains all the times.
    place : numpy.ndarray
        Shape (n,), int64: count of each row's sample since the first one.
    """
    steps = np.diff(times)
    if len(times) < 2 or not np.isfinite(times).all() or steps.min() < 0 or times[-1] == times[0]:
        raise BadRecord(f"{name}: times must rise from row to row, in s")
    low, usual, high = np.quantile(steps, (0.05, 0.5, 0.95))
    near = steps <= 1.9 * usual + 1e-9
    if not 0.6 * usual <= low <= high <= 1.5 * usual:  # stamps of arrival: what looks like a missing row is jitter
        near[:] = True
    step = float(steps[near].mean())
    if step < 1e-9:
        raise BadRecord(f"{name}: most rows have one and the same time: times must rise from row to row, in s")
    if round(1 / step) and abs(step * round(1 / step) - 1) * len(times) < 1:
        step = 1 / round(1 / step)
    jumps = np.where(near, 1, np.round(steps / step)).astype(np.int64)
    place = np.concatenate(([0], np.cumsum(jumps)))
    if place[-1] >= LONGEST:
        raise BadRecord(f"{name}: times run over {times[-1] - times[0]:g} s: that is {place[-1]} samples")
    return 1 / step, place


def _column(layout: Layout, names: set[str]) -> int | None:
    if not layout.header:
        return None
    return next((i for i, name in enumerate(layout.names) if name.lower() in names), None)


def _load(path: Path, layout: Layout, columns: list[int]) -> NDArray[np.float64]:
    """Read columns as float64; empty cells as NaN."""

    def load(converter: Callable[[str], float] | None) -> NDArray[np.float64]:
        return np.loadtxt(
            path, delimiter=layout.delimiter, comments=["#", "%"], skiprows=layout.skip, usecols=columns, ndmin=2,
            converters=converter, encoding="utf-8-sig",
        )  # fmt: skip

    try:
        return load(None)
    except ValueError:  # perhaps an empty cell, which numpy's own fast conversion does not know
        return load(_to_number)


def _to_number(cell: str) -> float:
    return float(cell.strip(" \t\"'") or "nan")


def _is_number(cell: str) -> bool:
    try:
        _to_number(cell)
    except ValueError:
        return False
    return True
