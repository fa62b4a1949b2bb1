"""Ectopy: premature ventricular beats in hearts that have none: not every wide complex is a wave of the scanner.

Few patients of the databases have many of them, each with one or two shapes of their own, while what a scanner adds
after each beat has any shape. A made-up complex is wide, of either polarity, with or without a lobe of the other one,
and with a T wave that mostly points the other way; the beat that it forestalls is taken out, or not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streamqrs.training.dataset import Draw
from streamqrs.types import RATE, Samples

COUPLING = (0.45, 0.85)
"""Where an ectopic beat stands in the interval between two others, 0 to 1."""

TAKEN_OUT = (round(0.2 * RATE), round(0.4 * RATE))
"""Samples before and after the R peak of a beat that does not happen: from its P wave to its T wave."""

SPACE = round(0.35 * RATE)
"""Samples to the next beat, if that one happens all the same."""

REACH = round(0.7 * RATE)
"""Samples of an ectopic beat after its R peak, and, at most, before."""


class Ectopy:
    """A `Change` for `Windows`, ahead of the scanner.

    Parameters
    ----------
    share : float
        Of the windows that get ectopic beats, 0 to 1: one, or after every beat, every second or third.
    """

    def __init__(self, share: float = 0.12) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share:g}: allowed are 0 to 1")
        self.share = share

    def __call__(self, draw: Draw, rng: Generator, /) -> Draw:
        """Return changed pieces; those given stay as they are."""
        ecg, beats = draw.ecg.copy(), list(draw.beats)
        for i in np.flatnonzero(rng.random(len(ecg)) < self.share):
            beats[i] = _disturb(ecg[i], beats[i], rng)
        return replace(draw, ecg=ecg, beats=tuple(beats))


def _disturb(ecg: Samples, beats: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    """Add ectopic beats to a piece, shape (n,), in place; return its beats, those that stay and the new ones."""
    inside = np.flatnonzero((beats > 0) & (beats < len(ecg)))
    if len(inside) < 3:
        return beats
    shape, middle = ventricular_beat(rng)
    coupling = rng.uniform(*COUPLING)
    apart = int(rng.choice((2, 3, 4, len(beats)), p=(0.35, 0.2, 0.1, 0.35)))
    first = int(inside[0]) + int(rng.integers(min(apart, len(inside) - 1)))
    stays, new = np.ones(len(beats), np.bool_), []
    for k in range(first, len(beats) - 1, apart):
        rr = beats[k + 1] - beats[k]
        at = beats[k] + rr * np.clip(coupling + 0.02 * rng.standard_normal(), *COUPLING)
        if beats[k + 1] - at < SPACE or rng.random() < 0.85:
            stays[k + 1] = False
            _take_out(ecg, beats[k + 1], rng)
        _add(ecg, shape * np.float32(rng.normal(1, 0.05)), round(at) - middle)
        new.append(round(at))
    return np.sort(np.concatenate((beats[stays], new)))


def ventricular_beat(rng: Generator) -> tuple[Samples, int]:
    """Draw the shape of a ventricular beat, shape (k,), in heights of the QRS, and the sample of its R peak."""
    t = np.arange(-REACH, REACH + 1) / RATE
    height = np.exp(rng.uniform(np.log(0.5), np.log(2.5)))
    rise, fall = rng.uniform(0.016, 0.045, 2)
    x = _bell(t, 0.0, np.where(t < 0, rise, fall))
    if rng.random() < 0.6:
        side = rng.choice((-1, 1))
        x -= rng.uniform(0.2, 0.9) * _bell(t, side * rng.uniform(0.05, 0.11), rng.uniform(0.018, 0.04))
    if rng.random() < 0.3:
        x -= rng.uniform(0.1, 0.4) * _bell(t, rng.uniform(-0.025, 0.025), rng.uniform(0.006, 0.012))
    near = np.abs(t) < 0.06
    middle = int(np.flatnonzero(near)[np.abs(x[near]).argmax()])
    sign = -1 if rng.random() < 0.8 else 1
    x += sign * rng.uniform(0.1, 0.6) * _bell(t, rng.uniform(0.22, 0.4), rng.uniform(0.04, 0.08))
    return np.asarray(height * rng.choice((-1, 1)) * x, np.float32), middle


def _bell(t: NDArray[np.float64], at: float, width: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * ((t - at) / width) ** 2))


def _take_out(ecg: Samples, beat: float, rng: Generator) -> None:
    """Draw a line where a beat was, as restless as a quiet recorder."""
    before, after = TAKEN_OUT
    low, high = max(round(beat) - before, 0), min(round(beat) + after, len(ecg))
    if high - low > 1:
        line = np.linspace(ecg[low : low + 4].mean(), ecg[max(high - 4, low) : high].mean(), high - low)
        ecg[low:high] = line + 0.01 * rng.standard_normal(high - low)


def _add(ecg: Samples, shape: Samples, start: int) -> None:
    low, high = max(start, 0), min(start + len(shape), len(ecg))
    if high > low:
        ecg[low:high] += shape[low - start : high - start]
