"""Progress of a training on stderr: a bar on a terminal, otherwise a line for each validation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import typer

if TYPE_CHECKING:
    from streamqrs.training.settings import Progress


class Shown(Protocol):
    """Where progress is shown."""

    def move(self, now: Progress) -> None:
        """Show where a training stands."""

    def say(self, text: str) -> None:
        """Show what is being done before or after it."""

    def note(self, text: str) -> None:
        """Show what is to stay on the screen."""


class Lines:
    """Progress as lines."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def move(self, now: Progress) -> None:
        """Print a line if there was a validation."""
        if now.scores and now.scores is not self._last:
            self._last = now.scores
            typer.echo(f"step {now.step} of {now.steps}, {figures(now)}, {now.elapsed_s:.0f} s", err=True)

    def say(self, text: str) -> None:
        """Print a line."""
        typer.echo(text, err=True)

    note = say


class Nothing:
    """No progress: that of all processes but the first."""

    def move(self, now: Progress) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    note = say


@contextmanager
def shown() -> Iterator[Shown]:
    """Show progress for as long as the context lasts."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("", total=None, figures="")

        class OnBar:
            """Progress on the bar."""

            def move(self, now: Progress) -> None:
                bar.update(task, description="training", total=now.steps, completed=now.step, figures=figures(now))

            def say(self, text: str) -> None:
                bar.update(task, description=text)

            def note(self, text: str) -> None:
                bar.console.print(text, highlight=False, markup=False)

        yield OnBar()


NAMES = {"f1": "F1", "noisy_f1": "noisy", "scanned_f1": "scanned", "ordinary_f1": "ordinary"}


def figures(now: Progress) -> str:
    """Loss and scores in one line."""
    scores = (f"{NAMES.get(name, name)} {value:.2f}" for name, value in now.scores.items() if name != "score")
    return ", ".join((f"loss {now.loss:.4f}", *scores))
