"""The engine: a source, a detector and sinks, run side by side until the source ends.

::

    reader task ──bounded inbox──▶ inference thread ──bounded outbox per sink──▶ sink tasks
                                          └──triggers──▶ sinks that take them from any thread (`fire`)

A live source that outruns the network loses its oldest samples, and a `Gap` says so; a file waits. A slow sink fills
its own outbox, loses its oldest events and is told how many; it delays neither another sink nor the detector. A sink
that fails is closed and the run goes on with the others; the run fails when none is left.

The event loop carries samples in and events out; inference and the timing of triggers have threads of their own. A
sink whose `send` blocks the loop, rather than awaiting, delays what goes through the loop: it does not delay a trigger
to a sink with `fire`, but the samples for the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

from streamqrs.budget import GateBudget
from streamqrs.detector import Detector
from streamqrs.errors import SourceError, StreamqrsError
from streamqrs.ports import Sink, Source, View
from streamqrs.post import Post
from streamqrs.queues import Inbox, Outbox
from streamqrs.summary import Summary
from streamqrs.triggers import TriggerDesk, TriggerSettings
from streamqrs.types import Marker, Problem, SourceInfo, Started, Stopped
from streamqrs.worker import Worker

CLOSING_S = 5.0
"""Time that the sinks have to take the last events, in s."""


async def run(
    source: Source,
    detector: Detector,
    sinks: Sequence[Sink],
    *,
    duration_s: float | None = None,
    stop: asyncio.Event | None = None,
    summary: Summary | None = None,
    triggers: TriggerSettings | None = None,
    on_start: Callable[[Detector], object] | None = None,
) -> Summary:
    """Find the beats of a source and send them to the sinks, until the source ends.

    Parameters
    ----------
    source : Source
        Entered and left here.
    detector : Detector
        If the source's rate is another one than the detector's, one of the same model and settings takes its place.
    sinks : sequence of Sink
        Entered and left here. Each gets `Started`, then `Beat`, `Gap`, `Quality`, `Marker` and `Problem` events, and
        `Stopped`.
    duration_s : float, optional
        End after so many seconds of signal, or of waiting for it.
    stop : asyncio.Event, optional
        End as soon as it is set, as at the end of the source.
    summary : Summary, optional
        Counters and delays, kept up to date while the run goes on; a new one if none is given.
    triggers : TriggerSettings, optional
        When the triggers of a detector with a gate are sent.
    on_start : callable, optional
        Called with the detector once the source is open and its rate known.

    Returns
    -------
    Summary
        Counters and delays.

    Raises
    ------
    ValueError
        If triggers are to be sent sooner after R than they can be known.
    StreamqrsError
        What ended the source early, or the last sink's error when none is left; the sinks are told first.
    """
    if duration_s is not None and not duration_s > 0:
        raise ValueError(f"duration is {duration_s:g} s: allowed is more than 0")
    summary = Summary() if summary is None else summary
    triggers = TriggerSettings() if triggers is None else triggers
    async with AsyncExitStack() as stack:
        for sink in sinks:
            await stack.enter_async_context(sink)
        await stack.enter_async_context(source)
        if source.rate != detector.rate:
            detector = detector.at_rate(source.rate)
        _check_align(triggers, detector)
        if on_start:
            on_start(detector)
        work = _Run(source, detector, sinks, duration_s, stop or asyncio.Event(), summary, triggers)
        await work.go()
    work.tally()  # what a sink could not deliver even at its end
    return summary


class _Run:
    def __init__(
        self,
        source: Source,
        detector: Detector,
        sinks: Sequence[Sink],
        duration_s: float | None,
        stop: asyncio.Event,
        summary: Summary,
        triggers: TriggerSettings,
    ) -> None:
        self._source, self._detector, self._sinks = source, detector, sinks
        self._duration_s, self._stop = duration_s, stop
        self._info: SourceInfo = getattr(source, "info", SourceInfo())
        self._summary = summary
        self._error: StreamqrsError | None = None
        self._inbox = Inbox(self._info.live)
        desk = TriggerDesk(triggers, self._info.live)
        self._loop = asyncio.get_running_loop()
        self._post = Post(sinks, desk, summary, self._call)
        self._outboxes = self._post.boxes
        shows = any(isinstance(sink, View) for sink in sinks)
        self._worker = Worker(self._inbox, detector, desk, self._post, summary, started=self._started, shows=shows)

    async def go(self) -> None:
        summary = self._summary
        self._attach()
        with ThreadPoolExecutor(1, "streamqrs-inference") as inference:
            try:
                async with asyncio.TaskGroup() as tasks:
                    supplies = [tasks.create_task(self._supply(box), name=f"sink {box.name}") for box in self._outboxes]
                    self._post.tell(self._started(self._detector))
                    reader = tasks.create_task(self._read(), name="reader")
                    ending = tasks.create_task(self._await_end(reader), name="ending")
                    await self._loop.run_in_executor(inference, self._worker.run)
                    if self._worker.error:
                        self._fail(SourceError(f"{self._info.name}: {self._worker.error}"))
                    ending.cancel()
                    reader.cancel()
                    self._post.close()
                    self.tally()
                    self._post.tell(Stopped(summary.reason, summary.counts()))
                    if supplies:
                        _, late = await asyncio.wait(supplies, timeout=CLOSING_S)
                        for task in late:  # a sink that hangs must not hold the run
                            task.cancel()
            finally:
                self._inbox.close()
                self._post.close()
        self.tally()
        if self._error:
            raise self._error

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in the event loop, from any thread."""
        with suppress(RuntimeError):  # the loop has ended before a sink's own thread: nobody is left to tell
            self._loop.call_soon_threadsafe(function, *arguments)

    def _attach(self) -> None:
        """Take part in what source and sinks know besides."""
        for sink in self._sinks:
            if attach := getattr(sink, "attach", None):
                attach(self._post.tell)
        for part in (self._source, *self._sinks):
            if hasattr(part, "counts"):
                self._summary.connections.append(partial(_reconnects, part))

    async def _supply(self, box: Outbox) -> None:
        await box.deliver()
        if box.error is None:
            return
        self._post.tell(Problem(box.name, str(box.error)))
        outputs = [other for other in self._outboxes if not isinstance(other.sink, View)] or self._outboxes
        if all(other.error for other in outputs):
            self._error = self._error or box.error
            self._stop.set()

    async def _read(self) -> None:
        read_s = 0.0
        try:
            async for item in self._source:
                if isinstance(item, Problem | Marker):
                    self._post.tell(item)
                    continue
                await self._inbox.put(item)
                self.tally()
                read_s += len(item.samples) / item.rate
                if self._duration_s is not None and read_s + 0.5 / item.rate >= self._duration_s:
                    self._summary.reason = "duration"
                    return
            self._summary.reason = "end of source"
        except (StreamqrsError, OSError) as error:
            self._fail(error)
        finally:
            self._inbox.close()

    async def _await_end(self, reader: asyncio.Task[None]) -> None:
        """End the reader when asked to, or when a live source is silent past the duration."""
        try:
            limit_s = self._duration_s + 1 if self._duration_s is not None and self._info.live else None
            await asyncio.wait_for(self._stop.wait(), limit_s)
            self._summary.reason = str(self._error or "interrupted")
        except TimeoutError:
            self._summary.reason = "duration"
        reader.cancel()

    def _fail(self, error: StreamqrsError | OSError) -> None:
        self._error = error if isinstance(error, StreamqrsError) else SourceError(f"{self._info.name}: {error}")
        self._summary.reason = str(self._error)

    def tally(self) -> None:
        """Bring into the summary what the outboxes and sinks count."""
        for box in self._outboxes:
            # a sink may have taken what it could not pass on
            if lost := box.lost + int(getattr(box.sink, "undelivered", 0)):
                self._summary.undelivered[box.name] = lost
            failure = str(box.error) if box.error else str(getattr(box.sink, "failure", ""))
            if failure and failure not in self._summary.failed:
                self._summary.failed.append(failure)

    def _started(self, detector: Detector) -> Started:
        model = detector.model
        return Started(self._info, detector.rate, model.name, model.sha256, detector.delay_ms)


def _reconnects(part: Any) -> int:
    return int(part.counts.get("reconnects", 0))


def _check_align(triggers: TriggerSettings, detector: Detector) -> None:
    budget = GateBudget.of(detector.settings, detector.rate)
    if triggers.align_ms is not None and triggers.align_ms < budget.least_ms:
        raise ValueError(
            f"align is {triggers.align_ms:g} ms: allowed are {budget.least_ms:.1f} ms or more, "
            f"and {budget.most_ms:.1f} plus transport and arithmetic leaves no trigger late"
        )
