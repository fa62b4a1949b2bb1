"""Engine walls: the engine's own wall time from the last sample in to the trigger out, and how exactly --align holds.

A virtual device delivers samples one by one in their time; source, engine and a sink with `fire` run in this process,
as they do in ``streamqrs run``. Each trigger is timed from the arrival of the newest sample that it needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamqrs.detector import Detector
from streamqrs.engine import run
from streamqrs.latency import Quantiles
from streamqrs.model import Model
from streamqrs.realtime import settle_collector
from streamqrs.summary import Summary
from streamqrs.triggers import TriggerSettings
from streamqrs.types import Beat, Chunk, Event, Samples, SourceInfo

HEART_RATE = 150.0
"""Of the virtual patient, in beats per minute: many triggers in little time."""
DEADLINE_MS = 1000.0
"""Triggers leave up to this age in ms: one that is late is part of what is measured."""
STAGES = {"waiting for the detector": "trigger_waiting", "detector": "trigger_network", "hand-over": "trigger_handover"}
"""Parts of the way, and their names in `Summary`."""


@dataclass(frozen=True, slots=True, eq=False)
class EngineWalls:
    """Wall times of triggers.

    Attributes
    ----------
    rate, seconds : float
        Rate of the device in Hz, length of the feed in s.
    align_ms : float or None
        As `TriggerSettings` has it.
    response_ms : numpy.ndarray
        Shape (n,): from the arrival of the newest sample that was needed to the trigger's leaving, in ms.
    off_ms : numpy.ndarray
        Shape (n,): from the time R + `align_ms` on the device's clock to the trigger's leaving, in ms; without
        alignment, from R.
    stages : dict of str to Quantiles
        Parts of the response, in ms; none where triggers were held.
    late : int
        Triggers that were not sent because they were late.
    """

    rate: float
    seconds: float
    align_ms: float | None
    response_ms: NDArray[np.float64]
    off_ms: NDArray[np.float64]
    stages: dict[str, Quantiles] = field(default_factory=dict)
    late: int = 0


def measure_engine(
    model: Model,
    *,
    seconds: float = 60.0,
    rate: float = 1000.0,
    chunk: int = 1,
    align_ms: float | None = None,
    seed: int = 7,
) -> EngineWalls:
    """Run the engine live on a virtual patient in a quiet room.

    Parameters
    ----------
    model : Model
        The network.
    seconds : float
        Length of the feed in s, at least 6 (a window is 3 s).
    rate : float
        Rate of the device in Hz.
    chunk : int
        Samples that it sends at a time.
    align_ms : float, optional
        Hold each trigger until so long after R, in ms.
    seed : int
        Which patient.

    Raises
    ------
    ValueError
        If the feed is too short, or triggers cannot be known by `align_ms`.
    """
    from streamqrs.scanner import VirtualPatient

    if not 6 <= seconds <= 3600:
        raise ValueError(f"seconds are {seconds:g}: allowed are 6 to 3600")
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}: allowed are 1 and more samples")
    samples = VirtualPatient(rate, seed, "none", heart_rate=HEART_RATE).read(round(seconds * rate))
    device, sink, summary = _Device(samples, rate, chunk), _Output(), Summary()
    triggers = TriggerSettings(align_ms=align_ms, deadline_ms=DEADLINE_MS)
    settle_collector()
    asyncio.run(run(device, Detector(rate, model, True), [sink], summary=summary, triggers=triggers))
    fired = np.array([at for at, _ in sink.fired])
    needed = np.array([min(round(beat.known * rate), len(samples) - 1) for _, beat in sink.fired], np.int64)
    peaks = np.array([beat.time for _, beat in sink.fired])
    stages = {name: getattr(summary, key).quantiles() for name, key in STAGES.items()}
    return EngineWalls(
        rate,
        seconds,
        align_ms,
        (fired - device.arrived[needed]) * 1000,
        (fired - device.began - peaks) * 1000 - (align_ms or 0.0),
        {name: quantiles for name, quantiles in stages.items() if quantiles},
        summary.late,
    )


class _Open:
    """Neither opens nor closes anything."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        return None


class _Device(_Open):
    """Samples in their time: one is due when as many others have gone by."""

    info = SourceInfo("virtual device", "ECG", "mV", live=True)

    def __init__(self, samples: Samples, rate: float, chunk: int) -> None:
        self.samples, self.rate, self.chunk = samples, rate, chunk
        self.arrived = np.full(len(samples), np.nan)
        self.began = 0.0

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        self.began = time.monotonic()
        for start in range(0, len(self.samples), self.chunk):
            part = self.samples[start : start + self.chunk]
            due = self.began + (start + len(part) - 1) / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            received = time.monotonic()
            self.arrived[start : start + len(part)] = received
            yield Chunk(part, start, self.rate, start / self.rate, received)


class _Output(_Open):
    """Note when each trigger leaves, as an output device would send it."""

    name = "output"

    def __init__(self) -> None:
        self.fired: list[tuple[float, Beat]] = []

    def fire(self, beat: Beat) -> None:
        self.fired.append((time.monotonic(), beat))

    async def send(self, event: Event) -> None:
        return None
