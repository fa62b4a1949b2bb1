"""Events to topics of an MQTT broker.

============================ ======================================================== ===========
``BASE/beat``                confirmed and withdrawn beats                            QoS 1
``BASE/trigger``             triggers, at once or never                               QoS 0
``BASE/event``               gaps, quality and problems                                  QoS 1
``BASE/hr``                  newest heart rate                                        retained
``BASE/status``              ``online`` or, also as the last will, ``offline``        retained
============================ ======================================================== ===========

Beats and events of an outage wait in a bounded store and follow in order; triggers of an outage are dropped, for a late
trigger is worse than none. QoS 1 means at least once: if the connection breaks between a beat and its receipt, the beat
comes twice, with the same ``seq``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections import Counter, deque
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from streamqrs.adapters.mqtt_link import Link, Refused, Unreachable, connect, connect_within, pauses
from streamqrs.adapters.mqtt_target import Broker, reason
from streamqrs.errors import SinkError
from streamqrs.events import VERSION, EventEncoder
from streamqrs.types import Beat, Event, Gap, Problem, Quality, Started, Stopped

if TYPE_CHECKING:
    import aiomqtt

STORE = 1000
"""Messages that wait for the broker, at most."""
TRIGGER_S = 0.25
"""Time that a trigger has to leave the program, in s."""
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

    Attributes
    ----------
    name : str
        The spec without user and password.
    counts : collections.Counter
        ``beats``, ``withdrawn``, ``triggers``, ``gaps``, ``quality`` and ``problems`` taken; connections ``lost``;
        ``triggers_dropped`` for want of a connection; ``overflow``, messages that the store had to give up.
    """

    def __init__(self, broker: Broker, *, store: int = STORE, timeout_s: float = 10.0) -> None:
        if store < 1:
            raise ValueError(f"store is {store}: allowed is 1 or more")
        if not timeout_s > 0:
            raise ValueError(f"timeout is {timeout_s:g} s: allowed is more than 0")
        self.name = broker.name
        self.counts: Counter[str] = Counter()
        self._broker, self._timeout_s = broker, timeout_s
        self._base = broker.topic
        self._encoder = EventEncoder()
        self._started: Started | None = None
        self._store: deque[tuple[str, str]] = deque()
        self._size = store
        self._newest: dict[str, str] = {}  # retained topics: only the newest word counts
        self._some, self._empty = asyncio.Event(), asyncio.Event()
        self._link: Link | None = None  # None while there is no connection
        self._stack = AsyncExitStack()
        self._tasks = asyncio.TaskGroup()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect and say ``online``."""
        import aiomqtt

        self._will = aiomqtt.Will(f"{self._base}/status", _json(_status("offline")), qos=1, retain=True)
        try:
            link = await connect_within(self._stack, self._broker, self._timeout_s, will=self._will)
        except (Refused, Unreachable) as exc:
            raise SinkError(str(exc)) from exc
        self._link = link  # from now on: a trigger may come before the task runs
        await self._tasks.__aenter__()
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
            log.warning("%s: %d messages could not be delivered", self.name, len(self._store))
        finally:
            if self._keeper:
                self._keeper.cancel()
            await self._tasks.__aexit__(None, None, None)

    async def send(self, event: Event, /) -> None:
        """Take an event: a trigger is published at once, everything else after what came before it."""
        message = _json(self._encoder.encode(event))
        match event:
            case Beat(kind="trigger"):
                self.counts["triggers"] += 1
                await self._fire(message)
            case Beat():
                self.counts["beats" if event.kind == "beat" else "withdrawn"] += 1
                self._keep_for(f"{self._base}/beat", message)
                rate = event.heart_rate
                if event.kind == "beat" and rate is not None and math.isfinite(rate):
                    time = round(float(event.time), 6) if math.isfinite(event.time) else None
                    body = {"version": VERSION, "heart_rate": round(float(rate), 3), "time": time}
                    self._newest[f"{self._base}/hr"] = _json(body)
            case Gap() | Quality() | Problem():
                self.counts[_COUNTED[type(event)]] += 1
                self._keep_for(f"{self._base}/event", message)
                self._say("online")
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
        if link is None or link.gone.done():
            self.counts["triggers_dropped"] += 1
            return
        try:
            await link.client.publish(
                f"{self._base}/trigger", message, properties=_expiry(self._broker.version), timeout=TRIGGER_S
            )
        except aiomqtt.MqttError:
            self.counts["triggers_dropped"] += 1

    def _keep_for(self, topic: str, message: str) -> None:
        if len(self._store) >= self._size:
            self._store.popleft()
            self.counts["overflow"] += 1
        self._store.append((topic, message))

    def _say(self, state: str) -> None:
        self._newest[f"{self._base}/status"] = _json(_status(state, self._started, self.counts))
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
                        tasks.create_task(_until_gone(link), name=f"end of {self.name}")
                        tasks.create_task(self._publish(link.client), name=f"publisher of {self.name}")
                except* aiomqtt.MqttError as errors:
                    log.warning("%s: connection lost: %s", self.name, link.lost or reason(errors.exceptions[0]))
                self._link = None
                self.counts["lost"] += 1
                await self._stack.aclose()
                link = await self._reconnect()
                log.warning("%s: connected again", self.name)
                self._say("online")
        finally:
            self._link = None
            await self._stack.aclose()

    async def _reconnect(self) -> Link:
        waits = pauses()
        while True:
            await asyncio.sleep(next(waits))
            try:
                return await self._stack.enter_async_context(connect(self._broker, will=self._will))
            except (Refused, Unreachable) as exc:
                log.info("%s", exc)

    async def _publish(self, client: aiomqtt.Client) -> None:
        """Publish what waits, in order: each beat leaves the store when the broker has it."""
        while True:
            self._some.clear()
            while self._store:
                first = self._store[0]
                await client.publish(*first, qos=1)
                if self._store and self._store[0] is first:  # else it has made way meanwhile
                    self._store.popleft()
            for topic, message in list(self._newest.items()):
                await client.publish(topic, message, qos=1, retain=True)
                if self._newest[topic] is message:
                    del self._newest[topic]
            if not self._store and not self._newest:
                self._empty.set()
                await self._some.wait()


async def _until_gone(link: Link) -> None:
    await asyncio.shield(link.gone)


def _status(state: str, started: Started | None = None, counts: Counter[str] | None = None) -> dict[str, Any]:
    status: dict[str, Any] = {"version": VERSION, "state": state}
    if counts is None:
        return status
    return status | {
        "source": started.source.name if started else None,
        "rate": float(started.rate) if started else None,
        "clock": started.source.clock if started else None,
        "model": started.model if started else None,
        "model_sha256": started.model_sha256 if started else None,
        "counts": dict(counts),
    }


def _expiry(version: str) -> Any:
    """Have the broker forget a trigger that it could not pass on within 1 s; MQTT 5 only."""
    if version != "5":
        return None
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = 1
    return properties


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
