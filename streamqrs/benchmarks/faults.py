"""Faults at random, from a seed: what a soak does to a signal, and what became of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs.scanner import VirtualPatient
from streamqrs.types import Chunk, Samples

KINDS = (
    "lost", "nan", "flat", "rail", "gain", "flip", "step", "hum", "noise", "clock jump", "jitter", "spikes", "pieces",
    "bad message",
)  # fmt: skip
"""Faults of the signal, of its clock and of its delivery."""
SETTLE_S = 4.0
"""After a fault the beats are back within this time, in s."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the signal.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    at_s, duration_s : float
        Beginning and length, in s since the stream began.
    """

    kind: str
    at_s: float
    duration_s: float


def plan(seed: int, length_s: float, every_s: float) -> Iterator[Fault]:
    """Draw faults: one in `every_s` seconds in the middle, none in the first 20 s, and 10 s between them at least.

    Parameters
    ----------
    seed : int
        Same seed, same faults.
    length_s : float
        Length of the stream, in s.
    every_s : float
        Mean distance of two faults, in s; more than 20.
    """
    if not every_s > 20:
        raise ValueError(f"a fault every {every_s:g} s: allowed is more than 20 s")
    rng = np.random.default_rng((seed, 1))
    at_s = 20.0
    while True:
        at_s += 10 + rng.exponential(every_s - 15)
        duration_s = float(np.clip(rng.exponential(4.0), 0.05, 20.0))
        if at_s + duration_s + 10 > length_s:
            return
        yield Fault(str(rng.choice(KINDS)), round(at_s, 3), round(duration_s, 3))
        at_s += duration_s


class Column:
    """Numbers in memory that is taken, and touched, at the beginning: room for 4 a second."""

    def __init__(self, length_s: float) -> None:
        self._values = np.full(round(length_s * 4) + 100, -1.0)
        self._n = 0

    def append(self, value: float) -> None:
        """Add a number."""
        self._values[self._n] = value
        self._n += 1

    @property
    def last(self) -> float:
        """The newest one; -1 if there is none."""
        return float(self._values[self._n - 1])

    @property
    def values(self) -> NDArray[np.float64]:
        """All of them."""
        return self._values[: self._n]


class FaultyPatient:
    """Chunks of a virtual patient with faults, and the truth.

    Parameters
    ----------
    seed : int
        Same seed, same samples and faults.
    length_s : float
        Length of the stream, in s.
    every_s : float
        Mean distance of two faults, in s.
    rate : float
        Sampling rate in Hz.
    chunk_s : float
        Length of a chunk in s.

    Attributes
    ----------
    faults : list of Fault
        All that will happen.
    truth : Column
        R times of what was read so far, in s since the stream began.
    """

    def __init__(self, seed: int, length_s: float, *, every_s: float, rate: float, chunk_s: float) -> None:
        self.rate, self.length_s = rate, length_s
        self.faults = list(plan(seed, length_s, every_s))
        self.truth = Column(length_s)
        self._size = max(1, round(chunk_s * rate))
        self._patient = VirtualPatient(rate=rate, seed=seed)
        self._rng = np.random.default_rng((seed, 2))

    def chunks(self) -> Iterator[tuple[Chunk, Fault | None]]:
        """Yield the chunks in order, each with the fault that it has a part in."""
        faults, start, end = iter(self.faults), 0, round(self.length_s * self.rate)
        fault = next(faults, None)
        while start < end:
            size = min(self._size, end - start)
            samples = self._patient.read(size)
            for index, _ in self._patient.take_beats():
                self.truth.append(index / self.rate)
            at_s = start / self.rate
            while fault and at_s >= fault.at_s + fault.duration_s:
                fault = next(faults, None)
            if fault and at_s + size / self.rate > fault.at_s:
                for chunk in self._spoil(samples, start, fault):
                    yield chunk, fault
            else:
                yield Chunk(samples, start, self.rate, at_s), None
            start += size

    def _spoil(self, samples: Samples, start: int, fault: Fault) -> Iterator[Chunk]:
        x, t = samples.copy(), (start + np.arange(len(samples))) / self.rate
        time = float(t[0])
        match fault.kind:
            case "lost":
                kept = np.flatnonzero((t < fault.at_s) | (t >= fault.at_s + fault.duration_s))
                for part in np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1):
                    if len(part):
                        yield Chunk(samples[part], start + int(part[0]), self.rate, float(t[part[0]]))
                return
            case "clock jump":
                time += 3600.0
            case "jitter":
                time += float(self._rng.uniform(-0.02, 0.02))
            case "pieces":
                for k in range(len(x)):
                    yield Chunk(x[k : k + 1], start + k, self.rate, float(t[k]))
                return
            case _:
                inside = (t >= fault.at_s) & (t < fault.at_s + fault.duration_s)
                x[inside] = self._spoiled(fault.kind, x, t)[inside].astype(np.float32)
        yield Chunk(x, start, self.rate, time)

    def _spoiled(self, kind: str, x: Samples, t: NDArray[np.float64]) -> NDArray[Any]:
        match kind:
            case "nan":
                return np.full(len(x), math.nan)
            case "flat":
                return np.zeros(len(x))
            case "rail":
                return np.full(len(x), 5.0)
            case "gain":
                return x * 1000.0
            case "flip":
                return -x
            case "step":
                return x + 20.0
            case "hum":
                return np.asarray(x + 2 * np.sin(2 * np.pi * 50 * t))
            case "noise":
                return self._rng.normal(0, 0.3, len(x))
            case "spikes":
                return np.where(self._rng.random(len(x)) < 0.002, 1e30, x)
        return x
