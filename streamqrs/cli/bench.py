"""``streamqrs bench``: how fast, how early and how right it is, on this machine."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from streamqrs.cli import bench_engine, bench_soak
from streamqrs.cli import bench_report as report

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

Model = Annotated[str, typer.Option(help="Name of a shipped model, or a model's folder or file.")]
Data = Annotated[str, typer.Option(help="mitdb:test, nstdb, ludb:test ..., sim (virtual patients), or a folder.")]
Records = Annotated[str | None, typer.Option(help="Only these records: names with commas between.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the figures as JSON, and for pictures.")]
Json = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]


@app.callback()
def group() -> None:
    """Measure latency, throughput and accuracy, alone and beside others; each part also alone."""


@app.command()
def latency(
    model: Model = "mri",
    data: Data = "mitdb:test",
    minutes: Annotated[float, typer.Option(help="How much of each record is heard.")] = 2.0,
    records: Records = None,
    seconds: Annotated[float, typer.Option(help="Length of the feed for wall times; 0: none.")] = 30.0,
    curve: Annotated[bool, typer.Option("--curve/--no-curve", help="Delay and F1 by look-ahead.")] = True,
    paced: Annotated[bool, typer.Option("--paced/--unpaced", help="Feed samples in real time for wall times.")] = True,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Delay and jitter of triggers after R by look-ahead, against their F1; wall time by stage."""
    from streamqrs.benchmarks.lookahead import LOOKAHEADS_MS, Heard, Point, lookahead_curve
    from streamqrs.benchmarks.stages import Spread, measure_stages
    from streamqrs.benchmarks.subjects import subjects
    from streamqrs.model import load
    from streamqrs.settings import Settings
    from streamqrs.types import RATE

    network = load(model)
    settings = Settings.of(network.settings)
    chosen_ms = settings.gate_depth / RATE * 1000
    heard, points = Heard(0, 0, 0.0), list[Point]()
    if curve:
        lookaheads = sorted({*LOOKAHEADS_MS, chosen_ms})
        leads = subjects(data, minutes=minutes, records=_names(records))
        heard, points = lookahead_curve(network, leads, lookaheads, progress=_say)
    walls = measure_stages(network, seconds=seconds, paced=paced) if seconds else None
    wall = walls and {
        "rate": walls.rate, "seconds": walls.seconds, "paced": walls.paced,
        "trigger": report.rounded(asdict(Spread.of(walls.trigger_ms))) if len(walls.trigger_ms) else None,
        "push": report.rounded(asdict(Spread.of(walls.push_ms))),
        "idle": report.rounded(asdict(Spread.of(walls.idle_ms))),
        "stages": {name: report.rounded(asdict(Spread.of(ms))) for name, ms in walls.stages_ms.items()},
    }  # fmt: skip
    given = report.result(
        "latency", model=network.name, sha256=network.sha256, data=data, minutes_each=minutes, chosen_ms=chosen_ms,
        settings=asdict(settings), heard=asdict(heard), points=[report.point_json(p) for p in points], wall=wall,
    )  # fmt: skip
    report.publish(given, out, as_json)
    if not as_json:
        report.show_latency(given)
    if out is not None:
        from streamqrs.benchmarks import pictures

        if points:
            title = f"{network.name} on {data}: triggers by look-ahead"
            pictures.draw_lookahead(given["points"], out / "latency_curve.png", title=title, chosen_ms=chosen_ms)
            (own,) = (point.normal for point in points if point.lookahead_ms == chosen_ms)
            title = f"{network.name} on {data}, normal beats, look-ahead {chosen_ms:g} ms"
            if len(own.offsets_ms):
                pictures.draw_delays(own.offsets_ms, out / "latency_delays.png", title=title)
        if walls:
            title = f"wall time of a decision, {network.name}"
            pictures.draw_stages(walls.stages_ms, walls.push_ms, out / "latency_stages.png", title=title)


@app.command("end-to-end")
def end_to_end(
    transport: Annotated[Literal["lsl", "mqtt"], typer.Option(help="The way in; the way out is MQTT.")] = "lsl",
    seconds: Annotated[float, typer.Option(help="Length of the signal.")] = 60.0,
    model: Model = "mri",
    rate: Annotated[float, typer.Option(help="Rate of the source in Hz.")] = 1000.0,
    chunk: Annotated[int, typer.Option(help="Samples in a chunk of the sender.")] = 1,
    preset: Annotated[str, typer.Option(help="The room: none, ward, 1.5T, 3T, 7T.")] = "none",
    seed: Annotated[int, typer.Option(help="Which patient.")] = 4,
    broker: Annotated[str | None, typer.Option(help="HOST:PORT of a broker.  [default: mosquitto of our own]")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """From R in the virtual scanner to a subscriber in another process, and where each millisecond went."""
    from streamqrs.benchmarks.journey import travel

    if chunk < 1:
        raise ValueError(f"--chunk is {chunk}: allowed are 1 and more")
    journey = travel(
        transport,
        seconds=seconds,
        model=model,
        rate=rate,
        chunk=chunk,
        preset=preset,
        seed=seed,
        broker=_address(broker),
    )
    given = report.result(
        f"end-to-end-{transport}", model=model, transport=transport, rate=rate, chunk=chunk, seconds=seconds,
        preset=preset, arrivals=report.score_json(journey.arrivals), legs_ms=report.rounded(journey.legs_ms, 3),
        spreads_ms={name: report.rounded(spread, 3) for name, spread in journey.spreads_ms.items()},
        run_cpu=report.finite(journey.run_cpu, 4), lag_max_s=round(journey.lag_max_s, 3), dropped=journey.dropped,
    )  # fmt: skip
    report.publish(given, out, as_json)
    if not as_json:
        report.show_journey(given)
    if out is not None and len(journey.arrivals.offsets_ms):
        from streamqrs.benchmarks.pictures import draw_journey

        title = f"R to subscriber, {transport.upper()} in"
        path = out / f"end_to_end_{transport}.png"
        draw_journey(journey.legs_ms, journey.arrivals.offsets_ms, path, title=title)


@app.command()
def throughput(
    model: Model = "mri",
    hours: Annotated[float, typer.Option(help="Length of the recording that is worked through.")] = 2.0,
    seconds: Annotated[float, typer.Option(help="Length of the live streams.")] = 30.0,
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Peak memory, too.")] = True,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """× real time offline, live streams a core holds, memory."""
    from streamqrs.benchmarks.throughput import measure_live, measure_memory, measure_offline

    threads = sorted({1, os.cpu_count() or 1})
    offline = [measure_offline(model, hours=hours, threads=count) for count in threads]
    live = [measure_live(model, seconds=seconds, gate=gate) for gate in (True, False)]
    given = report.result(
        "throughput", model=model,
        offline=[
            asdict(o) | {"times_real_time": round(o.times_real_time, 1), "times_per_core": round(o.times_per_core, 1)}
            for o in offline
        ],
        live=[asdict(o) | {"share": round(o.share, 5), "streams": o.streams} for o in live],
        memory_mb=report.rounded(measure_memory(model), 1) if memory else {},
    )  # fmt: skip
    report.publish(given, out, as_json)
    if not as_json:
        report.show_throughput(given)


@app.command()
def accuracy(
    model: Annotated[list[str] | None, typer.Option(help="May be repeated.  [default: mri and base]")] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="May be repeated.  [default: mitdb:test, ludb:test, nstdb]")
    ] = None,
    records: Records = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Confirmed beats against annotators' marks, for several models and data sets."""
    from streamqrs.benchmarks.accuracy import SETS, measure_accuracy

    rows = [
        row
        for name in model or ("mri", "base")
        for row in measure_accuracy(name, data or SETS, records=_names(records), progress=lambda name, *_: _say(name))
    ]
    given = report.result("accuracy", rows=[
        {"model": row.model, "data": Path(row.data).name, "group": row.group, "tolerance_ms": row.tolerance_ms,
         "records": row.records, "score": report.score_json(row.score), "worst": row.worst,
         "worst_f1": report.finite(row.worst_f1, 3)}
        for row in rows
    ])  # fmt: skip
    report.publish(given, out, as_json)
    if not as_json:
        report.show_accuracy(given)


@app.command()
def peers(
    model: Model = "mri",
    data: Data = "mitdb:test",
    minutes: Annotated[float, typer.Option(help="How much of each record is heard.")] = 5.0,
    records: Records = None,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Triggers of the gate and of a live recipe.")] = True,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The same records through other detectors: F1 and × real time, matched alike in one run."""
    from streamqrs.benchmarks.live_peer import compare_live
    from streamqrs.benchmarks.peers import compare
    from streamqrs.benchmarks.peers import peers as all_peers
    from streamqrs.benchmarks.subjects import subjects
    from streamqrs.model import load

    network = load(model)
    heard = list(subjects(data, minutes=minutes, records=_names(records)))
    results = compare(heard, all_peers(network), progress=_say)
    triggers = compare_live(network, heard) if live else {}
    name = Path(data).name.partition(":")[0]
    size = {"records": len(heard), "minutes": round(sum(s.record.duration_s for s in heard) / 60, 2)}
    given = report.result(
        f"peers-{name}", model=network.name, sha256=network.sha256, data=Path(data).name, heard=size,
        rows=[
            {"name": r.peer.name, "package": r.peer.package, "version": r.peer.version, "licence": r.peer.licence,
             "times_per_core": report.finite(r.times_per_core, 1), "failed": r.failed,
             "groups": {g: {f"{ms:g}": report.score_json(s) for ms, s in by.items()} for g, by in r.scores.items()}}
            for r in results
        ],
        live={name: report.score_json(score) for name, score in triggers.items()},
    )  # fmt: skip
    report.publish(given, out, as_json)
    if not as_json:
        report.show_peers(given)
    if out is not None:
        from streamqrs.benchmarks.pictures import draw_peers
        from streamqrs.metrics import pooled

        drawn = [(r.peer.name, pooled(by[150.0] for by in r.scores.values()).f1, r.times_per_core)
                 for r in results if r.scores]  # fmt: skip
        draw_peers(drawn, out / f"peers_{name}.png", title=f"{Path(data).name}, within 150 ms")


app.command("engine")(bench_engine.command)
app.command("soak")(bench_soak.command)


def _names(records: str | None) -> list[str] | None:
    return None if records is None else [name.strip() for name in records.split(",") if name.strip()]


def _address(broker: str | None) -> tuple[str, int] | None:
    if broker is None:
        return None
    host, _, port = broker.removeprefix("mqtt://").partition(":")
    if not host or not (port or "1883").isdigit():
        raise ValueError(f"--broker is {broker!r}: allowed is HOST:PORT")
    return host, int(port or 1883)


def _say(name: str) -> None:
    """Progress on stderr: drawn over on a terminal, a line each elsewhere."""
    if sys.stderr.isatty():
        typer.echo(f"\r\x1b[2K{name}\r", nl=False, err=True)
    else:
        typer.echo(name, err=True)
