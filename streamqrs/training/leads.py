"""Leads: hearts as other leads would show them, so that a network learns what a QRS complex is, not whose.

There are few long recordings, and each is heard thousands of times in noise: sooner or later a network knows their QRS
complexes by heart and finds them where it would not find those of others. A short filter of a few echoes, drawn anew
for every window, gives each heart another shape: a notch, a second R wave, a deeper or later S wave, another width.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streamqrs.training.dataset import Draw
from streamqrs.types import RATE, Samples

ECHO = 12
"""Samples that an echo is early or late at most (48 ms)."""

REACH = 15
"""Samples that an R peak may move: as far as marks are moved onto R peaks (60 ms)."""

AROUND = round(0.3 * RATE)
"""Samples on either side of a mark whose median is the baseline there."""

LEAST = 0.4
"""Height of the QRS complexes that must be left, in what it was before."""


class Leads:
    """A `Change` for `Windows`, ahead of all others.

    Parameters
    ----------
    share : float
        Of the windows that are filtered, 0 to 1.
    """

    def __init__(self, share: float = 0.5) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share:g}: allowed are 0 to 1")
        self.share = share

    def __call__(self, draw: Draw, rng: Generator, /) -> Draw:
        """Return changed pieces; those given stay as they are. Marks move with the R peaks."""
        ecg, beats = draw.ecg.copy(), list(draw.beats)
        for i in np.flatnonzero(rng.random(len(ecg)) < self.share):
            x = filtered(draw.ecg[i], rng)
            inside = (beats[i] >= REACH) & (beats[i] < len(x) - REACH)
            peaks = np.round(beats[i][inside]).astype(np.int64)
            if not len(peaks):
                continue
            height = _height(x, peaks) / max(_height(draw.ecg[i], peaks), 1e-6)
            moved = _moved(x, peaks)
            if height >= LEAST and np.abs(moved).max() < REACH:  # what is largest at the border is no peak
                ecg[i] = x / np.float32(height)
                beats[i] = beats[i].copy()
                beats[i][inside] += moved
        return replace(draw, ecg=ecg, beats=tuple(beats))


def filtered(x: Samples, rng: Generator) -> Samples:
    """Return a signal, shape (n,), and one to three echoes of it, each blurred a little: a short random filter."""
    t = np.arange(-ECHO - 8, ECHO + 9)
    kernel = (t == 0).astype(np.float64)
    for _ in range(rng.integers(1, 4)):
        bell = np.exp(-0.5 * ((t - rng.uniform(-ECHO, ECHO)) / rng.uniform(0.5, 3)) ** 2)
        kernel += rng.uniform(-0.9, 0.9) * bell / bell.sum()
    padded = np.pad(x - x[0], len(t) // 2, mode="edge")
    return np.asarray(np.convolve(padded, kernel, "valid") + x[0], np.float32)


def _height(x: Samples, peaks: NDArray[np.int64]) -> float:
    """Median peak-to-peak height around R."""
    near = np.clip(peaks[:, None] + np.arange(-REACH, REACH + 1), 0, len(x) - 1)
    return float(np.median(np.ptp(x[near], axis=1)))


def _moved(x: Samples, peaks: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far each R peak has moved: to the largest size of signal − local median within ±60 ms."""
    around = x[np.clip(peaks[:, None] + np.arange(-AROUND, AROUND + 1), 0, len(x) - 1)]
    size = np.abs(around - np.median(around, axis=1, keepdims=True))[:, AROUND - REACH : AROUND + REACH + 1]
    return np.asarray(size.argmax(axis=1) - REACH)
