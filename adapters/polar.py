"""Source ``polar[:NAME|ADDRESS]``: the ECG of a Polar H10 chest strap over Bluetooth LE.

The strap gathers some 73 samples (0.56 s) into a notification: good for heart rate and rhythm, **no good for gating**,
as every beat is half a second old on average before it is known. Times are those of the strap's clock, set to the Unix
clock of this machine by the notification that came fastest. A strap that goes out of reach is looked for until the
source is closed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from streamqrs.adapters.polar_frames import (
    ALREADY,
    CONTROL,
    DATA,
    RATE,
    START,
    STOP,
    Frame,
    lost_between,
    read_answer,
    read_frame,
)
from streamqrs.adapters.retry import pauses, reason
from streamqrs.errors import BadSignal, MissingExtra, SourceError, SourceNotFound
from streamqrs.types import Chunk, Problem, SourceInfo

ANSWER_S = 5.0
"""Time that the strap has for an answer, in s."""
SILENT_S = 5.0
"""A strap that sends nothing for this long is out of reach, in s."""
DRIFT = 1e-4
"""By how much the strap's clock may be off this machine's, s per s."""
MTU = 70
"""Bytes of a notification below which the strap does not send ECG."""


def open_source(target: str, *, timeout: float = 20.0) -> PolarSource:
    """Make the source ``polar[:NAME|ADDRESS]``.

    Parameters
    ----------
    target : str
        Address, or the beginning or end of the name (``Polar H10 7E3F1A2B``, ``7E3F1A2B``). Empty: the first H10.
    timeout : float, optional
        Time in s in which the strap must be found. It sends only while it is worn.

    Raises
    ------
    MissingExtra
        If bleak is not installed.
    """
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout:g} s: allowed is more than 0")
    return PolarSource(target.strip(), float(timeout))


class PolarSource:
    """A Polar H10 as a source; see `open_source`.

    Attributes
    ----------
    name : str
        The strap as a spec.
    rate : float
        130 Hz.
    info : SourceInfo
        Unit µV; the clock is Unix time.
    """

    def __init__(self, wanted: str, timeout_s: float, *, bluetooth: Any = None) -> None:
        self._bluetooth = bluetooth or _load()
        self._wanted, self._timeout_s = wanted, timeout_s
        self.name = f"polar:{wanted}" if wanted else "polar"
        self.rate = RATE
        self.info = SourceInfo(self.name, "ECG", "µV", "unix")
        self._client: Any = None
        self._queue: asyncio.Queue[tuple[Frame | Problem, float, float]] = asyncio.Queue(256)
        self._answers: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._next = 0  # count of the next sample
        self._last: Frame | None = None
        self._heard = math.nan  # arrival of the last frame, monotonic
        self._offset_s = math.inf  # Unix time at the strap's zero, at most

    async def __aenter__(self) -> Self:
        """Find the strap, connect, and have it send."""
        try:
            await self._connect()
        except (self._bluetooth.BleakError, OSError, EOFError) as error:
            await self._close()
            raise SourceNotFound(f"{self.name}: {_reason(error)}") from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Have it stop, and disconnect."""
        await self._close()

    async def __aiter__(self) -> AsyncIterator[Chunk | Problem]:
        """Yield a chunk for each notification, and problems; look for the strap again when it is out of reach."""
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    item, received, unix = await self._queue.get()
            except TimeoutError:
                yield Problem(self.name, f"nothing for {SILENT_S:g} s: out of reach, or not worn: looking for it")
                await self._reconnect()
                yield Problem(self.name, "connected again")
                continue
            if isinstance(item, Problem):
                yield item
            elif len(item.samples):
                yield self._chunk(item, received, unix)

    async def _connect(self) -> None:
        device = await self._bluetooth.BleakScanner.find_device_by_filter(self._is_wanted, timeout=self._timeout_s)
        if device is None:
            raise SourceNotFound(f"{self.name}: no Polar strap found within {self._timeout_s:g} s: is it worn?")
        client = self._bluetooth.BleakClient(device, timeout=self._timeout_s)
        await client.connect()
        self._client = client
        if (mtu := getattr(client, "mtu_size", MTU)) < MTU:
            self._put(Problem(self.name, f"messages of {mtu} bytes at most: the strap may send no ECG"))
        await client.start_notify(CONTROL, self._take_answer)
        await client.start_notify(DATA, self._take)
        while not self._answers.empty():
            self._answers.get_nowait()
        await client.write_gatt_char(CONTROL, START, response=True)
        try:
            async with asyncio.timeout(ANSWER_S):
                code, meaning = await self._answers.get()
        except TimeoutError as error:
            raise SourceError(f"{self.name}: no answer to the start command: is it an H10?") from error
        if code not in (0, ALREADY):
            raise SourceError(f"{self.name} does not start: {meaning}")

    async def _reconnect(self) -> None:
        await self._close()
        for pause_s in pauses():
            await asyncio.sleep(pause_s)
            try:
                await self._connect()
                return
            except (self._bluetooth.BleakError, OSError, EOFError, SourceError):
                await self._close()

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(self._bluetooth.BleakError, OSError, EOFError):  # it may have gone by itself
            await client.write_gatt_char(CONTROL, STOP, response=True)
        with suppress(self._bluetooth.BleakError, OSError, EOFError):
            await client.disconnect()

    def _is_wanted(self, device: Any, advertisement: Any) -> bool:
        name = (getattr(advertisement, "local_name", None) or getattr(device, "name", None) or "").casefold()
        wanted = self._wanted.casefold()
        if not wanted:
            return name.startswith("polar h10")
        return str(device.address).casefold() == wanted or name.startswith(wanted) or name.endswith(wanted)

    def _take_answer(self, _: Any, data: bytearray) -> None:
        if (answer := read_answer(bytes(data))) is not None:
            self._answers.put_nowait(answer)

    def _take(self, _: Any, data: bytearray) -> None:
        """Keep a notification until it is read; called by bleak in the event loop."""
        try:
            frame = read_frame(bytes(data))
        except BadSignal as error:
            self._put(Problem(self.name, str(error)))
            return
        if frame is not None:
            self._put(frame)

    def _put(self, item: Frame | Problem) -> None:
        if self._queue.full():  # what is lost shows in the strap's own times
            self._queue.get_nowait()
        self._queue.put_nowait((item, time.monotonic(), time.time()))

    def _chunk(self, frame: Frame, received: float, unix: float) -> Chunk:
        n = len(frame.samples)
        if self._last:
            self._next += self._lost(self._last, frame, received - self._heard)
        self._last, self._heard = frame, received
        # a notification may be late, never early; both clocks drift, so that the best one is forgotten in time
        self._offset_s = min(self._offset_s + DRIFT * n / RATE, unix - frame.time_ns / 1e9)
        to_first_s = (n - 1) / RATE
        chunk = Chunk(frame.samples, self._next, RATE, self._offset_s + frame.time_ns / 1e9 - to_first_s, received)
        self._next += n
        return chunk

    def _lost(self, last: Frame, frame: Frame, passed_s: float) -> int:
        """Samples lost between two frames; by the clock on the wall if the strap's was set meanwhile."""
        if abs((frame.time_ns - last.time_ns) / 1e9 - passed_s) < SILENT_S:
            return lost_between(last, frame)
        self._offset_s = math.inf
        return max(1, round(passed_s * RATE) - len(frame.samples))


def _load() -> Any:
    try:
        import bleak
    except ImportError as error:
        raise MissingExtra.of("bleak", "ble") from error
    return bleak


def _reason(error: Exception) -> str:
    """What an error of bleak says, in one line."""
    text = reason(error)
    return f"Bluetooth cannot be used here: {text}" if isinstance(error, OSError | EOFError) else text
