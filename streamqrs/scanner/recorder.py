"""Recorder: high-pass, overload, the monitor's low-pass, and the steps of the converter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamqrs.scanner.families import Recorder
from streamqrs.scanner.settings import loguniform, uniform

Floats = NDArray[np.float64]


class RecorderLimits:
    """One recorder with its limits; blocks follow each other.

    Parameters
    ----------
    settings : Recorder
        Ranges of the family.
    rate : float
        Its rate in Hz.
    rng : numpy.random.Generator
        Taken over by this object.

    Attributes
    ----------
    rail : float
        Where it clips, in R.
    delay : int
        Delay of its low-pass in samples.
    """

    def __init__(self, settings: Recorder, rate: float, rng: np.random.Generator) -> None:
        self._rate, self._rng = rate, rng
        self.rail = loguniform(rng, settings.height)
        self._step = 2 * self.rail / 2 ** uniform(rng, settings.bits)
        keep = np.exp(-1 / (loguniform(rng, settings.high_pass_s) * rate))
        self._b, self._a = np.array([1.0, -1.0]) * (1 + keep) / 2, np.array([1.0, -keep])
        self.delay = 0
        self._monitor: Floats | None = None
        if rng.random() < settings.monitor:
            corner = min(loguniform(rng, settings.low_pass_hz), 0.45 * rate)
            self.delay = round(rate * np.sqrt(0.5) / (np.pi * corner))  # of a Butterworth low-pass of order 2
            self._monitor = signal.butter(2, corner, fs=rate, output="sos")
        self._high: Floats | None = None
        self._low: Floats = np.zeros((1, 2))
        self._blocking = rng.random() < settings.blocking
        self._decay = np.exp(-1 / (uniform(rng, (0.2, 2.0)) * rate))
        self._offset = 0.0
        self._quiet_since = -rate

    def __call__(self, samples: Floats, start: int) -> Floats:
        """Record samples from `start` on: shape (n,) in, shape (n,) out, both in R."""
        if self._high is None:
            self._high = signal.lfilter_zi(self._b, self._a) * samples[0]
        out, self._high = signal.lfilter(self._b, self._a, samples, zi=self._high)
        if self._blocking:
            out = self._block(out, start)
        out = np.clip(out, -self.rail, self.rail)
        if self._monitor is not None:
            out, self._low = signal.sosfilt(self._monitor, out, zi=self._low)
        return np.asarray(np.round(out / self._step) * self._step, float)

    def _block(self, out: Floats, start: int) -> Floats:
        """Add the steps that overloads leave behind: at most one a second."""
        offset = self._offset * self._decay ** np.arange(1, len(out) + 1)
        for at in np.flatnonzero(np.abs(out) > self.rail).tolist():
            if start + at - self._quiet_since >= self._rate:
                step = uniform(self._rng, (-0.4, 0.4)) * self.rail
                offset[at:] += step * self._decay ** np.arange(len(out) - at)
                self._quiet_since = start + at
        self._offset = float(offset[-1])
        return np.asarray(out + offset, float)
