"""StampTrack: LSL time stamps → sample counts without holes unseen, and smooth times.

liblsl's own dejittering would hide lost samples, as it takes every stamp for the next one of a regular series. Here
the raw stamps are held against a line that follows them: where they stay above it, samples are missing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamqrs.types import Samples

MEMORY_S = 4.0
"""Time constant of the line, in s."""
HOLD_S = 0.3
"""Late samples are held back for so much signal at most: a burst after a stall catches up, a loss does not."""
LEAST_S, MOST_S = 0.02, 0.1
"""Bounds of the lateness that is looked into, in s; between them, six times the usual one."""
BUFFER_S = 5.0
"""What may have waited on the way, in s: a stamp further ahead of the time passed is a clock that was set."""


class Piece(NamedTuple):
    """Consecutive samples: shape (n,), the count of the first, and its time in s."""

    samples: Samples
    start: int
    time: float


class StampTrack:
    """Number the samples of a stream and smooth their stamps.

    Parameters
    ----------
    rate : float
        Sampling rate in Hz.
    """

    _samples: Samples
    _stamps: NDArray[np.float64]
    _heard_s: float
    _early_s: float
    _slope: float
    _spread: float

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._next = 0
        self._at, self._time = 0, 0.0  # a point of the line
        self._away_s: float | None = None
        self._arrived = float("-inf")
        self._passed_s = 0.0
        self._forget()

    def resume(self, rate: float) -> None:
        """Begin a new series after the stream was away; what was held back of the old one is given up.

        Parameters
        ----------
        rate : float
            Sampling rate in Hz from now on.
        """
        if self._heard_s:
            self._away_s = self._time_of(self._next)
        self.rate = rate
        self._forget()

    def push(self, samples: Samples, stamps: NDArray[np.float64], received: float) -> list[Piece]:
        """Take samples as they arrive.

        Parameters
        ----------
        samples : numpy.ndarray
            Shape (n,), float32.
        stamps : numpy.ndarray
            Shape (n,), float64, raw stamps in s on the clock that the times shall be on.
        received : float
            Local monotonic clock in s.

        Returns
        -------
        list of Piece
            What is sure to follow on; a jump of `start` is a loss. May be empty while a lateness is looked into.
        """
        if not len(samples):
            return []
        since_s, self._arrived = received - self._arrived, received
        self._passed_s = since_s + (self._passed_s if len(self._samples) else 0.0)
        if not self._heard_s:
            self._begin(float(stamps[0]) if np.isfinite(stamps[0]) else received)
        self._samples = np.concatenate((self._samples, samples))
        self._stamps = np.concatenate((self._stamps, stamps))
        pieces: list[Piece] = []
        hold = max(3, round(HOLD_S * self.rate))
        while len(self._samples):
            late = self._lateness()
            limit = min(max(6 * self._spread, LEAST_S), MOST_S) + 1.5 / self.rate
            suspects = np.flatnonzero(late > limit)
            sound = int(suspects[0]) if len(suspects) else len(late)
            if sound:
                pieces.append(self._release(sound, late[:sound], limit))
                continue
            run = late[:hold]
            back = np.flatnonzero(run <= limit)
            if len(back):  # an outlier or a burst: it has caught up
                pieces.append(self._release(int(back[0]), None, limit))
            elif len(run) < hold:
                break
            elif run[0] - run[-1] > HOLD_S / 2:  # a backlog that is being worked off
                pieces.append(self._release(hold, None, limit))
            else:
                self._skip(float(np.median(run)))
        return pieces

    def _forget(self) -> None:
        self._samples = np.empty(0, np.float32)
        self._stamps = np.empty(0)
        self._heard_s = self._early_s = self._slope = 0.0
        self._spread = 0.01

    def _begin(self, stamp: float) -> None:
        if self._away_s is not None:
            away_s = stamp - self._away_s
            # stamps that were set anew say nothing about the time away; the clock of arrival does
            if not 0 <= away_s <= self._passed_s + BUFFER_S:
                away_s = self._passed_s
            self._next += max(1, round(away_s * self.rate))
            self._away_s = None
        self._at, self._time = self._next, stamp

    def _time_of(self, sample: float) -> float:
        return self._time + (sample - self._at) / self.rate * (1 + self._slope)

    def _lateness(self) -> NDArray[np.float64]:
        count = np.arange(len(self._stamps))
        late = self._stamps - self._time_of(self._next) - count / self.rate * (1 + self._slope)
        return np.where(np.isfinite(late), late, 0.0)

    def _release(self, n: int, late: NDArray[np.float64] | None, limit: float) -> Piece:
        """Hand out n samples; `late`, if they are sound, moves the line."""
        start, samples = self._next, self._samples[:n]
        self._samples, self._stamps = self._samples[n:], self._stamps[n:]
        self._next += n
        if late is not None:
            self._follow(start, n, float(late.mean()), limit)
        return Piece(samples, start, self._time_of(start))

    def _follow(self, start: int, n: int, late_s: float, limit: float) -> None:
        length_s = n / self.rate
        self._time, self._at = self._time_of(self._next), self._next
        self._heard_s += length_s
        self._early_s = self._early_s + length_s if late_s < -limit else 0.0
        if self._early_s > HOLD_S:  # the source's clock was set back
            self._time += late_s
            self._early_s = 0.0
            return
        error = max(late_s, -limit)
        gain = length_s / max(min(self._heard_s, MEMORY_S), length_s)
        self._time += gain * error
        if self._heard_s > MEMORY_S:  # critically damped: a clock off its nominal rate leaves no lag
            self._slope += error * min(length_s, MEMORY_S) / (4 * MEMORY_S**2)
            self._slope = min(max(self._slope, -0.02), 0.02)
        self._spread += length_s / (min(self._heard_s, MEMORY_S) + 1) * (min(abs(late_s), MOST_S) - self._spread)

    def _skip(self, late_s: float) -> None:
        """Number what comes as if `late_s` of signal were missing, or as much as can be."""
        lost_s = min(late_s, self._passed_s + BUFFER_S)
        self._next += round(lost_s * self.rate)
        self._at, self._time = self._next, self._time_of(self._next) + late_s - lost_s
