"""streamqrs pretrain: train a model on ordinary ECG."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from streamqrs.cli.progress import shown
from streamqrs.errors import MissingExtra


def command(
    data: Annotated[Path, typer.Option(help="Folder with mitdb, qtdb, ludb and nstdb-noise, as PhysioNet gives them.")],
    out: Annotated[Path, typer.Option(help="Folder for the new model; must not be there.")],
    preset: Annotated[str, typer.Option(help="Architecture: base, context, large, or seed.")] = "base",
    start: Annotated[str | None, typer.Option(help="Model to start from, or the mean of several: A+B.")] = None,
    scanner: Annotated[
        str | None, typer.Option(help="Scanners to train in, such as mixture, 3T, or mixture+flow.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="Family of scanner noise to leave out; may repeat.")] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Model that teaches, a larger one: its answers stand beside the marks.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; the preset's by default.")] = None,
    steps: Annotated[int | None, typer.Option(help="Batches; 6000 by default. 0: write what it starts from.")] = None,
    batch: Annotated[int, typer.Option(help="Windows in a batch.")] = 64,
    minutes: Annotated[float | None, typer.Option(help="Train for about this long instead.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At its highest; 0.001 by default.")] = None,
    optimiser: Annotated[str, typer.Option(help="adamw, or muon: learns more of as many windows.")] = "adamw",
    steady: Annotated[bool, typer.Option("--steady", help="Keep the rate up, for an average of many weights.")] = False,
    weight_decay: Annotated[float | None, typer.Option(help="Of the weights, times the rate; 0.01 by default.")] = None,
    average: Annotated[float | None, typer.Option(help="Decay of the average of weights; 0.998 by default.")] = None,
    odds: Annotated[float, typer.Option(help="Added to the log odds of all answers in the end, -3 to 3.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed, steps and threads give the same weights.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    workers: Annotated[int, typer.Option(help="Processes that draw windows, for a GPU; 0: a thread does.")] = 0,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 where the processor has it.")] = "float32",
) -> None:
    """Train a base model on ordinary ECG; started again after Ctrl-C, it goes on where it was."""
    if steps is not None and minutes is not None:
        raise ValueError("steps and minutes were both given: allowed is one of them")
    try:
        from streamqrs.training.place import find_place
        from streamqrs.training.pretrain import check, pretrain
        from streamqrs.training.settings import TrainSettings
    except ModuleNotFoundError as error:
        raise MissingExtra.of(error.name or "torch", "train") from error
    settings = TrainSettings(
        batch=batch,
        optimiser=optimiser,
        steady=steady,
        seed=seed,
        threads=threads,
        precision=precision,
        workers=workers,
    )
    if steps is not None:
        settings = replace(settings, steps=steps, validate_every=max(settings.validate_every, steps // 8))
    if learning_rate is not None:
        settings = replace(settings, learning_rate=learning_rate)
    if weight_decay is not None:
        settings = replace(settings, weight_decay=weight_decay)
    if average is not None:
        settings = replace(settings, average=average)
    check(data, out, preset, minutes)
    try:
        with find_place() as place, shown() as show:
            show.say("reading recordings")
            result = pretrain(
                data,
                out,
                preset=preset,
                name=name,
                settings=settings,
                minutes=minutes,
                start=start,
                scanner=scanner,
                without=tuple(without or ()),
                teacher=teacher,
                odds=odds,
                progress=show.move,
                place=place,
            )
    except KeyboardInterrupt:
        typer.echo("stopped: the same command goes on from the last checkpoint", err=True)
        raise
    scores = ", ".join(f"{key} {value:.2f}" for key, value in result.scores.items())
    typer.echo(f"{out}: step {result.step} ({scores}), {result.elapsed_s / 60:.1f} minutes")
