"""Corruptor: takes batches of training windows into the scanner, thousands a second.

The same families, ranges and parts as in `Room`; what a sequence makes, and steady noise, is cut at random from
tracks that were rendered beforehand, while what follows the beats is drawn anew for every window.
"""

from __future__ import annotations

from collections.abc import Sequence as Row

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamqrs.scanner.bank import SCANNED, STEADY, Bank, on_and_off
from streamqrs.scanner.families import Family, Lobes, ScannerSettings
from streamqrs.scanner.flow import beat_lobes, draw_lobes, silence
from streamqrs.scanner.presets import settings_of
from streamqrs.scanner.sequences import Sequence
from streamqrs.scanner.settings import loguniform, uniform
from streamqrs.scanner.waves import add_bells
from streamqrs.types import RATE, Samples

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GATED = 0.2
"""Chance that what a sequence makes begins or ends in a window, besides the runs of the track."""

GROUPS = 4
"""Recorders in a batch: filters differ from group to group, and from call to call."""


class Corruptor:
    """A callable that corrupts batches of 250 Hz windows.

    Parameters
    ----------
    preset : str or ScannerSettings
        See `streamqrs.scanner.PRESETS`; ``mixture`` is made for training.
    seed : int
        The tracks are drawn from it, and what a call draws if no generator is given.
    families, without : tuple of str
        Only these families of noise; all but these (also names of `SEQUENCES`).
    severity : float
        Factor on the height of all added noise, 0 to 100.
    mild : float
        Share of the windows whose noise is scaled down, to anything between nothing and its full height, 0 to 1.
    tracks : int
        Tracks in the bank of each family, 1 or more.
    track_s : float
        Their length in s, 5 or more.
    recorded : tuple of Sequence
        Waveforms of real sequences, from `read_sequences`.

    Examples
    --------
    >>> corruptor = Corruptor("3T", seed=1, tracks=4)
    >>> windows = np.zeros((2, 750), np.float32)
    >>> corruptor(windows, [np.array([100, 300]), np.array([50])], np.random.default_rng(0)).shape
    (2, 750)
    """

    def __init__(
        self,
        preset: str | ScannerSettings = "mixture",
        seed: int = 0,
        *,
        families: tuple[str, ...] | None = None,
        without: tuple[str, ...] = (),
        severity: float = 1.0,
        mild: float = 0.4,
        tracks: int = 192,
        track_s: float = 16.0,
        recorded: tuple[Sequence, ...] = (),
    ) -> None:
        if not 0 <= severity <= 100:
            raise ValueError(f"severity is {severity:g}: allowed are 0 to 100")
        if not 0 <= mild <= 1:
            raise ValueError(f"mild is {mild:g}: allowed are 0 to 1")
        if tracks < 1 or not 5 <= track_s <= 600:
            raise ValueError(f"{tracks} tracks of {track_s:g} s: allowed are 1 or more, of 5 to 600 s")
        self.settings = settings_of(preset, families=families, without=without)
        self._severity, self._mild = severity, mild
        self._rng = np.random.default_rng((seed, 4))
        self._banks = {
            name: Bank(name, self.settings, seed, tracks=tracks, track_s=track_s, recorded=recorded)
            for name in (*SCANNED, *STEADY)
            if getattr(self.settings, name).chance > 0
        }

    def __call__(
        self,
        windows: Samples,
        r_peaks: Row[NDArray[np.integer] | NDArray[np.floating]],
        rng: np.random.Generator | None = None,
    ) -> Samples:
        """Corrupt a batch of windows.

        Parameters
        ----------
        windows : numpy.ndarray
            Shape (b, n), float32, at 250 Hz, any unit; each has its own height of R, which scales its noise.
        r_peaks : sequence of numpy.ndarray
            b arrays of shape (k,): R peaks in samples of the window, growing, also between samples. Those up to 1 s
            before it and shortly after it belong in too: their waves reach into the window.
        rng : numpy.random.Generator, optional
            Everything is drawn from it; by default from the corruptor's own.

        Returns
        -------
        numpy.ndarray
            Shape (b, n), float32, same unit. The windows given are left as they are.
        """
        windows = np.asarray(windows, np.float32)
        if windows.ndim != 2 or len(windows) != len(r_peaks):
            raise ValueError(
                f"{len(r_peaks)} rows of r_peaks, windows of shape {windows.shape}: allowed are b and (b, n)"
            )
        rng = rng or self._rng
        batch, n = windows.shape
        row = np.repeat(np.arange(batch), [len(peaks) for peaks in r_peaks])
        peaks = np.rint(np.concatenate([*r_peaks, np.empty(0)])).astype(np.int64)
        height = _heights(windows, row, peaks)
        noise = np.zeros((batch, n), np.float32)
        for name in ("mhd", "bcg"):
            self._add_flow(noise, getattr(self.settings, name), row, peaks, rng)
        for name, bank in self._banks.items():
            family: Family = getattr(self.settings, name)
            chosen = np.flatnonzero(rng.random(batch) < family.chance)
            if not len(chosen):
                continue
            piece = bank.cut(len(chosen), n, rng)
            piece *= _draw(family, len(chosen), rng)[:, None]
            if name in SCANNED:
                gated = rng.random(len(chosen)) < GATED
                piece[gated] *= on_and_off(int(gated.sum()), n, rng)
            noise[chosen] += piece
        scale = np.where(rng.random(batch) < self._mild, rng.random(batch) ** 2, 1.0) * self._severity
        noise *= scale.astype(np.float32)[:, None]
        self._add_pacing(noise, row, peaks, rng)
        noise *= height[:, None]
        noise += windows
        self._record(noise, height, rng)
        return noise

    def _add_flow(self, noise: Samples, settings: Lobes, row: Ints, peaks: Ints, rng: np.random.Generator) -> None:
        """Add the waves after each beat."""
        has = rng.random(len(noise)) < settings.chance
        patients = draw_lobes(settings, rng, len(noise))
        variation = rng.uniform(*settings.variation, len(noise))
        depth = rng.uniform(*settings.breathing, len(noise))
        hz, phase = rng.uniform(0.15, 0.4, len(noise)), rng.uniform(0, 2 * np.pi, len(noise))
        ratio = _rr_ratio(row, peaks, len(noise))
        keep = has[row]
        row, peaks, ratio = row[keep], peaks[keep], ratio[keep]
        if not len(row):
            return
        gain = 1 + depth[row] * np.sin(2 * np.pi * hz[row] * peaks / RATE + phase[row])
        lobes = beat_lobes(patients[row], settings, variation[row], ratio, gain, rng)
        lobes[..., 1:] *= RATE
        lobes[..., 1] += peaks[:, None]
        waves = np.zeros(noise.shape, np.float32)
        there = lobes[..., 0] != 0
        add_bells(waves, np.repeat(row, there.sum(axis=1)), lobes[there])
        if settings.silent_ms:
            silence(waves, row, peaks, RATE, settings.silent_ms)
        noise += waves

    def _add_pacing(self, noise: Samples, row: Ints, peaks: Ints, rng: np.random.Generator) -> None:
        """Add pacing stimuli, smeared by a recorder's filter, which one batch shares."""
        settings, (batch, n) = self.settings.pacing, noise.shape
        paced = np.flatnonzero(rng.random(batch) < settings.chance)
        if not len(paced):
            return
        spikes = np.zeros((len(paced), n + 2))
        height = _draw(settings, len(paced), rng) * rng.choice([-1.0, 1.0], len(paced))
        height *= rng.uniform(*settings.width_ms, len(paced)) * RATE / 1000
        lead = rng.uniform(*settings.lead_ms, len(paced)) * RATE / 1000
        for number, which in enumerate(paced.tolist()):
            if rng.random() < settings.captured:
                at = peaks[row == which] - lead[number]
                at = at[rng.random(len(at)) < (1.0 if rng.random() < 0.6 else 0.6)]
            else:
                pace = RATE * 60 / uniform(rng, (45, 110))
                at = np.arange(rng.uniform(0, pace), n, pace)
            at = at[(at >= 0) & (at < n)]
            whole = at.astype(np.int64)
            spikes[number, whole] += height[number] * (1 - at + whole)
            spikes[number, whole + 1] += height[number] * (at - whole)
        if rng.random() < 0.7:
            corner = uniform(rng, (40, 110))
            spikes = signal.sosfilt(signal.butter(int(rng.integers(1, 4)), corner, fs=RATE, output="sos"), spikes)
        noise[paced] += spikes[:, :n].astype(np.float32)

    def _record(self, out: Samples, height: NDArray[np.float32], rng: np.random.Generator) -> None:
        """Let recorders limit the windows, in place."""
        settings = self.settings.recorder
        recorded = np.flatnonzero(rng.random(len(out)) < settings.chance)
        for rows in np.array_split(rng.permutation(recorded), GROUPS):
            if not len(rows):
                continue
            keep = np.exp(-1 / (loguniform(rng, settings.high_pass_s) * RATE))
            b, a = np.array([1.0, -1.0]) * (1 + keep) / 2, np.array([1.0, -keep])
            x = out[rows].astype(np.float64) / height[rows, None]
            x, _ = signal.lfilter(b, a, x, zi=signal.lfilter_zi(b, a) * x[:, :1])
            rail = np.exp(rng.uniform(np.log(settings.height[0]), np.log(settings.height[1]), (len(rows), 1)))
            x = np.clip(x, -rail, rail)
            if rng.random() < settings.monitor:
                corner = min(loguniform(rng, settings.low_pass_hz), 0.45 * RATE)
                delay = round(RATE * np.sqrt(0.5) / (np.pi * corner))
                low = signal.butter(2, corner, fs=RATE, output="sos")
                x = np.concatenate((x, np.repeat(x[:, -1:], delay, axis=1)), axis=1)
                start = signal.sosfilt_zi(low)[:, None, :] * x[None, :, :1]
                x = signal.sosfilt(low, x, zi=start)[0][:, delay:]
            step = 2 * rail / 2 ** rng.uniform(*settings.bits, (len(rows), 1))
            out[rows] = np.round(x / step) * step * height[rows, None]


def _draw(family: Family, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Heights in R, shape (count,), all orders of magnitude equally likely."""
    return np.exp(rng.uniform(np.log(family.height[0]), np.log(family.height[1]), count)).astype(np.float32)


def _heights(windows: Samples, row: Ints, peaks: Ints) -> NDArray[np.float32]:
    """Height of R of each window, shape (b,): median over its beats, or from its range where it has none."""
    batch, n = windows.shape
    reach = RATE // 10
    low, high = np.quantile(windows[:, ::2], (0.02, 0.98), axis=1)
    top = np.maximum(windows.max(axis=1, initial=-np.inf) - low, high - windows.min(axis=1, initial=np.inf))
    height = np.where(top > 0, 0.7 * top, 1.0)
    inside = (peaks >= reach) & (peaks < n - reach)
    row, peaks = row[inside], peaks[inside]
    if len(row):
        around = windows[row[:, None], peaks[:, None] + np.arange(-reach, reach + 1, 2)]
        each = np.abs(windows[row, peaks] - np.median(around, axis=1))
        mean = np.bincount(row, each, batch) / np.maximum(np.bincount(row, minlength=batch), 1)
        height = np.where(mean > 0.1 * top, mean, height)
    return np.asarray(height, np.float32)


def _rr_ratio(row: Ints, peaks: Ints, batch: int) -> Floats:
    """RR before each beat over the mean RR of its window; 1 where it is not known."""
    ratio = np.ones(len(peaks))
    if len(peaks) < 2:
        return ratio
    same = row[1:] == row[:-1]
    rr = np.diff(peaks).astype(float)
    total = np.bincount(row[1:][same], rr[same], batch)
    mean = total / np.maximum(np.bincount(row[1:][same], minlength=batch), 1)
    ratio[1:][same] = rr[same] / np.maximum(mean[row[1:][same]], 1)
    return ratio
