"""``streamqrs finetune``: a model for recordings of your own, from one that there is."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from streamqrs.cli import tables
from streamqrs.cli.progress import Nothing, shown
from streamqrs.cli.tables import decimal, percent
from streamqrs.errors import MissingExtra

if TYPE_CHECKING:
    from streamqrs.training.outcome import Outcome
    from streamqrs.training.recipe import TransferSettings

NONE = "none"


def command(
    data: Annotated[
        Path,
        typer.Option(
            help="Folder or list of annotated recordings, or a folder with finetune, validation and test.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the new model; must not be there.", show_default=False)],
    base: Annotated[str, typer.Option(help="Model to start from: a name, or a model's folder or file.")] = "mri",
    validation: Annotated[
        Path | None, typer.Option(help="Recordings to choose by.  [default: some patients of the data]")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Recordings that are only scored.  [default: some patients of the data]")
    ] = None,
    lead: Annotated[str | None, typer.Option(help="Lead of the recordings, by label or index.")] = None,
    records: Annotated[int | None, typer.Option(help="Train on so many of the recordings.")] = None,
    preset: Annotated[str, typer.Option(help="default, or seed: the method of the slides.")] = "default",
    freeze: Annotated[str, typer.Option(help="Layers that stay as they are: a number, encoder, or none.")] = NONE,
    lr: Annotated[
        float | None,
        typer.Option(help="Learning rate at its highest.  [default: 0.0003, of new weights and with seed 0.001]"),
    ] = None,
    lr_decay: Annotated[float, typer.Option(help="Each layer learns at so much of the rate of the one above.")] = 1.0,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Begin with new weights.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Times through the data.  [default: 40, with seed 30]")] = None,
    steps: Annotated[int | None, typer.Option(help="Batches of 64 windows, in place of epochs.")] = None,
    scanner: Annotated[
        str | None,
        typer.Option(
            help="Virtual scanner that ordinary ECG is taken into: mixture, 1.5T, 3T, 7T, or none.  "
            "[default: mixture, with seed none]"
        ),
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(help="Folder with ordinary ECG, against forgetting, or none.  [default: STREAMQRS_DATA]"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model.  [default: that of the folder]")] = None,
    seed: Annotated[int, typer.Option(help="Of the split and of training: same seed, same model.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    precision: Annotated[
        str, typer.Option(help="float32, or bfloat16: up to twice as fast where the processor has it.")
    ] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Fine-tune a model on your recordings; started again after Ctrl-C, it goes on where it was."""
    try:
        from streamqrs.training.curves import check_matplotlib
        from streamqrs.training.place import find_place
        from streamqrs.training.plan import check_out, make_plan
        from streamqrs.training.recipe import TransferSettings
        from streamqrs.training.transfer import transfer
    except ModuleNotFoundError as error:
        raise MissingExtra.of(error.name or "torch", "train") from error
    check_matplotlib()
    settings = TransferSettings(
        preset=preset,
        freeze=_freeze(freeze),
        learning_rate=lr,
        decay=lr_decay,
        from_scratch=from_scratch,
        epochs=epochs,
        steps=steps,
        scanner=scanner,
        seed=seed,
        threads=threads,
        precision=precision,
    )
    name = name or out.name
    check_out(out, name)
    ordinary = _ordinary(replay)
    try:
        with find_place() as place, shown() as bar:
            show = bar if place.first else Nothing()
            plan = make_plan(
                data,
                base,
                settings,
                validation=validation,
                test=test,
                lead=lead,
                records=records,
                replay=ordinary,
                say=show.say,
            )
            for note in plan.parts.notes:
                show.note(note)
            line = command_of(base, name, settings, records, data_parts=[bool(validation), bool(test)])
            outcome = transfer(plan, out, name=name, command=line, progress=show.move, say=show.say, place=place)
    except KeyboardInterrupt:
        typer.echo("stopped: the same command goes on from the last checkpoint", err=True)
        raise
    if outcome is None:
        return
    if as_json:
        typer.echo(json.dumps(to_json(outcome, out)))
    else:
        show_outcome(outcome, out)


def command_of(base: str, name: str, settings: TransferSettings, records: int | None, *, data_parts: list[bool]) -> str:
    """Command line that makes a model again, without the paths of this machine."""
    words = ["streamqrs finetune", f"--base {base}" if base.isidentifier() else "--base BASE", "--data DATA"]
    words += [text for given, text in zip(data_parts, ("--validation VALIDATION", "--test TEST"), strict=True) if given]
    words += [f"--records {records}"] if records is not None else []
    words.append(f"--preset {settings.preset}")
    given = {
        "--freeze": settings.freeze if settings.freeze != NONE else None,
        "--lr": settings.learning_rate,
        "--lr-decay": settings.decay if settings.decay != 1 else None,
        "--epochs": settings.epochs,
        "--steps": settings.steps,
        "--scanner": settings.scanner,
        "--precision": settings.precision if settings.precision != "float32" else None,
    }
    words += [f"{option} {value}" for option, value in given.items() if value is not None]
    words += ["--from-scratch"] if settings.from_scratch else []
    return " ".join([*words, f"--seed {settings.seed} --threads {settings.threads} --out {name}"])


def show_outcome(outcome: Outcome, out: Path) -> None:
    """Print the table of before and after, and where all is."""
    rows = []
    for part in outcome.scores:
        for model, score in ((outcome.plan.base.stem, part.total_before), (outcome.name, part.total_after)):
            counts = map(str, (len(part.records), score.beats, score.fn, score.fp))
            rows.append([part.name, model, *counts, *map(percent, (score.se, score.ppv, score.f1))])
    head = ["", "model", "records", "beats", "missed", "false", "Se", "PPV", "F1"]
    tables.show("before and after, within 75 ms", head, rows)
    looks = []
    for look in outcome.looks:
        once, held = look.at_once, look.held
        waits = f"R + {decimal(look.align_ms)} ms"
        cells = [percent(once.f1), *map(decimal, (once.bias_ms, once.jitter_ms)), waits]
        looks.append(
            [f"{look.depth_ms} ms", f"{look.choice.value:g}", *cells, percent(held.f1), decimal(held.jitter_ms)]
        )
    head = ["look-ahead", "threshold", "F1", "after R, ms", "jitter, ms", "held until", "F1, held", "jitter, held"]
    tables.show("triggers on validation recordings, by --gate-depth and --gate-threshold; held by --align", head, looks)
    chosen = ", ".join(f"{choice.name} {choice.value:g}" for choice in outcome.choices)
    minutes = outcome.result.elapsed_s / 60
    share = f", {outcome.result.share:.0%} of the way from the base" if outcome.result.share < 1 else ""
    typer.echo(
        f"kept: step {outcome.result.step}{share}, {minutes:.1f} minutes of training; chosen on validation: {chosen}"
    )
    if outcome.result.step == 0:
        typer.echo("no weights of this training were better than those of the base, which were kept")
    typer.echo(f"{out}: the model, and report.html; to use it: streamqrs run --source lsl --model {out}")


def to_json(outcome: Outcome, out: Path) -> dict[str, Any]:
    """Figures as JSON-ready values, in %."""
    parts = {
        part.name: {
            when: {name: _finite(getattr(score, name)) for name in ("beats", "tp", "fp", "fn", "se", "ppv", "f1")}
            for when, score in (("before", part.total_before), ("after", part.total_after))
        }
        | {"records": len(part.records)}
        for part in outcome.scores
    }
    return {
        "model": outcome.name,
        "base": outcome.plan.base.stem,
        "out": str(out),
        "scores": parts,
        "settings": {choice.name: choice.value for choice in outcome.choices},
        "triggers": [
            {"gate_depth": look.depth, "gate_threshold": look.choice.value, "align_ms": _finite(look.align_ms)}
            | {
                when: {name: _finite(getattr(score, name)) for name in ("fp", "fn", "f1", "bias_ms", "jitter_ms")}
                for when, score in (("at_once", look.at_once), ("held", look.held))
            }
            for look in outcome.looks
        ],
        "step": outcome.result.step,
        "share": outcome.result.share,
        "training_s": round(outcome.result.elapsed_s, 1),
        "notes": list(outcome.plan.parts.notes),
    }


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _freeze(given: str) -> int | Literal["encoder", "none"]:
    return int(given) if given.isdecimal() else cast(Literal["encoder", "none"], given)


def _ordinary(given: str | None) -> Path | None:
    """Folder with ordinary ECG: the one given, or the one that is known, if there is one."""
    from streamqrs.datasets import data_folder
    from streamqrs.errors import SourceNotFound
    from streamqrs.training.recordings import check_data

    if given == NONE:
        return None
    if given is not None:
        check_data(Path(given))
        return Path(given)
    try:
        folder = data_folder()
    except SourceNotFound:
        if "STREAMQRS_DATA" in os.environ:
            raise
        return None
    return folder if any((folder / database).is_dir() for database in ("mitdb", "qtdb", "ludb")) else None
