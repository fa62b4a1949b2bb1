"""Heart: a synthetic ECG lead of an endless, never repeating row of beats, with the truth.

Each wave of a beat is a Gaussian, after McSharry et al., but laid out in time and not in phase, so that a QRS
complex keeps its width at every heart rate; QT follows the square root of RR (Bazett).

References
----------
McSharry, Clifford, Tarassenko, Smith, "A dynamical model for generating synthetic electrocardiogram signals",
IEEE Trans. Biomed. Eng. 50:289–294, 2003.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from streamqrs.scanner.rhythm import Rhythm, RhythmSettings
from streamqrs.scanner.settings import Bounds, Choice, Settings, uniform
from streamqrs.scanner.waves import add_spikes, add_waves

Floats = NDArray[np.float64]

# Waves of a QRS complex: height relative to the tallest, time in ms after its middle, standard deviation in ms.
SHAPES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "normal": ((-0.12, -26, 7), (1.0, 0, 9), (-0.22, 24, 8)),
    "inverted": ((0.12, -26, 7), (-1.0, 0, 9), (0.22, 24, 8)),
    "tall": ((-0.05, -24, 6), (1.0, 0, 8), (-0.10, 22, 7)),
    "biphasic": ((1.0, -12, 9), (-0.75, 14, 9)),
    "RS": ((0.40, -16, 8), (-1.0, 10, 10)),
    "QS": ((-1.0, 0, 15), (-0.30, 22, 10)),
    "rSR'": ((0.40, -34, 8), (-0.50, -10, 10), (1.0, 22, 14)),
    "LBBB": ((0.75, -24, 15), (1.0, 20, 17), (-0.15, 62, 12)),
    "RBBB": ((0.70, -20, 9), (-0.35, 4, 8), (1.0, 34, 16), (-0.20, 70, 12)),
    "paced": ((-1.0, 0, 26), (-0.40, 45, 20), (0.10, -45, 10)),
}
"""QRS shapes; any of them is varied from patient to patient."""


@dataclass(frozen=True, kw_only=True)
class HeartSettings(Settings):
    """One patient's heart.

    Attributes
    ----------
    rhythm : RhythmSettings
        When it beats.
    shape : str
        Shape of the QRS complex: one of `SHAPES`.
    r_mv : float
        Height of the QRS's largest deflection in mV, 0.05 to 5.
    t_wave : float
        Height of the T wave relative to the QRS, −1.5 to 1.5; negative is inverted.
    p_wave : float
        Height of the P wave relative to the QRS, 0 to 0.6. There is none in atrial fibrillation (fibrillation waves
        instead), before paced and before premature ventricular beats.
    variation : float
        Standard deviation of a beat's height relative to the mean, 0 to 0.3.
    spike_mv : float
        Height of pacing stimuli in mV, 0 to 50; only a paced rhythm has them.
    """

    rhythm: RhythmSettings = field(default_factory=RhythmSettings)
    shape: Annotated[str, Choice(tuple(SHAPES))] = "normal"
    r_mv: Annotated[float, Bounds(0.05, 5)] = 1.0
    t_wave: Annotated[float, Bounds(-1.5, 1.5)] = 0.25
    p_wave: Annotated[float, Bounds(0, 0.6)] = 0.12
    variation: Annotated[float, Bounds(0, 0.3)] = 0.04
    spike_mv: Annotated[float, Bounds(0, 50)] = 4.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> HeartSettings:
        """Some patient: any rate, rhythm, shape, size and polarity, most of them unremarkable."""
        rhythm = RhythmSettings.draw(rng)
        ordinary = rng.random() < 0.4
        shape = "normal" if ordinary else str(rng.choice([name for name in SHAPES if name != "paced"]))
        return cls(
            rhythm=rhythm,
            shape="paced" if rhythm.kind == "paced" else shape,
            r_mv=float(np.exp(rng.uniform(np.log(0.15), np.log(2.5)))),
            t_wave=float(rng.choice([-1, 1], p=[0.25, 0.75]) * min(1.4, rng.lognormal(np.log(0.25), 0.6))),
            p_wave=float(rng.triangular(0.02, 0.1, 0.35)),
            variation=float(rng.uniform(0.01, 0.1)),
            spike_mv=float(np.exp(rng.uniform(np.log(0.5), np.log(20)))),
        )


@dataclass(frozen=True, eq=False)
class HeartBeat:
    """One beat of the synthetic heart.

    Attributes
    ----------
    index : int
        Sample of the R peak, the largest deflection of the QRS complex on the sampling grid.
    label : str
        MIT-BIH code: ``N``, ``V`` (PVC), ``A`` (PAC), ``L`` and ``R`` (bundle-branch block), ``/`` (paced).
    waves : numpy.ndarray
        Shape (k, 3), float64: height in mV, time in s since the start, standard deviation in s.
    spikes : numpy.ndarray
        Shape (m, 3), float64: height in mV, onset in s since the start, width in s.
    """

    index: int
    label: str
    waves: Floats
    spikes: Floats


class Heart:
    """Beats and samples of one patient's lead, in blocks that follow each other.

    Parameters
    ----------
    rate : float
        Sampling rate in Hz.
    settings : HeartSettings
        The patient.
    rng : numpy.random.Generator
        Taken over by this object.
    """

    def __init__(self, rate: float, settings: HeartSettings, rng: np.random.Generator) -> None:
        self.rate, self.settings = rate, settings
        self._rng = rng
        self._rhythm = Rhythm(settings.rhythm, rng.spawn(1)[0])
        scale = uniform(rng, (0.85, 1.2))
        self._qrs = _qrs(settings.shape, rng, scale) * (settings.r_mv, 1, 1)
        self._ectopic = [_ectopic(rng) * (settings.r_mv, 1, 1) for _ in range(2)]
        self._t = _t_wave(settings.t_wave * settings.r_mv, rng)
        self._p = np.array(
            [[settings.p_wave * settings.r_mv, -uniform(rng, (0.13, 0.2)), uniform(rng, (0.016, 0.028))]]
        )
        self._label = {"LBBB": "L", "RBBB": "R"}.get(settings.shape, "N")
        self._f_waves = rng.uniform((4, 0.3, 0), (9, 1.0, 2 * np.pi), (3, 3))
        self._f_mv = 0.0 if settings.rhythm.kind != "fibrillation" else settings.r_mv * uniform(rng, (0.01, 0.06))
        self._spike_lead_s = uniform(rng, (0.005, 0.04))
        self._spike_width_s = uniform(rng, (0.0004, 0.002))
        self._beats: list[HeartBeat] = []
        self._lost_spikes: list[Floats] = []
        self._until_s = 0.0

    def beats(self, start: int, stop: int) -> list[HeartBeat]:
        """All beats with an R peak in samples `start` to `stop` (exclusive); blocks may only go forward."""
        while self._until_s < stop / self.rate + 1.0:
            self._next()
        self._beats = [beat for beat in self._beats if beat.index >= start - 3 * self.rate]
        return [beat for beat in self._beats if start <= beat.index < stop]

    def render(self, start: int, stop: int) -> Floats:
        """Samples `start` to `stop` in mV, shape (stop − start,), float64, without any noise."""
        self.beats(start, stop)
        t = np.arange(start, stop) / self.rate
        out = np.zeros(len(t))
        for f, wobble, phase in self._f_waves if self._f_mv else ():
            out += self._f_mv * np.sin(2 * np.pi * f * t + 2 * np.sin(wobble * t) + phase)
        for beat in self._beats:
            add_waves(out, t, beat.waves)
            add_spikes(out, start, self.rate, beat.spikes)
        for spikes in self._lost_spikes:
            add_spikes(out, start, self.rate, spikes)
        self._lost_spikes = [s for s in self._lost_spikes if s[-1, 1] > start / self.rate]
        return out

    def _next(self) -> None:
        pulse = self._rhythm.next()
        self._until_s = pulse.time_s
        settings, rng = self.settings, self._rng
        gain = max(0.5, 1 + settings.variation * rng.standard_normal())
        spikes = np.empty((0, 3))
        if settings.rhythm.kind == "paced" and pulse.label != "V":
            spikes = np.array([[settings.spike_mv, pulse.time_s - self._spike_lead_s, self._spike_width_s]])
            if not pulse.captured:
                self._lost_spikes.append(spikes)
                return
        label = "/" if len(spikes) else pulse.label if pulse.label != "N" else self._label
        qrs = self._ectopic[int(rng.random() < 0.2)] if label == "V" else self._qrs
        t_wave = self._t.copy()
        t_wave[:, 1] *= np.sqrt(min(1.5, max(0.3, pulse.rr_s)))
        if label == "V":  # discordant: against the QRS, and later
            t_wave *= (-np.sign(settings.t_wave * qrs[np.abs(qrs[:, 0]).argmax(), 0]) * 1.4, 1, 1.2)
            t_wave[:, 1] += 0.06
        t_wave[:, 1] += 0.025 * (label in ("/", "L", "R"))
        waves = [qrs * (gain, 1, 1), t_wave * (gain, 1, 1)]
        if label not in ("V", "/") and settings.rhythm.kind == "sinus":
            waves.append(self._p)
        beat = np.concatenate(waves) + np.array([0, pulse.time_s, 0])
        grid = np.arange(int((pulse.time_s - 0.15) * self.rate), int((pulse.time_s + 0.2) * self.rate) + 1)
        size = np.zeros(len(grid))
        add_waves(size, grid / self.rate, beat[: len(qrs)])
        self._beats.append(HeartBeat(int(grid[np.abs(size).argmax()]), label, beat, spikes))


def _qrs(shape: str, rng: np.random.Generator, scale: float) -> Floats:
    """A patient's own variant of a shape; (k, 3) with the tallest deflection at time 0 and 1 tall."""
    waves = np.array(SHAPES[shape], float) * (1, 1e-3 * scale, 1e-3 * scale)
    tallest = np.abs(waves[:, 0]).argmax()
    change = rng.uniform(0.7, 1.15, len(waves))
    change[tallest] = 1.0
    waves[:, 0] *= change
    waves[:, 2] *= rng.uniform(0.9, 1.1, len(waves))
    return _centred(waves)


def _ectopic(rng: np.random.Generator) -> Floats:
    """QRS of a ventricular ectopic focus: wide, tall, of either sign."""
    width, sign = uniform(rng, (0.022, 0.036)), rng.choice([-1.0, 1.0])
    waves = np.array([[1.0, 0, width], [uniform(rng, (0.2, 0.5)), 1.4 * width, width], [-0.3, -1.6 * width, width / 2]])
    waves = _centred(waves)
    waves[:, 0] *= sign * uniform(rng, (0.9, 1.8))
    return waves


def _t_wave(height: float, rng: np.random.Generator) -> Floats:
    """T wave, slower up than down: two Gaussians."""
    at, width = uniform(rng, (0.26, 0.34)), uniform(rng, (0.03, 0.05))
    return np.array([[0.45 * height, at - 0.8 * width, 1.3 * width], [0.8 * height, at, width]])


def _centred(waves: Floats) -> Floats:
    t = np.arange(-0.12, 0.12, 1e-4)
    size = np.zeros(len(t))
    add_waves(size, t, waves)
    peak = np.abs(size).argmax()
    tallest = np.array([np.abs(size[peak]), 1, 1])
    return np.asarray((waves - (0, t[peak], 0)) / tallest, float)
