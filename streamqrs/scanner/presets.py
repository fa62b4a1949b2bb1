"""Presets: a quiet room, a ward, scanners of three field strengths, and a wide mixture for training."""

from __future__ import annotations

from dataclasses import replace

from streamqrs.scanner.families import (
    FAMILIES,
    SEQUENCES,
    Gradients,
    Lobes,
    Mains,
    Motion,
    Muscle,
    Pacing,
    Periodic,
    Pump,
    Recorder,
    ScannerSettings,
    Wander,
)

_REAL = ScannerSettings()
_SILENT = replace(_REAL, **{name: replace(getattr(_REAL, name), chance=0.0) for name in FAMILIES})

PRESETS: dict[str, ScannerSettings] = {
    "none": replace(_SILENT, wander=Wander(height=(0.02, 0.06)), muscle=Muscle(height=(0.004, 0.012), burst=(1, 1.5))),
    "ward": replace(
        _SILENT,
        wander=Wander(height=(0.05, 0.6)),
        motion=Motion(chance=0.7, height=(0.2, 3), per_minute=(1, 15)),
        muscle=Muscle(height=(0.01, 0.2)),
        mains=Mains(chance=0.5, height=(0.01, 0.3)),
        recorder=Recorder(chance=0.8, monitor=0.3),
    ),
    "1.5T": replace(
        _REAL,
        mhd=Lobes(height=(0.15, 1.0), silent_ms=40),
        bcg=replace(_REAL.bcg, height=(0.03, 0.3)),
        gradient=replace(_REAL.gradient, height=(0.4, 6)),
    ),
    "3T": replace(
        _REAL,
        mhd=Lobes(height=(0.3, 1.5), silent_ms=40),
        bcg=replace(_REAL.bcg, height=(0.05, 0.6)),
        gradient=replace(_REAL.gradient, chance=0.75, height=(0.6, 8)),
        spike=replace(_REAL.spike, chance=0.25),
    ),
    "7T": replace(
        _REAL,
        mhd=Lobes(height=(0.8, 3.0), silent_ms=40),
        bcg=replace(_REAL.bcg, chance=0.7, height=(0.1, 1.2)),
        gradient=replace(_REAL.gradient, height=(0.8, 10)),
    ),
    "mixture": replace(
        _REAL,
        exam=replace(_REAL.exam, running=0.85, run_s=(2, 40), pause_s=(0.3, 3)),
        mhd=Lobes(chance=0.75, height=(0.1, 2.5), variation=(0.1, 0.35), silent_ms=40),
        bcg=replace(_REAL.bcg, chance=0.5, height=(0.05, 1.4), delay_ms=(60, 650), width_ms=(12, 120)),
        gradient=Gradients(chance=0.45, height=(0.2, 10), low_pass_hz=(20, 1000), drift=(0, 0.5)),
        comb=Periodic(chance=0.25, height=(0.2, 8), drift=(0, 0.5)),
        spike=Periodic(chance=0.3, height=(0.25, 2.5), width_ms=(8, 35), drift=(0, 0.4)),
        rf=replace(_REAL.rf, chance=0.2, height=(0.05, 2)),
        pump=Pump(chance=0.3, height=(0.01, 0.3)),
        wander=Wander(chance=0.8, height=(0.02, 0.8)),
        motion=Motion(chance=0.35, height=(0.2, 4), per_minute=(4, 40)),
        muscle=Muscle(chance=0.9, height=(0.005, 0.3)),
        mains=Mains(chance=0.25, height=(0.01, 0.5)),
        pacing=Pacing(chance=0.08, height=(0.3, 10)),
        recorder=Recorder(chance=0.6),
    ),
    "flow": replace(
        _REAL,
        exam=replace(_REAL.exam, running=0.85, run_s=(2, 40), pause_s=(0.3, 3)),
        mhd=Lobes(height=(0.5, 4.0), variation=(0.1, 0.3), silent_ms=40),
        bcg=replace(_REAL.bcg, chance=0.9, height=(0.2, 1.8)),
        gradient=replace(_REAL.gradient, height=(0.1, 1.8)),
        comb=Periodic(chance=0.1, height=(0.1, 1.8)),
        spike=replace(_REAL.spike, height=(0.3, 1.5)),
        pacing=Pacing(chance=0.2, height=(0.5, 10)),
    ),
}
"""Named settings: ``none`` (a quiet room), ``ward`` (no scanner), field strengths; for training ``mixture`` (all of it)
and ``flow`` (waves after each beat and pacing most of all)."""


def settings_of(
    preset: str | ScannerSettings, *, families: tuple[str, ...] | None = None, without: tuple[str, ...] = ()
) -> ScannerSettings:
    """Settings by name, with only some families of noise, or without some.

    Parameters
    ----------
    preset : str or ScannerSettings
        One of `PRESETS`, or settings of your own.
    families : tuple of str, optional
        Only these of `FAMILIES`; all by default.
    without : tuple of str
        Names of `FAMILIES` or of `SEQUENCES` to be left out.

    Returns
    -------
    ScannerSettings
        The same, with chance 0 for what is left out.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(f"preset is {preset!r}: allowed are {', '.join(PRESETS)}")
        preset = PRESETS[preset]
    for names, known in ((families or (), FAMILIES), (without, FAMILIES + SEQUENCES)):
        if wrong := [name for name in names if name not in known]:
            raise ValueError(f"no family of noise {wrong[0]!r}: allowed are {', '.join(known)}")
    keep = set(FAMILIES if families is None else families) - set(without)
    off = {name: replace(getattr(preset, name), chance=0.0) for name in FAMILIES if name not in keep}
    left = tuple(name for name in preset.exam.sequences if name not in without)
    if not left:
        off["gradient"], left = replace(preset.gradient, chance=0.0), preset.exam.sequences
    return replace(preset, exam=replace(preset.exam, sequences=left), **off)
