"""Source ``rda://host[:port]``: one channel of a BrainVision Recorder, through its remote data access (RDA).

Port 51244 sends float32, 51234 int16; both are heard. The recorder sends a block every 20 ms or so, and that is the
delay which it adds. It has no clock: the time of a block is reckoned from its arrival, on the Unix clock of this
machine. Blocks that are lost show in their running number; after a stop, a restart or a broken connection the time
that passed tells how much is missing. Markers, volume triggers of the scanner among them, are passed on at their
sample, counted, and told in the log when the source is closed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import numpy as np

from streamqrs.adapters import rda_protocol
from streamqrs.adapters.labels import pick_channel
from streamqrs.adapters.rda_protocol import Data, Message, RdaParser, Start, Stop
from streamqrs.adapters.retry import pauses, reason
from streamqrs.errors import BadSignal, BadSpec, SourceLost, SourceNotFound
from streamqrs.types import Chunk, Marker, Problem, SourceInfo

PORT = 51244
CONNECT_S = 5.0
"""Longest wait for a connection, in s."""
SILENT_S = 5.0
"""A recorder that was sending and is silent for this long is told of, in s."""
REOPEN_S = 15.0
"""A connection that is silent for this long is made anew, in s: its other end may have gone unsaid."""
PATIENCE_S = 5.0
"""Block numbers that tell of a loss longer than the time that has passed, by more than this, are of a new series."""
MARKERS = 1000
"""Kinds of markers that are counted one by one."""
READ = 1 << 16

log = logging.getLogger("streamqrs.adapters.rda")


def open_source(target: str, *, channel: str | int | None = None, timeout: float = 10.0) -> RdaSource:
    """Make the source ``rda://host[:port][?channel=ECG]``.

    Parameters
    ----------
    target : str
        What follows ``rda:``.
    channel : str or int, optional
        Label or index (from 0) of the channel. Not needed if one is labelled ECG or EKG, or there is one only.
    timeout : float, optional
        Time in s in which the recorder must be there and sending.

    Raises
    ------
    BadSpec
        If the target cannot be read, or gives the channel a second time.
    """
    try:
        url = urlsplit(f"rda:{target}")
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    options = {name: values[-1] for name, values in parse_qs(url.query).items()} if host else {}
    if not host or port == 0 or url.path.strip("/") or set(options) - {"channel"}:
        raise BadSpec(f"rda spec is {'rda:' + target[:60]!r}: allowed is rda://host[:port][?channel=LABEL]")
    if channel is not None and options.setdefault("channel", str(channel)) != str(channel):
        raise BadSpec(f"rda: channel is given twice, as {options['channel']!r} and {str(channel)!r}")
    return RdaSource(host, port or PORT, options.get("channel"), float(timeout))


class RdaSource:
    """A channel of a BrainVision Recorder; see `open_source`. It reconnects for ever, and never ends by itself.

    Attributes
    ----------
    name : str
        The spec.
    rate : float
        Sampling rate in Hz when the recorder was found; chunks carry the one they have.
    info : SourceInfo
        Name, channel and unit; the clock is Unix time.
    counts : collections.Counter
        ``blocks`` and ``lost`` (blocks that did not come), ``restarts`` of the recorder, ``reconnects``, ``markers``.
    markers : collections.Counter
        How often each marker came, by type and description: ``Response R128``.
    """

    def __init__(self, host: str, port: int, channel: str | int | None, timeout_s: float) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout is {timeout_s:g} s: allowed is more than 0")
        self._host, self._port, self._channel, self._timeout_s = host, port, channel, timeout_s
        self.name = f"rda://{f'[{host}]' if ':' in host else host}:{port}"
        self.rate = float("nan")
        self.info = SourceInfo(self.name, "", "µV", "unix")
        self.counts: Counter[str] = Counter()
        self.markers: Counter[str] = Counter()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._parser = RdaParser()
        self._early: list[Message] = []
        self._start: Start | None = None  # None while the recorder does not send
        self._index = 0
        self._next = 0  # count of the next sample
        self._block: int | None = None  # number of the block that comes next
        self._points = 0  # samples of the last block
        self._heard = float("nan")  # arrival of the last block, monotonic
        self._pauses = pauses()  # begun anew with every block: who answers, but sends nothing, is asked ever less

    async def __aenter__(self) -> Self:
        """Connect, and wait for the recorder to say what it sends."""
        begun = time.monotonic()
        try:
            while True:
                try:
                    await self._connect()
                    break
                except OSError as error:
                    pause_s = next(self._pauses)
                    if time.monotonic() - begun + pause_s > self._timeout_s or isinstance(error, socket.gaierror):
                        raise SourceNotFound(f"{self.name}: {reason(error)}") from error
                    await asyncio.sleep(pause_s)
            async with asyncio.timeout(max(0.1, self._timeout_s - (time.monotonic() - begun))):
                while self._start is None:
                    messages = await self._receive()
                    for i, message in enumerate(messages):
                        if isinstance(message, Start):
                            self._begin(message)
                            self._early = messages[i + 1 :]
                            break
        except TimeoutError as error:
            await self._close()
            raise SourceNotFound(
                f"{self.name} sends nothing within {self._timeout_s:g} s: is the recorder monitoring, and RDA enabled?"
            ) from error
        except (OSError, BadSignal) as error:
            await self._close()
            raise SourceNotFound(f"{self.name}: {reason(error)}") from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close the connection."""
        await self._close()
        if self.markers:
            told = ", ".join(f"{count} × {marker}" for marker, count in self.markers.most_common(10))
            log.info("%s: %d markers: %s", self.name, self.counts["markers"], told)

    async def __aiter__(self) -> AsyncIterator[Chunk | Marker | Problem]:
        """Yield chunks as the blocks arrive, their markers, and problems; reconnect when the connection is lost."""
        silent_s = 0.0
        while True:
            try:
                messages, self._early = self._early, []
                async with asyncio.timeout(SILENT_S if self._start else None):
                    messages = messages or await self._receive()
            except TimeoutError:
                silent_s += SILENT_S
                if silent_s == SILENT_S:
                    yield Problem(self.name, f"no data for {SILENT_S:g} s")
                if silent_s < REOPEN_S:
                    continue
                problem = f"silent for {REOPEN_S:g} s"
            except (OSError, BadSignal) as error:
                problem = reason(error)
            else:
                silent_s = 0.0
                for message in messages:
                    for item in self._take(message):
                        yield item
                continue
            silent_s = 0.0
            yield Problem(self.name, f"connection lost: {problem}: trying again")
            async for item in self._reconnect(problem):
                yield item

    async def _connect(self) -> None:
        async with asyncio.timeout(CONNECT_S):
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._parser = RdaParser()
        link = self._writer.get_extra_info("socket")
        # a stopped recorder may be silent for hours: let the system find out whether it is still there
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    async def _receive(self) -> list[Message]:
        if self._reader is None:
            raise RuntimeError("the source is not open: enter it with 'async with'")
        data = await self._reader.read(READ)
        if not data:
            raise ConnectionResetError("the recorder closed the connection")
        return self._parser.push(data)

    async def _reconnect(self, told: str) -> AsyncIterator[Problem]:
        """Try until there is a connection again, telling of each new reason for failing."""
        since = time.monotonic()
        await self._close()
        self._start = None
        for pause_s in self._pauses:
            await asyncio.sleep(pause_s)
            try:
                await self._connect()
            except OSError as error:
                if (line := reason(error)) != told:
                    told = line
                    yield Problem(self.name, told)
                continue
            self.counts["reconnects"] += 1
            yield Problem(self.name, f"connected again after {time.monotonic() - since:.1f} s")
            return

    async def _close(self) -> None:
        if self._writer:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
        self._reader = self._writer = None

    def _take(self, message: Message) -> list[Chunk | Marker | Problem]:
        match message:
            case Start():
                self._begin(message)
                return [Problem(self.name, f"the recorder sends again: {message.rate:g} Hz")]
            case Stop():
                self._start, self._block = None, None
                self.counts["restarts"] += 1
                return [Problem(self.name, "the recorder has stopped: waiting for it to start again")]
            case Data() if self._start:
                self._count(message)
                return self._block_of(message, self._start) if len(message.values) else []
        return []

    def _begin(self, start: Start) -> None:
        try:
            self._index = pick_channel(self.name, start.labels, self._channel)
        except SourceNotFound as error:
            if self._next:
                raise SourceLost(f"{self.name} came back changed: {error}") from error
            raise
        label = start.labels[self._index]
        if self._start is None and not self._next:
            self.rate = start.rate
        self._start = start
        self._channel = self._channel if self._channel is not None else label  # the same one after a restart
        self.info = SourceInfo(self.name, label or str(self._index), "µV", "unix")

    def _block_of(self, data: Data, start: Start) -> list[Chunk | Marker | Problem]:
        chunk = self._chunk(data, start)
        known = chunk.time + (len(chunk.samples) - 1) / chunk.rate
        return [
            chunk,
            *(
                Marker(_name(m), chunk.start + m.position, chunk.time + m.position / chunk.rate, known)
                for m in data.markers
            ),
        ]

    def _chunk(self, data: Data, start: Start) -> Chunk:
        received = time.monotonic()
        passed_s = received - self._heard  # NaN ahead of the first block
        n = len(data.values)
        if self._next:
            self._next += self._lost(data, start.rate, passed_s)
        samples = (data.values[:, self._index] * start.resolutions[self._index]).astype(np.float32)
        chunk = Chunk(samples, self._next, start.rate, time.time() - (n - 1) / start.rate, received)
        self._next += n
        self._block, self._points, self._heard = data.block + 1, n, received
        return chunk

    def _lost(self, data: Data, rate: float, passed_s: float) -> int:
        """Samples lost before a block: by its number, if that can be, or by the clock on the wall."""
        if self._block is not None and data.block >= self._block:
            lost = (data.block - self._block) * self._points
            if lost / rate <= passed_s + PATIENCE_S:
                self.counts["lost"] += data.block - self._block
                return lost
        return max(1, round(passed_s * rate) - len(data.values))

    def _count(self, data: Data) -> None:
        self.counts["blocks"] += 1
        self._pauses = pauses()
        for marker in data.markers:
            self.counts["markers"] += 1
            name = _name(marker)
            if name in self.markers or len(self.markers) < MARKERS:
                self.markers[name] += 1


def _name(marker: rda_protocol.Marker) -> str:
    return f"{marker.kind} {marker.description}".strip()
