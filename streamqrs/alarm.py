"""Alarm: call functions at exact times, from a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

EARLY_S = 1.5e-3
"""A wait that others can cut short ends so long before the time, in s."""
SPIN_S = 0.2e-3
"""The last stretch is not slept but counted down, in s: a sleep ends 0.05 to 0.1 ms late."""


class Alarm:
    """Thread that calls each function at its time; to be closed when no more are wanted."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._number = count()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="streamqrs-alarm", daemon=True)
        self._thread.start()

    def at(self, due: float, action: Callable[[], object]) -> None:
        """Call `action` at a time on the monotonic clock, in s; at once if it is over."""
        with self._changed:
            heappush(self._due, (due, next(self._number), action))
            self._changed.notify()

    def close(self) -> None:
        """Forget what is to come, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (following := self._next()) is not None:
            due, action = following
            while (left := due - time.monotonic()) > SPIN_S:
                time.sleep(left - SPIN_S)
            while time.monotonic() < due:
                pass
            action()

    def _next(self) -> tuple[float, Callable[[], object]] | None:
        with self._changed:
            while not self._closing:
                left = self._due[0][0] - time.monotonic() if self._due else None
                if left is not None and left <= EARLY_S:
                    due, _, action = heappop(self._due)
                    return due, action
                self._changed.wait(None if left is None else left - EARLY_S)
        return None
