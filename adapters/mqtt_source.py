"""Samples from a topic of an MQTT broker: one topic, one device, one lead."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from streamqrs.adapters.mqtt_link import Link, Refused, Unreachable, connect, connect_within
from streamqrs.adapters.mqtt_target import Broker, reason
from streamqrs.adapters.packet import Packet
from streamqrs.adapters.payload import FORMS, LIMIT, decoder, parse
from streamqrs.adapters.retry import pauses
from streamqrs.adapters.sequence import Sequencer
from streamqrs.adapters.sniff import sniff
from streamqrs.errors import BadSignal, BadSpec, SourceError, SourceNotFound
from streamqrs.types import Chunk, Problem, SourceInfo

if TYPE_CHECKING:
    import aiomqtt

QUEUE = 4096
"""Messages that may wait to be read."""
QUEUE_BYTES = 16 * LIMIT
"""Bytes that may wait to be read."""
FIRST = 64
"""Messages by which form and rate must have shown."""
SILENT_S = 5.0
"""A silence of this length is told."""


@dataclass(frozen=True, slots=True)
class _Message:
    payload: bytes  # empty if too large to be kept
    size: int  # bytes, as it came
    received: float  # monotonic, s
    unix: float  # s


class MqttSource:
    """Chunks from the messages of one topic; it reconnects for ever, and never ends by itself.

    Parameters
    ----------
    broker : Broker
        Broker and topic.
    payload : str, optional
        Form of the messages, one of `streamqrs.adapters.payload.FORMS`; ``auto`` finds it out by the first ones.
    rate : float, optional
        Sampling rate in Hz; needed if the messages name none, and stronger than what they name.
    channel : str or int, optional
        Lead to take where messages carry several: its name or its index.
    timeout_s : float, optional
        Time in s in which the broker must be there, and after that the first message.

    Attributes
    ----------
    name : str
        The spec without user and password.
    rate : float
        Sampling rate in Hz; NaN before the source is open.
    info : SourceInfo
        What is known of the source.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        payload: str = "auto",
        rate: float | None = None,
        channel: str | int | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        if payload not in FORMS:
            raise BadSpec(f"payload is {payload!r}: allowed are {', '.join(FORMS)}")
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(f"rate is {rate:g} Hz: allowed is more than 0")
        if not timeout_s > 0:
            raise ValueError(f"timeout is {timeout_s:g} s: allowed is more than 0")
        if payload in ("msgpack", "cbor"):
            decoder(payload)
        self.name = broker.name
        self.rate = rate or math.nan
        self.info = SourceInfo(self.name, "" if channel is None else str(channel), "", "unix", live=True)
        self._broker, self._channel, self._timeout_s = broker, channel, timeout_s
        self._form, self._fixed_rate = payload, rate
        self._queue: deque[_Message] = deque()
        self._queued_bytes = 0
        self._some = asyncio.Event()
        self._broken = False
        self._stack = AsyncExitStack()
        self._link: Link | None = None
        self._sequencer = Sequencer()
        self._counts: Counter[str] = Counter()
        self._told = -math.inf

    @property
    def counts(self) -> dict[str, int]:
        """What came so far.

        ``messages``, and those of them that were ``bad``, ``retained`` (old) or ``dropped`` (not read in time);
        ``reconnects``; and the counts of `streamqrs.adapters.sequence.Sequencer`.
        """
        return dict(self._counts + self._sequencer.counts)

    async def __aenter__(self) -> Self:
        """Connect, and wait for the messages that show form and rate."""
        try:
            self._link = await connect_within(self._stack, self._broker, self._timeout_s, take=self._take)
            await self._subscribe(self._link)
            await self._wait_for_first(self._link)
        except BaseException as exc:
            await self._stack.aclose()
            if isinstance(exc, Unreachable):
                raise SourceNotFound(f"{exc}: tried for {self._timeout_s:g} s") from exc
            if isinstance(exc, Refused):
                raise SourceError(str(exc)) from exc
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Disconnect."""
        await self._stack.aclose()

    async def __aiter__(self) -> AsyncIterator[Chunk | Problem]:
        """Yield chunks as they arrive, and problems; reconnect when the connection is lost."""
        while self._link:
            while self._queue:
                for item in self._read(self._pop()):
                    yield item
            if self._link.gone.done():
                async for problem in self._reconnect(self._link):
                    yield problem
            elif not await self._wait(SILENT_S):
                yield Problem(self.name, f"no message for {SILENT_S:g} s")
                await self._wait(None)

    def _take(self, message: aiomqtt.Message) -> None:
        """Keep a message until it is read; called by the client as it arrives."""
        self._counts["messages"] += 1
        if message.retain:  # from before we came: no part of the live stream
            self._counts["retained"] += 1
            return
        size = len(message.payload)
        kept = message.payload if size <= LIMIT else b""
        self._queue.append(_Message(kept, size, time.monotonic(), time.time()))
        self._queued_bytes += len(kept)
        while len(self._queue) > QUEUE or self._queued_bytes > QUEUE_BYTES:
            self._pop()
            self._counts["dropped"] += 1
            self._broken = True
        self._some.set()

    def _pop(self) -> _Message:
        message = self._queue.popleft()
        self._queued_bytes -= len(message.payload)
        return message

    async def _wait(self, limit_s: float | None) -> bool:
        """Wait for a message or the end of the connection; whether any came."""
        try:
            async with asyncio.timeout(limit_s):
                await self._some.wait()
        except TimeoutError:
            return False
        self._some.clear()
        return True

    def _read(self, message: _Message) -> Sequence[Chunk | Problem]:
        try:
            packet = self._parse(message, self._form)
        except BadSignal as error:
            self._counts["bad"] += 1
            if message.received >= self._told + 1:
                self._told = message.received
                return [Problem(self.name, f"{error} (bad messages so far: {self._counts['bad']}, skipped)")]
            return []
        self.rate = self._fixed_rate or packet.rate or self.rate
        broken, self._broken = self._broken, False
        return self._sequencer.push(packet, self.rate, message.received, message.unix, broken=broken)

    def _parse(self, message: _Message, form: str) -> Packet:
        if message.size > LIMIT:
            raise BadSignal(f"message of {message.size} bytes: allowed are up to {LIMIT}")
        return parse(message.payload, form, channel=self._channel)

    async def _wait_for_first(self, link: Link) -> None:
        """Wait for messages until form and rate have shown; they stay in the queue."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        error = None
        while len(self._queue) < FIRST:
            if not await self._wait(max(0.0, deadline - loop.time())):
                break
            if link.gone.done():
                raise SourceNotFound(f"{self.name}: connection lost before the first message: {link.lost}")
            form = self._form
            if form == "auto":
                form = sniff([message.payload for message in self._queue if message.payload]) or "auto"
            if form == "auto":
                continue
            for message in self._queue:
                try:
                    packet = self._parse(message, form)
                except BadSignal as exc:
                    error = exc
                    continue
                if not (self._fixed_rate or packet.rate):
                    raise SourceError(f"{self.name}: messages name no sampling rate: give it with --rate")
                self._form, self.rate = form, self._fixed_rate or packet.rate or math.nan
                return
        if not self._queue:
            raise SourceNotFound(f"{self.name}: no message within {self._timeout_s:g} s")
        if error:
            raise BadSignal(f"{self.name}: none of the first {len(self._queue)} messages can be read: {error}")
        raise BadSignal(
            f"{self.name}: the first {len(self._queue)} messages do not show their form: "
            f"name it with --payload: allowed are {', '.join(FORMS[1:])}"
        )

    async def _subscribe(self, link: Link) -> None:
        """Ask for the topic; quality 0: what is late is of no use."""
        import aiomqtt

        link.gone.add_done_callback(lambda _: self._some.set())
        try:
            codes: Any = await link.client.subscribe(self._broker.topic, qos=0)
        except aiomqtt.MqttError as exc:
            raise Unreachable(f"{self.name}: subscription failed: {reason(exc)}") from exc
        if any(getattr(code, "value", code) >= 128 for code in codes):
            raise Refused(f"{self.name}: the broker refused the subscription")

    async def _reconnect(self, lost: Link) -> AsyncIterator[Problem]:
        """Try until there is a connection again, telling of each new reason for failing."""
        told = f"{self.name}: {lost.lost}"
        yield Problem(self.name, f"connection lost: {lost.lost}: trying again")
        await self._stack.aclose()
        since = time.monotonic()
        for pause_s in pauses():
            await asyncio.sleep(pause_s)
            try:
                link = await self._stack.enter_async_context(connect(self._broker, take=self._take))
                await self._subscribe(link)
            except (Refused, Unreachable) as exc:
                await self._stack.aclose()
                if str(exc) != told:
                    told = str(exc)
                    yield Problem(self.name, told.removeprefix(f"{self.name}: "))
                continue
            self._link, self._broken = link, True
            self._counts["reconnects"] += 1
            yield Problem(self.name, f"connected again after {time.monotonic() - since:.1f} s")
            return
