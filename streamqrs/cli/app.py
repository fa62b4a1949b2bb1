"""The ``streamqrs`` command: its subcommands, and how errors leave it.

Exit code 0: done; 1: the world is not as it should be (no such stream, a lost broker, an altered model); 2: the
command was typed wrong; 130: interrupted. A command's module imports nothing heavy at its top, so that ``--help``
answers at once.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import typer

from streamqrs import __version__
from streamqrs.cli.views import fill_in
from streamqrs.errors import BadSpec, StreamqrsError

COMMANDS = (
    "run",
    "detect",
    "simulate",
    "sources",
    "pretrain",
    "finetune",
    "evaluate",
    "review",
    "models",
    "dataset",
    "doctor",
)

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
for name in COMMANDS:
    app.command(name)(import_module(f"streamqrs.cli.{name}").command)
app.add_typer(import_module("streamqrs.cli.bench").app, name="bench")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"streamqrs {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Find every heartbeat in one ECG lead, live, and say so fast enough to gate an MRI scanner."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line; what a `StreamqrsError` says becomes one line on stderr and an exit code."""
    try:
        app(args=fill_in(sys.argv[1:] if argv is None else argv), prog_name="streamqrs")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone: nothing to say, and nowhere to say it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (BadSpec, ValueError) as error:
        _fail(error, 2)
    except (StreamqrsError, OSError) as error:
        _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    line = " ".join(str(error).split())
    print(f"streamqrs: {line}", file=sys.stderr)
    sys.exit(code)
