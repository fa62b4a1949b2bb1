"""What the views, on the screen and in browsers, have in common."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_S = 0.0005
"""Longest time that a thread which draws keeps the interpreter from the others, in s; Python's own is 0.005."""

_lock = threading.Lock()
_drawing: list[float] = []


@contextmanager
def let_others_run() -> Iterator[None]:
    """Have the interpreter switch threads more often while something is drawn, so that a trigger waits less for it."""
    with _lock:
        _drawing.append(sys.getswitchinterval())
        sys.setswitchinterval(min(SWITCH_S, _drawing[0]))
    try:
        yield
    finally:
        with _lock:
            before = _drawing.pop()
            if not _drawing:
                sys.setswitchinterval(before)


def links_of(things: list[object]) -> list[tuple[str, bool | None]]:
    """Name and state of connections: whether they are ``connected``, or None for what has no such attribute."""
    return [(str(getattr(thing, "name", type(thing).__name__)), getattr(thing, "connected", None)) for thing in things]
