"""Write a recording with its beats: WFDB, CSV or npz."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs.errors import SinkError
from streamqrs.types import Samples

ENDINGS = (".hea", ".csv", ".npz")


def check_recording(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Raise what `write_recording` would raise, before there are samples; return the path."""
    target = Path(path).expanduser()
    if target.suffix not in ENDINGS:
        raise ValueError(f"{target.name} ends in {target.suffix!r}: allowed are {', '.join(ENDINGS)}")
    if target.suffix == ".hea":
        from streamqrs.wfdb_files import load_wfdb

        load_wfdb()
        if not target.stem.replace("-", "").replace("_", "").isalnum() or not target.stem.isascii():
            raise ValueError(f"{target.name}: allowed in the name of a WFDB record are letters, digits, - and _")
    if not target.parent.is_dir():
        raise SinkError(f"no folder {target.parent}")
    for file in _files(target):
        if file.exists() and not overwrite:
            raise SinkError(f"{file} is there already: give another name, or --force to replace it")
    return target


def write_recording(
    path: str | os.PathLike[str],
    samples: Samples,
    rate: float,
    beats: Sequence[tuple[int, str]] | None,
    *,
    lead: str = "ECG",
    unit: str = "mV",
    overwrite: bool = False,
) -> None:
    """Write a recording, whole or not at all.

    Parameters
    ----------
    path : str or path
        Its ending says what is written: ``.hea``, a WFDB record with the beats as ``.atr``; ``.csv``, columns time, ecg
        and, where there are beats, beat (1 at an R peak); ``.npz``, ``ecg``, ``rate``, ``lead``, ``unit``, ``beats``,
        ``labels``.
    samples : numpy.ndarray
        Shape (n,), float32, in `unit`.
    rate : float
        Sampling rate in Hz.
    beats : sequence of (int, str) or None
        Sample of each R peak and MIT-BIH code of its beat, rising; None if not known.
    lead, unit : str
        Label of the lead and unit of the samples.
    overwrite : bool
        Whether files that are there may be replaced.

    Raises
    ------
    SinkError
        If a file is there already, or cannot be written.
    ValueError
        If the ending is another one.
    """
    target = check_recording(path, overwrite=overwrite)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}.") as folder:
            draft = Path(folder) / target.name
            {".hea": _write_wfdb, ".csv": _write_csv, ".npz": _write_npz}[target.suffix](
                draft, samples, rate, beats, lead, unit
            )
            for file in _files(draft):
                if file.exists():
                    os.replace(file, target.with_name(file.name))
    except OSError as error:
        raise SinkError(f"{target} cannot be written: {error.strerror}") from error


def _files(path: Path) -> list[Path]:
    # the header last: a record without it is none
    return [path.with_suffix(".dat"), path.with_suffix(".atr"), path] if path.suffix == ".hea" else [path]


def _write_wfdb(
    path: Path, samples: Samples, rate: float, beats: Sequence[tuple[int, str]] | None, lead: str, unit: str
) -> None:
    from streamqrs.wfdb_files import load_wfdb

    wfdb = load_wfdb()
    unit = unit.replace(" ", "_") or "NU"
    wfdb.wrsamp(
        path.stem, rate, [unit], [lead], samples[:, None].astype(np.float64), fmt=["16"], write_dir=str(path.parent)
    )
    if beats:
        at, labels = np.array([index for index, _ in beats], np.int64), [label for _, label in beats]
        wfdb.wrann(path.stem, "atr", at, symbol=labels, fs=rate, write_dir=str(path.parent))
    elif beats is not None:
        path.with_suffix(".atr").write_bytes(bytes(2))  # the end mark alone; wfdb does not write an empty file


def _write_csv(
    path: Path, samples: Samples, rate: float, beats: Sequence[tuple[int, str]] | None, lead: str, unit: str
) -> None:
    columns: list[NDArray[Any]] = [np.arange(len(samples)) / rate, samples]
    names, form = ["time", lead.replace(",", " ")], ["%.6f", "%.6g"]
    if unit:
        names[1] += f" [{unit}]"
    if beats is not None:
        columns.append(np.bincount([index for index, _ in beats], minlength=len(samples)))
        names.append("beat")
        form.append("%d")
    header = f"# rate: {rate:.12g}\n{','.join(names)}"
    np.savetxt(path, np.column_stack(columns), fmt=form, delimiter=",", header=header, comments="", encoding="utf-8")


def _write_npz(
    path: Path, samples: Samples, rate: float, beats: Sequence[tuple[int, str]] | None, lead: str, unit: str
) -> None:
    truth: dict[str, Any] = {}
    if beats is not None:
        truth["beats"] = np.array([index for index, _ in beats], np.int64)
        truth["labels"] = np.array([label for _, label in beats], "U4")
    np.savez_compressed(path, ecg=samples, rate=rate, lead=lead, unit=unit, **truth)
