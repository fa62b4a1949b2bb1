"""streamqrs pretrain: train a model on ordinary ECG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamqrs.errors import MissingExtra

if TYPE_CHECKING:
    from streamqrs.training.settings import Progress


def command(
    data: Annotated[Path, typer.Option(help="Folder with mitdb, qtdb, ludb and nstdb-noise, as PhysioNet gives them.")],
    out: Annotated[Path, typer.Option(help="Folder for the new model; must not be there.")],
    preset: Annotated[str, typer.Option(help="Architecture: base, context, or seed.")] = "base",
    start: Annotated[str | None, typer.Option(help="Model to start from, in place of new weights.")] = None,
    scanner: Annotated[str | None, typer.Option(help="Scanner to train in: mixture, 1.5T, 3T, 7T.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; the preset's by default.")] = None,
    steps: Annotated[int | None, typer.Option(help="Batches of 64 windows; 6000 by default.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for about this long instead.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At its highest; 0.001 by default.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, steps and threads give the same weights.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Train a base model on ordinary ECG; started again after Ctrl-C, it goes on where it was."""
    if steps is not None and minutes is not None:
        raise ValueError("steps and minutes were both given: allowed is one of them")
    try:
        from streamqrs.training.pretrain import check, pretrain
        from streamqrs.training.settings import TrainSettings
    except ModuleNotFoundError as error:
        raise MissingExtra.of(error.name or "torch", "train") from error
    settings = TrainSettings(seed=seed, threads=threads)
    if steps is not None:
        settings = replace(settings, steps=steps, validate_every=max(settings.validate_every, steps // 8))
    if learning_rate is not None:
        settings = replace(settings, learning_rate=learning_rate)
    check(data, out, preset, minutes)
    try:
        with _shown() as show:
            result = pretrain(
                data,
                out,
                preset=preset,
                name=name,
                settings=settings,
                minutes=minutes,
                start=start,
                scanner=scanner,
                progress=show,
            )
    except KeyboardInterrupt:
        typer.echo("stopped: the same command goes on from the last checkpoint", err=True)
        raise
    scores = ", ".join(f"{key} {value:.2f}" for key, value in result.scores.items())
    typer.echo(f"{out}: best at step {result.step} ({scores}), {result.elapsed_s / 60:.1f} minutes")


@contextmanager
def _shown() -> Iterator[Callable[[Progress], None]]:
    """Show progress on stderr: a bar on a terminal, otherwise a line for each validation."""
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        last: dict[str, float] = {}

        def line(now: Progress) -> None:
            nonlocal last
            if now.scores is not last:
                last = now.scores
                typer.echo(f"step {now.step} of {now.steps}, {_figures(now)}, {now.elapsed_s:.0f} s", err=True)

        typer.echo("reading recordings", err=True)
        yield line
        return
    with Bar(*Bar.get_default_columns()[:2], TextColumn("{task.fields[figures]}"), TimeRemainingColumn()) as bar:
        task = bar.add_task("reading recordings", total=None, figures="")

        def move(now: Progress) -> None:
            bar.update(task, description="training", total=now.steps, completed=now.step, figures=_figures(now))

        yield move


def _figures(now: Progress) -> str:
    scores = (f"{name} {value:.2f}" for name, value in now.scores.items() if name != "score")
    return ", ".join((f"loss {now.loss:.4f}", *scores))
