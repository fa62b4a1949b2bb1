"""The bounded queues around the detector: what makes way, and what waits, when one side is slower."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from streamqrs.cadence import Cadence
from streamqrs.errors import SinkError, StreamqrsError
from streamqrs.ports import Sink
from streamqrs.triggers import Trigger
from streamqrs.types import Beat, Chunk, Event, Started, Stopped

INBOX_S = 2.0
"""Signal that may wait for the detector, in s. If more would wait, all of it is given up."""
OUTBOX = 1000
"""Events that may wait for a sink; of triggers a tenth of it."""
GONE_S = 2.0
"""A live source that is silent for this long is not waited for with what is still open, in s."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A live source has sent nothing for longer than usual: `duration_s` so far; `gone` once it is `GONE_S`."""

    duration_s: float
    gone: bool


class Inbox:
    """Chunks on their way from the event loop to the inference thread; when `live`, what waits too long makes way.

    Attributes
    ----------
    dropped : int
        Samples that had made way when the newest was taken: those that make way after it belong to a later gap.
    lag_s : float
        Signal that had waited when the newest was taken, in s.
    """

    def __init__(self, live: bool) -> None:
        self._live = live
        self._chunks: deque[Chunk] = deque()
        self._seconds = 0.0
        self._changed = threading.Condition()
        self._room = asyncio.Event()
        self._room.set()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._cadence = Cadence()
        self._next = 0
        self._heard = math.nan
        self._silent = self._gone = False
        self._given_up = 0
        self.dropped = 0
        self.lag_s = 0.0

    async def put(self, chunk: Chunk) -> None:
        """Add a chunk; wait until there is room unless live."""
        if not math.isfinite(chunk.received):
            chunk = replace(chunk, received=time.monotonic())
        if not self._live:
            await self._room.wait()
            self._room.clear()
        length_s = len(chunk.samples) / chunk.rate
        with self._changed:
            if self._chunks and self._seconds + length_s > INBOX_S:
                # to now at once: to stay behind by as much as may wait would make every trigger late
                self._given_up += sum(len(waiting.samples) for waiting in self._chunks)
                self._chunks.clear()
                self._seconds = 0.0
            self._chunks.append(chunk)
            self._seconds += length_s
            if chunk.start == self._next or math.isnan(self._heard):
                self._cadence.push(chunk.received - self._heard, length_s)
            self._next, self._heard = chunk.start + len(chunk.samples), chunk.received
            self._silent = self._gone = False
            self._changed.notify()

    def take(self) -> Chunk | Silence | None:
        """Wait for what follows on without a break, as one chunk; None when there will be no more."""
        with self._changed:
            while not self._chunks and not self._closed:
                if not self._changed.wait(self._patience_s()) and (silence := self._silence()):
                    return silence
            if not self._chunks:
                return None
            parts = [self._chunks.popleft()]
            while self._chunks and _follows(parts[-1], self._chunks[0]):
                parts.append(self._chunks.popleft())
            newest, first = parts[-1], parts[0]
            self.dropped = self._given_up
            self.lag_s = self._seconds - len(newest.samples) / newest.rate
            self._seconds = sum(len(c.samples) / c.rate for c in self._chunks)
        if not self._live:
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                self._loop.call_soon_threadsafe(self._room.set)
        if len(parts) == 1:
            return first
        # the newest stamp and arrival count: moved back to the first sample
        ago_s = (newest.start - first.start) / newest.rate
        samples = np.concatenate([part.samples for part in parts])
        return replace(newest, samples=samples, start=first.start, time=newest.time - ago_s)

    def close(self) -> None:
        """Say that no more chunks come."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _patience_s(self) -> float | None:
        """Time in s until the silence is worth telling; None if it is not."""
        if not self._live or math.isnan(self._heard) or self._gone:
            return None
        limit_s = max(GONE_S, self._cadence.limit_s) if self._silent else self._cadence.limit_s
        return max(0.0, self._heard + limit_s - time.monotonic())

    def _silence(self) -> Silence | None:
        if self._patience_s() != 0.0:
            return None
        self._silent, self._gone = True, self._silent
        return Silence(time.monotonic() - self._heard, self._gone)


class Outbox:
    """Events on their way to one sink; what comes in time is decided when its turn has come.

    Parameters
    ----------
    sink : Sink
        The sink.
    sent : callable
        Called with each `Trigger` that the sink got, and the local monotonic clock just before, in s.
    late : callable
        Called with each `Trigger` that the sink could not get in time.
    """

    def __init__(self, sink: Sink, sent: Callable[[Trigger, float], object], late: Callable[[Trigger], object]) -> None:
        self.sink = sink
        self.name = str(getattr(sink, "name", type(sink).__name__))
        self.lost = 0
        self.error: StreamqrsError | None = None
        self._sent, self._late = sent, late
        self._shoot: Callable[[Beat], object] | None = getattr(sink, "fire", None)
        self._queue: deque[Event | Trigger] = deque()
        self._urgent: deque[Trigger] = deque()
        self._unsent: set[int] = set()
        self._some = asyncio.Event()
        self._begun = False

    @property
    def fires(self) -> bool:
        """Whether the sink takes triggers from any thread, and is ready to."""
        return self._shoot is not None and self._begun and self.error is None

    def fire(self, trigger: Trigger) -> None:
        """Hand over a trigger in the calling thread."""
        now = time.monotonic()
        if self._shoot:
            self._shoot(trigger.beat)
        self._sent(trigger, now)

    def put(self, event: Event | Trigger) -> None:
        """Add an event; a trigger that must be in time passes the others; the oldest makes way if they are many."""
        if self.error:
            self.lost += isinstance(event, Beat | Trigger)
            return
        if isinstance(event, Trigger) and event.latest < math.inf:
            if len(self._urgent) >= OUTBOX // 10:
                self._lose(self._urgent.popleft())
            self._urgent.append(event)
        else:
            if len(self._queue) >= OUTBOX:
                self._lose(self._queue.popleft())
            self._queue.append(event)
        self._some.set()

    def fail(self, error: StreamqrsError | OSError) -> None:
        """Give up: the sink cannot take anything any more."""
        if self.error is None:
            self.error = error if isinstance(error, StreamqrsError) else SinkError(f"{self.name}: {error}")
            self.lost += len(self._queue) + len(self._urgent)
            self._some.set()

    async def deliver(self) -> None:
        """Send events until `Stopped` is sent or the sink fails."""
        try:
            while self.error is None:
                event = self._pop()
                if event is None:
                    self._some.clear()
                    await self._some.wait()
                elif isinstance(event, Trigger):
                    if (now := time.monotonic()) > event.latest:
                        self._lose(event)
                        self._late(event)
                    else:
                        await self.sink.send(event.beat)
                        self._sent(event, now)
                elif not self._is_unheard(event):
                    await self.sink.send(event)
                    self._begun = self._begun or isinstance(event, Started)
                    if isinstance(event, Stopped):
                        return
        except (StreamqrsError, OSError) as error:
            self.fail(error)

    def _pop(self) -> Event | Trigger | None:
        if self._urgent and self._begun:
            return self._urgent.popleft()
        return self._queue.popleft() if self._queue else None

    def _lose(self, event: Event | Trigger) -> None:
        self.lost += 1
        if isinstance(event, Trigger):
            self._unsent.add(event.beat.id)

    def _is_unheard(self, event: Event) -> bool:
        """Whether it takes back a trigger that the sink never got; a beat ends the memory of it."""
        if not isinstance(event, Beat) or event.id not in self._unsent:
            return False
        self._unsent.discard(event.id)
        return event.kind == "withdrawn"


def _follows(one: Chunk, other: Chunk) -> bool:
    return other.start == one.start + len(one.samples) and other.rate == one.rate
