"""What is there without a scanner's gradients: pump, breathing, movement, muscle, mains, a pacemaker.

All have the same two verbs as the other families: made from settings, rate, generator and runs; ``render(start,
stop, peaks)`` gives samples in R, in blocks that follow each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamqrs.scanner.exam import Runs
from streamqrs.scanner.families import Mains, Motion, Muscle, Pacing, Pump, Wander
from streamqrs.scanner.settings import loguniform, uniform
from streamqrs.scanner.waves import add_spikes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class PumpNoise:
    """Helium pump and ventilation: thumps that ring."""

    def __init__(self, settings: Pump, rate: float, rng: np.random.Generator, runs: Runs) -> None:
        self._rate = rate
        self._height = loguniform(rng, settings.height)
        self._period = 1 / uniform(rng, settings.thump_hz)
        self._tone = uniform(rng, settings.tone_hz)
        self._decay = uniform(rng, (0.03, 0.15))
        self._body_hz = uniform(rng, (6, 25))
        self._body = uniform(rng, (0.1, 0.8))

    def render(self, start: int, stop: int, peaks: Ints) -> Floats:
        """Samples `start` to `stop` in R, shape (stop − start,)."""
        t = np.mod(np.arange(start, stop) / self._rate, self._period)
        ring = np.sin(2 * np.pi * self._tone * t) + self._body * np.sin(2 * np.pi * self._body_hz * t)
        rise = 1 - np.exp(-t / 0.004)
        return np.asarray(self._height * rise * np.exp(-t / self._decay) * ring, float)


class WanderNoise:
    """Baseline wander: breathing with its overtone, and what is slower."""

    def __init__(self, settings: Wander, rate: float, rng: np.random.Generator, runs: Runs) -> None:
        self._rate = rate
        breath = uniform(rng, settings.breathing_hz)
        self._f = np.concatenate(([breath, 2 * breath], rng.uniform(0.01, 0.2, 4)))
        self._a = np.concatenate(([uniform(rng, (0.3, 1.0)), uniform(rng, (0.0, 0.4))], 0.03 / self._f[2:] ** 0.7))
        self._a *= loguniform(rng, settings.height) / np.sqrt(0.5 * np.sum(self._a**2))
        self._phase = rng.uniform(0, 2 * np.pi, 6)

    def render(self, start: int, stop: int, peaks: Ints) -> Floats:
        """Samples `start` to `stop` in R, shape (stop − start,)."""
        t = np.arange(start, stop) / self._rate
        uneven = t + 0.4 * np.sin(0.21 * t + self._phase[0])  # nobody breathes like a metronome
        return np.asarray(np.sin(2 * np.pi * np.outer(uneven, self._f) + self._phase) @ self._a, float)


class MotionNoise:
    """Movement: steps that decay, electrode pops, rumbling."""

    def __init__(self, settings: Motion, rate: float, rng: np.random.Generator, runs: Runs) -> None:
        self._settings, self._rate, self._rng = settings, rate, rng
        self._per_s = loguniform(rng, settings.per_minute) / 60
        self._height = loguniform(rng, settings.height)
        self._next_s = float(rng.exponential(1 / self._per_s))
        self._events: list[tuple[float, float, Floats]] = []  # begin and end in s, parameters

    def render(self, start: int, stop: int, peaks: Ints) -> Floats:
        """Samples `start` to `stop` in R, shape (stop − start,)."""
        t = np.arange(start, stop) / self._rate
        while self._next_s < stop / self._rate:
            self._events.append(self._event(self._next_s))
            self._next_s += float(self._rng.exponential(1 / self._per_s))
        self._events = [event for event in self._events if event[1] > t[0]]
        out = np.zeros(len(t))
        for begin, end, (height, decay, *tones) in self._events:
            low, high = np.searchsorted(t, (begin, end))
            since = t[low:high] - begin
            if tones:
                bell = np.sin(np.pi * since / (end - begin)) ** 2
                phases = np.arange(1, len(tones) + 1)
                out[low:high] += height * bell * np.sin(2 * np.pi * np.outer(since, tones) + phases).mean(axis=1)
            else:
                out[low:high] += height * (1 - np.exp(-since / 0.004)) * np.exp(-since / decay)
        return out

    def _event(self, at: float) -> tuple[float, float, Floats]:
        rng = self._rng
        height = self._height * uniform(rng, (0.3, 1.0)) * rng.choice([-1, 1])
        kind = rng.random()
        if kind < 0.6:  # a step, or a pop where it decays at once
            decay = loguniform(rng, self._settings.decay_s)
            return at, at + 7 * decay, np.array([height, decay])
        long = uniform(rng, (0.2, 3.0))
        tones = rng.uniform(0.5, 12, 5)
        return at, at + long, np.array([2 * height, long, *tones])


class MuscleNoise:
    """Band-limited noise, steady and in bursts."""

    def __init__(self, settings: Muscle, rate: float, rng: np.random.Generator, runs: Runs) -> None:
        self._settings, self._rate, self._rng = settings, rate, rng
        self._height = loguniform(rng, settings.height)
        self._burst = uniform(rng, settings.burst)
        low, high = settings.band_hz
        low = uniform(rng, (low, min(2 * low, 0.3 * rate)))
        self._band = signal.butter(1, (low, max(1.2 * low, min(high, 0.45 * rate))), "bandpass", fs=rate, output="sos")
        impulse = np.zeros(int(2 * rate))
        impulse[0] = 1
        self._band[0, :3] /= np.sqrt(np.sum(signal.sosfilt(self._band, impulse) ** 2))
        self._state = np.zeros((1, 2))
        self._phases = rng.uniform(0, 2 * np.pi, 3)

    def render(self, start: int, stop: int, peaks: Ints) -> Floats:
        """Samples `start` to `stop` in R, shape (stop − start,)."""
        t = np.arange(start, stop) / self._rate
        white = self._rng.standard_normal(len(t))
        noise, self._state = signal.sosfilt(self._band, white, zi=self._state)
        slow = np.sin(np.outer(t, (0.23, 0.61, 1.37)) + self._phases).sum(axis=1)
        bursts = 1 + (self._burst - 1) * np.clip(slow - 1, 0, 1)
        return np.asarray(self._height * bursts * noise, float)


class MainsNoise:
    """Hum of 50 or 60 Hz with two harmonics."""

    def __init__(self, settings: Mains, rate: float, rng: np.random.Generator, runs: Runs) -> None:
        self._rate = rate
        self._hz = float(rng.choice([50, 60])) + uniform(rng, (-0.05, 0.05))
        self._a = np.array([1, uniform(rng, (0, 0.2)), uniform(rng, (0, 0.4))]) * loguniform(rng, settings.height)
        self._phase = rng.uniform(0, 2 * np.pi, 3)

    def render(self, start: int, stop: int, peaks: Ints) -> Floats:
        """Samples `start` to `stop` in R, shape (stop − start,)."""
        t = np.arange(start, stop) / self._rate
        return np.asarray(np.sin(2 * np.pi * self._hz * np.outer(t, (1, 2, 3)) + self._phase) @ self._a, float)


class PacingNoise:
    """Pacing stimuli: before the beats, or at a pace of their own with no capture."""

    def __init__(self, settings: Pacing, rate: float, rng: np.random.Generator, runs: Runs) -> None:
        self._rate, self._rng = rate, rng
        self._height = loguniform(rng, settings.height) * rng.choice([-1, 1])
        self._width = uniform(rng, settings.width_ms) / 1000
        self._lead = uniform(rng, settings.lead_ms) / 1000
        self._pace_s = None if rng.random() < settings.captured else 60 / uniform(rng, (45, 110))
        self._share = 1.0 if rng.random() < 0.6 else uniform(rng, (0.3, 0.9))
        self._skipped: dict[int, bool] = {}

    def render(self, start: int, stop: int, peaks: Ints) -> Floats:
        """Samples `start` to `stop` in R, shape (stop − start,)."""
        out = np.zeros(stop - start)
        if self._pace_s is None:
            for peak in peaks.tolist():
                if peak not in self._skipped:
                    self._skipped[peak] = bool(self._rng.random() > self._share)
            onsets = np.array([p / self._rate - self._lead for p in peaks.tolist() if not self._skipped[p]])
            self._skipped = {peak: skip for peak, skip in self._skipped.items() if peak > start - 2 * self._rate}
        else:
            first, last = np.floor((start / self._rate - 0.1) / self._pace_s), stop / self._rate / self._pace_s
            onsets = np.arange(first, last + 1) * self._pace_s
        ones = np.ones(len(onsets))
        add_spikes(out, start, self._rate, np.stack((self._height * ones, onsets, self._width * ones), axis=1))
        return out
