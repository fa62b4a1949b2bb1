"""Recordings of MRI-300: a piece of a real heart's ECG, taken into a virtual scanner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from streamqrs.excerpts import AFTER, BEFORE, Excerpt, cut_excerpt, loop_excerpt
from streamqrs.mri300_plan import Entry, record_path
from streamqrs.records import read_record
from streamqrs.scanner import PRESETS, ScannerSettings, Sequence, corrupt, read_sequences
from streamqrs.types import RATE, Samples

PACED = 0.25
"""Chance of a recording to have pacing stimuli."""

FLOW = {"1.5T": (1.0, 2.0), "3T": (1.3, 2.6), "7T": (2.0, 3.5)}
"""Height in R of the magnetohydrodynamic effect in each scanner: the upper half of what is known of it."""

WIDTH_MS = (30, 120)
"""Width of its lobes: the narrower half, which an ordinary model takes for QRS complexes."""

REST = 0.25
"""Height in R of what a recorder's own filters leave of gradients, at most.

The original's beats were marked by hand: a person could see them."""

HELD_OUT = 4
"""Every such gradient waveform of the data folder is heard in the test only."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A recording, before it is written.

    Attributes
    ----------
    samples, clean : numpy.ndarray
        Shape (n,), float32, 250 Hz: in the scanner, and before.
    beats : list of tuple of int and str
        Sample of each R peak and the annotator's code of its beat.
    lead, unit : str
        Of both.
    start_s : float
        Where in the source record it begins, in s.
    looped : bool
        Whether the source was too short and was repeated.
    families : tuple of str
        Families of noise in it.
    """

    samples: Samples
    clean: Samples
    beats: list[tuple[int, str]]
    lead: str
    unit: str
    start_s: float
    looped: bool
    families: tuple[str, ...]


def make(entry: Entry, data: Path) -> Made:
    """Make one recording.

    Parameters
    ----------
    entry : Entry
        How.
    data : pathlib.Path
        See `patients`; if it holds ``gradients``, some sequences are played from there.

    Raises
    ------
    BadRecord
        If the source cannot be read, or has no such piece.
    """
    rng = np.random.default_rng(entry.seed)
    record = read_record(record_path(data, entry.database, entry.record), lead=entry.lead)
    if entry.database == "ludb":
        source = loop_excerpt(record, entry.duration_s, rng)
    else:
        slot_s = record.duration_s / entry.slots
        span_s = slot_s * entry.slot, slot_s * (entry.slot + 1)
        source = cut_excerpt(record, entry.duration_s, rng, span_s=span_s)
    return spoil(source, entry, record.lead, record.unit, recorded_sequences(data, test=entry.part == "test"))


def spoil(source: Excerpt, entry: Entry, lead: str, unit: str, recorded: tuple[Sequence, ...] = ()) -> Made:
    """Take a clean piece into the scanner of an entry."""
    samples, parts = corrupt(
        source.samples,
        source.beats,
        RATE,
        scanner(entry.preset),
        entry.seed,
        severity=entry.severity,
        recorded=recorded,
    )
    stop = len(samples) - AFTER
    beats = [(at - BEFORE, code) for at, code in zip(source.beats.tolist(), source.labels, strict=True)]
    return Made(
        samples[BEFORE:stop],
        source.samples[BEFORE:stop],
        [beat for beat in beats if 0 <= beat[0] < stop - BEFORE],
        lead,
        unit,
        source.start_s,
        source.looped,
        tuple(parts),
    )


def scanner(preset: str) -> ScannerSettings:
    """Settings of a preset as the original recordings seem to have been.

    The errors shown of them are T waves and pacing stimuli taken for QRS complexes, and a network could read them
    after its transfer: large waves after each beat, paced patients, and of the gradients what a recorder's filters
    leave. Recordings that are drowned in gradients are the presets' own business.
    """
    s = PRESETS[preset]
    if preset not in FLOW:
        return s
    return replace(
        s,
        mhd=replace(s.mhd, height=FLOW[preset], width_ms=WIDTH_MS),
        bcg=replace(s.bcg, chance=0.5, height=(0.1, 0.3), width_ms=(20, 60)),
        gradient=replace(s.gradient, height=(0.05, REST)),
        comb=replace(s.comb, chance=0.1, height=(0.05, REST)),
        spike=replace(s.spike, chance=0.15, height=(0.1, REST)),
        motion=replace(s.motion, height=(0.1, 0.8)),
        muscle=replace(s.muscle, height=(0.01, 0.05)),
        pacing=replace(s.pacing, chance=PACED),
    )


@lru_cache(maxsize=4)
def recorded_sequences(data: Path, *, test: bool) -> tuple[Sequence, ...]:
    """Gradient waveforms of the data folder: those that the test holds back, or the others; none without the folder."""
    folder = data / "gradients"
    found = read_sequences(folder) if folder.is_dir() else ()
    return tuple(sequence for k, sequence in enumerate(found) if (k % HELD_OUT == HELD_OUT - 1) == test)
