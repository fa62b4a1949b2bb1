"""Sink ``CallbackSink(f)``: events to a Python function, called in a thread of its own, or awaited.

::

    async def main():
        await streamqrs.run(source, Detector(gate=True), [CallbackSink(print)])
"""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from streamqrs.types import Beat, Event, Problem

LIMIT = 1000
"""Events that may wait for a slow function; later ones are given up, and counted."""
CLOSING_S = 2.0
"""Time that the function has to finish with the last events, in s."""


class CallbackSink:
    """Call a function with each event.

    A plain function is called in a thread of its own: it may take its time without delaying anything but its own next
    event, and triggers reach it past the event loop. A coroutine function is awaited in the event loop, where it must
    not block. An error that it raises is shown as a problem, once for each kind; later events still come.

    Parameters
    ----------
    function : callable
        Takes one event; its result is not looked at.
    events : tuple of type, optional
        Only events of these types.
    kinds : tuple of str, optional
        Of beats, only these kinds: ``trigger``, ``beat``, ``withdrawn``.

    Attributes
    ----------
    name : str
        For messages.
    counts : dict of str to int
        ``calls``, ``errors`` of the function, events ``dropped`` because it was too slow.
    """

    def __init__(
        self,
        function: Callable[[Any], object] | Callable[[Any], Awaitable[object]],
        *,
        events: tuple[type, ...] | None = None,
        kinds: tuple[str, ...] | None = None,
    ) -> None:
        self.name = f"callback {getattr(function, '__qualname__', type(function).__name__)}"
        self.counts = {"calls": 0, "errors": 0, "dropped": 0}
        self._function: Callable[[Any], Any] = function
        self._events, self._kinds = events, kinds
        self._awaited = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 (an object whose call is a coroutine function)
        )
        self._queue: queue.Queue[Event | None] = queue.Queue(LIMIT)
        self._tell: Callable[[Problem], object] = lambda problem: None
        self._told: set[type] = set()
        self._thread: threading.Thread | None = None
        if not self._awaited:
            self.fire: Callable[[Beat], None] = self._offer

    def attach(self, tell: Callable[[Problem], object]) -> None:
        """Take the function that shows a problem."""
        self._tell = tell

    async def __aenter__(self) -> Self:
        """Start the thread."""
        if not self._awaited:
            self._thread = threading.Thread(target=self._run, name="streamqrs-callback", daemon=True)
            self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Let the function have the last events."""
        if self._thread:
            thread, self._thread = self._thread, None
            await asyncio.to_thread(self._end, thread)

    async def send(self, event: Event, /) -> None:
        """Hand over an event."""
        if not self._awaited:
            self._offer(event)
        elif self._wanted(event):
            try:
                await self._function(event)
                self.counts["calls"] += 1
            except Exception as error:  # whatever a user's function raises must not end the run
                self._fail(error)

    def _wanted(self, event: Event) -> bool:
        if self._events is not None and not isinstance(event, self._events):
            return False
        return self._kinds is None or not isinstance(event, Beat) or event.kind in self._kinds

    def _offer(self, event: Event) -> None:
        """Hand over an event in any thread; never waits."""
        if not self._wanted(event):
            return
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.counts["dropped"] += 1
            if self.counts["dropped"] == 1:
                self._tell(Problem(self.name, f"too slow: {LIMIT} events wait, what comes now is dropped"))

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._function(event)
                self.counts["calls"] += 1
            except Exception as error:  # whatever a user's function raises must not end the thread
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.counts["errors"] += 1
        if type(error) not in self._told and not isinstance(error, asyncio.CancelledError):
            self._told.add(type(error))
            text = " ".join(str(error).split())
            self._tell(Problem(self.name, f"{type(error).__name__}: {text}" if text else type(error).__name__))

    def _end(self, thread: threading.Thread) -> None:
        try:
            self._queue.put(None, timeout=CLOSING_S)
        except queue.Full:  # a function that hangs: its thread is a daemon
            return
        thread.join(CLOSING_S)
