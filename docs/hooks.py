"""What `mkdocs build` adds: the commands and the event schema as pages, files from outside docs/, and links to them."""

from __future__ import annotations

import atexit
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "bench/README.md": "benchmarks.md",
    "models/mri.md": "card-mri.md",
    "models/base.md": "card-base.md",
}
"""Pages that live elsewhere, and their names in the site."""
PICTURE = re.compile(r"\]\(([^):#]+\.(?:png|svg))\)")


@event_priority(100)  # ahead of mkdocstrings, which reads the paths at once
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show mkdocstrings a tree in which adapters/ and models/ lie inside the package, as they do when installed."""
    folder = tempfile.TemporaryDirectory(prefix="streamqrs-docs-")
    atexit.register(folder.cleanup)
    package = Path(folder.name) / "streamqrs"
    package.mkdir()
    for source in [*(ROOT / "streamqrs").iterdir(), ROOT / "adapters", ROOT / "models"]:
        (package / source.name).symlink_to(source)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [folder.name]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that live elsewhere, and the pictures from outside docs/."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=_links_into_site(text, (ROOT / source).parent)))
    for path in [*(ROOT / source for source in PAGES), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(PICTURE, path.read_text(encoding="utf-8")):
            where = (path.parent / target).resolve()
            name = _place(where)
            if not where.is_relative_to(ROOT / "docs") and where.is_file() and not files.get_file_from_path(name):
                files.append(File.generated(config, name, abs_src_path=str(where)))
    return files


def _place(path: Path) -> str:
    """Where a file of the repository lies in the site."""
    return os.path.relpath(path, ROOT).removeprefix("docs/")


def _links_into_site(text: str, folder: Path) -> str:
    """Make links of a page outside docs/ lead into the site."""

    def turned(match: re.Match[str]) -> str:
        path, anchor = match.group(1), match.group(2) or ""
        where = os.path.relpath((folder / path).resolve(), ROOT)
        if where in PAGES:
            return f"]({PAGES[where]}{anchor})"
        inside = where.startswith("docs/") or PICTURE.fullmatch(match.group(0))
        return f"]({_place(ROOT / where)}{anchor})" if inside else match.group(0)

    return re.sub(r"\]\(([^):#]+)(#[^)]*)?\)", turned, text)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the generated parts where a page asks for them."""
    if page.file.src_uri not in PAGES.values():
        markdown = PICTURE.sub(lambda found: f"]({_place((ROOT / 'docs' / found.group(1)).resolve())})", markdown)
    makers = {"<!-- commands -->": commands, "<!-- schema -->": schema}
    for mark, make in makers.items():
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown


def commands() -> str:
    """Describe every command of the `streamqrs` program, as the program itself describes it.

    Returns
    -------
    str
        Markdown.
    """
    import typer.main

    from streamqrs.cli.app import app

    root = typer.main.get_command(app)
    return "\n\n".join(_describe(root.make_context("streamqrs", ["--help"], resilient_parsing=True), root))


def _describe(context: Any, command: Any) -> list[str]:
    path = context.command_path
    group = hasattr(command, "list_commands")
    parts = [] if context.parent is None else [f"{'##' if path.count(' ') == 1 else '###'} {path}"]
    usage = " ".join(command.collect_usage_pieces(context))
    parts += [_paragraphs(command.help), f"```text\n{path} {usage}\n```"]
    rows = [_row(parameter, context) for parameter in command.get_params(context) if parameter.name != "help"]
    if any(rows):
        parts.append("\n".join(["| option | meaning | default |", "|---|---|---|", *filter(None, rows)]))
    for name in command.list_commands(context) if group else ():
        child = command.get_command(context, name)
        parts += _describe(type(context)(child, info_name=name, parent=context), child)
    return parts


def _row(parameter: Any, context: Any) -> str:
    record = parameter.get_help_record(context)
    if record is None:
        return ""
    name, text = record
    text, _, rest = text.partition("[default: ")
    default = rest.partition("]")[0].strip()
    required = "required" if parameter.required else ""
    text = text.replace("[required]", "").strip(" ;")
    return f"| `{_cell(name)}` | {_cell(text)} | {_cell(default) or required} |"


def schema() -> str:
    """Describe the messages of ``event.schema.json``, one table each.

    Returns
    -------
    str
        Markdown.
    """
    whole = json.loads((ROOT / "docs" / "event.schema.json").read_text(encoding="utf-8"))
    shared = whole["$defs"]
    parts = [whole["description"]]
    for choice in whole["oneOf"]:
        message = shared[choice["$ref"].rpartition("/")[2]]
        rows = ["| field | type | meaning |", "|---|---|---|"]
        for name, field in message["properties"].items():
            full = shared[field["$ref"].rpartition("/")[2]] | field if "$ref" in field else field
            also = "" if name in message["required"] else " *May be missing.*"
            rows.append(f"| `{name}` | {_type(full)} | {_cell(full.get('description', ''))}{also} |")
        parts += [f"## {message['title']}", message["description"], "\n".join(rows)]
    return "\n\n".join(parts)


def _type(field: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    kinds = field.get("type", "any")
    text = " or ".join(kinds if isinstance(kinds, list) else [kinds])
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ", ".join([text, *(f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field)])


def _paragraphs(text: str | None) -> str:
    parts = [" ".join(part.split()) for part in (text or "").split("\n\n")]
    return "\n\n".join(re.sub(r"(?<![\w`])--[a-z][\w-]*", r"`\g<0>`", part) for part in parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
