"""Waves that follow every beat: blood moving across the field (MHD), and the body moving with the pulse (BCG).

References
----------
Tenforde, "Magnetically induced electric fields and currents in the circulatory system",
Prog. Biophys. Mol. Biol. 87:279–288, 2005.
Oster, Clifford, "Acquisition of electrocardiogram signals during magnetic resonance imaging",
Physiol. Meas. 38:R119–R142, 2017.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from streamqrs.scanner.exam import Runs
from streamqrs.scanner.families import Lobes
from streamqrs.scanner.gradients import Drift
from streamqrs.scanner.settings import uniform
from streamqrs.scanner.waves import add_bells

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST = 4
"""Lobes of a beat, at most."""

RAMP_MS = 30.0
"""From silence around R to full height, in ms."""


def draw_lobes(settings: Lobes, rng: np.random.Generator, patients: int) -> Floats:
    """Draw the lobes of some patients.

    Parameters
    ----------
    settings : Lobes
        Ranges of the family.
    rng : numpy.random.Generator
        Draws them.
    patients : int
        How many patients.

    Returns
    -------
    numpy.ndarray
        Shape (patients, 4, 4): height in R, middle in s after R, left and right flank in s; height 0: no such lobe.
    """
    shape = (patients, MOST)
    low, high = settings.count
    count = rng.integers(int(low), int(high) + 1, (patients, 1))
    height = np.exp(rng.uniform(np.log(settings.height[0]), np.log(settings.height[1]), (patients, 1)))
    each = rng.uniform(0.2, 1.0, shape)
    each[:, 0] = 1.0  # the tallest
    each *= np.where(rng.random(shape) < 0.5, -1, 1) * (np.arange(MOST) < count)
    middle = rng.uniform(*settings.delay_ms, shape) / 1000
    width = np.exp(rng.uniform(np.log(settings.width_ms[0]), np.log(settings.width_ms[1]), shape)) / 1000
    skew = rng.uniform(0.6, 1.4, shape)
    return np.stack((height * each, middle, width * skew, width * (2 - skew)), axis=-1)


def beat_lobes(
    lobes: Floats, settings: Lobes, variation: Floats, ratio: Floats, gain: Floats, rng: np.random.Generator
) -> Floats:
    """Lobes of single beats: a little other every time, weaker after a short RR.

    Parameters
    ----------
    lobes : numpy.ndarray
        Shape (beats, 4, 4): the lobes of each beat's patient, see `draw_lobes`.
    settings : Lobes
        The family.
    variation : numpy.ndarray
        Shape (beats,): relative standard deviation from beat to beat.
    ratio : numpy.ndarray
        Shape (beats,): RR before the beat over the mean RR.
    gain : numpy.ndarray
        Shape (beats,): the breathing's factor.
    rng : numpy.random.Generator
        Draws the variation.

    Returns
    -------
    numpy.ndarray
        Shape (beats, 4, 4): as `lobes`.
    """
    ratio = np.clip(ratio, 0.3, 1.5)
    out = lobes.copy()
    change = 1 + variation[:, None] * rng.standard_normal(lobes.shape[:2])
    out[..., 0] *= change * (gain * np.minimum(ratio, 1.2) ** settings.premature)[:, None]
    out[..., 1] *= 1 + 0.15 * variation[:, None] * rng.standard_normal(lobes.shape[:2])
    out[..., 1] = np.maximum(out[..., 1], out[..., 2] * 0.5 + 0.03)
    return out


def silence(out: NDArray[np.floating], row: Ints, peaks: Ints, rate: float, silent_ms: float) -> None:
    """Fade a batch out around R peaks, in place.

    Parameters
    ----------
    out : numpy.ndarray
        Shape (b, n): the signals; zero afterwards within `silent_ms` of an R peak.
    row, peaks : numpy.ndarray
        Shape (k,), int64: the row and the sample of each R peak.
    rate : float
        Rate in Hz.
    silent_ms : float
        Half length of the silence in ms.
    """
    shares = _shares(rate, silent_ms)
    reach = len(shares) // 2
    if len(peaks) < len(shares):  # less to do, to the same bits: of two peaks near each other the later one first
        for which, peak in zip(row[::-1].tolist(), peaks[::-1].tolist(), strict=True):
            first = peak - reach
            low, high = max(first, 0), min(first + len(shares), out.shape[1])
            if low < high:
                out[which, low:high] *= shares[low - first : high - first]
        return
    for offset, share in enumerate(shares, -reach):
        at = peaks + offset
        seen = (at >= 0) & (at < out.shape[1])
        out[row[seen], at[seen]] *= share


@lru_cache(maxsize=32)
def _shares(rate: float, silent_ms: float) -> Floats:
    """What is left around an R peak, which is in the middle."""
    reach = int((silent_ms + RAMP_MS) * rate / 1000)
    away = (max(0.0, abs(offset) * 1000 / rate - silent_ms) for offset in range(-reach, reach + 1))
    return np.array([np.sin(one / RAMP_MS * np.pi / 2) ** 2 for one in away])


class FlowNoise:
    """Waves after every beat of a recording, in blocks that follow each other.

    Parameters
    ----------
    settings : Lobes
        Ranges of the family.
    rate : float
        Rate of the recorder in Hz.
    rng : numpy.random.Generator
        Taken over by this object.
    runs : Runs
        Not needed: blood flows whether a sequence runs or not.
    """

    def __init__(self, settings: Lobes, rate: float, rng: np.random.Generator, runs: Runs) -> None:
        self._settings, self._rate, self._rng = settings, rate, rng
        self._lobes = draw_lobes(settings, rng, 1)
        self._variation = np.array([uniform(rng, settings.variation)])
        self._breathing = Drift(uniform(rng, settings.breathing), rng)
        self._beats: list[tuple[int, Floats]] = []
        self._last: int | None = None
        self._mean = 0.8 * rate

    def render(self, start: int, stop: int, peaks: Ints) -> Floats:
        """Waves of samples `start` to `stop` in R, shape (stop − start,)."""
        for peak in peaks[peaks < stop].tolist():
            if self._last is None or peak > self._last:
                self._add(peak)
        self._beats = [beat for beat in self._beats if beat[0] > start - 1.5 * self._rate]
        out: Floats = np.zeros((1, stop - start))
        if self._beats:
            bells = np.concatenate([bells for _, bells in self._beats]) - (0, start, 0, 0)
            add_bells(out, np.zeros(len(bells), np.int64), bells)
        if self._settings.silent_ms:
            near = peaks - start
            silence(out, np.zeros(len(near), np.int64), near, self._rate, self._settings.silent_ms)
        return out.reshape(-1)

    def _add(self, peak: int) -> None:
        rr = self._mean if self._last is None else float(peak - self._last)
        ratio = np.array([rr / self._mean])
        if self._last is not None:
            self._mean += 0.1 * (min(max(rr, 0.5 * self._mean), 2 * self._mean) - self._mean)
        self._last = peak
        gain = self._breathing(np.array([peak / self._rate]))
        lobes = beat_lobes(self._lobes, self._settings, self._variation, ratio, gain, self._rng)[0]
        lobes[:, 1:] *= self._rate
        self._beats.append((peak, lobes[lobes[:, 0] != 0] + (0, peak, 0, 0)))
