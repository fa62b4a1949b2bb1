"""Post: from the threads that find things to the queues of the sinks, counting what passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from streamqrs.alarm import Alarm
from streamqrs.errors import StreamqrsError
from streamqrs.ports import Sink, View
from streamqrs.queues import Outbox
from streamqrs.summary import Summary
from streamqrs.triggers import Trigger, TriggerDesk
from streamqrs.types import Beat, Event, Gap, Problem, Quality, Signal


class Post:
    """Take events from any thread, and triggers past everything else.

    A trigger goes in the thread that found it, or in that of the alarm, to every sink that has a method `fire`, and
    through the event loop to the others. What belongs to a trigger follows it: a beat waits while its trigger is held,
    and nobody hears that a trigger is withdrawn that was never sent.

    Parameters
    ----------
    sinks : sequence of Sink
        Where events go.
    desk : TriggerDesk
        Decides which triggers go when.
    summary : Summary
        What is counted.
    call : callable
        Calls a function with its arguments in the event loop, from any thread, in order.

    Attributes
    ----------
    boxes : list of Outbox
        One for each sink; they belong to the event loop.
    """

    def __init__(self, sinks: Sequence[Sink], desk: TriggerDesk, summary: Summary, call: Callable[..., object]) -> None:
        self.boxes = [Outbox(sink, self._sent, self._late) for sink in sinks]
        self._desk, self._summary, self._call = desk, summary, call
        self._views = [sink for sink in sinks if isinstance(sink, View)]
        self._alarm = Alarm() if desk.live and desk.settings.align_ms is not None else None
        self._lock = threading.Lock()
        self._held: dict[int, list[Beat]] = {}  # triggers held on purpose, and what follows them
        self._unsent: set[int] = set()
        self._silent = -1

    def close(self) -> None:
        """Give up the triggers that are still held."""
        if self._alarm:
            self._alarm.close()
        for id in list(self._held):
            self._release(id)

    def tell(self, event: Event) -> None:
        """Pass on an event."""
        with self._lock:
            if isinstance(event, Beat) and self._belongs(event):
                return
            self._count(event)
        self._call(self._put, event)

    def show(self, signal: Signal) -> None:
        """Pass on what was heard to those who show it."""
        for view in self._views:
            self._call(view.watch, signal)

    def trigger(self, beat: Beat, ago_s: float) -> None:
        """Send a trigger now, at its time, or not at all.

        Parameters
        ----------
        beat : Beat
            The trigger.
        ago_s : float
            Time from its R peak to the newest sample that was heard, in s on the source clock.
        """
        trigger = self._desk.judge(beat, ago_s, time.monotonic())
        if trigger is None:
            self._miss(beat)
        elif trigger.held and self._alarm:
            with self._lock:
                self._held[beat.id] = []
            self._alarm.at(trigger.due, partial(self._ring, trigger))
        else:
            self._send(trigger)

    def _sent(self, trigger: Trigger, now: float) -> None:
        """Note that a sink got a trigger, and when on the local monotonic clock in s; called by its outbox."""
        with self._lock:
            summary = self._summary
            if self._desk.live:
                summary.trigger_age.add((now - trigger.peak) * 1000)
            if not trigger.held and trigger.received == trigger.received:
                summary.trigger_handover.add((now - trigger.decided) * 1000)
                summary.trigger_response.add((now - trigger.received) * 1000)

    def _late(self, _: Trigger) -> None:
        """Note that a sink could not take a trigger in time; called by its outbox."""
        with self._lock:
            self._summary.late += 1

    def _ring(self, trigger: Trigger) -> None:
        with self._lock:
            if trigger.beat.id not in self._held:
                return
        self._send(trigger)
        self._release(trigger.beat.id)

    def _send(self, trigger: Trigger) -> None:
        if time.monotonic() > trigger.latest:
            self._miss(trigger.beat)
            return
        through_loop = []
        for box in self.boxes:
            if not box.fires:
                through_loop.append(box)
                continue
            try:
                box.fire(trigger)
            except (StreamqrsError, OSError) as error:
                self._call(box.fail, error)
        if through_loop:
            self._call(_put_all, through_loop, trigger)
        with self._lock:
            self._summary.triggers += 1
            self._summary.trigger_known.add(trigger.beat.delay_ms)

    def _miss(self, beat: Beat) -> None:
        with self._lock:
            self._summary.late += 1
            self._unsent.add(beat.id)

    def _release(self, id: int) -> None:
        """End the holding of a trigger: what followed it goes on its way."""
        with self._lock:
            following = self._held.pop(id, [])
        for beat in following:
            self.tell(beat)

    def _belongs(self, beat: Beat) -> bool:
        """Whether a beat waits for its trigger, or takes back one that nobody got."""
        if beat.id in self._held:
            if beat.kind == "withdrawn":
                del self._held[beat.id]
            else:
                self._held[beat.id].append(beat)
            return True
        if beat.id in self._unsent:
            self._unsent.discard(beat.id)
            return beat.kind == "withdrawn"
        return False

    def _count(self, event: Event) -> None:
        summary = self._summary
        match event:
            case Beat(kind="beat"):
                summary.beats += 1
                summary.known.add(event.delay_ms)
                summary.heart_rate = event.heart_rate
            case Beat():
                summary.withdrawn += 1
            case Gap():
                # a silence that is over comes a second time, with its full length
                summary.gaps += event.start != self._silent
                self._silent = event.start if event.reason == "silent" else -1
            case Quality():
                summary.unusable += not event.usable
                summary.usable = event.usable
            case Problem():
                summary.problems += 1
            case _:
                pass

    def _put(self, event: Event) -> None:
        _put_all(self.boxes, event)


def _put_all(boxes: Sequence[Outbox], event: Event | Trigger) -> None:
    for box in boxes:
        box.put(event)
