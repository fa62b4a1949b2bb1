"""The engine: a source, a detector and sinks, run side by side until the source ends.

::

    reader task ──bounded inbox──▶ inference thread ──bounded outbox per sink──▶ sink tasks

A live source that outruns the network loses its oldest samples, and a `Gap` says so; a file waits. A slow sink fills
its own outbox, loses its oldest events and is told how many; it delays neither another sink nor the detector. A sink
that fails is closed and the run goes on with the others; the run fails when none is left.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from streamqrs.detector import Detector
from streamqrs.errors import SourceError, StreamqrsError
from streamqrs.latency import Delays
from streamqrs.ports import Sink, Source
from streamqrs.queues import Inbox, Outbox
from streamqrs.types import Beat, Chunk, Event, Gap, Problem, SourceInfo, Started, Stopped

CLOSING_S = 5.0
"""Time that the sinks have to take the last events, in s."""


@dataclass(slots=True)
class Summary:
    """What a run did.

    Attributes
    ----------
    reason : str
        Why it ended.
    signal_s : float
        Length of the signal that was worked on, in s.
    samples, beats, gaps, problems, dropped : int
        Source samples worked on, confirmed beats, gaps, problems shown, source samples dropped to catch up.
    undelivered : dict of str to int
        Events that each sink did not get, by the sink's name; only those with any.
    failed : list of str
        Lines of the errors of sinks that failed.
    known : Delays
        From R peak to the newest sample that its confirmed beat needed, in source time.
    compute : Delays
        From the arrival of that sample to the beat's leaving the detector, on the wall clock.
    """

    reason: str = ""
    signal_s: float = 0.0
    samples: int = 0
    beats: int = 0
    gaps: int = 0
    problems: int = 0
    dropped: int = 0
    undelivered: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    known: Delays = field(default_factory=Delays)
    compute: Delays = field(default_factory=Delays)

    def counts(self) -> dict[str, int]:
        """Counters as they are told in `Stopped`."""
        names = ("samples", "beats", "gaps", "problems", "dropped")
        return {name: getattr(self, name) for name in names} | {"undelivered": sum(self.undelivered.values())}


async def run(
    source: Source,
    detector: Detector,
    sinks: Sequence[Sink],
    *,
    duration_s: float | None = None,
    stop: asyncio.Event | None = None,
) -> Summary:
    """Find the beats of a source and send them to the sinks, until the source ends.

    Parameters
    ----------
    source : Source
        Entered and left here.
    detector : Detector
        If the source's rate is another one than the detector's, one of the same model and settings takes its place.
    sinks : sequence of Sink
        Entered and left here. Each gets `Started`, then `Beat`, `Gap` and `Problem` events, and `Stopped`.
    duration_s : float, optional
        End after so many seconds of signal, or of waiting for it.
    stop : asyncio.Event, optional
        End as soon as it is set, as at the end of the source.

    Returns
    -------
    Summary
        Counters and delays.

    Raises
    ------
    StreamqrsError
        What ended the source early, or the last sink's error when none is left; the sinks are told first.
    """
    if duration_s is not None and not duration_s > 0:
        raise ValueError(f"duration is {duration_s:g} s: allowed is more than 0")
    async with AsyncExitStack() as stack:
        for sink in sinks:
            await stack.enter_async_context(sink)
        await stack.enter_async_context(source)
        return await _Run(source, detector, sinks, duration_s, stop or asyncio.Event()).go()


class _Run:
    def __init__(
        self, source: Source, detector: Detector, sinks: Sequence[Sink], duration_s: float | None, stop: asyncio.Event
    ) -> None:
        self._source, self._detector = source, detector
        self._duration_s, self._stop = duration_s, stop
        self._info: SourceInfo = getattr(source, "info", SourceInfo())
        self._inbox = Inbox(self._info.live)
        self._outboxes = [Outbox(sink) for sink in sinks]
        self._error: StreamqrsError | None = None
        self._dropped = 0
        self._summary = Summary()

    async def go(self) -> Summary:
        summary = self._summary
        if self._source.rate != self._detector.rate:
            self._detector = self._detector.at_rate(self._source.rate)
        with ThreadPoolExecutor(1, "streamqrs-inference") as inference:
            async with asyncio.TaskGroup() as tasks:
                deliveries = [tasks.create_task(self._supply(box), name=f"sink {box.name}") for box in self._outboxes]
                self._tell(self._started())
                reader = tasks.create_task(self._read(), name="reader")
                ending = tasks.create_task(self._await_end(reader), name="ending")
                await self._work(inference)
                ending.cancel()
                self._tell(Stopped(summary.reason, summary.counts()))
                if deliveries:
                    _, late = await asyncio.wait(deliveries, timeout=CLOSING_S)
                    for task in late:  # a sink that hangs must not hold the run
                        task.cancel()
        summary.undelivered = {box.name: box.lost for box in self._outboxes if box.lost}
        summary.failed = [str(box.error) for box in self._outboxes if box.error]
        if self._error:
            raise self._error
        return summary

    async def _supply(self, box: Outbox) -> None:
        await box.deliver()
        if box.error is None:
            return
        self._tell(Problem(box.name, str(box.error)))
        if all(other.error for other in self._outboxes):
            self._error = self._error or box.error
            self._stop.set()

    async def _read(self) -> None:
        read_s = 0.0
        try:
            async for item in self._source:
                if isinstance(item, Problem):
                    self._tell(item)
                    continue
                await self._inbox.put(item)
                read_s += len(item.samples) / item.rate
                if self._duration_s is not None and read_s + 0.5 / item.rate >= self._duration_s:
                    self._summary.reason = "duration"
                    return
            self._summary.reason = "end of source"
        except (StreamqrsError, OSError) as error:
            self._fail(error)
        finally:
            await self._inbox.close()

    async def _await_end(self, reader: asyncio.Task[None]) -> None:
        """End the reader when asked to, or when a live source is silent past the duration."""
        try:
            limit_s = self._duration_s + 1 if self._duration_s is not None and self._info.live else None
            await asyncio.wait_for(self._stop.wait(), limit_s)
            self._summary.reason = str(self._error or "interrupted")
        except TimeoutError:
            self._summary.reason = "duration"
        reader.cancel()

    async def _work(self, inference: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        try:
            while chunk := await self._inbox.take():
                await self._push(loop, inference, chunk)
        except ValueError as error:  # a chunk that no source should have sent
            self._fail(SourceError(f"{self._info.name}: {error}"))
            self._stop.set()
        self._report(await loop.run_in_executor(inference, self._detector.flush), None)

    async def _push(self, loop: asyncio.AbstractEventLoop, inference: ThreadPoolExecutor, chunk: Chunk) -> None:
        if chunk.rate != self._detector.rate:
            self._report(await loop.run_in_executor(inference, self._detector.flush), chunk)
            self._detector = self._detector.at_rate(chunk.rate)
            self._detector.reset(chunk.start)
            self._tell(self._started())
        self._report(await loop.run_in_executor(inference, self._detector.events, chunk), chunk)
        self._summary.samples += len(chunk.samples)
        self._summary.signal_s += len(chunk.samples) / chunk.rate

    def _fail(self, error: StreamqrsError | OSError) -> None:
        self._error = error if isinstance(error, StreamqrsError) else SourceError(f"{self._info.name}: {error}")
        self._summary.reason = str(self._error)

    def _report(self, events: Sequence[Beat | Gap], chunk: Chunk | None) -> None:
        now = time.monotonic()
        for event in events:
            if isinstance(event, Gap):
                if self._inbox.dropped > self._dropped:
                    self._summary.dropped = self._dropped = self._inbox.dropped
                    event = replace(event, reason="overload")
                self._summary.gaps += 1
            else:
                self._summary.beats += event.kind == "beat"
                self._summary.known.add(event.delay_ms)
                if chunk and math.isfinite(chunk.received):
                    self._summary.compute.add((now - chunk.received) * 1000)
            self._tell(event)

    def _tell(self, event: Event) -> None:
        self._summary.problems += isinstance(event, Problem)
        for box in self._outboxes:
            box.put(event)

    def _started(self) -> Started:
        model = self._detector.model
        return Started(self._info, self._detector.rate, model.name, model.sha256, self._detector.delay_ms)
