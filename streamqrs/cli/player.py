"""Play a patient on a device, in time."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streamqrs.cli.devices import Device

if TYPE_CHECKING:
    from streamqrs.records import Record
    from streamqrs.types import Samples

AHEAD_S = 0.5
"""The patient is read in pieces of this length, in s: reading sample by sample is dearer than sending."""
SPIN_S = 0.002
"""The last part of a wait is slept through outside the event loop, whose timers are coarse, in s."""


class Patient(Protocol):
    """Somebody with a heart: `streamqrs.scanner.VirtualPatient`, or a `Replay`."""

    rate: float
    unit: str

    def read(self, n: int) -> Samples:
        """Return the next n samples, shape (n,), float32; fewer at the end."""

    def take_beats(self) -> list[tuple[int, str]]:
        """Sample and code of the beats read since the last call."""


class Replay:
    """A recording as a patient; without beats if nobody marked them."""

    def __init__(self, record: Record) -> None:
        self.rate, self.unit = record.rate, record.unit
        self._samples, self._at = record.samples, 0
        at = [] if record.beats is None else record.beats.tolist()
        self._beats = deque(zip(at, record.labels or ("N",) * len(at), strict=True))

    def read(self, n: int) -> Samples:
        """Return the next n samples, shape (n,), float32; fewer at the end."""
        piece = self._samples[self._at : self._at + n]
        self._at += len(piece)
        return piece

    def take_beats(self) -> list[tuple[int, str]]:
        """Sample and code of the beats read since the last call."""
        taken = []
        while self._beats and self._beats[0][0] < self._at:
            taken.append(self._beats.popleft())
        return taken


@dataclass(slots=True)
class Played:
    """What was played.

    Attributes
    ----------
    to : str
        Where.
    reason : str
        Why it ended: ``duration``, ``end of recording``, ``interrupted``.
    samples, beats : int
        How many were sent, or written.
    signal_s : float
        Length in s.
    late_ms : float
        Longest that a chunk left after its time, in ms.
    """

    to: str
    reason: str = "duration"
    samples: int = 0
    beats: int = 0
    signal_s: float = 0.0
    late_ms: float = 0.0


async def play(
    patient: Patient,
    device: Device,
    *,
    duration_s: float | None = None,
    chunk: int | None = None,
    speed: float = 1.0,
    wait: bool = False,
    stop: asyncio.Event | None = None,
) -> Played:
    """Play a patient on a device, each chunk when its last sample is due; nothing drifts, and nothing is left out.

    Parameters
    ----------
    patient : Patient
        Who is played.
    device : Device
        Entered and left here.
    duration_s : float, optional
        End after so many seconds of signal.
    chunk : int, optional
        Samples in a chunk; by default the device's choice.
    speed : float
        Times real time.
    wait : bool
        Begin when somebody listens.
    stop : asyncio.Event, optional
        End as soon as it is set.
    """
    stop = stop or asyncio.Event()
    played = Played(device.name)
    chunk = chunk or max(1, round(device.chunk_s * patient.rate))
    ahead = max(chunk, round(AHEAD_S * patient.rate) // chunk * chunk)
    end = math.inf if duration_s is None else round(duration_s * patient.rate)
    beats: deque[tuple[int, str]] = deque()

    def read(start: int) -> tuple[Samples, list[tuple[int, str]]]:
        return patient.read(int(min(ahead, end - start))), patient.take_beats()

    async with device:
        piece, news = read(0)
        await _begin(device, wait, stop)
        began = time.monotonic()
        while len(piece) and not stop.is_set():
            # in a thread, since a patient in a scanner takes some 10 ms to think
            reading = asyncio.ensure_future(asyncio.to_thread(read, played.samples + len(piece)))
            beats.extend(news)
            for at in range(0, len(piece), chunk):
                part = piece[at : at + chunk]
                due = began + (played.samples + len(part) - 1) / (patient.rate * speed)
                await _sleep_until(due, stop)
                if stop.is_set():
                    break
                await device.play(played.samples, part)
                played.samples += len(part)
                played.late_ms = max(played.late_ms, round((time.monotonic() - due) * 1000, 3))
                while beats and beats[0][0] < played.samples:
                    await device.tell(*beats.popleft())
                    played.beats += 1
            piece, news = await reading
    if stop.is_set():
        played.reason = "interrupted"
    elif played.samples < end:
        played.reason = "end of recording"
    played.signal_s = played.samples / patient.rate
    return played


async def _begin(device: Device, wait: bool, stop: asyncio.Event) -> None:
    beginning, stopping = asyncio.ensure_future(device.begin(wait=wait)), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((beginning, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await beginning
    finally:
        beginning.cancel()
        stopping.cancel()


async def _sleep_until(due: float, stop: asyncio.Event) -> None:
    wait_s = due - time.monotonic() - SPIN_S
    if wait_s <= 0:
        await asyncio.sleep(0)  # the loop has signals and sockets to see to
    while wait_s > 0 and not stop.is_set():
        await asyncio.sleep(min(wait_s, 0.1))
        wait_s = due - time.monotonic() - SPIN_S
    if not stop.is_set():
        _doze(due)


def _doze(due: float) -> None:
    if (left_s := due - time.monotonic()) > 0:
        time.sleep(left_s)
