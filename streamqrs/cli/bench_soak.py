"""``streamqrs bench soak``: a long run under random faults."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamqrs.cli import bench_report as report
from streamqrs.cli import tables

if TYPE_CHECKING:
    from streamqrs.benchmarks.soak import Soak


def command(
    seed: Annotated[int, typer.Option(help="Which patient, and which faults.")] = 0,
    hours: Annotated[float, typer.Option(help="Signal worked on as fast as can be, without triggers; 0: none.")] = 24.0,
    live_minutes: Annotated[float, typer.Option(help="Signal in real time, with triggers; 0: none.")] = 30.0,
    every: Annotated[float, typer.Option(help="Mean distance of two faults in s.")] = 60.0,
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a model's folder or file.")] = "mri",
    out: Annotated[Path | None, typer.Option(help="Folder for the figures as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Run the engine for hours under random faults, to see if anything is lost unsaid, left over, or growing.

    Exit code 1 if it is.
    """
    from streamqrs.benchmarks.soak import soak

    results = []
    if hours:
        results.append(soak(seed, length_s=hours * 3600, every_s=every, model=model))
    if live_minutes:
        results.append(soak(seed, length_s=live_minutes * 60, live=True, gate=True, every_s=every, model=model))
    if not results:
        raise ValueError("--hours and --live-minutes are 0: allowed is one of them")
    report.publish(report.result("soak", model=model, soaks=[to_json(soak) for soak in results]), out, as_json)
    if not as_json:
        show(results)
    if not all(result.sound for result in results):
        sys.exit(1)


def to_json(result: Soak) -> dict[str, Any]:
    """All of a soak, with ``sound``, and ``became``: what became of each kind of fault."""
    return asdict(result) | {"sound": result.sound, "became": became(result)}


def became(result: Soak) -> dict[str, dict[str, Any]]:
    """Faults by kind: ``count``, ``gaps``, ``quality`` events, and ``back_max_s``, the slowest return of beats."""
    kinds: dict[str, dict[str, Any]] = {}
    for fault in result.faults:
        row = kinds.setdefault(fault["kind"], {"count": 0, "gaps": 0, "quality": 0, "back_max_s": 0.0})
        row["count"] += 1
        row["gaps"] += sum(n for what, n in fault["said"].items() if what.startswith("gap"))
        row["quality"] += sum(n for what, n in fault["said"].items() if what.startswith("quality"))
        row["back_max_s"] = max(row["back_max_s"], fault["back_s"] or 0.0)
    return dict(sorted(kinds.items()))


def show(results: list[Soak]) -> None:
    """Print the soaks, and the faults by kind."""
    rows = [
        [
            "live" if r.live else "fast", f"{r.signal_s / 3600:.2f}", f"{r.wall_s / 3600:.2f}", str(len(r.faults)),
            str(r.unaccounted), str(r.gaps), f"{r.missed}/{r.clean_beats}", str(r.false), str(r.disorder),
            f"{r.growth_mb:+.1f}", str(len(r.tasks_left) + len(r.threads_left)), "yes" if r.sound else "NO",
        ]
        for r in results
    ]  # fmt: skip
    head = ["", "h", "wall h", "faults", "lost unsaid", "gaps", "missed", "false", "disorder", "MB", "left", "sound"]
    note = (
        "missed and false: beats outside faults and 4 s after them; left: tasks and threads; MB: growth after warm-up"
    )
    tables.show("soak", head, rows, note=note)
    for result in results:
        kinds = [
            [kind, str(row["count"]), str(row["gaps"]), str(row["quality"]), f"{row['back_max_s']:.2f}"]
            for kind, row in became(result).items()
        ]
        title = "faults, live" if result.live else "faults, fast"
        tables.show(title, ["", "times", "gaps", "quality", "slowest return, s"], kinds)
