"""Shapes: the QRS complexes of one patient, sorted by their looks, and the mean of each kind.

Pieces of the signal are compared between 4 and 32 Hz by their correlation (a matched filter), where the baseline and
muscles count little. Beats of several shapes have a mean each, so that ectopic ones are known, too. Where sure beats
stop to look like any of them, as when a lead is changed, all are forgotten, and learnt anew.

References
----------
Turin, "An introduction to matched filters", IRE Trans. Inf. Theory 6, 1960.
"""

from __future__ import annotations

from collections import deque
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
SIZE = WIDTH + 2 * PLAY
"""Samples about a beat that are looked at."""

BEFORE, AFTER = 60, 40
"""Samples before and after R of the mean of the signal as it is."""

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
"""Sure beats in a row that look like no shape that counts, after which those are forgotten."""

HEIGHTS = 16
"""Last heights whose median is the height of a shape's beats."""


@dataclass(slots=True, eq=False)
class Shape:
    """Mean of beats of one shape.

    Attributes
    ----------
    mean, unit : numpy.ndarray
        Shape (41,), between 4 and 32 Hz: as it is, and of norm 1.
    height : float
        Median norm of the last beats' part along `unit`.
    seen : float
        R peak of the newest of them.
    count : int
        Beats so far.
    whole : numpy.ndarray
        Mean of the signal as it is about R, shape (100,); empty if that was not given.
    """

    mean: Floats
    unit: Floats
    heights: deque[float]
    height: float
    seen: float
    whole: Floats
    count: int = 1


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

    def learn(self, pieces: Floats, at: float, wide: Floats | None = None) -> None:
        """Take a sure beat.

        Parameters
        ----------
        pieces : numpy.ndarray
            Shape (11, 41), filtered: at its R peak, and up to 5 samples before and after it.
        at : float
            Its R peak.
        wide : numpy.ndarray, optional
            Shape (110,), the signal as it is from 65 samples before R on.
        """
        match, height, place = (x.reshape(-1) for x in compare(pieces, self._all))
        known = self.known
        fits = max((m for m, one in zip(match.tolist(), self._all, strict=True) if one in known), default=1.0)
        self._strange = self._strange + 1 if fits < OTHER else 0
        best = int(match.argmax()) if len(match) else -1
        if best >= 0 and match[best] >= ALIKE:
            one = self._all[best]
            share = 1 / min(one.count + 1, SLOWEST)
            one.mean += share * (pieces[place[best]] - one.mean)
            one.unit = _unit(one.mean)
            if wide is not None:
                one.whole += share * (_middle(wide, place[best]) - one.whole)
            one.heights.append(float(height[best]))
            one.height = sorted(one.heights)[len(one.heights) // 2]
            one.count, one.seen = one.count + 1, at
        else:
            self._begin(pieces[PLAY].copy(), at, np.empty(0) if wide is None else _middle(wide, PLAY).copy())
        if self._strange >= LOST:
            self._all = [one for one in self._all if one not in known]
            self._strange = 0

    def _begin(self, own: Floats, at: float, whole: Floats) -> None:
        """Begin a shape with a beat of a new one."""
        if len(self._all) == MOST:
            self._all.remove(min(self._all, key=lambda one: one.seen))
        tall = float(np.linalg.norm(own))
        self._all.append(Shape(own, _unit(own), deque([tall], HEIGHTS), tall, at, whole))


def pieces_of(filtered: Floats) -> Floats:
    """Filtered samples about a beat, shape (51,), as pieces, shape (11, 41): at its R peak, and before and after it."""
    return np.ndarray((2 * PLAY + 1, WIDTH), filtered.dtype, filtered, 0, filtered.strides * 2)


def compare(pieces: Floats, shapes: list[Shape]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """For each candidate, 11 pieces, and each shape: the best correlation, that piece's height, and which it is."""
    count = len(pieces) // (2 * PLAY + 1)
    if not shapes:
        return np.empty((count, 0)), np.empty((count, 0)), np.empty((count, 0), np.int64)
    height = pieces @ np.array([one.unit for one in shapes]).T
    match = height / np.maximum(np.sqrt(np.einsum("ij,ij->i", pieces, pieces)), 1e-12)[:, None]
    height, match = (x.reshape(count, 2 * PLAY + 1, len(shapes)) for x in (height, match))
    place = match.argmax(axis=1)
    best = (np.arange(count)[:, None], place, np.arange(len(shapes)))
    return match[best], height[best], place


def _middle(wide: Floats, place: int) -> Floats:
    return wide[place : place + BEFORE + AFTER]


def _unit(x: Floats) -> Floats:
    return np.asarray(x / max(float(np.linalg.norm(x)), 1e-12))
