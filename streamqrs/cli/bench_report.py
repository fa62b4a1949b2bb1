"""What ``streamqrs bench`` says of its measurements: JSON-ready values, and tables."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from streamqrs.cli import tables
from streamqrs.cli.tables import decimal, percent

if TYPE_CHECKING:
    from streamqrs.benchmarks.lookahead import Point
    from streamqrs.metrics import Score

Result = dict[str, Any]

QUANTILES = (0.05, 0.5, 0.95, 0.99)
HIDDEN = ("--json", "--out")
WORST = 5
"""Records with most errors that are named."""


def result(bench: str, **figures: Any) -> Result:
    """Figures with what they were measured on, and the command that repeats them."""
    from streamqrs.benchmarks.machine import this_machine

    return {"bench": bench, "command": _command(sys.argv[1:]), "machine": asdict(this_machine())} | figures


def publish(given: Result, out: Path | None, as_json: bool) -> None:
    """Write a result to OUT/BENCH.json, and print it where that is asked for."""
    text = json.dumps(given, indent=1, allow_nan=False)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{given['bench']}.json").write_text(text + "\n")
    if as_json:
        typer.echo(text)


def score_json(score: Score) -> Result:
    """Counts, F1 in %, and quantiles, mean and standard deviation of the offsets in ms; None where there is none."""
    quantiles = {f"p{100 * q:g}_ms": score.quantile_ms(q) for q in QUANTILES}
    figures = {"se": score.se, "ppv": score.ppv, "f1": score.f1, **quantiles}
    figures |= {"mean_ms": score.bias_ms, "sd_ms": score.jitter_ms}
    counts = {"beats": score.beats, "false": score.fp, "missed": score.fn}
    return counts | {name: finite(value, 3) for name, value in figures.items()}


def point_json(point: Point) -> Result:
    """One look-ahead."""
    scores = {"all": score_json(point.triggers), "normal": score_json(point.normal), "marked": score_json(point.marked)}
    errors = {name: s.fp + s.fn for name, s in point.records.items() if s.fp + s.fn}
    worst = sorted(errors.items(), key=lambda pair: -pair[1])[:WORST]
    return {"lookahead_ms": point.lookahead_ms} | scores | {"worst": dict(worst)}


def finite(value: float, digits: int) -> float | None:
    """Rounded; None for NaN and infinity."""
    return round(float(value), digits) if math.isfinite(value) else None


def rounded(values: Mapping[str, float], digits: int = 4) -> dict[str, float | None]:
    """All of a mapping rounded."""
    return {name: finite(value, digits) for name, value in values.items()}


def show_latency(given: Result) -> None:
    """Print the curve, and wall time by stage."""
    heard = given["heard"]
    size = f"{heard['records']} records, {heard['beats']} beats, {heard['minutes']:.1f} min"
    rows = []
    for point in given["points"]:
        every, normal = point["all"], point["normal"]
        delays = [normal[key] for key in ("p5_ms", "p50_ms", "p95_ms", "p99_ms", "mean_ms", "sd_ms")]
        mark = "*" if point["lookahead_ms"] == given["chosen_ms"] else ""
        f1 = percent(_number(point["marked"]["f1"])), percent(_number(every["f1"]))
        counts = *f1, str(every["false"]), str(every["missed"])
        rows.append([f"{point['lookahead_ms']:g}{mark}", *counts, *(decimal(_number(d)) for d in delays),
                     decimal(_number(every["sd_ms"]))])  # fmt: skip
    head = ["ms", "F1, marks", "F1, R", "false", "missed", "p5", "p50", "p95", "p99", "mean", "sd", "sd all"]
    note = "* the model's own. Delay of normal beats after R in ms of source time; F1 of all beats, counts by R"
    title = f"triggers by look-ahead: {given['model']} on {given['data']}: {size}"
    if rows:
        tables.show(title, head, rows, note=note)
        (own,) = (point for point in given["points"] if point["lookahead_ms"] == given["chosen_ms"])
        if own["worst"]:
            typer.echo("most errors: " + ", ".join(f"{name} {count}" for name, count in own["worst"].items()))
    if wall := given["wall"]:
        rows = [[name, *(f"{spread[key]:.3f}" for key in SPREAD)] for name, spread in wall["stages"].items()]
        rows.append(["one push, all of it", *(f"{wall['push'][key]:.3f}" for key in SPREAD)])
        rows.append(["a push without a window", *(f"{wall['idle'][key]:.3f}" for key in SPREAD)])
        if wall["trigger"]:
            rows.append(["last sample in, trigger out", *(f"{wall['trigger'][key]:.3f}" for key in SPREAD)])
        pace = "in real time" if wall["paced"] else "as fast as it goes"
        title = (
            f"wall time in ms, sample by sample at {wall['rate']:g} Hz {pace}, {wall['push']['count']:.0f} decisions"
        )
        tables.show(title, ["stage", "mean", "p50", "p90", "p99", "p99.9", "max"], rows)


BUSY_S = 0.1
"""When this much signal waited for the detector, in s, the legs say nothing."""
SPREAD = ("mean", "p50", "p90", "p99", "p99_9", "max")


def show_journey(given: Result) -> None:
    """Print the distribution of arrivals, and where the time went."""
    arrivals = given["arrivals"]
    delays = [decimal(_number(arrivals[key])) for key in ("p5_ms", "p50_ms", "p95_ms", "p99_ms", "mean_ms", "sd_ms")]
    counts = str(arrivals["beats"]), str(arrivals["false"]), str(arrivals["missed"])
    title = (
        f"R to the trigger's arrival, {given['transport']} in, MQTT out, {given['rate']:g} Hz, chunk {given['chunk']}"
    )
    head = ["", "beats", "false", "missed", "p5", "p50", "p95", "p99", "mean", "sd"]
    tables.show(title, head, [["ms after R", *counts, *delays]])
    tables.show(
        "where the mean went", ["leg", "ms"], [[leg, decimal(_number(ms))] for leg, ms in given["legs_ms"].items()]
    )
    share = given["run_cpu"]
    if given["lag_max_s"] > BUSY_S or given["dropped"]:
        print(
            f"too busy a machine: up to {given['lag_max_s']:.1f} s of signal waited, {given['dropped']} samples dropped"
        )
    print(f"streamqrs run took {100 * share:.1f} % of a core" if share is not None else "CPU time is not known here")


def show_throughput(given: Result) -> None:
    """Print speed, costs and memory."""
    rows = []
    for o in given["offline"]:
        name = f"{o['hours']:g} h, {o['threads']} thread{'s' * (o['threads'] != 1)}"
        speed = f"{o['times_real_time']:,.0f}", f"{o['times_per_core']:,.0f}"
        rows.append([name, f"{o['wall_s']:.1f}", f"{o['cpu_s']:.1f}", *speed])
    tables.show("offline", ["recording", "wall s", "CPU s", "× real time", "× per core"], rows)
    rows = [
        [
            f"gate {'on' if o['gate'] else 'off'}, decides every {o['hop_ms']:g} ms",
            f"{100 * o['share']:.2f}",
            str(o["streams"]),
        ]
        for o in given["live"]
    ]
    tables.show("one live stream", ["stream", "% of a core", "streams a core holds"], rows)
    tables.show("peak memory", ["process", "MB"], [[name, f"{mb:.0f}"] for name, mb in given["memory_mb"].items()])


def show_accuracy(given: Result) -> None:
    """Print scores."""
    rows = []
    for row in given["rows"]:
        s = row["score"]
        figures = [percent(_number(s[key])) for key in ("se", "ppv", "f1")]
        timing = decimal(_number(s["mean_ms"])), decimal(_number(s["sd_ms"]))
        worst = f"{row['worst_f1']:.2f} ({row['worst']})" if row["worst"] else "-"
        name = f"{row['data']} {row['group']}".strip()
        rows.append([row["model"], name, f"{row['tolerance_ms']:g}", str(s["beats"]), *figures, worst, *timing])
    head = ["model", "data", "ms", "beats", "Se", "PPV", "F1", "worst record", "bias ms", "sd ms"]
    tables.show("confirmed beats", head, rows)


def show_peers(given: Result) -> None:
    """Print scores of all detectors, group by group."""
    heard = given["heard"]
    groups = dict.fromkeys(group for row in given["rows"] for group in row["groups"])
    for group in groups:
        rows = []
        for row in given["rows"]:
            if not row["groups"]:
                continue
            at = row["groups"][group]
            figures = [percent(_number(at[ms]["f1"])) for ms in ("75", "150")]
            both = percent(_number(at["75"]["se"])), percent(_number(at["75"]["ppv"]))
            timing = decimal(_number(at["150"]["mean_ms"])), decimal(_number(at["150"]["sd_ms"]))
            rows.append([row["name"], row["version"], *figures, *both, *timing, f"{row['times_per_core']:,.0f}"])
        head = ["detector", "version", "F1 75", "F1 150", "Se 75", "PPV 75", "bias ms", "sd ms", "× real time"]
        size = f"{heard['records']} records, {heard['minutes']:.0f} min"
        tables.show(f"{given['data']} {group}".strip() + f": {size}, one core", head, rows)
    for row in given["rows"]:
        if not row["version"]:
            typer.echo(f"{row['name']}: not installed (pip install {row['package']})")
        for record, error in list(row["failed"].items())[:1]:
            typer.echo(f"{row['name']}: failed on {len(row['failed'])} records, on {record} with {error}")
    rows = []
    for name, s in given["live"].items():
        delays = [decimal(_number(s[key])) for key in ("p5_ms", "p50_ms", "p95_ms", "mean_ms", "sd_ms")]
        rows.append([name, percent(_number(s["f1"])), str(s["false"]), str(s["missed"]), *delays])
    if rows:
        head = ["live", "trigger F1", "false", "missed", "p5", "p50", "p95", "mean", "sd"]
        tables.show("triggers, delay after R in ms of source time", head, rows)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _command(arguments: list[str]) -> str:
    """The command as it was typed, without where the result went, and of paths only the last part."""
    kept: list[str] = []
    skip = False
    for word in arguments:
        if skip:
            skip = False
        elif word in HIDDEN:
            skip = word == "--out"
        elif not word.startswith("--out="):
            kept.append(f".../{Path(word).name}" if Path(word).is_absolute() else word)
    return shlex.join(["streamqrs", *kept])
