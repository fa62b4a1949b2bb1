"""Quality: when to say "I cannot tell"."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamqrs.types import RATE, Probabilities, Samples

FLAT_S = 1.0
"""A lead that stands still for so long is off, in s."""

STILL = 1e-4
"""What counts as standing still, in standard deviations of the window."""

LEAST, HALF = 150, 75
"""Samples in a row that stand still (0.6 s) hold no QRS complex."""

SEEN = 0.05
"""Probabilities below this do not count."""

CALM = 6.0
"""So many sure samples are taken for granted: a window without any QRS in sight is quiet, not noisy."""


class Turn(NamedTuple):
    """The signal became unusable, or usable again, from sample `at` (250 Hz) on; `known` as in `Probabilities`."""

    usable: bool
    reason: Literal["flat", "rails", "noise"]
    at: int
    known: int
    value: float


class QualityMeter:
    """Judge the signal at each window of the merge grid.

    The network says itself how sure it is: over a window, Σp² / Σp is near 1 where it sees QRS complexes and nothing
    else, and falls towards the probabilities themselves where it hesitates. A lead that stands still for a second is
    flat; one that stands still at both ends of its range for most of a second is at the recorder's rails.

    Parameters
    ----------
    low, high : float
        The signal is unusable when the measure falls below `low`, and usable again when it rises above `high` (both
        0 to 1; `low` 0 switches this off).
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.reset()

    @property
    def delay(self) -> int:
        """Nothing is held back."""
        return 0

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self.usable = True
        self.value = 1.0
        self._reason: Literal["flat", "rails", "noise"] = "noise"

    def push(self, samples: Samples, window: Probabilities) -> Turn | None:
        """Judge a window.

        Parameters
        ----------
        samples : numpy.ndarray
            Shape (750,), float32, the normalised window.
        window : Probabilities
            What the network says about it, shape (750,).

        Returns
        -------
        Turn or None
            If the verdict has changed.
        """
        fault = standstill(samples)
        p = window.values[window.values > SEEN].astype(np.float64)
        self.value = 0.0 if fault else float((p @ p + CALM) / (p.sum() + CALM))
        usable = not fault and self.value >= (self.low if self.usable else self.high)
        if usable == self.usable:
            return None
        self.usable = usable
        if not usable:
            self._reason = fault or "noise"
        newest = window.start + len(window.values)
        return Turn(usable, self._reason, newest, window.known, self.value)

    def end(self, at: int) -> Turn | None:
        """The stream ends before 250 Hz sample `at`: an unusable stretch ends with it."""
        return None if self.usable else Turn(True, self._reason, at, at, self.value)

    def flush(self) -> None:
        """Nothing is held back."""


def still(windows: Samples) -> NDArray[np.bool_]:
    """Where nothing can be: inside stretches of 0.6 s and more that stand still.

    Parameters
    ----------
    windows : numpy.ndarray
        Shape (b, 750), float32, normalised.

    Returns
    -------
    numpy.ndarray
        Shape (b, 750), bool.
    """
    moving = np.zeros(windows.shape, np.bool_)
    np.greater_equal(np.abs(windows[:, 1:] - windows[:, :-1]), STILL, out=moving[:, 1:])
    blocks = moving[:, : windows.shape[1] // HALF * HALF].reshape(len(windows), -1, HALF)
    if blocks.any(axis=2).all():  # any such stretch fills one of these
        return np.zeros(windows.shape, np.bool_)
    moves = np.cumsum(moving, axis=1)
    first = moves[:, LEAST:] == moves[:, :-LEAST]  # the sample before such a stretch
    if not first.any():
        return np.zeros(windows.shape, np.bool_)
    begun = np.pad(np.cumsum(first, axis=1), ((0, 0), (1, LEAST)), "edge")
    ended = np.pad(begun, ((0, 0), (LEAST, 0)))[:, : begun.shape[1]]
    return np.asarray((begun > ended)[:, : windows.shape[1]])


def standstill(samples: Samples) -> Literal["flat", "rails"] | None:
    """Say whether the newest second of a normalised window, shape (750,), stands still, and how."""
    newest = samples[-round(FLAT_S * RATE) :]
    still = np.abs(newest[1:] - newest[:-1]) < STILL
    if np.count_nonzero(still) < len(newest) // 4:  # a sample counts twice at most below
        return None
    still = np.concatenate(([True], still))
    if float(np.ptp(newest)) < STILL:
        return "flat"
    low, high = (np.abs(newest - end) < STILL for end in (newest.min(), newest.max()))
    at_low, at_high = (float((still & end).mean()) for end in (low, high))
    return "rails" if min(at_low, at_high) > 0.1 and at_low + at_high > 0.5 else None
