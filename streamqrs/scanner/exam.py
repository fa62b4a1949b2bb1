"""Exam: which pulse sequence runs when, and how the recorder's clock sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from streamqrs.scanner.families import Exam
from streamqrs.scanner.pulses import make_sequence
from streamqrs.scanner.sequences import Sequence
from streamqrs.scanner.settings import loguniform, uniform


@dataclass(frozen=True)
class Run:
    """One run of a sequence, in s of the recorder's clock since the recording began.

    Attributes
    ----------
    number : int
        Counts the runs of a recording from 0.
    start_s, stop_s : float
        When it begins and ends.
    sequence : Sequence
        What runs.
    clock : float
        Seconds of the scanner's clock in a second of the recorder's; 1 where it is locked.
    """

    number: int
    start_s: float
    stop_s: float
    sequence: Sequence
    clock: float


class Runs:
    """The endless row of runs of one recording.

    Parameters
    ----------
    settings : Exam
        What an exam is like.
    rng : numpy.random.Generator
        Taken over by this object.
    recorded : tuple of Sequence
        Waveforms of real sequences, to be drawn as kind ``recorded``.
    rate : float
        Rate of the recorder in Hz: with a locked clock, the shots' period is a whole number of samples.
    """

    def __init__(self, settings: Exam, rng: np.random.Generator, recorded: tuple[Sequence, ...], rate: float) -> None:
        self.settings, self._rng, self._recorded, self._rate = settings, rng, recorded, rate
        self._kinds = [kind for kind in settings.sequences if kind != "recorded" or recorded] or ["gre"]
        self._locked = rng.random() < settings.locked
        self._clock = 1.0 if self._locked else 1 + 1e-6 * uniform(rng, settings.clock_ppm)
        self._runs: list[Run] = []
        self._count = 0
        if rng.random() < settings.running:
            since = rng.random() * loguniform(rng, settings.run_s)
            self._until_s = -since
            self._begin(self._until_s, since + loguniform(rng, settings.run_s) / 2)
        else:
            self._until_s = loguniform(rng, settings.pause_s) * rng.random()

    def between(self, start_s: float, stop_s: float) -> list[Run]:
        """Return the runs that touch an interval; intervals may only go forward."""
        while self._until_s < stop_s:
            self._next()
        self._runs = [run for run in self._runs if run.stop_s > start_s - 2.0]
        return [run for run in self._runs if run.stop_s > start_s and run.start_s < stop_s]

    def _next(self) -> None:
        settings, rng = self.settings, self._rng
        at = self._until_s + loguniform(rng, settings.pause_s)
        if rng.random() < settings.prescan:
            for _ in range(int(rng.integers(1, 4))):
                long = uniform(rng, (0.3, 3.0))
                self._begin(at, long)
                at += long + uniform(rng, (0.2, 1.5))
        self._begin(at, loguniform(rng, settings.run_s))

    def _begin(self, start_s: float, long_s: float) -> None:
        rng = self._rng
        kind = str(rng.choice(self._kinds))
        if kind == "recorded":
            sequence = self._recorded[int(rng.integers(len(self._recorded)))]
        else:
            sequence = make_sequence(kind, rng)
        if self._locked:
            whole = max(1, np.ceil(sequence.period_s * self._rate)) / self._rate
            sequence = replace(sequence, period_s=float(whole))
        self._runs.append(Run(self._count, start_s, start_s + long_s, sequence, self._clock))
        self._count += 1
        self._until_s = start_s + long_s
