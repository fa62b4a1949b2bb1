"""Scanned: windows and leads as a scanner would leave them, for training and for validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streamqrs.scanner import Corruptor, corrupt, read_sequences
from streamqrs.training.augment import Corrupted
from streamqrs.types import RATE, Samples

SHARE = 0.6
"""Of the windows; all others stay ordinary ECG, so that it is not forgotten."""

VALIDATION_SEED = 900_000
"""Seeds of validation begin here, far from those of training."""


def make_scanner(preset: str, seed: int, data: Path, without: tuple[str, ...] = ()) -> Corrupted:
    """Make the scanner that a training draws from, with the recorded gradient waveforms if they are there.

    Parameters
    ----------
    preset : str
        See `streamqrs.scanner.PRESETS`; several, joined by ``+``, get equal shares of each batch.
    seed : int
        Of its tracks.
    data : pathlib.Path
        Folder that may hold ``gradients``.
    without : tuple of str
        Families of noise, or sequences, that are left out.
    """
    folder = data / "gradients"
    recorded = tuple(read_sequences(folder)) if folder.is_dir() else ()
    corruptors = [
        Corruptor(name, seed + 1 + k, recorded=recorded, without=without) for k, name in enumerate(preset.split("+"))
    ]
    return Corrupted(_Rooms(corruptors), share=SHARE)


class _Rooms:
    """Several scanners, each with an equal share of each batch; can be pickled, for processes that draw."""

    def __init__(self, corruptors: Sequence[Corruptor]) -> None:
        self.corruptors = corruptors

    def __call__(self, pieces: Samples, beats: Sequence[NDArray[np.float64]], rng: Generator) -> Samples:
        peaks = [np.round(at).astype(np.int64) for at in beats]
        out = np.empty_like(pieces)
        for k, corruptor in enumerate(self.corruptors):
            rows = slice(k, None, len(self.corruptors))
            if len(pieces[rows]):
                out[rows] = corruptor(pieces[rows], peaks[rows], rng)
        return out


def scan_lead(ecg: Samples, beats: NDArray[np.float64], preset: str, number: int) -> Samples:
    """Take one validation lead, shape (n,), 250 Hz, into the scanner; `number` seeds it, and chooses among presets."""
    names = preset.split("+")
    peaks = np.round(beats).astype(np.int64)
    return corrupt(ecg, peaks, float(RATE), names[number % len(names)], VALIDATION_SEED + number)[0]
