"""Noise of electrodes and recorders for training: recorded, coloured, and of electrodes that move.

All of it is scaled to a ratio of signal to noise as the Noise Stress Test measures it. That measure leaves out what is
slower than a second, so at one and the same ratio a drifting baseline may be many times as tall as muscle noise.

References
----------
Moody, Muldrow, Mark, "A noise stress test for arrhythmia detectors", Computers in Cardiology 11, 1984.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streamqrs.training.leads import filtered
from streamqrs.types import RATE

Rows = NDArray[np.float32]

LEVELS_DB = (-18.0, 20.0)
"""Ratios of signal to noise. The noise of a record is uneven: at −6 dB on average there are stretches of −18 dB."""

MILD_DB = (0.0, 24.0)
"""The same for most windows in the scanner, which is loud enough."""

MILD = 0.75
"""Share of them; in all others electrodes move as much as elsewhere."""

TALLEST = 4.0
"""Standard deviation of noise and its drift at most, in heights of the QRS."""


def noise_power(noise: Rows) -> float:
    """Power of noise about its mean of each second, shape (n,), n at least 250."""
    seconds = noise[: len(noise) // RATE * RATE].reshape(-1, RATE)
    return float(np.mean(np.var(seconds, axis=1)))


def at_level(noise: Rows, db: float) -> Rows:
    """Scale noise to a ratio of signal to noise in dB, the power of the signal being P/8, P the squared QRS height."""
    scale = np.sqrt(10 ** (-db / 10) / 8 / max(noise_power(noise), 1e-9))
    return noise * np.float32(min(scale, TALLEST / max(float(noise.std()), 1e-6)))


def draw_level(rng: Generator, scanned: bool = False) -> float:
    """Ratio of signal to noise in dB."""
    return float(rng.uniform(*(MILD_DB if scanned and rng.random() < MILD else LEVELS_DB)))


def recorded_noise(series: Rows, n: int, rng: Generator) -> Rows:
    """One or two pieces of recorded noise, series (m, k); half of them at 0.5 to 8 times their speed.

    An electrode that moves does what the baseline does, faster. Half of them go through a short random filter, too:
    there are few minutes of such noise, and it is not to be learnt by heart.
    """
    total = np.zeros(n, np.float32)
    for _ in range(rng.integers(1, 3)):
        row = series[rng.integers(len(series))]
        speed = 1.0 if rng.random() < 0.5 else float(np.exp(rng.uniform(np.log(0.5), np.log(8))))
        speed = min(speed, (len(row) - 2) / n)
        at = rng.uniform(0, len(row) - 1 - speed * n) + speed * np.arange(n)
        whole = at.astype(np.int64)
        part = row[whole] + (row[whole + 1] - row[whole]) * (at - whole).astype(np.float32)
        if rng.random() < 0.5:
            part = filtered(part, rng)
        total += np.float32(rng.choice((-1, 1))) * (part / max(float(part.std()), 1e-3))
    return total


def coloured_noise(n: int, rng: Generator) -> Rows:
    """Power law with a slope of 1 to 5 above a corner of 0.3–3 Hz, or a band around 1–40 Hz; half of it in bursts."""
    f = np.fft.rfftfreq(n, 1 / RATE)
    if rng.random() < 0.6:
        corner = np.exp(rng.uniform(np.log(0.3), np.log(3)))
        height = (corner**2 + f**2) ** (-rng.uniform(0.5, 2.5) / 2)
    else:
        centre, octaves = np.exp(rng.uniform(np.log(1), np.log(40))), rng.uniform(0.2, 1.5)
        height = np.exp(-0.5 * (np.log2(np.maximum(f, f[1]) / centre) / octaves) ** 2)
    spectrum = height * (rng.standard_normal(len(f)) + 1j * rng.standard_normal(len(f)))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, n)
    if rng.random() < 0.5:
        knots = np.exp(rng.normal(0, 1.2, 8))
        noise *= np.interp(np.linspace(0, 7, n), np.arange(8), knots)
    return noise.astype(np.float32)


def electrode_noise(n: int, rng: Generator) -> Rows:
    """Electrodes that move: one to three movements, each with a shape of its own, that come back now and then.

    A movement stretches the skin or shifts an electrode and leaves a wave of 25–500 ms: a bump, a slope, a cusp, a
    bump that swings back, a jump that decays, or several of them. It comes at random or, as steps and breaths do,
    almost regularly, 0.4 to 15 times a second, also as often as a heart beats. Each comes a little different in height
    and width; often its shape is another, too.
    """
    x = np.zeros(n, np.float32)
    for _ in range(rng.integers(1, 4)):
        hz = float(np.exp(rng.uniform(np.log(0.4), np.log(15))))
        if rng.random() < 0.6:
            at = rng.uniform(-0.1 * n, n, 1 + rng.poisson(hz * n / RATE))
        else:
            period = RATE / min(hz, 4.0)
            at = np.arange(rng.uniform(-period, 0), n, period)
            at = at + rng.normal(0, period * rng.uniform(0.01, 0.15), len(at))
        kinds = 1 if rng.random() < 0.4 else int(rng.integers(2, 9))
        loud = rng.uniform(0.3, 1)
        for part in np.array_split(rng.permutation(at), min(kinds, len(at))):
            width = np.exp(rng.uniform(np.log(0.01), np.log(0.2))) * RATE
            widths = width * np.exp(rng.normal(0, rng.uniform(0.02, 0.3), len(part)))
            heights = rng.choice((-1, 1)) * np.exp(rng.normal(0, rng.uniform(0.1, 1.2), len(part)))
            if rng.random() < 0.4:
                heights *= rng.choice((-1, 1), len(part))
            t = (np.arange(n, dtype=np.float32) - part[:, None].astype(np.float32)) / widths[:, None].astype(np.float32)
            x += np.float32(loud) * (heights.astype(np.float32) @ _wave(t, rng))
    if rng.random() < 0.5:
        floor = coloured_noise(n, rng)
        x += floor * np.float32(rng.uniform(0.05, 0.7) * x.std() / max(float(floor.std()), 1e-6))
    return x


def strange_beats(pieces: Rows, beats: Sequence[NDArray[np.float64]], n: int, rng: Generator) -> Rows:
    """QRS complexes of others, at random times: what is most like a beat and is none.

    Parameters
    ----------
    pieces : numpy.ndarray
        Shape (k, m), float32: leads to take them from.
    beats : sequence of numpy.ndarray
        For each of these leads its R peaks in samples.
    n : int
        Samples of noise.
    rng : numpy.random.Generator
        Everything is drawn from it.

    Returns
    -------
    numpy.ndarray
        Shape (n,), float32: complexes 1–5 times a second, each 0.6 to 2.5 times as wide as it was, of any height and
        either polarity, of one to eight shapes.
    """
    shapes: list[NDArray[np.float64]] = []
    for row in rng.integers(len(pieces), size=rng.integers(1, 9)):
        reach = int(rng.uniform(0.06, 0.25) * RATE)
        inside = beats[row][(beats[row] >= reach) & (beats[row] < pieces.shape[1] - reach - 1)]
        if len(inside):
            middle = round(float(rng.choice(inside)))
            cut = pieces[row, middle - reach : middle + reach + 1].astype(np.float64)
            cut = (cut - np.linspace(cut[0], cut[-1], len(cut))) * np.hanning(len(cut))
            size = max(round(len(cut) * float(np.exp(rng.uniform(np.log(0.6), np.log(2.5))))), 5)
            cut = np.interp(np.linspace(0, len(cut) - 1, size), np.arange(len(cut)), cut)
            shapes.append(cut / max(float(np.ptp(cut)), 1e-3))
    hz, spread = float(np.exp(rng.uniform(np.log(1), np.log(5)))), rng.uniform(0.1, 0.8)
    flips = rng.random() < 0.6
    x = np.zeros(n + RATE * 4)
    for at in rng.integers(n, size=1 + rng.poisson(hz * n / RATE)) if shapes else ():
        shape = shapes[rng.integers(len(shapes))]
        start = int(at) + 2 * RATE - len(shape) // 2
        x[start : start + len(shape)] += np.exp(spread * rng.standard_normal()) * (
            shape * rng.choice((-1, 1)) if flips else shape
        )
    return x[2 * RATE : 2 * RATE + n].astype(np.float32)


def electrode_track(n: int, rng: Generator) -> Rows:
    """Electrodes that move for as long as one likes: pieces of 4 s, each faded into the next; shape (n,)."""
    size = 4 * RATE
    fade = np.sin(np.pi * (np.arange(size) + 0.5) / size).astype(np.float32) ** 2
    track = np.zeros(n + 2 * size, np.float32)
    for start in range(0, n + size, size // 2):
        track[start : start + size] += fade * electrode_noise(size, rng)
    return track[size // 2 : size // 2 + n]


def validation_noise(recorded: Rows, remains: Rows, number: int, n: int, rng: Generator) -> Rows:
    """Noise for a validation lead, shape (n,): by its number recorded, four times as fast, made, or of other leads.

    Parameters
    ----------
    recorded, remains : numpy.ndarray
        Shape (series, m) and (k,), 250 Hz: what training has not heard; either may be empty.
    number : int
        Of the lead.
    n : int
        Samples of noise.
    rng : numpy.random.Generator
        Everything is drawn from it.
    """
    kind = number % 4
    if kind == 3 and len(remains):
        return np.resize(np.roll(remains, -int(rng.integers(len(remains)))), n) * np.float32(rng.choice((-1, 1)))
    if kind >= 2 or not recorded.size:
        return electrode_track(n, rng)
    series = recorded[number // 4 % len(recorded)][:: 4 if kind else 1]
    return np.resize(np.roll(series, -int(rng.integers(len(series)))), n)


def _wave(t: Rows, rng: Generator) -> Rows:
    """Shape of a movement at times in widths, same shape as t."""
    bell = np.exp(-0.5 * t**2)
    kind = rng.integers(6)
    if kind == 0:
        return np.asarray(bell, np.float32)
    if kind == 1:
        return np.asarray(-1.65 * t * bell, np.float32)
    if kind == 2:
        return np.asarray(np.exp(-np.abs(t)), np.float32)
    if kind == 3:
        back = (t - np.float32(rng.uniform(1.2, 4))) / np.float32(rng.uniform(0.7, 2.5))
        return np.asarray(bell - np.float32(rng.uniform(0.3, 1)) * np.exp(-0.5 * back**2), np.float32)
    if kind == 4:
        x = np.zeros_like(t)
        for _ in range(rng.integers(2, 5)):
            away, width = np.float32(rng.uniform(-2.5, 2.5)), np.float32(rng.uniform(0.3, 1.5))
            x += np.float32(rng.uniform(-1, 1)) * np.exp(-0.5 * ((t - away) / width) ** 2)
        return x
    after = np.maximum(t, 0)
    return np.asarray((1 - np.exp(-2 * after)) * np.exp(-after / np.float32(rng.uniform(1.5, 8))), np.float32)
