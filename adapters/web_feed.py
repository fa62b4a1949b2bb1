"""Feed: events and signal as messages for browsers, the last minute for those who come late.

Text messages are JSON objects: ``{"hello": …}`` first, then ``{"events": […]}`` in the form of
``docs/event.schema.json`` and, once a second, ``{"state": …}``. Binary messages are a piece of a trace, little-endian:
uint32 kind (0 source samples, 1 probabilities), uint32 0, float64 count of the first sample since the stream began,
float64 rate in Hz, and float32 values.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np

from streamqrs.events import EventEncoder
from streamqrs.types import RATE, Beat, Event, Gap, Problem, Samples, Signal, Started

SAMPLES, CURVE = 0, 1
HEAD = struct.Struct("<IIdd")
WAITING = 4096
"""Events and pieces of signal that may wait to be sent on; the oldest make way."""
BEHIND = 100
"""Messages that may wait for one browser before all of them are dropped: some 2 s."""
PAST_S = 65.0
PAST_BYTES = 8_000_000
PAST_EVENTS = 2000
"""What a browser that comes late is told: so much signal (by time of arrival and size), so many events."""
STATE_S = 1.0

Message = str | bytes
Piece = tuple[int, float, Samples]


class Feed:
    """What all browsers are told; `put` may be called from any thread, everything else from one event loop.

    Parameters
    ----------
    hello : callable
        Returns what a browser is told first.
    state : callable
        Returns what is told once a second.
    """

    def __init__(self, hello: Callable[[], dict[str, Any]], state: Callable[[], dict[str, Any]]) -> None:
        self._hello, self._state = hello, state
        self._waiting: deque[Event | Signal] = deque(maxlen=WAITING)
        self._encoder = EventEncoder()
        self._events: deque[dict[str, Any]] = deque(maxlen=PAST_EVENTS)
        self._signal: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._counts: Counter[str] = Counter()
        self._gap = -1
        self._listeners: set[Listener] = set()
        self._stated = -STATE_S

    def put(self, item: Event | Signal) -> None:
        """Take an event or a piece of signal; never waits."""
        self._waiting.append(item)

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """Give a listener that has heard the past already."""
        listener = Listener([*self._past(), *(piece for _, piece in self._signal)], self._past)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)

    def turn(self) -> None:
        """Send on what has come since the last turn."""
        now = time.monotonic()
        items = [self._waiting.popleft() for _ in range(len(self._waiting))]
        for is_signal, group in groupby(items, lambda item: isinstance(item, Signal)):
            if is_signal:
                for piece in pieces(item for item in group if isinstance(item, Signal)):
                    self._remember(now, piece)
                    self._tell(piece)
            else:
                told = [self._hear(event) for event in group if not isinstance(event, Signal)]
                self._tell(json.dumps({"events": told}))
        if now - self._stated >= STATE_S:
            self._stated = now
            self._tell(json.dumps(self._now()))

    def _hear(self, event: Event) -> dict[str, Any]:
        match event:
            case Started():  # counts begin anew: the past cannot be put beside what comes
                for past in (self._events, self._signal, self._counts):
                    past.clear()
                self._bytes = 0
            case Beat():
                self._counts[event.kind] += 1
            case Gap():
                self._counts["gap"] += event.start != self._gap  # a silence that is over is told a second time
                self._gap = event.start
            case Problem():
                self._counts["problem"] += 1
            case _:
                pass
        encoded = self._encoder.encode(event)
        self._events.append(encoded)
        return encoded

    def _now(self) -> dict[str, Any]:
        return {"state": self._state() | {"counts": self._counts}}

    def _tell(self, message: Message) -> None:
        for listener in self._listeners:
            listener.put(message)

    def _remember(self, now: float, piece: bytes) -> None:
        self._signal.append((now, piece))
        self._bytes += len(piece)
        while self._signal and (now - self._signal[0][0] > PAST_S or self._bytes > PAST_BYTES):
            self._bytes -= len(self._signal.popleft()[1])

    def _past(self) -> list[Message]:
        told = ({"hello": self._hello()}, {"events": [*self._events]}, self._now())
        return [json.dumps(body) for body in told]


class Listener:
    """Messages on their way to one browser; when it is too slow they are dropped, and it is told the events anew.

    Parameters
    ----------
    first : iterable of str or bytes
        What it is told first.
    past : callable
        What it is told after a loss.
    """

    def __init__(self, first: Iterable[Message], past: Callable[[], Iterable[Message]]) -> None:
        self._queue: deque[Message] = deque(first)
        self._past = past
        self._limit = len(self._queue) + BEHIND
        self._some = asyncio.Event()
        self._behind = False
        self.dropped = 0

    def put(self, message: Message) -> None:
        """Add a message."""
        if len(self._queue) >= self._limit:
            self.dropped += len(self._queue)
            self._queue.clear()
            self._behind, self._limit = True, BEHIND
        self._queue.append(message)
        self._some.set()

    async def take(self) -> Message:
        """Return the next message."""
        while not self._queue:
            self._some.clear()
            await self._some.wait()
        if self._behind:
            self._queue, self._behind = deque(self._past()), False
        return self._queue.popleft()


def pieces(signals: Iterable[Signal]) -> Iterator[bytes]:
    """Messages with the samples and the curve of several signals, what follows on in one piece."""
    traces: dict[int, list[Piece]] = {SAMPLES: [], CURVE: []}
    for signal in signals:
        traces[SAMPLES].append((signal.chunk.start, signal.chunk.rate, signal.chunk.samples))
        traces[CURVE] += [(curve.start, RATE, curve.values) for curve in signal.curve]
    for kind, parts in traces.items():
        whole: list[Piece] = []
        for start, rate, values in parts:
            if whole and (start != whole[-1][0] + len(whole[-1][2]) or rate != whole[-1][1]):
                yield _join(kind, whole)
                whole = []
            whole.append((start, rate, values))
        if whole:
            yield _join(kind, whole)


def _join(kind: int, parts: list[Piece]) -> bytes:
    start, rate, _ = parts[0]
    return encode(kind, start, rate, np.concatenate([values for _, _, values in parts]))


def encode(kind: int, start: float, rate: float, values: Samples) -> bytes:
    """Encode a piece of a trace; see the module."""
    return HEAD.pack(kind, 0, start, rate) + values.astype("<f4").tobytes()
