"""Worker: the inference thread. It takes chunks from the inbox until there are no more, and posts what it finds."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from streamqrs.detector import Detector
from streamqrs.post import Post
from streamqrs.queues import Inbox, Silence
from streamqrs.summary import Summary
from streamqrs.triggers import TriggerDesk
from streamqrs.types import Beat, Chunk, Gap, Quality, Signal, Started


class Worker:
    """Everything between the inbox and the post; `run` is the thread.

    Parameters
    ----------
    inbox : Inbox
        Where chunks come from.
    detector : Detector
        If the rate changes, another one takes its place.
    desk : TriggerDesk
        Is told when samples arrived.
    post : Post
        Where events go.
    summary : Summary
        What is counted.
    started : callable
        Makes the event that says what is heard, of a detector.
    shows : bool
        Whether anybody wants to see the signal.

    Attributes
    ----------
    error : ValueError or None
        What was wrong with a chunk that no source should have sent: it ends the run.
    """

    def __init__(
        self,
        inbox: Inbox,
        detector: Detector,
        desk: TriggerDesk,
        post: Post,
        summary: Summary,
        *,
        started: Callable[[Detector], Started],
        shows: bool = False,
    ) -> None:
        self._inbox, self._detector, self._desk, self._post, self._summary = inbox, detector, desk, post, summary
        self._started, self._shows = started, shows
        if shows:
            detector.curves = deque(maxlen=64)
        self._dropped = 0
        self._flushed = False
        self.error: ValueError | None = None

    def run(self) -> None:
        """Work until the inbox is closed and empty, then end the stream."""
        try:
            while (item := self._inbox.take()) is not None:
                if isinstance(item, Silence):
                    self._wait(item)
                else:
                    self._push(item)
        except ValueError as error:
            self.error = error
        self._report(self._detector.flush(), None)

    def _push(self, chunk: Chunk) -> None:
        taken = time.monotonic()
        decided: list[float] = []
        if chunk.rate != self._detector.rate:
            self._change(chunk)
        self._flushed = False
        self._desk.hear(chunk.start + len(chunk.samples) - 1, chunk.rate, chunk.received)
        collecting = gc.isenabled()
        gc.disable()  # a full collection takes longer than a trigger may
        try:
            for event in self._detector.stream(chunk):
                self._report([event], chunk)
                if isinstance(event, Beat) and event.kind == "trigger":
                    decided.append(self._decided)
        finally:
            if collecting:
                gc.enable()
        summary = self._summary
        for at in decided:
            summary.trigger_waiting.add((taken - chunk.received) * 1000)
            summary.trigger_network.add((at - taken) * 1000)
        if self._shows:
            self._show(chunk)
        summary.samples += len(chunk.samples)
        summary.signal_s += len(chunk.samples) / chunk.rate
        summary.lag_s = self._inbox.lag_s
        summary.lag_max_s = max(summary.lag_max_s, summary.lag_s)

    def _report(self, events: Sequence[Beat | Gap | Quality], chunk: Chunk | None) -> None:
        self._decided = time.monotonic()
        for event in events:
            if isinstance(event, Beat) and event.kind == "trigger" and chunk:
                newest = chunk.start + len(chunk.samples) - 1
                self._post.trigger(event, self._detector.time(newest) - event.time)
                continue
            if isinstance(event, Gap) and self._inbox.dropped > self._dropped:
                self._summary.dropped = self._dropped = self._inbox.dropped
                event = replace(event, reason="overload")
            elif isinstance(event, Beat) and event.kind == "beat" and chunk:
                self._summary.compute.add((self._decided - chunk.received) * 1000)
            self._post.tell(event)

    def _change(self, chunk: Chunk) -> None:
        """Take up another rate; what was lost meanwhile is counted in the new one."""
        start, time_s = self._detector.next, self._detector.time(self._detector.next)
        self._report(self._detector.restart(chunk.start), None)
        if (lost := chunk.start - start) > 0:
            self._post.tell(Gap(start, chunk.start, time_s, lost / chunk.rate))
        self._detector = self._detector.at_rate(chunk.rate)
        self._detector.reset(chunk.start)
        self._desk.reset()
        self._post.tell(self._started(self._detector))

    def _wait(self, silence: Silence) -> None:
        """Say that samples are missing; after a while, end what is open."""
        if not silence.gone:
            start = self._detector.next
            missing = max(1, round(silence.duration_s * self._detector.rate))
            time_s = self._detector.time(start)
            self._post.tell(Gap(start, start + missing, time_s, silence.duration_s, "silent"))
        elif not self._flushed:
            self._flushed = True
            self._report(self._detector.restart(self._detector.next), None)

    def _show(self, chunk: Chunk) -> None:
        curves = self._detector.curves
        self._post.show(Signal(chunk, tuple(curves or ())))
        if curves:
            curves.clear()
