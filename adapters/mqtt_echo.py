"""An echo test of an MQTT broker: what it refuses without a word, and what a way through it takes.

With an access list a broker drops a publication in silence, and may grant a subscription that it will never serve: only
a message that comes back shows that both are allowed. Two messages sent at once show Nagle's algorithm: a broker that
has it on holds the second one back until the first one is acknowledged, which may take 40 ms.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from streamqrs.adapters.mqtt_link import Refused, Unreachable, connect_within
from streamqrs.adapters.mqtt_target import Broker, reason
from streamqrs.errors import SinkError

if TYPE_CHECKING:
    import aiomqtt

ROUNDS = 50
"""Messages that are sent alone, and pairs of them."""
ANSWER_S = 3.0
"""Time that a message has to come back, in s."""
PAUSE_S = 0.01
"""Pause between two rounds, in s: as between beats, the line has been idle."""
NAGLE_MS = 25.0
"""A pair that takes so much longer than one message does in the middle was held back."""
HELD = 3
"""So many more pairs than single messages that were late by that are no chance."""


@dataclass(frozen=True, slots=True)
class Echo:
    """What an echo test found.

    Attributes
    ----------
    p50_ms, p95_ms, max_ms : float
        There and back for one message alone, in ms: quantiles, and the longest.
    pair_p95_ms : float
        Until the second of two messages sent at once is back, in ms: 95 % quantile.
    held_back : bool
        Whether the broker holds small messages back (Nagle's algorithm).
    """

    p50_ms: float
    p95_ms: float
    max_ms: float
    pair_p95_ms: float
    held_back: bool


async def echo(broker: Broker, *, timeout_s: float = 5.0) -> Echo:
    """Send messages to ``TOPIC/doctor/…`` and wait for them, at quality of service 0.

    Parameters
    ----------
    broker : Broker
        Broker, and what the topic begins with.
    timeout_s : float, optional
        Time in s in which the broker must be there.

    Raises
    ------
    SinkError
        If there is no connection, or no message comes back.
    """
    import aiomqtt

    topic = f"{broker.topic}/doctor/{uuid4().hex[:8]}"
    arrivals: asyncio.Queue[float] = asyncio.Queue()

    def take(message: aiomqtt.Message) -> None:
        arrivals.put_nowait(time.perf_counter())

    async with AsyncExitStack() as stack:
        try:
            link = await connect_within(stack, broker, timeout_s, take=take)
            codes: Any = await link.client.subscribe(topic, qos=0)
            if any(getattr(code, "value", code) >= 128 for code in codes):
                raise SinkError(f"{broker.name}: the broker refused the subscription to {topic}")
            single, pairs = [], []
            for _ in range(ROUNDS):  # in turn: a busy machine delays both alike
                single.append(await _round(link.client, topic, arrivals, 1))
                pairs.append(await _round(link.client, topic, arrivals, 2))
        except (Refused, Unreachable) as exc:
            raise SinkError(str(exc)) from exc
        except TimeoutError as exc:
            raise SinkError(
                f"{broker.name}: no echo from {topic}: the broker's access list refuses to publish or to subscribe"
            ) from exc
        except aiomqtt.MqttError as exc:
            raise SinkError(f"{broker.name}: {reason(exc)}") from exc
    p50, p95 = np.quantile(single, [0.5, 0.95]).tolist()
    late = [sum(ms > p50 + NAGLE_MS for ms in times) for times in (single, pairs)]
    return Echo(p50, p95, max(single), float(np.quantile(pairs, 0.95)), held_back=late[1] - late[0] >= HELD)


async def _round(client: aiomqtt.Client, topic: str, arrivals: asyncio.Queue[float], count: int) -> float:
    """Time in ms until the last of `count` messages sent at once is back."""
    await asyncio.sleep(PAUSE_S)
    began = ended = time.perf_counter()
    sending = [asyncio.ensure_future(client.publish(topic, b"echo", qos=0)) for _ in range(count)]
    async with asyncio.timeout(ANSWER_S):
        for sent in sending:
            await sent
        for _ in range(count):
            ended = await arrivals.get()
    return (ended - began) * 1000
