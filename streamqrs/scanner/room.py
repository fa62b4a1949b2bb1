"""Room: the scanner room around one lead, all families of noise together; and `corrupt`, which takes a record there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamqrs.scanner.ambient import MainsNoise, MotionNoise, MuscleNoise, PacingNoise, PumpNoise, WanderNoise
from streamqrs.scanner.exam import Runs
from streamqrs.scanner.families import FAMILIES, ScannerSettings
from streamqrs.scanner.flow import FlowNoise
from streamqrs.scanner.gradients import GradientNoise
from streamqrs.scanner.periodic import PeriodicNoise, comb_table, pulse_table
from streamqrs.scanner.presets import settings_of
from streamqrs.scanner.recorder import RecorderLimits
from streamqrs.scanner.sequences import Sequence
from streamqrs.types import Samples

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK_S = 0.5
"""Length of the blocks that noise is made in, in s: the same bits come out however they are read."""

BEFORE_S, AFTER_S = 1.5, 0.15
"""R peaks matter so long before and after a block, in s."""


class Noise(Protocol):
    """One family of noise of one recording."""

    def render(self, start: int, stop: int, peaks: Ints) -> Floats:
        """Samples `start` to `stop` in R, shape (stop − start,); blocks follow each other."""


NOISES: dict[str, Callable[..., Noise]] = {
    "mhd": FlowNoise,
    "bcg": FlowNoise,
    "gradient": GradientNoise,
    "comb": partial(PeriodicNoise, make=comb_table),
    "spike": partial(PeriodicNoise, make=pulse_table),
    "rf": partial(PeriodicNoise, make=pulse_table, carrier=True),
    "pump": PumpNoise,
    "wander": WanderNoise,
    "motion": MotionNoise,
    "muscle": MuscleNoise,
    "mains": MainsNoise,
    "pacing": PacingNoise,
}
"""What makes each additive family: called with its settings, the rate in Hz, a generator and the runs."""


class Room:
    """A scanner room with one patient and one recorder in it.

    Parameters
    ----------
    rate : float
        Rate of the recorder in Hz.
    settings : ScannerSettings
        The scanner.
    seed : int
        Everything is drawn from it.
    height : float
        Height of R, in the unit of the ECG.
    severity : float
        Factor on the height of all added noise, 0 to 100.
    recorded : tuple of Sequence
        Waveforms of real sequences.

    Notes
    -----
    Each family draws from a generator of its own: leaving one out changes no other.
    """

    def __init__(
        self,
        rate: float,
        settings: ScannerSettings,
        seed: int,
        *,
        height: float = 1.0,
        severity: float = 1.0,
        recorded: tuple[Sequence, ...] = (),
    ) -> None:
        if not 0 <= severity <= 100:
            raise ValueError(f"severity is {severity:g}: allowed are 0 to 100")
        self._height, self._severity = height, severity
        self.noises: dict[str, Noise] = {}
        self.recorder: RecorderLimits | None = None
        for number, name in enumerate(FAMILIES):
            family, rng = getattr(settings, name), np.random.default_rng((seed, 1, number))
            if rng.random() >= family.chance:
                continue
            if name == "recorder":
                self.recorder = RecorderLimits(family, rate, rng)
            else:  # each family has its own copy of the same runs
                runs = Runs(settings.exam, np.random.default_rng((seed, 2)), recorded, rate)
                self.noises[name] = NOISES[name](family, rate, rng, runs)

    @property
    def families(self) -> tuple[str, ...]:
        """Families of noise that this recording has."""
        return (*self.noises, *(("recorder",) if self.recorder else ()))

    @property
    def delay(self) -> int:
        """Delay of the recorder in samples: the truth stays right if so many are dropped at the beginning."""
        return self.recorder.delay if self.recorder else 0

    def render(self, ecg: Floats, start: int, peaks: Ints) -> tuple[Floats, dict[str, Floats]]:
        """Take the next block of a clean ECG into the room.

        Parameters
        ----------
        ecg : numpy.ndarray
            Shape (n,), float64: samples `start` to `start` + n.
        start : int
            Count of the first sample.
        peaks : numpy.ndarray
            Shape (k,), int64: R peaks in growing order, also those 1.5 s before and 0.15 s after the block.

        Returns
        -------
        samples : numpy.ndarray
            Shape (n,), float64: what the recorder gives out, `delay` samples late, in the unit of the ECG.
        parts : dict of str to numpy.ndarray
            What each family that is present adds, shape (n,), same unit.
        """
        stop = start + len(ecg)
        parts = {
            name: self._height * self._severity * noise.render(start, stop, peaks)
            for name, noise in self.noises.items()
        }
        out = ecg + sum(parts.values())
        if self.recorder is not None:
            out = self._height * self.recorder(out / self._height, start)
        return out, parts


def corrupt(
    ecg: ArrayLike,
    r_peaks: ArrayLike,
    rate: float,
    preset: str | ScannerSettings = "3T",
    seed: int = 0,
    *,
    families: tuple[str, ...] | None = None,
    without: tuple[str, ...] = (),
    severity: float = 1.0,
    recorded: tuple[Sequence, ...] = (),
) -> tuple[Samples, dict[str, Samples]]:
    """Take a clean record into a virtual scanner.

    Parameters
    ----------
    ecg : array_like
        Shape (n,), any unit, finite.
    r_peaks : array_like
        Shape (k,), int: samples of the R peaks, growing.
    rate : float
        Rate of the record in Hz, 100 to 10,000.
    preset : str or ScannerSettings
        See `streamqrs.scanner.PRESETS`.
    seed : int
        Same seed, same bits.
    families, without : tuple of str
        Only these families of noise; all but these.
    severity : float
        Factor on the height of all added noise, 0 to 100.
    recorded : tuple of Sequence
        Waveforms of real sequences, from `read_sequences`.

    Returns
    -------
    corrupted : numpy.ndarray
        Shape (n,), float32, in the unit of the record.
    parts : dict of str to numpy.ndarray
        What each family that is present has added, shape (n,), float32, same unit; the clean record and they make
        up the corrupted one. ``recorder`` is what the recorder has changed.
    """
    clean = np.asarray(ecg, float)
    peaks = np.asarray(r_peaks, np.int64)
    if clean.ndim != 1 or not len(clean) or not np.isfinite(clean).all():
        raise ValueError(f"ecg has shape {clean.shape}: allowed is (n,), n ≥ 1, all finite")
    if peaks.ndim != 1 or (np.diff(peaks) <= 0).any():
        raise ValueError("r_peaks must be a growing row of sample counts")
    check_rate(rate)
    settings = settings_of(preset, families=families, without=without)
    height = r_height(clean, peaks, rate)
    room = Room(rate, settings, seed, height=height, severity=severity, recorded=recorded)
    padded = np.append(clean, np.full(room.delay, clean[-1]))
    out = np.empty(len(padded))
    made = {name: np.empty(len(padded)) for name in room.noises}
    length = block_length(rate)
    for start in range(0, len(padded), length):
        stop = min(start + length, len(padded))
        low, high = np.searchsorted(peaks, (start - BEFORE_S * rate, stop + AFTER_S * rate))
        out[start:stop], parts = room.render(padded[start:stop], start, peaks[low:high])
        for name, part in parts.items():
            made[name][start:stop] = part
    out = out[room.delay :]
    made = {name: part[: len(clean)] for name, part in made.items()}
    if room.recorder is not None:
        made["recorder"] = out - clean - sum(made.values())
    return out.astype(np.float32), {name: part.astype(np.float32) for name, part in made.items()}


def r_height(ecg: Floats, peaks: Ints, rate: float) -> float:
    """Median height of the R peaks over what is around them (±100 ms), in the unit of the ECG.

    Without any R peak: half of the range that 99.8 % of the samples lie in; 1 for a flat line.
    """
    reach = int(0.1 * rate)
    inside = peaks[(peaks >= reach) & (peaks < len(ecg) - reach)]
    if len(inside):
        around = ecg[inside[:, None] + np.arange(-reach, reach + 1)]
        height = float(np.median(np.abs(ecg[inside] - np.median(around, axis=1))))
    else:
        low, high = np.quantile(ecg, (0.001, 0.999))
        height = float(high - low) / 2
    return height if height > 0 else 1.0


def block_length(rate: float) -> int:
    """Return the length of a block in samples."""
    return int(np.ceil(BLOCK_S * rate))


def check_rate(rate: float) -> None:
    """Raise a ValueError unless 100 ≤ rate ≤ 10,000 Hz."""
    if not 100 <= rate <= 10_000:
        raise ValueError(f"rate is {rate:g} Hz: allowed are 100 to 10000 Hz")
