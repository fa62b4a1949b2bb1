"""``streamqrs bench engine``: the engine's own wall time, and how exactly aligned triggers leave."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamqrs.cli import bench_report as report
from streamqrs.cli import tables

if TYPE_CHECKING:
    from streamqrs.benchmarks.engine_walls import EngineWalls


def command(
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a model's folder or file.")] = "mri",
    seconds: Annotated[float, typer.Option(help="Length of each of the two feeds.")] = 60.0,
    rate: Annotated[float, typer.Option(help="Rate of the device in Hz.")] = 1000.0,
    chunk: Annotated[int, typer.Option(help="Samples that it sends at a time.")] = 1,
    align: Annotated[float, typer.Option(help="ms after R at which the second feed's triggers leave; 0: none.")] = 60.0,
    realtime: Annotated[bool, typer.Option("--realtime", help="Ask for real-time priority, as `run` does.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the figures as JSON, and for the picture.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Wall time from the last sample in to the trigger out, live; how exactly --align holds."""
    from streamqrs.benchmarks.engine_walls import measure_engine
    from streamqrs.cli.gating import ask_for_realtime
    from streamqrs.model import load

    network = load(model)
    granted = ask_for_realtime() if realtime else []
    for line in granted:
        typer.echo(line, err=True)
    at_once = measure_engine(network, seconds=seconds, rate=rate, chunk=chunk)
    aligned = measure_engine(network, seconds=seconds, rate=rate, chunk=chunk, align_ms=align) if align else None
    given = report.result(
        "engine", model=network.name, sha256=network.sha256, rate=rate, chunk=chunk, seconds=seconds, realtime=granted,
        at_once=_json(at_once), aligned=aligned and _json(aligned),
    )  # fmt: skip
    report.publish(given, out, as_json)
    if not as_json:
        show(given)
    if out is not None and len(at_once.response_ms):
        from streamqrs.benchmarks.pictures import draw_delays

        title = f"the engine alone, {network.name}: {rate:g} Hz, chunks of {chunk}"
        label = "last sample in, trigger out, ms of wall time"
        draw_delays(at_once.response_ms, out / "engine.png", title=title, xlabel=label, bin_ms=0.02)


def show(given: report.Result) -> None:
    """Print wall times of triggers."""
    at_once, aligned = given["at_once"], given["aligned"]
    if not at_once["response"]:
        typer.echo("no trigger left the engine")
        return
    rows = [["last sample in, trigger out", *(f"{at_once['response'][key]:.3f}" for key in report.SPREAD)]]
    title = f"the engine's own wall time in ms, {given['rate']:g} Hz live, {at_once['response']['count']:.0f} triggers"
    tables.show(title, ["", "mean", "p50", "p90", "p99", "p99.9", "max"], rows)
    rows = [[name, *(f"{q[key]:.3f}" for key in ("mean", "p50", "p95", "p99", "max"))]
            for name, q in at_once["stages"].items()]  # fmt: skip
    tables.show("of which", ["", "mean", "p50", "p95", "p99", "max"], rows)
    if aligned and aligned["off"]:
        off = aligned["off"]
        typer.echo(
            f"aligned to R + {aligned['align_ms']:g} ms: {off['count']:.0f} sent, {off['p50']:.3f} ms after their time "
            f"(p99 {off['p99']:.3f}, max {off['max']:.3f}), {aligned['late']} late and not sent"
        )


def _json(walls: EngineWalls) -> report.Result:
    from streamqrs.benchmarks.stages import Spread

    spreads = {
        name: report.rounded(asdict(Spread.of(ms))) if len(ms) else None
        for name, ms in (("response", walls.response_ms), ("off", walls.off_ms))
    }
    if walls.align_ms is None:
        del spreads["off"]
    else:
        del spreads["response"]
    stages = {name: report.rounded(asdict(quantiles)) for name, quantiles in walls.stages.items()}
    return {"align_ms": walls.align_ms, "late": walls.late, "stages": stages} | spreads
