"""What can be wrong with an ECG in a scanner: every family of noise, each parameter with its range.

Heights are in R: 1 is the height of the normal QRS complex in that lead. A recording draws its own values from
the ranges; `chance` is the chance that a recording has the family at all.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from streamqrs.scanner.settings import Bounds, Choice, Range, Settings

SEQUENCES = ("epi", "dwi", "spiral", "gre", "bssfp", "tse", "mprage", "recorded")
"""Kinds of pulse sequence; ``recorded`` are waveforms read from files."""


@dataclass(frozen=True, kw_only=True)
class Family(Settings):
    """One family of noise.

    Attributes
    ----------
    chance : float
        Chance that a recording has it, 0 to 1.
    height : Range
        Its height in R, 0.001 to 50; drawn with all orders of magnitude equally likely.
    """

    chance: Annotated[float, Bounds(0, 1)] = 1.0
    height: Annotated[Range, Bounds(0.001, 50)] = (0.1, 1.0)


@dataclass(frozen=True, kw_only=True)
class Lobes(Family):
    """Waves that follow every beat: magnetohydrodynamic effect (MHD), ballistocardiogram (BCG).

    Attributes
    ----------
    count : Range
        Number of lobes, 1 to 4.
    delay_ms : Range
        Middle of a lobe in ms after R, 60 to 700.
    width_ms : Range
        Width at half height in ms, 8 to 250.
    variation : Range
        Standard deviation of a lobe's height from beat to beat, relative to it, 0 to 1.
    breathing : Range
        Modulation by breathing, relative, 0 to 1.
    premature : float
        How much weaker after a short RR: height ∝ (RR / mean RR) to this power, 0 to 3.
    silent_ms : float
        Nothing within so many ms of any R, 0 to 60: blood hardly moves during the QRS complex.
    """

    count: Annotated[Range, Bounds(1, 4)] = (1, 4)
    delay_ms: Annotated[Range, Bounds(60, 700)] = (80, 600)
    width_ms: Annotated[Range, Bounds(8, 250)] = (30, 200)
    variation: Annotated[Range, Bounds(0, 1)] = (0.1, 0.25)
    breathing: Annotated[Range, Bounds(0, 1)] = (0.1, 0.3)
    premature: Annotated[float, Bounds(0, 3)] = 1.0
    silent_ms: Annotated[float, Bounds(0, 60)] = 0.0


@dataclass(frozen=True, kw_only=True)
class Exam(Settings):
    """When the scanner runs what.

    Attributes
    ----------
    running : float
        Chance that a sequence runs already when the recording begins, 0 to 1.
    run_s, pause_s : Range
        Length of a run and of the pause after it in s, 0.2 to 3600.
    prescan : float
        Chance that short prescans and shims go before a run, 0 to 1.
    locked : float
        Chance that the recorder's clock is locked to the scanner's, 0 to 1.
    clock_ppm : Range
        Deviation of a free clock in parts per million, −1000 to 1000.
    sequences : tuple of str
        Which of `SEQUENCES`.
    """

    running: Annotated[float, Bounds(0, 1)] = 0.7
    run_s: Annotated[Range, Bounds(0.2, 3600)] = (15.0, 180.0)
    pause_s: Annotated[Range, Bounds(0.2, 3600)] = (2.0, 20.0)
    prescan: Annotated[float, Bounds(0, 1)] = 0.4
    locked: Annotated[float, Bounds(0, 1)] = 0.25
    clock_ppm: Annotated[Range, Bounds(-1000, 1000)] = (-200.0, 200.0)
    sequences: Annotated[tuple[str, ...], Choice(SEQUENCES)] = SEQUENCES


@dataclass(frozen=True, kw_only=True)
class Gradients(Family):
    """What the gradient coils induce: Σ aᵢ·dGᵢ/dt through the recorder's low-pass. Height: robust peak after it.

    Attributes
    ----------
    low_pass_hz : Range
        Corner of the recorder's analogue low-pass in Hz, 15 to 2000.
    order : Range
        Its order, 1 to 4.
    drift : Range
        Slow change of the height with breathing and motion, relative, 0 to 0.8.
    filtered : float
        Chance that a monitor's band-pass has been over it, 0 to 1.
    band_hz : Range
        From its lower corner, drawn from one to three times this, to its upper one, drawn down to a third of this;
        0.1 to 100 Hz.
    subtracted : float
        Chance that the recorder subtracts a running template of the shot, and leaves a residue, 0 to 1.
    """

    low_pass_hz: Annotated[Range, Bounds(15, 2000)] = (30, 1000)
    order: Annotated[Range, Bounds(1, 4)] = (1, 4)
    drift: Annotated[Range, Bounds(0, 0.8)] = (0.0, 0.25)
    filtered: Annotated[float, Bounds(0, 1)] = 0.25
    band_hz: Annotated[Range, Bounds(0.1, 100)] = (0.7, 45)
    subtracted: Annotated[float, Bounds(0, 1)] = 0.2


@dataclass(frozen=True, kw_only=True)
class Periodic(Family):
    """A strictly periodic wave while a sequence runs: a comb of harmonics, one spike per shot, RF pulses.

    Attributes
    ----------
    period_ms : Range
        Period in ms, 2 to 500; half of the runs take the slice time of the sequence instead, if it lies within.
    width_ms : Range
        Width at half height of a single pulse in ms, 0.5 to 60; of no use to a comb.
    harmonics : Range
        How many harmonics a comb has, 1 to 60.
    drift : Range
        Slow change of the height, relative, 0 to 0.8.
    skip : float
        Chance of a run to have a longer pause after each volume, 0 to 1.
    """

    period_ms: Annotated[Range, Bounds(2, 500)] = (30, 150)
    width_ms: Annotated[Range, Bounds(0.5, 60)] = (10, 30)
    harmonics: Annotated[Range, Bounds(1, 60)] = (3, 40)
    drift: Annotated[Range, Bounds(0, 0.8)] = (0.0, 0.2)
    skip: Annotated[float, Bounds(0, 1)] = 0.3


@dataclass(frozen=True, kw_only=True)
class Pump(Family):
    """Helium pump and ventilation: thumps with a tone, always on.

    Attributes
    ----------
    thump_hz : Range
        Thumps per second, 0.5 to 5.
    tone_hz : Range
        Tone in Hz, 20 to 200.
    """

    thump_hz: Annotated[Range, Bounds(0.5, 5)] = (1.0, 3.0)
    tone_hz: Annotated[Range, Bounds(20, 200)] = (40, 120)


@dataclass(frozen=True, kw_only=True)
class Wander(Family):
    """Baseline wander by breathing and drift. Height: standard deviation.

    Attributes
    ----------
    breathing_hz : Range
        Breathing rate in Hz, 0.05 to 1.
    """

    breathing_hz: Annotated[Range, Bounds(0.05, 1)] = (0.12, 0.45)


@dataclass(frozen=True, kw_only=True)
class Motion(Family):
    """Movement: steps that decay, electrode pops, and rumbling.

    Attributes
    ----------
    per_minute : Range
        Events per minute, 0.01 to 120.
    decay_s : Range
        Time constant of a step's decay in s, 0.005 to 10.
    """

    per_minute: Annotated[Range, Bounds(0.01, 120)] = (0.5, 8.0)
    decay_s: Annotated[Range, Bounds(0.005, 10)] = (0.03, 3.0)


@dataclass(frozen=True, kw_only=True)
class Muscle(Family):
    """Muscle and amplifier noise, steady and in bursts. Height: standard deviation while steady.

    Attributes
    ----------
    band_hz : Range
        Lower and upper corner in Hz, 1 to 500.
    burst : Range
        How many times stronger a burst is, 1 to 20.
    """

    band_hz: Annotated[Range, Bounds(1, 500)] = (8.0, 110.0)
    burst: Annotated[Range, Bounds(1, 20)] = (1.0, 6.0)


@dataclass(frozen=True, kw_only=True)
class Mains(Family):
    """Hum of 50 or 60 Hz with harmonics; only the shared attributes."""


@dataclass(frozen=True, kw_only=True)
class Pacing(Family):
    """Pacing stimuli on top of a rhythm: before every beat, before some, or at a pace of their own.

    Attributes
    ----------
    lead_ms : Range
        Onset in ms before R, 2 to 80.
    width_ms : Range
        Width in ms, 0.2 to 3.
    captured : float
        Chance that the stimuli precede the beats; else they come alone, at a fixed rate, 0 to 1.
    """

    lead_ms: Annotated[Range, Bounds(2, 80)] = (5, 40)
    width_ms: Annotated[Range, Bounds(0.2, 3)] = (0.4, 2.0)
    captured: Annotated[float, Bounds(0, 1)] = 0.7


@dataclass(frozen=True, kw_only=True)
class Recorder(Family):
    """Limits of the recorder. Height: where it clips, in R.

    Attributes
    ----------
    high_pass_s : Range
        Time constant of the high-pass in s, 0.016 to 10.
    low_pass_hz : Range
        Corner of the monitor's low-pass in Hz, 15 to 500.
    monitor : float
        Chance that the monitor's low-pass is on, 0 to 1.
    bits : Range
        Resolution of the converter, 6 to 24 bits over its range.
    blocking : float
        Chance of an overload to leave a DC step that decays, 0 to 1.
    """

    height: Annotated[Range, Bounds(0.001, 50)] = (2, 30)
    high_pass_s: Annotated[Range, Bounds(0.016, 10)] = (0.05, 10)
    low_pass_hz: Annotated[Range, Bounds(15, 500)] = (25, 120)
    monitor: Annotated[float, Bounds(0, 1)] = 0.5
    bits: Annotated[Range, Bounds(6, 24)] = (10, 16)
    blocking: Annotated[float, Bounds(0, 1)] = 0.3


@dataclass(frozen=True, kw_only=True)
class ScannerSettings(Settings):
    """A scanner, a recorder, and what a patient does besides: one field for each family of noise.

    Attributes
    ----------
    exam : Exam
        When the scanner runs what.
    mhd, bcg : Lobes
        Magnetohydrodynamic effect; ballistocardiogram and electrode motion with the pulse.
    gradient : Gradients
        Gradient artefacts from waveforms.
    comb, spike, rf : Periodic
        Comb of harmonics; what a scanner's own filter leaves of each shot; RF pulses.
    pump, wander, motion, muscle, mains, pacing, recorder
        As their classes say.
    """

    exam: Exam = Exam()
    mhd: Lobes = Lobes(silent_ms=40)
    bcg: Lobes = Lobes(
        chance=0.5, delay_ms=(120, 600), width_ms=(12, 60), variation=(0.15, 0.45), height=(0.03, 0.5), premature=0.5
    )
    gradient: Gradients = Gradients(chance=0.7, height=(0.5, 8))
    comb: Periodic = Periodic(chance=0.15, height=(0.3, 6))
    spike: Periodic = Periodic(chance=0.2, height=(0.5, 1.5))
    rf: Periodic = Periodic(chance=0.3, height=(0.05, 1.0), period_ms=(3, 200), width_ms=(1, 5))
    pump: Pump = Pump(chance=0.5, height=(0.01, 0.15))
    wander: Wander = Wander(height=(0.03, 0.4))
    motion: Motion = Motion(chance=0.4, height=(0.2, 2))
    muscle: Muscle = Muscle(height=(0.01, 0.1))
    mains: Mains = Mains(chance=0.3, height=(0.01, 0.15))
    pacing: Pacing = Pacing(chance=0.0, height=(0.5, 10))
    recorder: Recorder = Recorder(chance=0.8)


FAMILIES = tuple(each.name for each in fields(ScannerSettings) if each.name != "exam")
"""Names of the families of noise, in the order in which they are added."""
