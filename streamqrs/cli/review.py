"""``streamqrs review``: a person goes through the doubtful beats of a recording, in a browser."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamqrs.cli.stopping import stop_on_signals

if TYPE_CHECKING:
    from streamqrs.adapters.web_review import Review
    from streamqrs.adapters.web_server import Address
    from streamqrs.records import Record


def command(
    file: Annotated[
        Path, typer.Argument(help="Recording: .hea (WFDB), .edf, .bdf, .xdf, .vhdr, .csv, .npz", show_default=False)
    ],
    lead: Annotated[str | None, typer.Option(help="Lead, by label or index.  [default: ECG, or the first]")] = None,
    rate: Annotated[float | None, typer.Option(help="Sampling rate in Hz, for a file that does not say.")] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Begin with the marks of this file ending.  [default: rev, else atr, else none]")
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a model's folder or file.")] = "mri",
    out: Annotated[
        Path | None, typer.Option(help="Where the marks go.  [default: RECORDING.atr, or .rev beside an .atr]")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there; without a .rev, the .atr.")
    ] = False,
    web: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="Where the page is.  [default: 127.0.0.1:8765]")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Go through the doubtful beats of a recording in a browser: move, add and delete marks, and save them.

    Without marks of its own, a recording begins with those that the model finds. Ctrl-C ends, and saves what was
    changed or checked. Marks in a .rev come before those of the .atr beside it, also in evaluate and finetune.
    """
    from streamqrs.adapters.web_server import read_address

    address = read_address(web or "")
    review = prepare(file, lead=lead, rate=rate, annotator=annotator, model=model, out=out, force=force)
    typer.echo(f"{review.record.name}: {len(review.marking.marks)} marks, saved as {review.target}", err=True)
    typer.echo(f"the page: {address.url}   (Ctrl-C ends)", err=True)
    try:
        asyncio.run(_serve(review, address, open_page=browser))
    finally:
        if not review.marking.saved and review.touched:
            review.save()
            typer.echo(f"{len(review.marking.marks)} marks saved in {review.target}", err=True)
        elif not review.marking.saved:
            typer.echo(f"nothing was changed or checked: {review.target} is not written", err=True)


def prepare(
    file: Path,
    *,
    lead: str | None = None,
    rate: float | None = None,
    annotator: str | None = None,
    model: str = "mri",
    out: Path | None = None,
    force: bool = False,
) -> Review:
    """Read a recording, let the model look at it, and find what is doubtful; parameters as in `command`."""
    import os

    import numpy as np

    from streamqrs import model as models
    from streamqrs.adapters.web_review import Review
    from streamqrs.cli.detect import detect_record
    from streamqrs.detector import Detector
    from streamqrs.doubts import find_doubts
    from streamqrs.marking import Mark, Marking
    from streamqrs.records import REVIEWED, read_record
    from streamqrs.types import RATE

    base = _base(file)
    if annotator is None and _beside(base, REVIEWED).is_file():
        annotator = REVIEWED
    record = read_record(file, lead=lead, rate=rate, annotator=annotator)
    target = choose_target(base, record, annotator, out=out, force=force)
    detector = Detector(record.rate, models.load(model, threads=os.cpu_count() or 1))
    detector.curves = deque()
    found = detect_record(record, detector)
    curve = np.full(math.ceil(len(record.samples) / record.rate * RATE) + RATE, np.nan, np.float32)
    for piece in detector.curves:
        values = piece.values[: max(0, len(curve) - piece.start)]
        curve[piece.start : piece.start + len(values)] = values
    if record.beats is None:
        last = len(record.samples) - 1
        at = sorted({min(last, max(0, round(beat.time * record.rate))) for beat in found.beats})
        marks = [Mark(sample) for sample in at]
        about = f"marks found by the model {detector.model.name}"
    else:
        codes = record.labels or ["N"] * len(record.beats)
        marks = [Mark(int(sample), code) for sample, code in zip(record.beats, codes, strict=True)]
        about = f"marks of {base.name}.{annotator}" if annotator else "marks that came with it"
    threshold = detector.settings.threshold
    doubts = find_doubts([mark.at / record.rate for mark in marks], found.beats, curve, threshold=threshold)
    marking = Marking(marks, record.samples, record.rate)
    marking.saved = annotator is not None and target == _beside(base, annotator)
    return Review(record, marking, doubts, curve, target, about)


def choose_target(base: Path, record: Record, annotator: str | None, *, out: Path | None, force: bool) -> Path:
    """Where the marks of a recording go: never onto marks that somebody else made, unless `force` is given."""
    from streamqrs.errors import SinkError
    from streamqrs.records import REVIEWED
    from streamqrs.wfdb_files import load_wfdb

    load_wfdb()
    original, reviewed = _beside(base, "atr"), _beside(base, REVIEWED)
    if out is not None:
        target = out.expanduser()
    elif not reviewed.exists() and (force or (record.beats is None and not original.exists())):
        target = original
    else:
        target = reviewed
    if len(target.suffix) < 2 or not target.suffix[1:].isalpha():
        raise ValueError(f"{target.name}: the ending names the annotator, allowed are letters, for example .atr")
    if target.suffix in {".hea", ".dat"}:
        raise ValueError(f"{target.name}: a recording has this ending, allowed are others, for example .atr")
    if not target.parent.is_dir():
        raise SinkError(f"no folder {target.parent}")
    continued = annotator == REVIEWED and target == reviewed
    if target.exists() and not force and not continued:
        raise SinkError(f"{target} is there already: give another name with --out, or --force to replace it")
    return target


async def _serve(review: Review, address: Address, *, open_page: bool) -> None:
    stop = stop_on_signals()
    serving = asyncio.create_task(review.serve(address, stop))
    if open_page:
        import webbrowser

        await asyncio.to_thread(webbrowser.open, address.url)
    await serving


def _base(file: Path) -> Path:
    """Path of a recording without its ending."""
    from streamqrs.records import ENDINGS

    return file.with_suffix("") if file.suffix.lower() in (*ENDINGS, ".dat") else file


def _beside(base: Path, annotator: str) -> Path:
    return base.with_name(f"{base.name}.{annotator}")
