"""Strictly periodic waves while a sequence runs: a comb of harmonics, a spike per shot, RF pulses.

One period is a table; a sample reads it at its own phase, so that with a free clock the phase drifts and what lies
above half the rate aliases, as it does in a recorder.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamqrs.scanner.exam import Run, Runs
from streamqrs.scanner.families import Periodic
from streamqrs.scanner.gradients import Drift
from streamqrs.scanner.settings import loguniform, uniform

Floats = NDArray[np.float64]

TABLE = 4096
"""Points of a table."""


class PeriodicNoise:
    """One family of periodic waves of a recording, in blocks that follow each other.

    Parameters
    ----------
    settings : Periodic
        Ranges of the family.
    rate : float
        Rate of the recorder in Hz.
    rng : numpy.random.Generator
        Taken over by this object.
    runs : Runs
        What the scanner does.
    make : callable
        Makes the table of one period, shape (4096,), largest value 1, from settings, period in s and generator.
    carrier : bool
        Whether pulses may be bursts of a carrier, which a slow recorder samples at random.
    """

    def __init__(
        self,
        settings: Periodic,
        rate: float,
        rng: np.random.Generator,
        runs: Runs,
        *,
        make: Callable[[Periodic, float, np.random.Generator], Floats],
        carrier: bool = False,
    ) -> None:
        self._settings, self._rate, self._rng, self._runs, self._make = settings, rate, rng, runs, make
        self._drift = Drift(uniform(rng, settings.drift), rng)
        self._carrier = carrier and rng.random() < 0.5
        self._active: dict[int, Callable[[Floats], Floats]] = {}

    def render(self, start: int, stop: int, peaks: NDArray[np.int64]) -> Floats:
        """Waves of samples `start` to `stop` in R, shape (stop − start,)."""
        t = np.arange(start, stop) / self._rate
        out = np.zeros(len(t))
        runs = self._runs.between(t[0], stop / self._rate)
        for run in runs:
            if run.number not in self._active:
                self._active[run.number] = self._begin(run)
            low, high = np.searchsorted(t, (run.start_s, run.stop_s))
            out[low:high] += self._active[run.number]((t[low:high] - run.start_s) * run.clock)
        self._active = {run.number: self._active[run.number] for run in runs}
        if self._carrier:
            out *= self._rng.standard_normal(len(t))
        return out * self._drift(t)

    def _begin(self, run: Run) -> Callable[[Floats], Floats]:
        settings, rng = self._settings, self._rng
        low, high = (limit / 1000 for limit in settings.period_ms)
        period = loguniform(rng, (low, high))
        if rng.random() < 0.5 and low <= run.sequence.period_s <= high:
            period = run.sequence.period_s
        table = self._make(settings, period, rng) * loguniform(rng, settings.height)
        shots = int(rng.integers(6, 40)) if rng.random() < settings.skip else 0
        pause = uniform(rng, (0.02, 0.6))
        grid = np.arange(TABLE + 1)
        wrapped = np.append(table, table[0])

        def wave(t: Floats) -> Floats:
            playing = np.ones(len(t), bool)
            if shots:
                t = np.mod(t, shots * period + pause)
                playing = t < shots * period
            value = np.interp(np.mod(t / period, 1.0) * TABLE, grid, wrapped)
            return np.asarray(np.where(playing, value, 0.0), float)

        return wave


def comb_table(settings: Periodic, period_s: float, rng: np.random.Generator) -> Floats:
    """One period of a comb: harmonics with random heights and phases, falling off or humped."""
    low, high = settings.harmonics
    count = int(rng.integers(int(low), int(high) + 1))
    k = np.arange(1, count + 1)
    height = rng.lognormal(0, 0.8, count) * k ** -uniform(rng, (0.0, 1.5))
    if rng.random() < 0.5:
        height *= np.exp(-0.5 * ((k - rng.uniform(1, count + 1)) / uniform(rng, (1.0, 1 + count / 2))) ** 2) + 0.02
    spectrum = np.zeros(TABLE // 2 + 1, complex)
    spectrum[1 : count + 1] = height * np.exp(2j * np.pi * rng.random(count))
    return _tallest_one(np.fft.irfft(spectrum, TABLE))


def pulse_table(settings: Periodic, period_s: float, rng: np.random.Generator) -> Floats:
    """One period of single pulses: one bump, up and down, a ringing, or a step through a high-pass; either sign."""
    narrow, wide = settings.width_ms
    width = loguniform(rng, (narrow, wide)) / 1000
    t = (np.arange(TABLE) / TABLE - 0.5) * period_s
    table = _pulse(t, width, rng)
    if rng.random() < 0.25:  # an echo, another slice-selective gradient of the same shot
        table += np.roll(_pulse(t, width, rng), int(rng.integers(TABLE))) * uniform(rng, (0.1, 0.7))
    return _tallest_one(table) * float(rng.choice([-1.0, 1.0]))


def _pulse(t: Floats, width: float, rng: np.random.Generator) -> Floats:
    x = t / (width / 2.355)
    shape = int(rng.integers(5))
    bump = np.exp(-0.5 * x**2)
    if shape == 0:
        return np.asarray(bump, float)
    if shape == 1:
        return np.asarray(x * bump, float)
    if shape == 2:
        return np.asarray((1 - uniform(rng, (0.3, 1.2)) * x**2) * bump, float)
    decay = np.exp(-np.abs(t) / (width / 1.4)) * (t >= 0)
    if shape == 3:
        return np.asarray(decay * np.cos(t / width * uniform(rng, (1.0, 6.0))), float)
    tail = np.exp(-np.abs(t) / (width * uniform(rng, (2, 5)))) * (t >= 0)
    return np.asarray(bump - uniform(rng, (0.1, 0.5)) * tail, float)


def _tallest_one(table: Floats) -> Floats:
    table = table - np.median(table)
    return np.asarray(table / max(float(np.abs(table).max()), 1e-12), float)
