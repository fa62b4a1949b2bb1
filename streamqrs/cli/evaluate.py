"""``streamqrs evaluate``: scores of a model on annotated records."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from streamqrs.cli import gating, tables
from streamqrs.cli.tables import decimal, percent
from streamqrs.metrics import pooled

if TYPE_CHECKING:
    from streamqrs.metrics import Score
    from streamqrs.scores import Evaluation, RecordScore

QUANTILES = (0.05, 0.5, 0.95, 0.99)


def command(
    data: Annotated[
        str,
        typer.Option(
            help="mitdb:test, mitdb:train, nstdb, ludb:val, ludb:test, qtdb, or a folder, list or recording.",
            show_default=False,
        ),
    ],
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a model's folder or file.")] = "mri",
    tolerance_ms: Annotated[
        list[float] | None,
        typer.Option(
            "--tolerance-ms",
            help="How far a detection may lie from a mark; may be repeated, the first is the main one.  "
            "[default: 75, in nstdb 150; 50, 75 and 150 beside it]",
        ),
    ] = None,
    by: Annotated[
        Literal["record", "noise", "rhythm"] | None, typer.Option(help="Break the figures down.", show_default=False)
    ] = None,
    gate: Annotated[bool, typer.Option("--gate", help="Score triggers, too (many times slower).")] = False,
    gate_depth: Annotated[
        int | None, typer.Option(help="Look-ahead of the gate, samples of 4 ms.  [default: the model's]")
    ] = None,
    gate_threshold: Annotated[
        float | None, typer.Option(help="Probability that gives a trigger.  [default: the model's]")
    ] = None,
    align: Annotated[
        float | None, typer.Option(help="Hold triggers until so many ms after R, as `run --align` does.")
    ] = None,
    lead: Annotated[str | None, typer.Option(help="Lead, by label or index.  [default: the data set's]")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the scores: a file .png or .svg.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the drawing if it is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON, those of every record, too.")] = False,
) -> None:
    """Score a model: the streaming detector against annotators' marks, one to one, nearest first."""
    from streamqrs.evaluation import TOLERANCES_MS, TRIGGER_S, evaluate
    from streamqrs.plots import check_plot, plot_evaluation

    settings, _ = gating.read(gate, depth=gate_depth, threshold=gate_threshold, align=align)
    latest_ms = 1000 * TRIGGER_S[1]  # no later trigger is a true one
    if align is not None and not 0 <= align <= latest_ms:
        raise typer.BadParameter(f"--align is {align:g}: allowed are 0 to {latest_ms:g} ms")
    if plot:
        check_plot(plot, overwrite=force)
    result = evaluate(
        model,
        data,
        tolerances_ms=tolerance_ms or TOLERANCES_MS,
        main_ms=tolerance_ms[0] if tolerance_ms else None,
        by=by,
        gate=gate,
        settings=settings,
        align_ms=align,
        lead=lead,
        progress=_progress,
    )
    if plot:
        plot_evaluation(result, plot)
    if as_json:
        typer.echo(json.dumps(to_json(result)))
    else:
        show(result, by)


def show(result: Evaluation, by: str | None) -> None:
    """Print tables."""
    counted = sum(record.counted for record in result.records)
    size = f"{counted} record{'s' * (counted != 1)}, {result.pooled().beats} beats"
    title = f"{result.model} {result.version} on {result.data}: {size}"
    rows = []
    for tolerance in result.tolerances_ms:
        total, worst = result.pooled(tolerance), result.worst(tolerance)
        figures = total.se, total.ppv, total.f1, *(result.mean(figure, tolerance) for figure in (_se, _ppv, _f1))
        mark = "*" if tolerance == result.main_ms else " "
        lowest = percent(worst.scores[tolerance].f1)
        rows.append([f"{tolerance:g} ms{mark}", *map(percent, figures), lowest, worst.name])
    head = ["within", "Se", "PPV", "F1", "mean Se", "mean PPV", "mean F1", "worst F1", "record"]
    tables.show(title, head, rows, note=f"* main figure. {result.note}".strip())
    total = result.pooled()
    print(f"{total.tp} beats found, {total.fn} missed, {total.fp} false detections within {result.main_ms:g} ms")
    print(f"R peak found {decimal(total.bias_ms)} ± {decimal(total.jitter_ms)} ms after the reference (mean ± sd)")
    parts: dict[str, Score] = {}
    if by == "record":
        parts = {record.name: record.scores[result.main_ms] for record in result.records}
    elif by == "rhythm":
        parts = result.rhythms()
    elif by == "noise" and result.scanners():
        show_scanners(result)
    elif by == "noise":
        parts = result.groups()
    if parts:
        rows = [
            [name, *map(str, (s.beats, s.fn, s.fp)), *map(percent, (s.se, s.ppv, s.f1)), *map(decimal, _timing(s))]
            for name, s in parts.items()
        ]
        head = [str(by), "beats", "missed", "false", "Se", "PPV", "F1", "bias ms", "sd ms"]
        tables.show(f"within {result.main_ms:g} ms, by {by}", head, rows)
    triggers, normal = result.triggers(), result.triggers(normal=True)
    if triggers and normal:
        rows = [_trigger_row("all beats", triggers), _trigger_row("normal beats", normal)]
        head = ["triggers", "missed", "false", "F1", *(f"p{100 * q:g}" for q in QUANTILES), "mean", "sd"]
        held = f", held until R + {result.align_ms:g} ms" if result.align_ms is not None else ""
        tables.show(f"triggers{held}, delay from R in ms of source time", head, rows)


def show_scanners(result: Evaluation) -> None:
    """Print a table of the virtual scanners, and one of the families of noise, the worst first."""

    def cells(name: str, records: list[RecordScore]) -> list[str]:
        s = pooled(record.scores[result.main_ms] for record in records)
        return [name, *map(str, (len(records), s.beats, s.fn, s.fp)), *map(percent, (s.se, s.ppv, s.f1))]

    head = ["records", "beats", "missed", "false", "Se", "PPV", "F1"]
    rows = [cells(name, records) for name, records in result.scanners().items()]
    tables.show(f"within {result.main_ms:g} ms, by scanner", ["scanner", *head], rows)
    rows = [[*cells(name, having), cells(name, others)[-1]] for name, (having, others) in result.families().items()]
    rows.sort(key=lambda row: float(row[7]) if row[7] != "-" else math.inf)
    title = f"within {result.main_ms:g} ms, by family of noise; most records have several"
    tables.show(title, ["family", *head, "F1 of the others"], rows)


def to_json(result: Evaluation) -> dict[str, Any]:
    """Figures as JSON-ready values; percentages and ms; None where there is none."""
    overall = {}
    for tolerance in result.tolerances_ms:
        worst = result.worst(tolerance)
        overall[f"{tolerance:g}"] = {
            "pooled": _score_json(result.pooled(tolerance)),
            "mean": {
                name: _finite(result.mean(figure, tolerance))
                for name, figure in {"se": _se, "ppv": _ppv, "f1": _f1}.items()
            },
            "worst": {"record": worst.name, "f1": _finite(worst.scores[tolerance].f1)},
        }
    triggers, normal = result.triggers(), result.triggers(normal=True)
    return {
        "model": result.model,
        "version": result.version,
        "sha256": result.sha256,
        "data": result.data,
        "note": result.note,
        "main_ms": result.main_ms,
        "tolerance_ms": overall,
        "noise": {name: _score_json(s) for name, s in result.groups().items() if name},
        "scanner": {
            name: _score_json(pooled(r.scores[result.main_ms] for r in records))
            for name, records in result.scanners().items()
        },
        "family": {
            name: _score_json(pooled(r.scores[result.main_ms] for r in having)) | {"records": len(having)}
            for name, (having, _) in result.families().items()
        },
        "rhythm": {name: _score_json(s) for name, s in result.rhythms().items()},
        "triggers": _score_json(triggers) if triggers else None,
        "normal_triggers": _score_json(normal) if normal else None,
        "records": [
            {"record": r.name, "lead": r.lead, "counted": r.counted, "duration_s": _finite(r.duration_s)}
            | {"tolerance_ms": {f"{t:g}": _score_json(s) for t, s in r.scores.items()}}
            | ({"triggers": _score_json(r.triggers)} if r.triggers else {})
            for r in result.records
        ],
    }


def _timing(s: Score) -> tuple[float, float]:
    return s.bias_ms, s.jitter_ms


def _trigger_row(name: str, s: Score) -> list[str]:
    delays = [s.quantile_ms(q) for q in QUANTILES]
    return [name, str(s.fn), str(s.fp), percent(s.f1), *map(decimal, (*delays, *_timing(s)))]


def _score_json(s: Score) -> dict[str, Any]:
    quantiles = {f"p{100 * q:g}_ms": _finite(s.quantile_ms(q)) for q in QUANTILES}
    counts = {"beats": s.beats, "tp": s.tp, "fp": s.fp, "fn": s.fn}
    figures = {"se": s.se, "ppv": s.ppv, "f1": s.f1, "bias_ms": s.bias_ms, "jitter_ms": s.jitter_ms}
    return counts | {name: _finite(value) for name, value in figures.items()} | quantiles


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _progress(name: str, done: int, total: int) -> None:
    end, start = ("", "\r\x1b[2K") if sys.stderr.isatty() else ("\n", "")
    typer.echo(f"{start}{done}/{total} {name}" + (start if done == total else "") + end, nl=False, err=True)


def _se(s: Score) -> float:
    return s.se


def _ppv(s: Score) -> float:
    return s.ppv


def _f1(s: Score) -> float:
    return s.f1
