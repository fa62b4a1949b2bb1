"""The bounded queues between the engine's tasks: what makes way, and what waits, when one side is slower."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace

import numpy as np

from streamqrs.errors import SinkError, StreamqrsError
from streamqrs.ports import Sink
from streamqrs.types import Beat, Chunk, Event, Stopped

INBOX_S = 2.0
"""Signal that may wait for the detector, in s."""
OUTBOX = 1000
"""Events that may wait for a sink."""


class Inbox:
    """Chunks on their way to the detector; when `live`, the oldest make way."""

    def __init__(self, live: bool) -> None:
        self._live = live
        self._chunks: deque[Chunk] = deque()
        self._seconds = 0.0
        self._changed = asyncio.Condition()
        self._closed = False
        self.dropped = 0

    async def put(self, chunk: Chunk) -> None:
        """Add a chunk; wait for room unless live."""
        async with self._changed:
            length_s = len(chunk.samples) / chunk.rate
            if not self._live:
                await self._changed.wait_for(lambda: self._closed or not self._chunks)
            while self._chunks and self._seconds + length_s > INBOX_S:
                oldest = self._chunks.popleft()
                self._seconds -= len(oldest.samples) / oldest.rate
                self.dropped += len(oldest.samples)
            self._chunks.append(chunk)
            self._seconds += length_s
            self._changed.notify_all()

    async def take(self) -> Chunk | None:
        """Return what follows on without a break, as one chunk; None when there will be no more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or self._chunks)
            if not self._chunks:
                return None
            parts = [self._chunks.popleft()]
            while self._chunks and _follows(parts[-1], self._chunks[0]):
                parts.append(self._chunks.popleft())
            self._seconds = sum(len(c.samples) / c.rate for c in self._chunks)
            self._changed.notify_all()
        if len(parts) == 1:
            return parts[0]
        # the newest stamp and arrival count: moved back to the first sample
        newest, first = parts[-1], parts[0]
        ago_s = (newest.start - first.start) / newest.rate
        samples = np.concatenate([part.samples for part in parts])
        return replace(newest, samples=samples, start=first.start, time=newest.time - ago_s)

    async def close(self) -> None:
        """Say that no more chunks come."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()


class Outbox:
    """Events on their way to one sink."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.name = str(getattr(sink, "name", type(sink).__name__))
        self.lost = 0
        self.error: StreamqrsError | None = None
        self._queue: deque[Event] = deque()
        self._some = asyncio.Event()

    def put(self, event: Event) -> None:
        """Add an event; the oldest one makes way if the sink is too slow."""
        if self.error:
            self.lost += isinstance(event, Beat)
            return
        if len(self._queue) >= OUTBOX:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(event)
        self._some.set()

    async def deliver(self) -> None:
        """Send events until `Stopped` is sent or the sink fails."""
        try:
            while True:
                await self._some.wait()
                event = self._queue.popleft()
                if not self._queue:
                    self._some.clear()
                await self.sink.send(event)
                if isinstance(event, Stopped):
                    return
        except (StreamqrsError, OSError) as error:
            self.error = error if isinstance(error, StreamqrsError) else SinkError(f"{self.name}: {error}")
            self.lost += len(self._queue)


def _follows(one: Chunk, other: Chunk) -> bool:
    return other.start == one.start + len(one.samples) and other.rate == one.rate
