"""Scanned: windows and leads as a scanner would leave them, for training and for validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streamqrs.scanner import Corruptor, corrupt, read_sequences
from streamqrs.training.dataset import Draw
from streamqrs.types import RATE, Samples

VALIDATION_SEED = 900_000
"""Seeds of validation begin here, far from those of training."""


class Scanned:
    """A `Change` for `Windows` that puts a share of them into the virtual scanner.

    Parameters
    ----------
    corruptor : Corruptor
        The scanner.
    share : float
        Share of the windows that are changed, 0 to 1; all others stay ordinary ECG, so that it is not forgotten.
    """

    def __init__(self, corruptor: Corruptor, share: float = 0.75) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share:g}: allowed are 0 to 1")
        self.corruptor, self.share = corruptor, share

    def __call__(self, draw: Draw, rng: Generator, /) -> Draw:
        """Return changed pieces; those given stay as they are."""
        chosen = np.flatnonzero(rng.random(len(draw.ecg)) < self.share)
        if not len(chosen):
            return draw
        ecg = draw.ecg.copy()
        peaks = [np.round(draw.beats[i]).astype(np.int64) for i in chosen]
        ecg[chosen] = self.corruptor(ecg[chosen], peaks, rng)
        return Draw(ecg, draw.beats, draw.known)


def make_scanner(preset: str, seed: int, data: Path) -> Scanned:
    """Make the scanner that a training draws from, with the recorded gradient waveforms if they are there.

    Parameters
    ----------
    preset : str
        See `streamqrs.scanner.PRESETS`.
    seed : int
        Of its tracks.
    data : pathlib.Path
        Folder that may hold ``gradients``.
    """
    folder = data / "gradients"
    recorded = tuple(read_sequences(folder)) if folder.is_dir() else ()
    return Scanned(Corruptor(preset, seed + 1, recorded=recorded))


def scan_lead(ecg: Samples, beats: NDArray[np.float64], preset: str, number: int) -> Samples:
    """Take one validation lead, shape (n,), 250 Hz, into the scanner; `number` seeds it."""
    peaks = np.round(beats).astype(np.int64)
    return corrupt(ecg, peaks, float(RATE), preset, VALIDATION_SEED + number)[0]
