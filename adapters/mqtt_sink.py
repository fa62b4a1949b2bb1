"""Events to topics of an MQTT broker.

============================ ======================================================== ===========
``BASE/beat``                confirmed and withdrawn beats                            QoS 1
``BASE/trigger``             triggers, at once or never                               QoS 0
``BASE/event``               gaps, quality and problems                                  QoS 1
``BASE/hr``                  newest heart rate                                        retained
``BASE/status``              ``online`` or, also as the last will, ``offline``        retained
============================ ======================================================== ===========

With `ha_discovery`, a retained message under ``homeassistant/`` has Home Assistant show the heart rate by itself.

Beats and events of an outage wait in a bounded store and follow in order; triggers of an outage are dropped, for a late
trigger is worse than none. QoS 1 means at least once: if the connection breaks between a beat and its receipt, the beat
comes twice, with the same ``seq``. On each topic ``seq`` grows: who passes over a message whose ``seq`` does not has
each beat once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from streamqrs.adapters.ha_discovery import heart_rate_sensor
from streamqrs.adapters.mqtt_link import Link, Refused, Unreachable, connect, connect_within, expiry, first
from streamqrs.adapters.mqtt_status import status, to_json
from streamqrs.adapters.mqtt_target import Broker, reason
from streamqrs.adapters.retry import pauses
from streamqrs.errors import SinkError
from streamqrs.events import VERSION, EventEncoder
from streamqrs.types import Beat, Event, Gap, Marker, Problem, Quality, Started, Stopped

if TYPE_CHECKING:
    import aiomqtt

    from streamqrs.summary import Summary

STORE = 1000
"""Messages that wait for the broker, at most."""
TRIGGER_S = 0.25
"""Time that a trigger has to leave the program, in s."""
JAM_S = 0.5
"""A broker that owes a receipt for so long, or took so long for the last one, gets no trigger: it would be late."""
FLIGHT = 16
"""Messages on their way at a time: a broker that takes a second for each receipt still keeps up."""
TELL_S = 5.0
"""Time between two words on the status topic, in s."""
CLOSING_S = 2.0
"""Time to deliver the last messages, in s."""

_COUNTED: dict[type[Event], str] = {Gap: "gaps", Quality: "quality", Problem: "problems"}

log = logging.getLogger("streamqrs.adapters.mqtt")


class MqttSink:
    """Publish events; reconnect for ever.

    Parameters
    ----------
    broker : Broker
        Broker and base of the topics.
    store : int, optional
        Messages kept during an outage.
    timeout_s : float, optional
        Time in s in which the broker must be there at the beginning.
    ha_discovery : bool, optional
        Announce the heart rate to Home Assistant.

    Attributes
    ----------
    name : str
        The spec without user and password.
    counts : collections.Counter
        ``beats``, ``withdrawn``, ``triggers``, ``gaps``, ``quality`` and ``problems`` taken; connections ``lost``, and
        ``reconnects``; ``triggers_dropped`` for want of a connection that carries them at once; ``overflow``, messages
        that the store had to give up; ``left``, those it still held at the end.
    failure : str
        A line if messages were left at the end.
    summary : Summary or None
        Of the run, if somebody puts it here: its counters are told in the status, too, as ``run``.
    """

    def __init__(
        self, broker: Broker, *, store: int = STORE, timeout_s: float = 10.0, ha_discovery: bool = False
    ) -> None:
        if store < 1:
            raise ValueError(f"store is {store}: allowed is 1 or more")
        if not timeout_s > 0:
            raise ValueError(f"timeout is {timeout_s:g} s: allowed is more than 0")
        self.name = broker.name
        self.counts: Counter[str] = Counter()
        self.summary: Summary | None = None
        self._broker, self._timeout_s = broker, timeout_s
        self._base = broker.topic
        self._retained = dict([heart_rate_sensor(self._base)] if ha_discovery else [])
        self._encoder = EventEncoder()
        self._started: Started | None = None
        self._store: deque[tuple[str, str]] = deque()
        self._flight: list[tuple[str, str]] = []  # published, and no receipt yet
        self._asked_s: float | None = None  # since when a receipt is owed, on the monotonic clock
        self._receipt_s = 0.0  # how long the last one took
        self._size = store
        self._newest: dict[str, str] = {}  # retained topics: only the newest word counts
        self._some, self._empty = asyncio.Event(), asyncio.Event()
        self._link: Link | None = None  # None while there is no connection
        self._stack = AsyncExitStack()
        self._tasks = asyncio.TaskGroup()
        self._keeper: asyncio.Task[None] | None = None
        self.failure = ""
        self._tell: Callable[[Problem], object] = lambda problem: log.warning("%s: %s", problem.where, problem.message)

    def attach(self, tell: Callable[[Problem], object]) -> None:
        """Take the function that shows a problem; without one it is logged."""
        self._tell = tell

    @property
    def undelivered(self) -> int:
        """Events that were given up for want of a connection."""
        return self.counts["triggers_dropped"] + self.counts["overflow"] + self.counts["left"]

    async def __aenter__(self) -> Self:
        """Connect and say ``online``."""
        import aiomqtt

        self._will = aiomqtt.Will(f"{self._base}/status", to_json(status("offline")), qos=1, retain=True)
        try:
            link = await connect_within(self._stack, self._broker, self._timeout_s, will=self._will)
        except (Refused, Unreachable) as exc:
            raise SinkError(str(exc)) from exc
        self._link = link  # from now on: a trigger may come before the task runs
        await self._tasks.__aenter__()
        self._newest |= self._retained
        self._say("online")
        self._keeper = self._tasks.create_task(self._keep(link), name=self.name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Deliver what waits, say ``offline`` and disconnect, within `CLOSING_S`."""
        self._say("offline")
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._empty.wait()
        except TimeoutError:
            if left := len(self._store) + len(self._flight):
                self.counts["left"] = left
                self.failure = f"{self.name}: no connection at the end: {left} messages are lost"
        finally:
            if self._keeper:
                self._keeper.cancel()
            await self._tasks.__aexit__(None, None, None)

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link is not None

    async def send(self, event: Event, /) -> None:
        """Take an event: a trigger is published at once, everything else after what came before it."""
        message = to_json(self._encoder.encode(event))
        match event:
            case Beat(kind="trigger"):
                self.counts["triggers"] += 1
                await self._fire(message)
            case Beat():
                self.counts["beats" if event.kind == "beat" else "withdrawn"] += 1
                self._keep_for(f"{self._base}/beat", message)
                rate = event.heart_rate
                if event.kind == "beat" and rate is not None and math.isfinite(rate):
                    time_s = round(float(event.time), 6) if math.isfinite(event.time) else None
                    body = {"version": VERSION, "heart_rate": round(float(rate), 3), "time": time_s}
                    self._newest[f"{self._base}/hr"] = to_json(body)
            case Gap() | Quality() | Problem():
                self.counts[_COUNTED[type(event)]] += 1
                self._keep_for(f"{self._base}/event", message)
                self._say("online")
            case Marker():
                self._keep_for(f"{self._base}/event", message)
            case Started():
                self._started = event
                self._say("online")
            case Stopped():
                self._say("online")
        self._wake()

    async def _fire(self, message: str) -> None:
        """Publish a trigger; it leaves within this call unless the line is jammed."""
        import aiomqtt

        link = self._link
        if link is None or link.gone.done() or self._is_jammed():
            self.counts["triggers_dropped"] += 1
            return
        try:
            await link.client.publish(
                f"{self._base}/trigger", message, properties=expiry(self._broker.version), timeout=TRIGGER_S
            )
        except aiomqtt.MqttError:
            self.counts["triggers_dropped"] += 1

    def _is_jammed(self) -> bool:
        owed_s = 0.0 if self._asked_s is None else time.monotonic() - self._asked_s
        return max(owed_s, self._receipt_s) > JAM_S

    def _keep_for(self, topic: str, message: str) -> None:
        self._store.append((topic, message))
        self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        while len(self._store) > self._size:
            self._store.popleft()
            self.counts["overflow"] += 1

    def _say(self, state: str) -> None:
        topic = f"{self._base}/status"
        self._newest.pop(topic, None)  # what was there before is published before: nothing comes after `offline`
        self._newest[topic] = to_json(status(state, self._started, self.counts, self.summary))
        self._wake()

    def _wake(self) -> None:
        self._empty.clear()
        self._some.set()

    async def _keep(self, link: Link) -> None:
        """Publish as long as the connection holds, and get a new one when it is lost."""
        import aiomqtt

        try:
            while True:
                self._link = link
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(link.end(), name=f"end of {self.name}")
                        tasks.create_task(self._publish(link.client), name=f"publisher of {self.name}")
                        tasks.create_task(self._tell_regularly(), name=f"status of {self.name}")
                except* aiomqtt.MqttError as errors:
                    why = link.lost or reason(first(errors))
                    self._complain(f"connection lost: {why}: beats are kept for later, triggers are dropped")
                since, dropped = time.monotonic(), self.counts["triggers_dropped"]
                self._link = self._asked_s = None
                self._receipt_s = 0.0
                self._store.extendleft(reversed(self._flight))
                self._flight = []
                self._give_up_oldest()
                self.counts["lost"] += 1
                await self._stack.aclose()
                link = await self._reconnect()
                self.counts["reconnects"] += 1
                dropped = self.counts["triggers_dropped"] - dropped
                self._complain(
                    f"connected again after {time.monotonic() - since:.1f} s: {len(self._store)} messages follow, "
                    f"{dropped} triggers were dropped"
                )
                self._newest |= self._retained
                self._say("online")
        finally:
            self._link = None
            await self._stack.aclose()

    async def _tell_regularly(self) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            self._say("online")

    def _complain(self, message: str) -> None:
        self._tell(Problem(self.name, message))

    async def _reconnect(self) -> Link:
        """Try until there is a connection again, telling of each new reason for failing but those of every outage."""
        waits, told = pauses(), ""
        while True:
            await asyncio.sleep(next(waits))
            try:
                return await self._stack.enter_async_context(connect(self._broker, will=self._will))
            except Unreachable as exc:
                log.info("%s", exc)
            except Refused as exc:
                if str(exc) != told:
                    told = str(exc)
                    self._complain(f"{told.removeprefix(f'{self.name}: ')}: trying again")

    async def _publish(self, client: aiomqtt.Client) -> None:
        """Publish what waits, in order: a beat is given up only when the broker has it."""
        while True:
            self._some.clear()
            while self._store:
                self._flight = [self._store.popleft() for _ in range(min(FLIGHT, len(self._store)))]
                await self._await_receipts(client, self._flight)
                self._flight = []
            newest = list(self._newest.items())
            await self._await_receipts(client, newest, retain=True)
            for topic, message in newest:
                if self._newest[topic] is message:
                    del self._newest[topic]
            if not self._store and not self._newest:
                self._empty.set()
                await self._some.wait()

    async def _await_receipts(
        self, client: aiomqtt.Client, messages: list[tuple[str, str]], *, retain: bool = False
    ) -> None:
        """Publish messages all at once, in order, and wait until the broker has them."""
        if not messages:
            return
        self._asked_s = asked_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for topic, message in messages:
                tasks.create_task(client.publish(topic, message, qos=1, retain=retain))
        self._receipt_s = time.monotonic() - asked_s
        self._asked_s = None
