"""The connection to an MQTT broker that the source and the sink share: how it opens, and why it failed.

A connection is made anew each time with a client of its own, so that nothing of an old one (half-sent packets, stale
triggers) leaks into the next.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from streamqrs.adapters.mqtt_target import Broker, reason
from streamqrs.adapters.retry import pauses
from streamqrs.errors import StreamqrsError

if TYPE_CHECKING:
    import aiomqtt

KEEPALIVE_S = 5
"""A silent connection counts as broken after one and a half times this, in s."""
ANSWER_S = 5.0
"""Time that a broker has for an answer, in s."""
UNSPECIFIED = 128
"""MQTT reason code without a reason: what a closed connection leaves behind."""

_OPTIONS: list[tuple[int, int, int | bytes]] = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]  # or Nagle costs 40 ms
if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: what the other end's machine has not got after 1 s never leaves ours
    _OPTIONS.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000))

_quiet = logging.getLogger("streamqrs.adapters.mqtt.client")  # what the library says: our own lines say it better
_quiet.setLevel(logging.CRITICAL)


class Refused(StreamqrsError):
    """A connection that will not come about by trying again: a wrong password, name or certificate."""


class Unreachable(StreamqrsError):
    """A connection that may come about later."""


@dataclass(frozen=True)
class Link:
    """An open connection.

    Attributes
    ----------
    client : aiomqtt.Client
        To publish and subscribe with.
    gone : asyncio.Task
        Done when the connection is lost.
    """

    client: aiomqtt.Client
    gone: asyncio.Task[None]

    @property
    def lost(self) -> str:
        """Why it was lost; empty if it is not, or was closed by us."""
        error = self.gone.exception() if self.gone.done() and not self.gone.cancelled() else None
        if error is None:
            return ""
        cause = error.__cause__ or error
        code = getattr(cause, "rc", None)
        if code is None:
            return reason(cause)
        return "closed by the broker" if getattr(code, "value", code) == UNSPECIFIED else str(code)

    async def end(self) -> None:
        """Wait until it is lost, and raise why."""
        await asyncio.shield(self.gone)


@asynccontextmanager
async def connect(
    broker: Broker,
    *,
    take: Callable[[aiomqtt.Message], None] | None = None,
    will: aiomqtt.Will | None = None,
    answer_s: float = ANSWER_S,
) -> AsyncIterator[Link]:
    """Connect, and disconnect at the end; one attempt.

    Parameters
    ----------
    broker : Broker
        Where to.
    take : callable, optional
        Given each message as it arrives; must not raise.
    will : aiomqtt.Will, optional
        What the broker is to publish if we vanish.
    answer_s : float, optional
        Time in s that the broker has to accept us.

    Raises
    ------
    Refused, Unreachable
        If there is no connection; inside the ``async with``, `Link.gone` tells of its end.
    """
    import aiomqtt

    class Handing(asyncio.Queue[aiomqtt.Message]):
        """Hands a message on at once: the library's own iterator starts a task for each."""

        def put_nowait(self, item: aiomqtt.Message) -> None:
            if take:
                take(item)

    client = aiomqtt.Client(
        broker.host,
        broker.port,
        identifier=f"streamqrs-{uuid4().hex[:12]}",
        username=broker.username,
        password=broker.password,
        protocol=aiomqtt.ProtocolVersion.V5 if broker.version == "5" else aiomqtt.ProtocolVersion.V311,
        tls_context=broker.tls,
        will=will,
        queue_type=Handing,
        timeout=answer_s,
        keepalive=KEEPALIVE_S,
        socket_options=_OPTIONS,
        logger=_quiet,
    )
    try:
        await _enter(client)
    except (aiomqtt.MqttError, UnicodeError) as exc:
        why, final = explain(exc, broker)
        raise (Refused if final else Unreachable)(f"{broker.name}: {why}") from exc

    client.timeout = ANSWER_S

    async def wait_for_end() -> None:
        async for _ in client.messages:  # there are none: they go to `take`
            pass

    gone = asyncio.create_task(wait_for_end(), name=f"end of {broker.name}")
    try:
        yield Link(client, gone)
    finally:
        if gone.done() and not gone.cancelled():
            gone.exception()  # seen
        gone.cancel()
        with suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)


async def _enter(client: aiomqtt.Client) -> None:
    """Connect in the library's thread; when cancelled, wait for that thread and close what it opened."""
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        with suppress(Exception):  # whatever it is, the connection is not wanted any more
            await entering
            await client.__aexit__(None, None, None)
        raise


def explain(error: Exception, broker: Broker) -> tuple[str, bool]:
    """Say in a few words why a connection failed, and whether there is no use in trying again."""
    from aiomqtt.exceptions import MqttConnectError

    cause = error.__context__
    if isinstance(error, MqttConnectError):
        busy = getattr(error.rc, "value", None) in (136, 137)
        return f"the broker refused the login: {error.rc}", not busy
    if isinstance(cause, socket.gaierror) or isinstance(error, UnicodeError):
        return f"host {broker.host!r} cannot be resolved", True
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS certificate was not accepted: {cause.verify_message}", True
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed: {cause.reason or cause}: is this the port for mqtts?", True
    if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
        return reason(cause), False
    return "no MQTT broker answers there", False


async def connect_within(
    stack: AsyncExitStack,
    broker: Broker,
    timeout_s: float,
    *,
    take: Callable[[aiomqtt.Message], None] | None = None,
    will: aiomqtt.Will | None = None,
) -> Link:
    """Connect for the first time: try again for `timeout_s`, then raise what `connect` raised last."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    waits = pauses()
    while True:
        answer_s = min(ANSWER_S, max(deadline - loop.time(), 0.1))
        try:
            return await stack.enter_async_context(connect(broker, take=take, will=will, answer_s=answer_s))
        except Unreachable:
            pause_s = next(waits)
            if loop.time() + pause_s > deadline:
                raise
        await asyncio.sleep(pause_s)


def expiry(version: str) -> Any:
    """Have the broker forget a trigger that it could not pass on within 1 s; MQTT 5 only."""
    if version != "5":
        return None
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = 1
    return properties


def first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """First error of a group that is no group itself."""
    error = errors.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error
