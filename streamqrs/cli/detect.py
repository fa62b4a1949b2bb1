"""``streamqrs detect``: beat marks of a recording."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamqrs.detector import Detector
    from streamqrs.records import Record
    from streamqrs.types import Beat, Gap

STEP_S = 3600.0
"""Signal between two steps of the progress bar, in s: at the end of each, some threads have nothing to do."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Beats of a recording.

    Attributes
    ----------
    beats : list of Beat
        Confirmed beats in order, times in s since the first sample.
    gaps : list of Gap
        Where so many samples were missing that the detector began anew.
    wall_s : float
        How long it took, in s.
    """

    beats: list[Beat]
    gaps: list[Gap]
    wall_s: float

    @property
    def heart_rate(self) -> float | None:
        """Mean heart rate per minute, gaps left out; None where there are not two beats in a row."""
        intervals = [beat.rr_s for beat in self.beats if beat.rr_s is not None]
        return 60 * len(intervals) / sum(intervals) if intervals else None


def command(
    file: Annotated[
        Path, typer.Argument(help="Recording: .hea (WFDB), .edf, .bdf, .xdf, .vhdr, .csv, .npz", show_default=False)
    ],
    lead: Annotated[str | None, typer.Option(help="Lead, by label or index.  [default: ECG, or the first]")] = None,
    rate: Annotated[float | None, typer.Option(help="Sampling rate in Hz, for a file that does not say.")] = None,
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a model's folder or file.")] = "mri",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the beats go: .csv, .atr (WFDB), .edf (EDF+), .tsv (BIDS) or .jsonl; - is CSV on stdout."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the beats: a file .png or .svg.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Find the beats of a whole recording, and write them down."""
    from streamqrs import model as models
    from streamqrs.beat_files import beats_to_csv, check_target, write_beats
    from streamqrs.detector import Detector
    from streamqrs.plots import check_plot, plot_detection
    from streamqrs.records import read_record
    from streamqrs.types import SourceInfo, Started

    to_stdout = out == Path("-")
    if to_stdout and as_json:
        raise ValueError("--out - and --json both write to stdout: allowed is one of them")
    if out and not to_stdout:
        check_target(out, overwrite=force)
        if out.exists() and file.exists() and out.samefile(file):
            raise ValueError(f"--out is the recording itself, {file}: allowed is another file")
    if plot:
        check_plot(plot, overwrite=force)
    network = models.load(model, threads=os.cpu_count() or 1)
    record = read_record(file, lead=lead, rate=rate)
    detector = Detector(record.rate, network)
    found = _detect_with_bar(record, detector)
    if to_stdout:
        sys.stdout.write(beats_to_csv(found.beats, record.rate))
    elif out:
        source = SourceInfo(record.name, record.lead, record.unit, live=False)
        started = Started(source, record.rate, network.name, network.sha256, detector.delay_ms)
        write_beats(out, found.beats, record.rate, events=[started], overwrite=force)
    summary = to_json(record, detector, found) | {"out": str(out) if out else None}
    if plot:
        plot_detection(record, found.beats, plot, title=to_text(summary | {"out": None}).rpartition(", ")[0])
    typer.echo(json.dumps(summary) if as_json else to_text(summary), err=to_stdout)


def detect_record(record: Record, detector: Detector, progress: Callable[[float], None] | None = None) -> Detection:
    """Find the beats of a recording; `progress` is told the seconds of signal that are done."""
    from streamqrs.types import Beat, Gap, Quality

    begun = time.perf_counter()
    step = round(STEP_S * record.rate)
    events: list[Beat | Gap | Quality] = []
    for start in range(0, len(record.samples), step):
        events += detector.events(record.samples[start : start + step])
        if progress:
            progress(min(start + step, len(record.samples)) / record.rate)
    events += detector.flush()
    wall_s = time.perf_counter() - begun
    beats = [event for event in events if isinstance(event, Beat)]
    return Detection(beats, [event for event in events if isinstance(event, Gap)], wall_s)


def to_json(record: Record, detector: Detector, found: Detection) -> dict[str, Any]:
    """Summary as JSON-ready values."""
    model, pulse = detector.model, found.heart_rate
    return {
        "record": record.name,
        "lead": record.lead,
        "rate": record.rate,
        "duration_s": round(record.duration_s, 3),
        "beats": len(found.beats),
        "mean_heart_rate": None if pulse is None else round(pulse, 2),
        "gaps": len(found.gaps),
        "missing_s": round(sum(gap.duration_s for gap in found.gaps), 3),
        "model": model.name,
        "model_alias": model.alias or None,
        "model_sha256": model.sha256,
        "times_real_time": round(record.duration_s / found.wall_s, 1),
    }


def to_text(summary: dict[str, Any]) -> str:
    """Summary in one line, or two."""
    pulse, lead, alias = summary["mean_heart_rate"], summary["lead"], summary["model_alias"]
    parts = [
        f"{summary['record']}: {summary['beats']} beats in {summary['duration_s']:.1f} s"
        + (f" of {lead}" if lead else "")
    ]
    if pulse is not None:
        parts.append(f"mean heart rate {pulse:.1f}/min")
    if summary["gaps"]:
        parts.append(f"{summary['gaps']} gap{'s' * (summary['gaps'] != 1)} ({summary['missing_s']:.1f} s)")
    parts.append(f"model {summary['model']}" + (f" (for {alias})" if alias else ""))
    parts.append(f"{summary['times_real_time']:,.0f} × real time")
    line = ", ".join(parts)
    return line if summary["out"] in {None, "-"} else f"{line}\nwritten to {summary['out']}"


def _detect_with_bar(record: Record, detector: Detector) -> Detection:
    """Show a progress bar on stderr if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(record.name, total=record.duration_s)
        return detect_record(record, detector, lambda done_s: bar.update(task, completed=done_s))
