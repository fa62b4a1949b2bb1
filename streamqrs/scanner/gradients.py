"""Gradient artefacts: the law of induction, a recorder's low-pass, and its sampling.

An electrode loop catches u(t) = Σ aᵢ·dGᵢ/dt. It is computed at 8 kHz or more as the exact mean over each fine
sample, (G(t + dt) − G(t)) / dt, filtered as the recorder's analogue low-pass would, and then sampled with the
recorder's clock, with whatever aliases that brings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamqrs.scanner.exam import Run, Runs
from streamqrs.scanner.families import Gradients
from streamqrs.scanner.settings import loguniform, uniform

Floats = NDArray[np.float64]

FINE_HZ = 8000.0
"""Lowest rate that induction is computed at, in Hz."""

FORGET = 0.15
"""How much of a subtracted template each new shot replaces."""

PROBE_S = 3.0
"""How long a sequence is listened to, to find its height, in s."""

TAIL_S = 0.5
"""How long after a run its filters are listened to, in s."""


class GradientNoise:
    """Gradient artefacts of a recording, in blocks that follow each other.

    Parameters
    ----------
    settings : Gradients
        Ranges of the family.
    rate : float
        Rate of the recorder in Hz.
    rng : numpy.random.Generator
        Taken over by this object.
    runs : Runs
        What the scanner does.
    """

    def __init__(self, settings: Gradients, rate: float, rng: np.random.Generator, runs: Runs) -> None:
        self._settings, self._rate, self._rng, self._runs = settings, rate, rng, runs
        self._weights = rng.standard_normal(3)
        self._weights /= np.linalg.norm(self._weights)
        corner = min(loguniform(rng, settings.low_pass_hz), 0.45 * max(rate, FINE_HZ))
        self._order = int(rng.integers(int(settings.order[0]), int(settings.order[1]) + 1))
        self._oversampling = int(np.ceil(FINE_HZ / rate))
        fine = rate * self._oversampling
        self._low_pass = signal.butter(self._order, corner, fs=fine, output="sos")
        low, high = settings.band_hz
        band = (uniform(rng, (low, 3 * low)), min(uniform(rng, (high / 3, high)), 0.45 * rate))
        filtered = rng.random() < settings.filtered and band[0] < band[1]
        self._band = signal.butter(1, band, "bandpass", fs=rate, output="sos") if filtered else np.empty((0, 6))
        self._subtracted = rng.random() < settings.subtracted
        self._drift = Drift(uniform(rng, settings.drift), rng)
        self._active: dict[int, _Artefact] = {}

    def render(self, start: int, stop: int, peaks: NDArray[np.int64]) -> Floats:
        """Artefact of samples `start` to `stop` in R, shape (stop − start,)."""
        out = np.zeros(stop - start)
        for run in self._runs.between(start / self._rate - TAIL_S, stop / self._rate):
            if run.number not in self._active:
                self._active[run.number] = self._begin(run, start)
            out += self._active[run.number].render(start, stop)
        self._active = {n: run for n, run in self._active.items() if run.stop_s > start / self._rate - 2.0}
        return out * self._drift(np.arange(start, stop) / self._rate)

    def _begin(self, run: Run, start: int) -> _Artefact:
        period = run.sequence.period_s / run.clock
        subtract = round(period * self._rate) if self._subtracted and 0.01 < period < 0.5 else 0
        rate, weights = self._rate * self._oversampling, self._weights
        t = np.arange(int(min(PROBE_S, run.sequence.tr_s) * rate) + 2) / rate
        probe = signal.sosfilt(self._low_pass, np.diff(run.sequence.gradient(t, weights)))
        if len(self._band):
            probe = signal.sosfilt(self._band, probe[:: self._oversampling])
        size = float(np.quantile(np.abs(probe), 0.995)) or float(np.abs(probe).max()) or np.inf
        gain = loguniform(self._rng, self._settings.height) / size
        return _Artefact(run, gain * weights, self._low_pass, self._band, self._rate, self._oversampling, subtract)


class _Artefact:
    """What one run induces; keeps the state of its filters from block to block."""

    def __init__(
        self,
        run: Run,
        weights: Floats,
        low_pass: Floats,
        band: Floats,
        rate: float,
        oversampling: int,
        subtract: int,
    ) -> None:
        self.stop_s = run.stop_s
        self._run, self._weights, self._low_pass = run, weights, low_pass
        self._rate, self._q = rate, oversampling
        self._state = np.zeros((len(low_pass), 2))
        self._band, self._band_state = band, np.zeros((len(band), 2))
        self._b = self._a = self._rest = np.zeros(0)
        if subtract:  # template[n] = template[n − P] + FORGET·(y[n] − template[n − P]), and y − template is left
            self._b = np.concatenate(([1.0], np.zeros(subtract - 1), [-1.0]))
            self._a = np.concatenate(([1.0], np.zeros(subtract - 1), [FORGET - 1.0]))
            self._rest = np.zeros(subtract)

    def render(self, start: int, stop: int) -> Floats:
        run, q = self._run, self._q
        t = np.arange((start - 1) * q + 1, (stop - 1) * q + 2) / (self._rate * q)
        on = (t >= run.start_s) & (t < run.stop_s)
        gradient = np.zeros(len(t))
        gradient[on] = run.sequence.gradient((t[on] - run.start_s) * run.clock, self._weights)
        # from the last fine sample of the block before to the last of this one; the sum telescopes, nothing is lost
        fine, self._state = signal.sosfilt(self._low_pass, np.diff(gradient), zi=self._state)
        out = fine[q - 1 :: q] if q > 1 else fine
        if len(self._band):
            out, self._band_state = signal.sosfilt(self._band, out, zi=self._band_state)
        if len(self._rest):
            out, self._rest = signal.lfilter(self._b, self._a, out, zi=self._rest)
        return np.asarray(out, float)


class Drift:
    """Slow change of a height around 1, with breathing and with what is slower.

    Parameters
    ----------
    amount : float
        Largest change, relative.
    rng : numpy.random.Generator
        Draws rates and phases.
    """

    def __init__(self, amount: float, rng: np.random.Generator) -> None:
        self._amount = amount
        self._breath, self._slow = uniform(rng, (0.15, 0.4)), uniform(rng, (0.01, 0.08))
        self._phases = rng.uniform(0, 2 * np.pi, 2)

    def __call__(self, t: Floats) -> Floats:
        """Factor at the times `t` in s, shape (n,)."""
        if not self._amount:
            return np.ones(len(t))
        breath = np.sin(2 * np.pi * self._breath * t + self._phases[0])
        slow = np.sin(2 * np.pi * self._slow * t + self._phases[1])
        return np.asarray(1 + self._amount * (0.6 * breath + 0.4 * slow), float)
