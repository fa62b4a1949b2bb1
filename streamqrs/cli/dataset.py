"""``streamqrs dataset``: write a data set that others can look at, train on and be compared by."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer


def command(
    name: Annotated[Literal["mri300"], typer.Argument(help="Which one.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for it; must not be there.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with mitdb, qtdb and ludb, as PhysioNet has them.  [default: STREAMQRS_DATA]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed and data, same bytes.  [default: 8]")] = None,
    severity: Annotated[float, typer.Option(help="Factor on the height of all noise, 0 to 10.")] = 1.0,
    preset: Annotated[
        str | None,
        typer.Option(help="One scanner for all: 1.5T, 3T, 7T, ward, mixture.  [default: 1.5T, 3T and 7T, in shares]"),
    ] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Draw a page of examples.")] = True,
    workers: Annotated[int | None, typer.Option(help="Processes side by side.  [default: one a core]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Write MRI-300: 250 + 50 recordings of 50 s and 5 of 8 min, real hearts in a virtual scanner, as WFDB records."""
    from streamqrs.datasets import data_folder
    from streamqrs.mri300 import write_mri300
    from streamqrs.mri300_plan import SEED

    written = write_mri300(
        out.expanduser().absolute(),
        data_folder() if data is None else data.expanduser(),
        seed=SEED if seed is None else seed,
        preset=preset,
        severity=severity,
        pictures=pictures,
        workers=workers if workers is not None else os.cpu_count() or 1,
        progress=_progress,
    )
    if as_json:
        typer.echo(json.dumps({"set": name} | asdict(written) | {"out": str(out)}))
        return
    counts = ", ".join(f"{count} {part}" for part, count in written.records.items())
    typer.echo(f"{out}: {counts}; {written.beats} beats in {written.duration_s / 3600:.1f} h")


def _progress(name: str, done: int, total: int) -> None:
    """A line that is drawn over on a terminal; elsewhere a line for every fiftieth recording."""
    if sys.stderr.isatty():
        typer.echo(f"\r\x1b[2K{done}/{total} {name}" + "\r\x1b[2K" * (done == total), nl=False, err=True)
    elif done % 50 == 0 or done == total:
        typer.echo(f"{done}/{total} {name}", err=True)
