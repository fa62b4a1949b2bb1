"""How a run is watched: on a live screen, in a browser, or as lines."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamqrs.detector import Detector
    from streamqrs.ports import Sink, Source

DEFAULT_PORT = "8765"


def fill_in(argv: Sequence[str]) -> list[str]:
    """Give ``--web`` its default where no value follows: the parser knows no option whose value may be left out."""
    filled = []
    for at, word in enumerate(argv):
        following = argv[at + 1] if at + 1 < len(argv) else ""
        bare = word == "--web" and not re.fullmatch(r"[^-].*", following)
        filled.append(f"--web={DEFAULT_PORT}" if bare else word)
    return filled


def choose(sinks: Sequence[str] | None, *, web: str | None, plain: bool, as_json: bool) -> list[str]:
    """Specs of all sinks: those that were asked for, and the views.

    A terminal gets the screen, unless something else writes to it; where nothing was asked for and there is no
    terminal, there are lines.
    """
    specs = list(sinks or ())
    taken = as_json or any(spec.partition(":")[0] == "console" or spec == "jsonl:-" for spec in specs)
    if not taken and not plain and "screen" not in specs and _can_draw():
        specs.append("screen")
    elif not specs and not as_json:
        specs.append("console")
    return specs if web is None else [*specs, f"web:{web}"]


def furnish(sinks: Sequence[Sink], source: Source, detector: Detector) -> list[Any]:
    """Tell the views of the connections and the settings, and return them; the screen is the first."""
    from streamqrs.adapters.views import links_of

    views = sorted((s for s in sinks if hasattr(s, "links")), key=lambda view: getattr(view, "name", "") != "screen")
    others = [sink for sink in sinks if sink not in views and getattr(sink, "name", "") != "console"]
    shown: list[object] = [source, *others] if hasattr(source, "connected") else [*others]
    urls = [view.url for view in views if hasattr(view, "url")]
    for view in views:
        view.links = lambda: links_of(shown)
        if hasattr(view, "settings"):
            view.settings = asdict(detector.settings)
        if hasattr(view, "notes"):
            view.notes = ["   ".join([*urls, *view.notes])]
    return views


def _can_draw() -> bool:
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in {"dumb", ""} and encoding == "utf8"
