"""Rhythm: when a heart beats: sinus rhythm with respiratory arrhythmia and ectopy, atrial fibrillation, a pacemaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

from streamqrs.scanner.settings import Bounds, Choice, Settings, uniform

SHORTEST_S = 0.25
"""No two beats are closer: the refractory period, in s."""


@dataclass(frozen=True, kw_only=True)
class RhythmSettings(Settings):
    """When a heart beats.

    Attributes
    ----------
    kind : {"sinus", "fibrillation", "paced"}
        What leads it.
    heart_rate : float
        Mean rate in beats per minute, 35 to 200.
    breathing_hz : float
        Breathing rate in Hz, 0.1 to 0.6.
    arrhythmia : float
        Respiratory sinus arrhythmia: amplitude relative to RR, 0 to 0.3.
    variability : float
        Standard deviation of slow changes relative to RR (memory of about ten beats), 0 to 0.3.
    pvc, pac : float
        Chance of a beat to be a premature ventricular or atrial one, 0 to 0.5.
    no_capture : float
        Chance of a pacing stimulus to be followed by no beat, 0 to 0.5.
    """

    kind: Annotated[str, Choice(("sinus", "fibrillation", "paced"))] = "sinus"
    heart_rate: Annotated[float, Bounds(35, 200)] = 72.0
    breathing_hz: Annotated[float, Bounds(0.1, 0.6)] = 0.25
    arrhythmia: Annotated[float, Bounds(0, 0.3)] = 0.03
    variability: Annotated[float, Bounds(0, 0.3)] = 0.025
    pvc: Annotated[float, Bounds(0, 0.5)] = 0.02
    pac: Annotated[float, Bounds(0, 0.5)] = 0.005
    no_capture: Annotated[float, Bounds(0, 0.5)] = 0.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> RhythmSettings:
        """Draw the rhythm of some patient."""
        kind = str(rng.choice(["sinus", "fibrillation", "paced"], p=[0.8, 0.12, 0.08]))
        ectopic = rng.random() < 0.4
        return cls(
            kind=kind,
            heart_rate=float(np.clip(rng.lognormal(np.log(75), 0.3), 35, 200)),
            breathing_hz=uniform(rng, (0.15, 0.4)),
            arrhythmia=uniform(rng, (0, 0.1)),
            variability=uniform(rng, (0.005, 0.05)),
            pvc=min(0.5, rng.exponential(0.06)) if ectopic else 0.0,
            pac=min(0.5, rng.exponential(0.04)) if ectopic else 0.0,
            no_capture=float(rng.choice([0, 0.1])) if kind == "paced" else 0.0,
        )


class Pulse(NamedTuple):
    """When the ventricles are asked to contract.

    Attributes
    ----------
    time_s : float
        Middle of the QRS complex in s since the start.
    rr_s : float
        Time since the one before, in s.
    label : str
        ``N``, ``V`` (premature ventricular) or ``A`` (premature atrial).
    captured : bool
        False for a pacing stimulus that no beat follows.
    """

    time_s: float
    rr_s: float
    label: str
    captured: bool


class Rhythm:
    """An endless row of pulses.

    Parameters
    ----------
    settings : RhythmSettings
        What the rhythm is like.
    rng : numpy.random.Generator
        Taken over by this object.
    """

    def __init__(self, settings: RhythmSettings, rng: np.random.Generator) -> None:
        self.settings = settings
        self._rng = rng
        self._slow = 0.0
        self._phase = rng.uniform(0, 2 * np.pi)
        self._time_s = uniform(rng, (0.0, 0.5)) - 0.5
        self._label = "N"
        self._due_s = 0.0  # what is left of the normal interval after a premature beat

    def next(self) -> Pulse:
        """Return the pulse after the last one."""
        settings, rng = self.settings, self._rng
        mean = 60 / settings.heart_rate
        if settings.kind == "fibrillation":
            normal = mean * rng.lognormal(-0.02, 0.2)
        elif settings.kind == "paced":
            normal = mean
        else:
            self._slow = 0.9 * self._slow + np.sqrt(1 - 0.9**2) * rng.standard_normal()
            breath = np.sin(2 * np.pi * settings.breathing_hz * self._time_s + self._phase)
            normal = mean * (1 + settings.arrhythmia * breath + settings.variability * self._slow)
        chance = rng.random()
        after = self._label
        self._label = "V" if chance < settings.pvc else "A" if chance < settings.pvc + settings.pac else "N"
        if self._label == "V":
            rr = normal * uniform(rng, (0.5, 0.75))
            self._due_s = 2 * normal - rr  # fully compensatory: the sinus node was not reset
        elif self._label == "A":
            rr = normal * uniform(rng, (0.6, 0.85))
        else:
            rr = self._due_s if after == "V" else normal * (1.1 if after == "A" else 1.0)
        captured = self._label == "V" or rng.random() >= settings.no_capture
        rr = max(float(rr), SHORTEST_S)
        self._time_s += rr
        return Pulse(self._time_s, rr, self._label, captured)
