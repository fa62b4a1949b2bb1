"""Bank: long tracks of noise, rendered once by the same parts that the room is made of, to be cut from at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamqrs.scanner.exam import Runs
from streamqrs.scanner.families import FAMILIES, ScannerSettings
from streamqrs.scanner.room import NOISES
from streamqrs.scanner.sequences import Sequence
from streamqrs.types import RATE, Samples

FAST = 1000.0
"""Rate of tracks that a sequence makes, in Hz: cut at another phase and pace, each gives many recordings."""

SCANNED = ("gradient", "comb", "spike", "rf")
"""Families that come and go with the sequence."""

STEADY = ("pump", "wander", "motion", "muscle", "mains")
"""Families that do not."""

WALK = 1.4
"""Tracks are cut up to so many times faster or slower than they were made."""

NO_PEAKS = np.empty(0, np.int64)


class Bank:
    """Tracks of one family of noise, of height 1.

    Parameters
    ----------
    name : str
        The family.
    settings : ScannerSettings
        The scanner; heights are set to 1 R, chances to 1.
    seed : int
        Everything is drawn from it.
    tracks : int
        How many.
    track_s : float
        Length of each in s.
    recorded : tuple of Sequence
        Waveforms of real sequences.
    """

    def __init__(
        self,
        name: str,
        settings: ScannerSettings,
        seed: int,
        *,
        tracks: int,
        track_s: float,
        recorded: tuple[Sequence, ...] = (),
    ) -> None:
        family = replace(getattr(settings, name), chance=1.0, height=(1.0, 1.0))
        self.rate = FAST if name in SCANNED else float(RATE)
        self.sign = name != "wander"
        length, number = int(track_s * self.rate), FAMILIES.index(name)
        self._tracks = np.empty((tracks, length), np.float32)
        for track in range(tracks):
            rng = np.random.default_rng((seed, 3, number, track))
            runs = Runs(settings.exam, rng.spawn(1)[0], recorded, self.rate)
            self._tracks[track] = NOISES[name](family, self.rate, rng, runs).render(0, length, NO_PEAKS)

    def cut(self, count: int, n: int, rng: np.random.Generator) -> Samples:
        """Cut pieces at random places, at a random pace, of either sign.

        Parameters
        ----------
        count : int
            How many pieces.
        n : int
            Samples of each, at 250 Hz.
        rng : numpy.random.Generator
            Draws where.

        Returns
        -------
        numpy.ndarray
            Shape (count, n), float32, about 1 R tall where there is anything.
        """
        tracks, length = self._tracks.shape
        pace = np.exp(rng.uniform(-np.log(WALK), np.log(WALK), count)) * (self.rate / RATE)
        room = length - 2 - pace * (n - 1)
        if room.min() < 0:
            raise ValueError(f"windows of {n} samples: allowed are up to {int((length - 2) * RATE / self.rate / WALK)}")
        begin = rng.random(count) * room
        at = begin[:, None] + pace[:, None] * np.arange(n)
        whole = at.astype(np.int32)
        rest = (at - whole).astype(np.float32)
        whole += (rng.integers(tracks, size=count) * length).astype(np.int32)[:, None]
        flat = self._tracks.reshape(-1)
        piece: Samples = flat[whole]
        piece += rest * (flat[whole + 1] - piece)
        piece *= np.where(rng.random(count) < 0.5, -1, 1).astype(np.float32)[:, None]
        return piece


def on_and_off(count: int, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gates of a few ms rise, shape (count, n), 0 to 1: on from some sample to another, anywhere in a window or not."""
    begin = rng.uniform(-n, 0.8 * n, (count, 1))
    end = begin + rng.uniform(0.15 * n, 2 * n, (count, 1))
    t = np.arange(n)
    gate: NDArray[np.float32] = np.clip(np.minimum(t - begin, end - t) / 3, 0, 1).astype(np.float32)
    return gate
