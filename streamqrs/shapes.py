"""Shapes: the QRS complexes of one patient, sorted by their looks, and the mean of each kind.

Pieces of the signal are compared between 4 and 32 Hz by their correlation (a matched filter), where the baseline and
muscles count little. Beats of several shapes have a mean each, so that ectopic ones are known, too. Where sure beats
stop to look like any of them, as when a lead is changed, all are forgotten, and learnt anew.

References
----------
Turin, "An introduction to matched filters", IRE Trans. Inf. Theory 6, 1960.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamqrs.types import RATE

Floats = NDArray[np.float64]

REACH = 20
"""Samples of a shape on either side of R (80 ms)."""

TAPS = 15
"""Taps on either side of the middle of the band-pass filter."""

PLAY = 5
"""A beat is compared at its R peak and so many samples to either side."""

WIDTH = 2 * REACH + 1

BEFORE, AFTER = 60, 40
"""Samples before and after R of the mean of the signal as it is."""

FIRST, LAST = BEFORE + PLAY, AFTER + PLAY
"""Samples before and after R from which a shape is learnt."""

BAND = signal.firwin(2 * TAPS + 1, (4, 32), pass_zero=False, fs=RATE)
BAND -= BAND.sum() * np.hamming(2 * TAPS + 1) / np.hamming(2 * TAPS + 1).sum()
"""The filter, symmetric; neither a constant nor a slope passes."""

SURE = 0.95
"""Probability from which a beat is learnt from."""

ALIKE = 0.8
"""Correlation with a shape from which a beat is of it."""

OTHER = 0.5
"""Correlation below which a sure beat speaks against all shapes."""

SLOWEST = 32
"""A shape follows its last beats, as a running mean of about so many."""

MOST = 4
"""Shapes; the one that was longest not seen makes room for a new one."""

LOST = 8
"""Sure beats in a row that look like no shape of as many beats, after which those are forgotten."""


@dataclass(slots=True, eq=False)
class Shape:
    """Mean of beats of one shape.

    Attributes
    ----------
    mean, unit : numpy.ndarray
        Shape (41,), between 4 and 32 Hz: as it is, and of norm 1.
    whole : numpy.ndarray
        Shape (100,), the signal as it is from 60 samples before R on.
    seen : float
        R peak of the newest of them.
    count : int
        Beats so far.
    """

    mean: Floats
    unit: Floats
    whole: Floats
    seen: float
    count: int = 1

    @property
    def height(self) -> float:
        """Of the QRS complex, peak to peak."""
        near = self.whole[BEFORE - REACH : BEFORE + REACH]
        return float(near.max() - near.min())


class Shapes:
    """Learn the shapes of a patient's QRS complexes.

    Parameters
    ----------
    enough : int
        Beats that a shape is the mean of, before it counts.
    """

    def __init__(self, enough: int) -> None:
        self.enough = enough
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._all: list[Shape] = []
        self._strange = 0

    @property
    def known(self) -> list[Shape]:
        """Those that count."""
        return [one for one in self._all if one.count >= self.enough]

    def learn(self, signal: Floats, r: int, at: float) -> None:
        """Take a sure beat, if all of it is there.

        Parameters
        ----------
        signal : numpy.ndarray
            Shape (n,), samples at 250 Hz.
        r : int
            Its R peak in them.
        at : float
            Its R peak on the time axis on which beats are compared by age.
        """
        if r < FIRST or r + LAST > len(signal):
            return
        wide = signal[r - FIRST : r + LAST]
        near = wide[FIRST - REACH - PLAY - TAPS : FIRST + REACH + PLAY + TAPS + 1]
        near = np.convolve(near, BAND, "valid")
        pieces = np.ndarray((2 * PLAY + 1, WIDTH), near.dtype, near, 0, near.strides * 2)  # before, at and after R
        match, place = _compare(pieces, self._all)
        old = [one for one in self._all if one.count >= LOST]
        fits = max((m for m, one in zip(match, self._all, strict=True) if one in old), default=1.0)
        self._strange = self._strange + 1 if fits < OTHER else 0
        best = max(match, default=0.0)
        if best >= ALIKE:
            i = match.index(best)
            one, at_best = self._all[i], place[i]
            share = 1 / min(one.count + 1, SLOWEST)
            one.mean += share * (pieces[at_best] - one.mean)
            one.unit = _unit(one.mean)
            one.whole += share * (_middle(wide, at_best) - one.whole)
            one.count, one.seen = one.count + 1, at
        else:
            self._begin(pieces[PLAY].copy(), _middle(wide, PLAY).copy(), at)
        if self._strange >= LOST:
            self._all = [one for one in self._all if one not in old]
            self._strange = 0

    def _begin(self, mean: Floats, whole: Floats, at: float) -> None:
        """Begin a shape with a beat of a new one."""
        if len(self._all) == MOST:
            self._all.remove(min(self._all, key=lambda one: one.seen))
        self._all.append(Shape(mean, _unit(mean), whole, at))


def _compare(pieces: Floats, shapes: list[Shape]) -> tuple[list[float], list[int]]:
    """For each shape: the best correlation of a beat's pieces, shape (11, 41), and which of them has it."""
    if not shapes:
        return [], []
    match = pieces @ np.array([one.unit for one in shapes]).T
    match /= np.maximum(np.sqrt(np.einsum("ij,ij->i", pieces, pieces)), 1e-12)[:, None]
    return match.max(axis=0).tolist(), match.argmax(axis=0).tolist()


def _middle(wide: Floats, place: int) -> Floats:
    return wide[place : place + BEFORE + AFTER]


def _unit(x: Floats) -> Floats:
    return np.asarray(x / max(math.sqrt(x @ x), 1e-12))
