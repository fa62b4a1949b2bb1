"""Pauses: hearts that miss beats, and leads that hold none.

Recordings of arrhythmia databases rarely show a pause of two seconds, and never a lead that has come off; a window with
few beats or none is normalised until its noise is as tall as beats were. What there is, is therefore made longer: a
pause is the quiet stretch between a T wave and the next P wave, played forth and back, now and then with P waves that
are not conducted. A lead that is off shows whatever an open input picks up.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streamqrs.training.dataset import Draw
from streamqrs.types import RATE, Samples

QUIET = (0.5, 0.75)
"""Part of an RR interval that is played, from one R peak (0) to the next (1)."""

LONGEST_S = 3.5

UNSURE = 30
"""Samples around the moment when a lead comes off or on in which nobody can say what is a QRS complex."""


class Pauses:
    """A `Change` for `Windows`, ahead of all others.

    Parameters
    ----------
    share : float
        Of the windows that get a pause of 0.4–3.5 s, 0 to 1.
    empty : float
        Of the windows whose lead is off, for all of the window or a part, 0 to 1: there is nothing there, or noise,
        besides what later changes add.
    """

    def __init__(self, share: float = 0.06, empty: float = 0.1) -> None:
        for name, value in (("share", share), ("empty", empty)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value:g}: allowed are 0 to 1")
        self.share, self.empty = share, empty

    def __call__(self, draw: Draw, rng: Generator, /) -> Draw:
        """Return changed pieces; those given stay as they are."""
        ecg, known, beats = draw.ecg.copy(), draw.known.copy(), list(draw.beats)
        for i in np.flatnonzero(rng.random(len(ecg)) < self.share):
            inside = np.flatnonzero((beats[i] > 0) & (beats[i] < ecg.shape[1]))
            if len(inside) > 1:
                beat = int(inside[rng.integers(len(inside) - 1)])
                ecg[i], known[i], beats[i] = _pause(ecg[i], known[i], beats[i], beat, rng)
        for i in np.flatnonzero(rng.random(len(ecg)) < self.empty):
            beats[i] = _take_off(ecg[i], known[i], beats[i], rng)
        return replace(draw, ecg=ecg, beats=tuple(beats), known=known)


def _pause(
    ecg: Samples, known: NDArray[np.bool_], beats: NDArray[np.float64], beat: int, rng: Generator
) -> tuple[Samples, NDArray[np.bool_], NDArray[np.float64]]:
    """Make the RR interval that follows a beat longer; what no longer fits is lost at one of the two ends."""
    n, rr = len(ecg), beats[beat + 1] - beats[beat]
    low, high = (int(beats[beat] + part * rr) for part in QUIET)
    if high - low < 4:
        return ecg, known, beats
    more = int(np.exp(rng.uniform(np.log(0.4), np.log(LONGEST_S))) * RATE)
    turns = np.arange(more) % (2 * (high - low))
    back = high - 1 - np.where(turns < high - low, turns, 2 * (high - low) - 1 - turns)
    source = np.concatenate((np.arange(high), back, np.arange(high, n)))
    moved = np.where(np.arange(len(beats)) > beat, beats + more, beats)
    x = ecg[source]
    # one level at both ends of the pause, whatever the baseline did
    x[high : high + more] -= np.linspace(0, ecg[back[-1]] - ecg[min(high, n - 1)], more, dtype=np.float32)
    if rng.random() < 0.5:
        x[high : high + more] += _blocked(more, rng)
    first = 0 if rng.random() < 0.5 else more  # lost at the right, or at the left
    return x[first : first + n], known[source][first : first + n], moved - first


def _blocked(n: int, rng: Generator) -> Samples:
    """P waves that no QRS complex follows, shape (n,), in heights of the QRS."""
    apart = rng.uniform(0.25, 1.1) * RATE
    at = np.arange(rng.uniform(0, apart), n, apart)
    height, width = rng.uniform(0.03, 0.3) * rng.choice((-1, 1)), rng.uniform(0.014, 0.03) * RATE
    t = np.arange(n)
    return np.asarray((height * np.exp(-0.5 * ((t - at[:, None]) / width) ** 2)).sum(axis=0), np.float32)


def _take_off(
    ecg: Samples, known: NDArray[np.bool_], beats: NDArray[np.float64], rng: Generator
) -> NDArray[np.float64]:
    """Let the lead be off, in place, for the whole piece or before or after some sample; return the beats that stay."""
    n = len(ecg)
    kind = rng.random()
    cut = int(rng.integers(n // 4, n)) if kind < 0.4 else 0
    first = 0.2 < kind < 0.4
    off, stay = (slice(0, cut), beats[beats >= cut]) if first else (slice(cut, n), beats[(beats < cut) & (cut > 0)])
    ecg[off] = (ecg[cut - 1] if cut and rng.random() < 0.5 else 0.0) + open_input(off.stop - off.start, rng)
    known[off] = True
    if cut:  # a complex that is cut in two is none, and is not nothing
        known[max(cut - UNSURE, 0) : cut + UNSURE] = False
    return stay


def open_input(n: int, rng: Generator) -> Samples:
    """What a recorder shows whose lead is off, shape (n,), in heights of the QRS.

    Nothing, white noise, a random walk, a converter between two steps, mains, mains at a rail, a slow decay; some of
    them together.
    """
    t = np.arange(n) / RATE
    x = np.zeros(n)
    for kind in rng.choice(7, rng.integers(1, 3), replace=False):
        height = np.exp(rng.uniform(np.log(0.003), np.log(3)))
        if kind == 1:
            x += height * rng.standard_normal(n)
        elif kind == 2:
            x += 0.3 * height * np.cumsum(rng.standard_normal(n))
        elif kind == 3:
            x += height * (rng.random(n) < rng.uniform(0.02, 0.5))
        elif kind in {4, 5}:
            wave = np.sin(2 * np.pi * (rng.choice((50.0, 60.0)) * rng.uniform(0.998, 1.002) * t + rng.random()))
            rail = rng.uniform(-0.9, 0.9) if kind == 5 else 1.0
            x += height * np.minimum(wave, rail)
        elif kind == 6:
            x += height * np.exp(-t / np.exp(rng.uniform(np.log(0.2), np.log(5))))
    return x.astype(np.float32)
