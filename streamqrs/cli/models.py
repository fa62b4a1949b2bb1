"""``streamqrs models``: what is shipped, how it scored, and its card."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from streamqrs.cli import tables


def command(
    name: Annotated[
        str | None, typer.Argument(help="Name of a shipped model, or a model's folder or file.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the models' sidecars say, as JSON.")] = False,
) -> None:
    """List the shipped models, or show the card of one."""
    from streamqrs.model import available

    if name is None:
        found = [describe(model) for model in available()]
        if as_json:
            typer.echo(json.dumps(found))
        else:
            rows = [to_row(model) for model in found]
            tables.show("", ["model", "version", "sha256", "kB", "scores in %"], rows, left=True)
            typer.echo("streamqrs models NAME shows a model's card.", err=True)
    elif as_json:
        typer.echo(json.dumps(describe(name)))
    else:
        show_card(name)


def describe(name: str) -> dict[str, Any]:
    """Sidecar of a model, and size of its network in bytes; the network is loaded, and its hash is checked.

    An alias is described as the model that it leads to, with ``alias`` the name that was asked for.
    """
    from streamqrs.model import load

    model = load(name)
    network = sidecar_path(name).with_name(model.sidecar["onnx"])
    return model.sidecar | {"alias": model.alias or None, "bytes": network.stat().st_size}


def to_row(model: dict[str, Any]) -> list[str]:
    """What a list of models says about one."""
    name = f"{model['alias']} → {model['name']}" if model["alias"] else model["name"]
    scores = {what: value for what, value in model.get("scores", {}).items() if isinstance(value, int | float)}
    texts = ", ".join(f"{what} {value:.2f}" for what, value in scores.items())
    return [name, str(model["version"]), model["sha256"][:12], str(round(model["bytes"] / 1000)), texts or "-"]


def show_card(name: str) -> None:
    """Print the card of a model, or its sidecar if it has none."""
    model = describe(name)
    if model["alias"]:
        typer.echo(f"model {model['alias']!r} leads to {model['name']!r} for now", err=True)
    card = sidecar_path(name).with_name(f"{model['name']}.md")
    if not card.is_file():
        typer.echo(json.dumps(model, indent=2))
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(card.read_text(encoding="utf-8")))
    else:
        typer.echo(card.read_text(encoding="utf-8").rstrip())


def sidecar_path(name: str) -> Path:
    """Where the sidecar of a model lies that can be loaded."""
    from importlib import resources

    from streamqrs.model import available

    path = Path(name)
    if name in available():
        return Path(str(resources.files("streamqrs.models")), f"{name}.json")
    return next(path.glob("*.json")) if path.is_dir() else path.with_suffix(".json")
