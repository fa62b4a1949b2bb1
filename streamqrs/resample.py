"""Resampler: any rate from 100 Hz to 10 kHz to 250 Hz, with a delay of a few milliseconds.

The filter is a minimum-phase polyphase FIR. Only aliases that land in the band that is used (up to 60 Hz) matter, so
its transition may run from 60 to 190 Hz (= 250 − 60), which makes it short. Its delay is nearly the same for all
frequencies of a QRS complex and is known, so that time stamps can be set right by a constant.

References
----------
Oppenheim, Schafer, "Discrete-Time Signal Processing", 3rd ed., ch. 12.2 (minimum phase through the real cepstrum).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal

from streamqrs.types import RATE, Samples

LOWEST, HIGHEST = 100.0, 10_000.0
PASS_HZ = 60.0
STOP_DB = 60.0
MAX_PHASES = 512
BLOCK = 16_384


class Resampler:
    """Resample a stream to 250 Hz; pushed in any pieces it gives the same bits.

    Output n is the filtered input at the time n / 250 s, so it stands for the signal `delay_s` earlier. A stream of
    250 Hz passes unchanged. Before its first sample a stream is taken to have had the value of that sample.

    Parameters
    ----------
    rate : float
        Rate of the input in Hz, 100 to 10,000; need not be an integer.

    Attributes
    ----------
    rate : float
        As given.
    delay_s : float
        Group delay in s, mean over 5–30 Hz, the band of the QRS complex.
    """

    def __init__(self, rate: float) -> None:
        check_rate(rate)
        self.rate = float(rate)
        ratio = Fraction(rate).limit_denominator(1_000_000) / RATE
        self._m, self._l = ratio.numerator, ratio.denominator
        self._design = _design(self.rate, min(self._l, MAX_PHASES)) if self._m != self._l else None
        self.delay_s = self._design.delay_s if self._design else 0.0
        self.reset()

    @property
    def delay(self) -> int:
        """250 Hz samples held back: none, what has arrived is given out at once."""
        return 0

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._read = self._written = 0
        self._tail: NDArray[np.float64] | None = None

    def push(self, samples: ArrayLike) -> Samples:
        """Take the next samples of the input.

        Parameters
        ----------
        samples : array_like
            Shape (n,), n ≥ 0, any unit, finite.

        Returns
        -------
        numpy.ndarray
            Shape (m,), float32, at 250 Hz: all outputs that these samples complete.
        """
        x = np.asarray(samples, dtype=np.float64).reshape(-1)
        self._read += len(x)
        if not len(x):
            return np.empty(0, np.float32)
        if self._design is None:
            self._written += len(x)
            return x.astype(np.float32)
        taps = self._design.bank.shape[1]
        tail = np.full(taps - 1, x[0]) if self._tail is None else self._tail
        x = np.concatenate((tail, x))
        first = self._read - len(x)  # count of x[0], below zero at the start of a stream
        stop = -(-self._read * self._l // self._m)
        out = np.empty(stop - self._written, np.float32)
        for at in range(0, len(out), BLOCK):
            n = np.arange(self._written + at, min(self._written + at + BLOCK, stop), dtype=np.int64)
            out[at : at + len(n)] = self._filter(x, first, n)
        self._written = stop
        self._tail = x[len(x) - (taps - 1) :]
        return out

    def flush(self) -> Samples:
        """Nothing is held back: shape (0,)."""
        return np.empty(0, np.float32)

    def newest(self, n: int) -> int:
        """Count of the newest input sample that output n needs."""
        return n * self._m // self._l

    def _filter(self, x: NDArray[np.float64], first: int, n: NDArray[np.int64]) -> NDArray[np.float64]:
        assert self._design is not None
        bank, taps = self._design.bank, self._design.bank.shape[1]
        newest, phase = np.divmod(n * self._m, self._l)
        # the same view as sliding_window_view's, made ten times as fast
        every: NDArray[np.float64] = np.ndarray((len(x) - taps + 1, taps), x.dtype, x, 0, (x.itemsize, x.itemsize))
        rows = every[newest - (taps - 1) - first]
        if self._l == len(bank) - 1:
            weights = bank[phase]
        else:  # more phases than the bank has: between two neighbours
            row, rest = np.divmod(phase * (len(bank) - 1), self._l)
            share = (rest / self._l)[:, None]
            weights = (1 - share) * bank[row] + share * bank[row + 1]
        out: NDArray[np.float64] = np.einsum("ij,ij->i", rows, weights)
        return out


def resample(samples: ArrayLike, rate: float) -> Samples:
    """Resample a whole recording to 250 Hz with the filter of the stream, its delay taken off.

    Parameters
    ----------
    samples : array_like
        Shape (n,), any unit, finite.
    rate : float
        Rate of the recording in Hz, 100 to 10,000.

    Returns
    -------
    numpy.ndarray
        Shape (ceil(n · 250 / rate),), float32. Sample k stands for the time k / 250 s, to within half a sample.
    """
    x = np.asarray(samples, dtype=np.float64).reshape(-1)
    resampler = Resampler(rate)
    lag = round(resampler.delay_s * RATE)
    if not lag or not len(x):
        return resampler.push(x)
    length = -(-len(x) * resampler._l // resampler._m)
    pad = np.full(int(np.ceil((lag + 1) * rate / RATE)), x[-1])
    return resampler.push(np.concatenate((x, pad)))[lag : lag + length]


def check_rate(rate: float) -> None:
    """Raise a ValueError unless 100 ≤ rate ≤ 10,000 Hz."""
    if not LOWEST <= rate <= HIGHEST:
        raise ValueError(f"rate is {rate:g} Hz: allowed are {LOWEST:g} to {HIGHEST:g} Hz")


class _Design(NamedTuple):
    bank: NDArray[np.float64]  # (phases + 1, taps): newest sample last; the last row is the first, one tap later
    delay_s: float


@lru_cache(maxsize=32)
def _design(rate: float, phases: int) -> _Design:
    """Filter bank for one rate: row p answers at p / phases of an input sample after the newest one."""
    edge = min(PASS_HZ, 0.4 * rate)
    stop = min(rate, RATE) - edge
    grid = max(1, -(-8_000 // int(phases * rate)))  # finer than needed where phases are few: a clean cepstrum
    fs = rate * phases * grid
    length, beta = signal.kaiserord(STOP_DB, (stop - edge) / (fs / 2))
    linear = signal.firwin(length | 1, (edge + stop) / 2, window=("kaiser", beta), fs=fs)
    # minimum_phase returns the square root of the magnitude: give it the square
    fine = signal.minimum_phase(np.convolve(linear, linear[::-1]), n_fft=1 << int(np.log2(len(linear) * 64)))[::grid]
    taps = -(-len(fine) // phases) + 1
    padded = np.zeros((taps + 1) * phases)
    padded[: len(fine)] = fine
    columns = padded.reshape(taps + 1, phases)
    rows = np.concatenate((columns[:taps].T, columns[1:, :1].T))  # row p, tap k: fine[k · phases + p]
    rows /= rows.sum(axis=1, keepdims=True)
    f = np.linspace(5, 30, 26)
    t = np.arange(len(fine)) / (rate * phases)
    turn = np.exp(-2j * np.pi * f[:, None] * t)
    delay = np.real((turn @ (t * fine)) / (turn @ fine)).mean()
    return _Design(np.ascontiguousarray(rows[:, ::-1]), float(delay))
