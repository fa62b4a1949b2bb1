"""Stages: wall time of each stage of the detector, on a feed that comes sample by sample as from a live source.

Two passes over the same signal: one with the detector as it is, for the time of a whole push, and one with a clock
around each stage's ``push``. Only pushes that completed a window of the gate are counted as decisions; those between
them cost the resampler and a copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs.detector import Detector
from streamqrs.model import Model
from streamqrs.types import WINDOW, Beat, Samples

STAGES = {
    "resampler": ("_resampler",),
    "windows, normalise": ("_windower",),
    "network": ("model",),
    "gate": ("_gate",),
    "merge, quality, confirm": ("_merger", "_quality", "_confirmation"),
}
"""Stages as they are shown, and the detector's parts that each is made of."""
SPIN_S = 0.0002


@dataclass(frozen=True, slots=True)
class Spread:
    """Durations in ms: how many, mean, quantiles, greatest."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float

    @classmethod
    def of(cls, durations_ms: NDArray[np.float64]) -> Spread:
        """Spread of durations, shape (n,), n ≥ 1, in ms."""
        p50, p90, p99, p99_9 = np.quantile(durations_ms, [0.5, 0.9, 0.99, 0.999]).tolist()
        return cls(len(durations_ms), float(durations_ms.mean()), p50, p90, p99, p99_9, float(durations_ms.max()))


@dataclass(frozen=True, slots=True, eq=False)
class Walls:
    """Wall time of decisions.

    Attributes
    ----------
    rate : float
        Rate of the feed in Hz.
    seconds : float
        Length of the feed in s.
    paced : bool
        Whether samples came in their time; else as fast as they were taken.
    trigger_ms : numpy.ndarray
        Shape (k,): from the sample's going in to a trigger's coming out, in ms; most come out ahead of the network.
    push_ms : numpy.ndarray
        Shape (n,): one call of `Detector.push` that ran the network, in ms.
    idle_ms : numpy.ndarray
        Shape (m,): one that did not.
    stages_ms : dict of str to numpy.ndarray
        Shape (n,) each, in ms: the stages of such a call, and ``between`` for what is outside them.
    """

    rate: float
    seconds: float
    paced: bool
    trigger_ms: NDArray[np.float64]
    push_ms: NDArray[np.float64]
    idle_ms: NDArray[np.float64]
    stages_ms: dict[str, NDArray[np.float64]]


def measure_stages(
    model: Model, *, seconds: float = 30.0, rate: float = 1000.0, paced: bool = True, seed: int = 7
) -> Walls:
    """Feed a virtual patient sample by sample to a detector with the gate on, and time it.

    Parameters
    ----------
    model : Model
        The network.
    seconds : float
        Length of each of the two passes in s, at least 4 (a window is 3 s).
    rate : float
        Rate of the feed in Hz.
    paced : bool
        Give samples in their time, as a device does: caches and clock speed are then what they are live.
    seed : int
        Which patient.

    Raises
    ------
    ValueError
        If the feed is too short.
    """
    from streamqrs.scanner import VirtualPatient

    if not 4 <= seconds <= 3600:
        raise ValueError(f"seconds are {seconds:g}: allowed are 4 to 3600")
    samples = VirtualPatient(rate, seed, "3T").read(round(seconds * rate))
    lead_in = round((WINDOW / 250 + 0.5) * rate)
    plain = Detector(rate, model, True)
    seen = _Counting(plain.model)
    plain.model = seen
    push_ms, trigger_ms, ran = _feed(plain, samples, lambda: seen.calls, paced)
    clocks = _Clocks(Detector(rate, model, True))
    rows: list[dict[str, float]] = []
    whole_ms, _, timed_ran = _feed(clocks.detector, samples, clocks.take_calls(rows), paced)
    for durations in (ran, timed_ran):
        durations[:lead_in] = False
    idle = ~ran
    idle[:lead_in] = False
    stages = {name: np.array([row[name] for row in rows])[timed_ran] for name in STAGES}
    stages["between"] = whole_ms[timed_ran] - np.sum([*stages.values()], axis=0)
    return Walls(rate, seconds, paced, trigger_ms, push_ms[ran], push_ms[idle], stages)


def _feed(
    detector: Detector, samples: Samples, calls: Callable[[], int], paced: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Push samples one by one: duration of each push and of each way to a trigger in ms, and where the network ran."""
    walls, ran = np.zeros(len(samples)), np.zeros(len(samples), np.bool_)
    triggers: list[float] = []
    pieces = [samples[i : i + 1] for i in range(len(samples))]
    begun, before = time.perf_counter(), calls()
    for i, piece in enumerate(pieces):
        if paced:
            _wait(begun + (i + 1) / detector.rate)
        start = time.perf_counter()
        triggers.extend(
            (time.perf_counter() - start) * 1000
            for event in detector.stream(piece)
            if isinstance(event, Beat) and event.kind == "trigger"
        )
        walls[i] = (time.perf_counter() - start) * 1000
        now = calls()
        ran[i], before = now > before, now
    return walls, np.array(triggers), ran


def _wait(due: float) -> None:
    left_s = due - time.perf_counter() - SPIN_S
    if left_s > 0:
        time.sleep(left_s)
    while time.perf_counter() < due:  # a sleep ends up to 0.1 ms late
        pass


class _Counting(Model):
    """A network that counts its calls."""

    def __init__(self, model: Model) -> None:
        self.__dict__.update(model.__dict__)
        self.calls = 0

    def __call__(self, windows: Samples) -> Samples:
        self.calls += 1
        return super().__call__(windows)


class _Clocks:
    """A detector with a clock around each of its stages."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._calls = 0
        for name, parts in STAGES.items():
            for part in parts:
                if part != "model":
                    setattr(detector, part, _Clocked(getattr(detector, part), self._clocked(name)))
        detector.model = _ClockedModel(detector.model, self._clocked("network"))

    def take_calls(self, rows: list[dict[str, float]]) -> Callable[[], int]:
        """Count the network's calls; each time that it is asked, a row with what each stage took goes to `rows`."""
        first = True

        def calls() -> int:
            nonlocal first
            if not first:
                rows.append(self._spent)
            first = False
            self._spent = dict.fromkeys(STAGES, 0.0)
            return self._calls

        return calls

    def _clocked(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def around(push: Callable[..., Any]) -> Callable[..., Any]:
            def timed(*given: Any) -> Any:
                start = time.perf_counter()
                result = push(*given)
                self._spent[name] += (time.perf_counter() - start) * 1000
                self._calls += name == "network"
                return result

            return timed

        return around


class _Clocked:
    """A stage whose ``push`` and ``watch`` are timed; everything else is the stage's own."""

    def __init__(self, stage: Any, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._stage = stage
        self.push = around(stage.push)
        if hasattr(stage, "watch"):
            self.watch = around(stage.watch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


class _ClockedModel(Model):
    """A network that is timed."""

    def __init__(self, model: Model, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self.__dict__.update(model.__dict__)
        self._timed = around(super().__call__)

    def __call__(self, windows: Samples) -> Samples:
        rows: Samples = self._timed(windows)
        return rows
