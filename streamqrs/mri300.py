"""MRI-300: 250 recordings to fine-tune on, 50 to validate and 5 to test, real hearts in a virtual scanner.

The protocol is that of Koščová's transfer learning for QRS detection in MRI, whose recordings are private: 50 s for
training, 8 min for the test, one lead, 250 Hz, no patient in two parts. The hearts are those of the MIT-BIH Arrhythmia
Database, QTDB and LUDB, the noise is that of `streamqrs.scanner.corrupt`. Written as WFDB records with the truth beside
them, whole or not at all; the same seed and data give the same bytes.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from streamqrs import __version__
from streamqrs.errors import MissingExtra, SinkError
from streamqrs.mri300_make import Made, make, recorded_sequences
from streamqrs.mri300_plan import FIELDS, PARTS, SEED, Entry, Part, plan
from streamqrs.processes import follow
from streamqrs.types import RATE, Samples
from streamqrs.wfdb_files import load_wfdb

VERSION = "3"

BLOCK = 4096
"""Bytes that a file system spends on the smallest file."""
SPARE = 4_000_000
"""Bytes besides the recordings: the page of pictures, the manifest."""

README = """\
# MRI-300

Real hearts in a virtual MRI scanner: one lead, {rate} Hz, made by

    {command}

(streamqrs {streamqrs}, set version {version}). The same seed and the same source data give the same bytes. Simulated:
not a record of any real scan.

{table}

- `NAME.hea`, `NAME.dat`: the lead as the scanner's monitor sees it (16 bit); `NAME.atr`: the true R peaks, with the
  beat codes of the source.
- `NAME_clean.*`: the same lead before it went into the scanner, with the same marks.
- `RECORDS`: the names, without the clean ones. `manifest.json`: patient, source record, lead, offset, scanner,
  severity, seed and families of noise of each recording.{pictures}
- No patient is in two parts. Sources: MIT-BIH Arrhythmia Database, QTDB and LUDB (PhysioNet, ODC-By 1.0). Recordings
  of LUDB last 10 s: what lies between the first and the last marked beat is repeated, with noise that is not.
- Scanners: {presets}. Severity is the factor on the height of all added noise.

To cite: Moody & Mark 2001, Laguna et al. 1997, Kalyakulina et al. 2020, Goldberger et al. 2000.
"""


@dataclass(frozen=True, slots=True)
class Written:
    """A set that was written.

    Attributes
    ----------
    out : pathlib.Path
        Its folder.
    records : dict of str to int
        Recordings of each part.
    beats : int
        Marked R peaks of all recordings.
    duration_s : float
        Length of all recordings in s.
    recorded_sequences : int
        Gradient waveforms that were read from the data folder.
    """

    out: Path
    records: dict[str, int]
    beats: int
    duration_s: float
    recorded_sequences: int


def write_mri300(
    out: Path,
    data: Path,
    *,
    seed: int = SEED,
    preset: str | None = None,
    severity: float = 1.0,
    pictures: bool = True,
    workers: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
    parts: tuple[Part, ...] = PARTS,
) -> Written:
    """Make the set and write it into a new folder.

    Parameters
    ----------
    out : pathlib.Path
        The folder; must not be there. Until all is done, everything lies in a hidden folder beside it.
    data : pathlib.Path
        Holds ``mitdb``, ``qtdb``, ``ludb/data`` and, if there is one, ``gradients``.
    seed, preset, severity, parts
        As in `streamqrs.mri300_plan.plan`.
    pictures : bool
        Draw a page of examples, ``pictures.png``.
    workers : int
        Processes that work side by side, 1 or more; the bytes do not depend on it.
    progress : callable, optional
        Called with the name of each recording that is done, the count of those done, and of all.

    Returns
    -------
    Written
        What there is now.

    Raises
    ------
    FileExistsError, FileNotFoundError
        If the folder is there, or the one that it should lie in is not.
    SinkError
        If it cannot be written.
    SourceNotFound, BadRecord
        If source recordings are missing or cannot be read.
    """
    if out.exists():
        raise FileExistsError(f"{out} is there already: give a folder that is not")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent} is no folder: the output needs one to lie in")
    if workers < 1:
        raise ValueError(f"workers are {workers}: allowed are 1 and more")
    load_wfdb()
    if pictures:
        check_matplotlib()
    entries = plan(data, seed, preset=preset, severity=severity, parts=parts)
    _check_space(out, entries)
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as hidden:
            draft = Path(hidden) / out.name
            for part in parts:
                (draft / part.name).mkdir(parents=True)
            rows = []
            with _pool(workers) as run:
                for done, row in enumerate(run(partial(make_files, folder=draft, data=data), entries), 1):
                    rows.append(row)
                    if progress:
                        progress(f"{row['part']}/{row['name']}", done, len(entries))
            if pictures:
                from streamqrs.mri300_pictures import draw_page

                draw_page(draft, rows, draft / "pictures.png")
            sequences = sum(len(recorded_sequences(data, test=test)) for test in (False, True))
            command = f"streamqrs dataset mri300 --seed {seed} --severity {severity:g}"
            head = {
                "set": "mri300",
                "version": VERSION,
                "streamqrs": __version__,
                "command": command + (f" --preset {preset}" if preset else ""),
                "seed": seed,
                "severity": severity,
                "preset": preset,
                "rate": RATE,
                "recorded_sequences": sequences,
            }
            _write_lists(draft, head, parts, rows, pictures)
            os.rename(draft, out)
    except OSError as error:
        raise SinkError(f"{out} cannot be written: {error.strerror or error}") from error
    counts = {part.name: sum(row["part"] == part.name for row in rows) for part in parts}
    beats, long_s = sum(row["beats"] for row in rows), sum(row["duration_s"] for row in rows)
    return Written(out, counts, beats, long_s, sequences)


def make_files(entry: Entry, *, folder: Path, data: Path) -> dict[str, Any]:
    """Make a recording, write its files, and return its row of the manifest."""
    made = make(entry, data)
    about = [
        f"patient {entry.patient}",
        f"source {entry.database}/{entry.record} from {made.start_s:.3f} s{', looped' * made.looped}",
        f"scanner {entry.preset}, severity {entry.severity:.3f}: {', '.join(made.families)}",
    ]
    target = folder / entry.part / entry.name
    _write_record(target, made.samples, made, about)
    _write_record(target.with_name(f"{entry.name}_clean"), made.clean, made, about[:2])
    return asdict(entry) | {
        "patient": entry.patient,
        "lead": made.lead,
        "severity": round(entry.severity, 6),
        "start_s": round(made.start_s, 6),
        "looped": made.looped,
        "families": made.families,
        "beats": len(made.beats),
    }


def check_matplotlib() -> None:
    """Raise a `MissingExtra` unless matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra.of("matplotlib", "train") from error


def _write_record(path: Path, samples: Samples, made: Made, about: list[str]) -> None:
    wfdb, folder = load_wfdb(), str(path.parent)
    unit = made.unit.replace(" ", "_") or "NU"
    wfdb.wrsamp(
        path.name,
        RATE,
        [unit],
        [made.lead or "ECG"],
        samples[:, None].astype(np.float64),
        fmt=["16"],
        comments=about,
        write_dir=folder,
    )
    at, codes = zip(*made.beats, strict=True)
    wfdb.wrann(path.name, "atr", np.array(at, np.int64), symbol=list(codes), fs=RATE, write_dir=folder)
    whole = path.with_suffix(".dat").stat().st_size == 2 * len(samples)
    if not whole or path.with_suffix(".atr").read_bytes()[-2:] != bytes(2):  # numpy's tofile is silent on a full disk
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextmanager
def _pool(workers: int) -> Iterator[Callable[..., Any]]:
    """`map`, in the order given, in this process or in several."""
    if workers == 1:
        yield map
        return
    # spawned, not forked: the same everywhere, and no thread's lock is copied
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=follow) as pool:
        try:
            yield pool.map
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _check_space(out: Path, entries: list[Entry]) -> None:
    size = sum(4 * entry.duration_s * RATE + 6 * BLOCK for entry in entries) + SPARE
    free = shutil.disk_usage(out.parent).free
    if free < size:
        raise SinkError(f"{out} takes {size / 1e6:.0f} MB: {free / 1e6:.0f} MB are free there")


def _write_lists(
    draft: Path, head: dict[str, Any], parts: tuple[Part, ...], rows: list[dict[str, Any]], pictures: bool
) -> None:
    """Write ``RECORDS`` of each part, ``manifest.json`` and ``README.md``."""
    for part in parts:
        names = [row["name"] for row in rows if row["part"] == part.name]
        (draft / part.name / "RECORDS").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    (draft / "manifest.json").write_text(json.dumps(head | {"recordings": rows}, indent=1) + "\n", encoding="utf-8")
    (draft / "README.md").write_text(_readme(head, parts, rows, pictures), encoding="utf-8")


def _readme(head: dict[str, Any], parts: tuple[Part, ...], rows: list[dict[str, Any]], pictures: bool) -> str:
    lines = ["| part | recordings | length | patients | beats | severity |", "|---|---|---|---|---|---|"]
    for part in parts:
        mine = [row for row in rows if row["part"] == part.name]
        patients, beats = {row["patient"] for row in mine}, sum(row["beats"] for row in mine)
        low, high = (f"{edge * head['severity']:g}" for edge in part.severity)
        lines.append(
            f"| `{part.name}/` | {len(mine)} | {part.duration_s:g} s | {len(patients)} | {beats} | {low} to {high} |"
        )
    shares = ", ".join(f"{name} ({share:.0%})" for name, share in FIELDS.items())
    note = " `pictures.png`: examples." if pictures else ""
    return README.format(**head | {"table": "\n".join(lines), "presets": head["preset"] or shares, "pictures": note})
