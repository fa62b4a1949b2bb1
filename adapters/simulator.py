"""Source ``sim``: the virtual patient in the virtual scanner, live or as fast as it is read.

``sim``, ``sim:3T`` or ``sim:preset=7T,seed=7,heart_rate=90,rate=500``. Live chunks leave when their last sample is
due on the monotonic clock, so that nothing drifts; after a delay, what is overdue follows at once.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from streamqrs.errors import BadSpec
from streamqrs.scanner import PRESETS, VirtualPatient
from streamqrs.types import Chunk, SourceInfo

LIVE_CHUNK_S = 0.008
"""Length of a live chunk in s, unless given."""

FAST_CHUNK_S = 0.2
"""Length of a chunk in s where time does not matter."""


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """What the simulator plays, and how.

    Attributes
    ----------
    preset : str
        The room: one of `streamqrs.scanner.PRESETS`.
    seed : int
        Same seed, same samples.
    heart_rate : float
        Mean heart rate in beats per minute, 35 to 200.
    rate : float
        Sampling rate in Hz, 100 to 10,000.
    severity : float
        Factor on the height of the noise, 0 to 100.
    seconds : float
        Length in s; without end by default.
    speed : float
        Multiple of real time; infinite (``max``) for as fast as it is read.
    chunk : int or None
        Samples in a chunk; by default 8 ms of a live stream.
    """

    preset: str = "none"
    seed: int = 0
    heart_rate: float = 72.0
    rate: float = 250.0
    severity: float = 1.0
    seconds: float = math.inf
    speed: float = 1.0
    chunk: int | None = None

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(f"speed is {self.speed:g}: allowed are numbers above 0, or max")
        if not self.seconds > 0:
            raise ValueError(f"seconds is {self.seconds:g}: allowed are numbers above 0")
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk is {self.chunk}: allowed are 1 and more samples")

    @property
    def chunk_samples(self) -> int:
        """Samples in a chunk."""
        if self.chunk is not None:
            return self.chunk
        return max(1, round((FAST_CHUNK_S if math.isinf(self.speed) else LIVE_CHUNK_S) * self.rate))


class SimulatorSource:
    """The virtual patient as a source.

    Parameters
    ----------
    settings : SimulatorSettings
        What to play, and how.

    Attributes
    ----------
    settings : SimulatorSettings
        As given.
    rate : float
        Sampling rate in Hz.
    info : SourceInfo
        What it is.
    patient : VirtualPatient
        Holds the truth: see its `take_beats`.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.rate = float(settings.rate)
        name = "virtual patient" if settings.preset == "none" else f"virtual patient, {settings.preset}"
        self.info = SourceInfo(name=name, channel="ECG", unit="mV", live=not math.isinf(settings.speed))
        self.patient = self._new_patient()

    async def __aenter__(self) -> Self:
        """Begin anew with the first sample."""
        self.patient = self._new_patient()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Nothing needs closing."""

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield chunks when they are due."""
        settings, length = self.settings, self.settings.chunk_samples
        end = math.inf if math.isinf(settings.seconds) else round(settings.seconds * self.rate)
        began, start = time.monotonic(), 0
        while start < end:
            count = int(min(length, end - start))
            samples = self.patient.read(count)
            due = began + (start + count) / (self.rate * settings.speed)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            yield Chunk(samples, start, self.rate, time=start / self.rate, received=time.monotonic())
            start += count

    def _new_patient(self) -> VirtualPatient:
        s = self.settings
        return VirtualPatient(s.rate, s.seed, s.preset, heart_rate=s.heart_rate, severity=s.severity)


_READ: dict[str, Callable[[str], Any]] = {
    "preset": str,
    "seed": int,
    "heart_rate": float,
    "rate": float,
    "severity": float,
    "seconds": float,
    "speed": lambda text: math.inf if text == "max" else float(text),
    "chunk": int,
}


def open_source(
    target: str,
    *,
    rate: float | None = None,
    seed: int | None = None,
    speed: float | str | None = None,
    chunk: int | None = None,
) -> SimulatorSource:
    """Make a simulator from the target of a spec.

    Parameters
    ----------
    target : str
        Empty, a preset, or ``key=value`` pairs between commas; the keys are the fields of `SimulatorSettings`.
    rate : float, optional
        Sampling rate in Hz.
    seed : int, optional
        Same seed, same samples.
    speed : float or str, optional
        Multiple of real time, or ``max``.
    chunk : int, optional
        Samples in a chunk.

    Returns
    -------
    SimulatorSource
        Not yet open. Options win over the target.

    Raises
    ------
    BadSpec
        If a key or a value is not allowed.
    """
    given: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in target.split(","))):
        key, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals:
            key, text = "preset", key
        if key not in _READ:
            raise BadSpec(f"sim takes no {key!r}: allowed are {', '.join(_READ)}, or a preset ({', '.join(PRESETS)})")
        given[key] = text
    options = {"rate": rate, "seed": seed, "speed": speed, "chunk": chunk}
    given |= {key: value for key, value in options.items() if value is not None}
    settings = SimulatorSettings()
    for key, value in given.items():
        try:
            settings = replace(settings, **{key: _READ[key](value)})
        except (TypeError, ValueError) as exc:
            reason = str(exc) if str(exc).startswith(key) else "not a number"
            raise BadSpec(f"sim: {key}={value}: {reason}") from exc
    try:
        return SimulatorSource(settings)
    except ValueError as exc:
        raise BadSpec(f"sim: {exc}") from exc
