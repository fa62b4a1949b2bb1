"""What ``streamqrs simulate`` can be: an LSL device or an MQTT device, each with the truth beside its signal."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Protocol, Self

from streamqrs.errors import BadSpec, SinkError
from streamqrs.types import Samples

LINGER_S = 0.2
"""Time that the last samples have to leave, in s."""


class Device(Protocol):
    """A device that plays samples, and knows its beats."""

    @property
    def name(self) -> str:
        """Where it can be heard, as ``run --source`` takes it."""

    @property
    def chunk_s(self) -> float:
        """Length of a chunk in s, unless another one is asked for; a chunk has one sample at least."""

    async def __aenter__(self) -> Self:
        """Announce or connect it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Let the last samples leave, and close it."""

    async def begin(self, *, wait: bool) -> None:
        """Take now for the time of the first sample; with `wait`, now is when somebody listens."""

    async def play(self, start: int, samples: Samples) -> None:
        """Send samples, shape (n,), float32; `start` counts the first of them."""

    async def tell(self, index: int, label: str) -> None:
        """Send a true beat: the sample of its R peak, and its MIT-BIH code."""


class LslDevice:
    """An LSL stream of type ECG, and a marker stream NAME-truth with the code of each beat at the time of its R peak.

    Every push wakes the listener: at 1 sample a push, 1000 Hz, a push costs some 20 µs here, and the sample is with
    the listener 0.3 ms after its time.

    Parameters
    ----------
    name : str
        Name of the stream.
    rate : float
        Sampling rate in Hz.
    lead, unit : str
        Label and unit of the channel.
    """

    chunk_s = 0.001

    def __init__(self, name: str, rate: float, lead: str, unit: str) -> None:
        self.name = f"lsl:{name}"
        self._stream, self._rate, self._lead, self._unit = name, rate, lead, unit
        self._began = 0.0

    async def __aenter__(self) -> Self:
        from streamqrs.adapters.lsl_sink import make_outlet
        from streamqrs.adapters.lsl_streams import load

        self._clock = load().local_clock
        self._ecg: Any = make_outlet(self._stream, "ECG", [(self._lead, "ECG", self._unit)], rate=self._rate)
        self._truth: Any = make_outlet(f"{self._stream}-truth", "Markers", [("beat", "none", "")], text=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        try:
            if self._ecg.have_consumers() or self._truth.have_consumers():
                await asyncio.sleep(LINGER_S)
        finally:
            del self._ecg, self._truth

    async def begin(self, *, wait: bool) -> None:
        """Take now for the time of the first sample."""
        while wait and not await asyncio.to_thread(self._ecg.wait_for_consumers, 0.2):
            pass
        self._began = self._clock()

    async def play(self, start: int, samples: Samples) -> None:
        """Send samples."""
        # liblsl wants the time of the last sample of a chunk
        self._ecg.push_chunk(samples[:, None], self._began + (start + len(samples) - 1) / self._rate)

    async def tell(self, index: int, label: str) -> None:
        """Send a true beat."""
        self._truth.push_sample([label], self._began + index / self._rate)


class MqttDevice:
    """JSON messages on a topic, and one per beat on TOPIC/truth; quality of service 0, as such devices send.

    A message is ``{"seq", "fs", "t", "samples"}``: count of the message, rate in Hz, Unix time of its first sample in
    s, and the samples; the truth is ``{"time", "index", "label"}``.

    Parameters
    ----------
    spec : str
        ``mqtt://[user[:password]@]host[:port]/topic``, or ``mqtts://``.
    rate : float
        Sampling rate in Hz.
    """

    chunk_s = 0.008

    def __init__(self, spec: str, rate: float) -> None:
        from streamqrs.adapters.mqtt_target import read_target

        scheme, _, target = spec.partition(":")
        self._broker = read_target(target, secure=scheme == "mqtts")
        self.name = self._broker.name
        self._rate = rate
        self._began = 0.0
        self._sent = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        from streamqrs.adapters.mqtt_link import Refused, Unreachable, connect_within

        try:
            self._link = await connect_within(self._stack, self._broker, 5.0)
        except (Refused, Unreachable) as error:
            raise SinkError(str(error)) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self._stack.aclose()

    async def begin(self, *, wait: bool) -> None:
        """Take now for the time of the first sample."""
        if wait:
            raise BadSpec(f"--wait: {self.name} cannot say who listens: allowed with lsl only")
        self._began = time.time()

    async def play(self, start: int, samples: Samples) -> None:
        """Send samples."""
        values = [None if value != value else value for value in map(float, samples)]  # JSON knows no NaN
        time_s = round(self._began + start / self._rate, 6)
        await self._publish("", {"seq": self._sent, "fs": self._rate, "t": time_s, "samples": values})
        self._sent += 1

    async def tell(self, index: int, label: str) -> None:
        """Send a true beat."""
        time_s = round(self._began + index / self._rate, 6)
        await self._publish("/truth", {"time": time_s, "index": index, "label": label})

    async def _publish(self, below: str, message: dict[str, Any]) -> None:
        from aiomqtt import MqttError

        try:
            await self._link.client.publish(self._broker.topic + below, json.dumps(message), qos=0)
        except MqttError as error:
            raise SinkError(f"{self.name}: {self._link.lost or error}") from error


def open_device(spec: str, rate: float, lead: str, unit: str) -> Device:
    """Make the device for ``lsl[:NAME]``, ``mqtt://host[:port]/topic`` or ``mqtts://…``."""
    scheme, _, target = spec.partition(":")
    if scheme == "lsl":
        return LslDevice(target or "SimulatedECG", rate, lead, unit)
    return MqttDevice(spec, rate)
