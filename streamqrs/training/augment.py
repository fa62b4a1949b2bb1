"""Augment: what ordinary recorders, electrodes and patients do to an ECG; Corrupted: what a scanner does.

All amplitudes are in heights of the QRS complex (peak to peak). Each effect touches a share of the windows, chosen
anew in each batch; everything follows from the random generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import signal

from streamqrs.training.dataset import Draw
from streamqrs.training.noise import (
    at_level,
    coloured_noise,
    draw_level,
    electrode_noise,
    recorded_noise,
    strange_beats,
)
from streamqrs.types import RATE

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """Share of windows that each effect touches, 0 to 1.

    Attributes
    ----------
    waves : float
        T waves raised, lowered or made anew, up to 1 QRS height.
    p_waves : float
        P waves made as tall as 0.2–1 QRS heights, 100–220 ms ahead of R: what the newest edge takes for a QRS complex.
    pacing : float
        Pacing spikes ahead of each beat, or on their own.
    wander : float
        Sinusoidal drift of 0.05–0.7 Hz, up to 2 QRS heights.
    recorded : float
        Recorded noise (baseline wander and muscle) at 20 to −18 dB, as the Noise Stress Test measures it, in the
        scanner at 24 to 0 dB; half of it played at 0.5 to 8 times its speed.
    coloured : float
        Noise of a random power law, or in a band, at levels like the recorded one, half of it in bursts.
    electrode : float
        Electrodes that move, at such levels: see `streamqrs.training.noise.electrode_noise`.
    remains : float
        Noise of electrodes on other patients, see `streamqrs.training.remains`, likewise.
    strange : float
        QRS complexes of other leads of the batch at random times, at such levels: see
        `streamqrs.training.noise.strange_beats`.
    white : float
        White noise up to 0.15 QRS heights (standard deviation).
    motion : float
        Few tall movements: bumps, bent steps, and steps that decay, at random times, of 25–300 ms, up to 3 QRS heights.
    mains : float
        50 or 60 Hz, up to 1.6 QRS heights, most of it below 0.2.
    jumps : float
        Steps of the baseline, up to 4 QRS heights, that decay with 0.05–2 s.
    low_pass, high_pass : float
        A recorder's filters, 15–80 Hz and 0.05–2 Hz.
    clipped : float
        Rails at 0.3–1 of the signal's extremes.
    dropped : float
        One or two stretches of 20–400 ms at one value.
    inverted : float
        Polarity reversed.
    """

    waves: float = 0.25
    p_waves: float = 0.15
    pacing: float = 0.12
    wander: float = 0.4
    recorded: float = 0.4
    coloured: float = 0.2
    electrode: float = 0.3
    remains: float = 0.3
    strange: float = 0.12
    white: float = 0.4
    motion: float = 0.2
    mains: float = 0.15
    jumps: float = 0.1
    low_pass: float = 0.4
    high_pass: float = 0.4
    clipped: float = 0.05
    dropped: float = 0.05
    inverted: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}: allowed are 0 to 1")


class Augment:
    """A `Change` for `Windows`.

    Parameters
    ----------
    settings : AugmentSettings
        How often each effect happens.
    noise : numpy.ndarray
        Shape (series, n), float32, 250 Hz: recorded noise; may be empty.
    remains : numpy.ndarray
        Shape (n,), float32, 250 Hz: noise of other patients' electrodes; may be empty.
    """

    def __init__(
        self, settings: AugmentSettings | None = None, *, noise: Rows | None = None, remains: Rows | None = None
    ) -> None:
        self.settings = settings or AugmentSettings()
        self.noise = np.empty((0, 0), np.float32) if noise is None else noise
        self.remains = np.empty((0, 0), np.float32) if remains is None or not len(remains) else remains[None]

    def __call__(self, draw: Draw, rng: Generator, /) -> Draw:
        """Return changed pieces; those given stay as they are."""
        s = self.settings
        x, known = draw.ecg.copy(), draw.known.copy()
        beats = list(draw.beats)
        n = x.shape[1]
        others = np.flatnonzero(~draw.scanned) if not draw.scanned.all() else np.arange(len(x))
        plain, plain_beats = draw.ecg[others], [draw.beats[i] for i in others]
        for i in _some(rng, len(x), s.waves):
            x[i] += _waves(beats[i], n, rng)
        for i in _some(rng, len(x), s.p_waves):
            x[i] += _p_waves(beats[i], n, rng)
        for i in _some(rng, len(x), s.pacing):
            x[i] += _pacing(beats[i], n, rng)
        for i in _some(rng, len(x), s.wander):
            x[i] += _wander(n, rng)
        noises: tuple[tuple[float, Callable[[], Rows]], ...] = (
            (s.recorded if len(self.noise) else 0, lambda: recorded_noise(self.noise, n, rng)),
            (s.remains if len(self.remains) else 0, lambda: recorded_noise(self.remains, n, rng)),
            (s.coloured, lambda: coloured_noise(n, rng)),
            (s.electrode, lambda: electrode_noise(n, rng)),
            (s.strange, lambda: strange_beats(plain, plain_beats, n, rng)),
        )
        for share, make in noises:
            for i in _some(rng, len(x), share):
                x[i] += at_level(make(), draw_level(rng, draw.scanned[i]))
        for i in _some(rng, len(x), s.white):
            x[i] += rng.standard_normal(n, np.float32) * np.float32(0.15 * rng.random() ** 2)
        for i in _some(rng, len(x), s.motion):
            x[i] += _motion(n, rng)
        for i in _some(rng, len(x), s.mains):
            x[i] += _mains(n, rng)
        for i in _some(rng, len(x), s.jumps):
            x[i] += _jump(n, rng)
        for i in _some(rng, len(x), s.low_pass):
            x[i], delay = _low_pass(x[i], rng)
            beats[i] = beats[i] + delay
        for i in _some(rng, len(x), s.high_pass):
            x[i] = _high_pass(x[i], rng)
        for i in _some(rng, len(x), s.clipped):
            low, high = rng.uniform(0.3, 1, 2).astype(np.float32) * (x[i].min(), x[i].max())
            x[i] = np.clip(x[i], low, high)
        for i in _some(rng, len(x), s.dropped):
            _drop(x[i], known[i], rng)
        x[_some(rng, len(x), s.inverted)] *= -1
        return replace(draw, ecg=x, beats=tuple(beats), known=known)


class Corrupted:
    """A `Change` made of a callable on windows, such as `streamqrs.scanner.Corruptor`.

    Parameters
    ----------
    corrupt : callable
        (pieces, R peaks, generator) → pieces; pieces have shape (b, 1000), R peaks are b arrays of samples.
    share : float
        Of the windows that it is given, 0 to 1.
    """

    def __init__(
        self,
        corrupt: Callable[[Rows, Sequence[NDArray[np.float64]], Generator], Rows],
        *,
        share: float = 1.0,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share:g}: allowed are 0 to 1")
        self.corrupt, self.share = corrupt, share

    def __call__(self, draw: Draw, rng: Generator, /) -> Draw:
        """Return pieces of which a share is corrupted; those given stay as they are."""
        chosen = np.flatnonzero(rng.random(len(draw.ecg)) < self.share)
        ecg = draw.ecg.copy()
        if len(chosen):
            ecg[chosen] = self.corrupt(draw.ecg[chosen], [draw.beats[i] for i in chosen], rng)
        scanned = draw.scanned.copy()
        scanned[chosen] = True
        return replace(draw, ecg=ecg, scanned=scanned)


def _some(rng: Generator, count: int, share: float) -> NDArray[np.int64]:
    return np.flatnonzero(rng.random(count) < share)


def _bump(n: int, at: float, width: float) -> tuple[slice, Rows]:
    """Part of a row around `at`, and a Gaussian of this standard deviation in it (samples)."""
    low, high = (int(np.clip(at + side * 4 * width, 0, n)) for side in (-1, 1))
    return slice(low, high), np.exp(-0.5 * ((np.arange(low, high) - at) / width) ** 2).astype(np.float32)


def _waves(beats: NDArray[np.float64], n: int, rng: Generator) -> Rows:
    x = np.zeros(n, np.float32)
    for _ in range(rng.integers(1, 3)):
        height = rng.uniform(-1, 1)
        delay, width = rng.uniform(0.15, 0.45) * RATE, rng.uniform(0.02, 0.08) * RATE
        for r in beats:
            part, bump = _bump(n, r + delay + 2 * rng.standard_normal(), width)
            x[part] += bump * np.float32(height * rng.normal(1, 0.15))
    return x


def _p_waves(beats: NDArray[np.float64], n: int, rng: Generator) -> Rows:
    """One ahead of each beat, now and then one that is not followed by a beat (conduction is blocked)."""
    x = np.zeros(n, np.float32)
    height = rng.uniform(0.2, 1.0) * rng.choice((-1, 1))
    ahead, width = rng.uniform(0.10, 0.22) * RATE, rng.uniform(0.014, 0.028) * RATE
    at = beats - ahead
    if rng.random() < 0.3 and len(beats) > 1:
        at = np.append(at, at[rng.integers(len(at))] + rng.uniform(0.35, 0.65) * np.diff(beats).mean())
    for position in at:
        part, bump = _bump(n, position + 1.5 * rng.standard_normal(), width)
        x[part] += bump * np.float32(height * rng.normal(1, 0.1))
    return x


def _pacing(beats: NDArray[np.float64], n: int, rng: Generator) -> Rows:
    """Spikes 20–50 ms (ventricular) or 120–220 ms (atrial) ahead of each R, or at a rate of their own."""
    x = np.zeros(n, np.float32)
    ahead = rng.uniform(0.02, 0.05) if rng.random() < 0.6 else rng.uniform(0.12, 0.22)
    at = beats - ahead * RATE
    if rng.random() < 0.3:
        at = np.arange(rng.uniform(0, 250), n, rng.uniform(0.5, 1.2) * RATE)
    height, tail = rng.uniform(0.1, 1.5) * rng.choice((-1, 1)), rng.uniform(0, 0.6)
    for position in at[(at >= 0) & (at < n - 2)]:
        k = int(position)
        x[k : k + 3] += np.array((height, tail * height, -0.3 * tail * height), np.float32)
    return x


def _wander(n: int, rng: Generator) -> Rows:
    t = np.arange(n) / RATE
    x = sum(rng.uniform(0, 1) * np.sin(2 * np.pi * (rng.uniform(0.05, 0.7) * t + rng.random())) for _ in range(2))
    return np.asarray(x, np.float32)


def _motion(n: int, rng: Generator) -> Rows:
    x = np.zeros(n, np.float32)
    height = 3 * rng.random() ** 1.5
    for _ in range(rng.integers(1, 13)):
        at, shape = rng.uniform(0, n), rng.integers(3)
        width = np.exp(rng.uniform(np.log(0.025), np.log(0.3))) * RATE / 2.5
        part, bump = _bump(n, at, width)
        if shape == 1 and len(bump) > 1:
            bump = np.gradient(bump).astype(np.float32)
            bump /= max(float(np.abs(bump).max(initial=0)), 1e-3)
        elif shape == 2:
            part = slice(int(at), n)
            t = np.arange(n - int(at), dtype=np.float32)
            bump = (1 - np.exp(-t / (0.3 * width))) * np.exp(-t / (3 * width))
        x[part] += bump * np.float32(height * rng.uniform(-1, 1))
    return x


def _mains(n: int, rng: Generator) -> Rows:
    t = np.arange(n) / RATE
    frequency = rng.choice((50.0, 60.0)) * rng.uniform(0.998, 1.002)
    return np.asarray(1.6 * rng.random() ** 3 * np.sin(2 * np.pi * (frequency * t + rng.random())), np.float32)


def _jump(n: int, rng: Generator) -> Rows:
    at = int(rng.integers(n))
    x = np.zeros(n, np.float32)
    x[at:] = rng.uniform(-4, 4) * np.exp(-np.arange(n - at) / (rng.uniform(0.05, 2) * RATE))
    return x


def _low_pass(x: Rows, rng: Generator) -> tuple[Rows, float]:
    """Butterworth low-pass of second order, as a recorder has it, and its delay at low frequencies in samples."""
    k = np.tan(np.pi * np.exp(rng.uniform(np.log(15), np.log(80))) / RATE)  # bilinear transform
    a = np.array((1, 2 * (k**2 - 1), 1 - np.sqrt(2) * k + k**2)) / (1, *[1 + np.sqrt(2) * k + k**2] * 2)
    b = np.array((1, 2, 1)) * a.sum() / 4
    y = signal.lfilter(b, a, x - x[0]) + x[0]
    return y.astype(np.float32), float(1 - a @ np.arange(3) / a.sum())


def _high_pass(x: Rows, rng: Generator) -> Rows:
    """First order: one time constant of 0.08–3 s."""
    pole = np.exp(-2 * np.pi * np.exp(rng.uniform(np.log(0.05), np.log(2))) / RATE)
    return np.asarray(signal.lfilter((1, -1), (1, -pole), x - x[0]), np.float32)


def _drop(x: Rows, known: NDArray[np.bool_], rng: Generator) -> None:
    """Flat stretches, in place; whether a QRS lies in one, or at its border, cannot be known."""
    for _ in range(rng.integers(1, 3)):
        size = int(rng.uniform(0.02, 0.4) * RATE)
        at = int(rng.integers(len(x) - size))
        x[at : at + size] = x[at] if rng.random() < 0.5 else x.mean()
        known[max(at - 12, 0) : at + size + 12] = False
