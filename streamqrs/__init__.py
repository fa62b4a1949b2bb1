"""Real-time QRS detection in one ECG lead, good enough to gate an MRI scanner from inside the magnet.

`detect` finds the beats of a whole recording, `Detector` those of a stream that you push, `run` those of a source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Beat": "types",
    "Chunk": "types",
    "Detector": "detector",
    "Event": "types",
    "Gap": "types",
    "Marker": "types",
    "Problem": "types",
    "Quality": "types",
    "Settings": "settings",
    "SourceInfo": "types",
    "Started": "types",
    "Stopped": "types",
    "Summary": "summary",
    "TriggerSettings": "triggers",
    "detect": "offline",
    "open_sink": "ports",
    "open_source": "ports",
    "run": "engine",
}

__all__ = [
    "Beat",
    "Chunk",
    "Detector",
    "Event",
    "Gap",
    "Marker",
    "Problem",
    "Quality",
    "Settings",
    "SourceInfo",
    "Started",
    "Stopped",
    "Summary",
    "TriggerSettings",
    "__version__",
    "detect",
    "open_sink",
    "open_source",
    "run",
]

if TYPE_CHECKING:
    from streamqrs.detector import Detector
    from streamqrs.engine import run
    from streamqrs.offline import detect
    from streamqrs.ports import open_sink, open_source
    from streamqrs.settings import Settings
    from streamqrs.summary import Summary
    from streamqrs.triggers import TriggerSettings
    from streamqrs.types import Beat, Chunk, Event, Gap, Marker, Problem, Quality, SourceInfo, Started, Stopped


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
