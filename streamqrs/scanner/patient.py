"""Virtual patient: a synthetic heart in a virtual scanner, endless, with the truth."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from streamqrs.scanner.families import ScannerSettings
from streamqrs.scanner.heart import Heart, HeartSettings
from streamqrs.scanner.presets import settings_of
from streamqrs.scanner.room import AFTER_S, BEFORE_S, Room, block_length, check_rate
from streamqrs.scanner.sequences import Sequence
from streamqrs.types import Samples

KEPT = 100_000
"""Beats that are kept for `VirtualPatient.take_beats`; a day's, should nobody ever ask for them."""


class VirtualPatient:
    """An endless single-lead ECG, and where its R peaks are.

    Parameters
    ----------
    rate : float
        Sampling rate in Hz, 100 to 10,000.
    seed : int
        Same seed, same bits, however they are read.
    preset : str or ScannerSettings
        The room: ``none`` (quiet), ``ward``, ``1.5T``, ``3T``, ``7T``, ``mixture``, or settings of your own.
    heart : HeartSettings, optional
        The patient; by default a believable one, 72 beats per minute with a premature beat now and then.
    heart_rate : float, optional
        Mean heart rate in beats per minute, 35 to 200, in place of the patient's own.
    families, without : tuple of str
        Only these families of noise; all but these.
    severity : float
        Factor on the height of all added noise, 0 to 100.
    recorded : tuple of Sequence
        Waveforms of real sequences, from `read_sequences`.

    Attributes
    ----------
    rate : float
        As given.
    unit : str
        Unit of the samples: ``mV``.
    families : tuple of str
        Families of noise that this recording has.
    """

    unit = "mV"

    def __init__(
        self,
        rate: float = 250.0,
        seed: int = 0,
        preset: str | ScannerSettings = "none",
        *,
        heart: HeartSettings | None = None,
        heart_rate: float | None = None,
        families: tuple[str, ...] | None = None,
        without: tuple[str, ...] = (),
        severity: float = 1.0,
        recorded: tuple[Sequence, ...] = (),
    ) -> None:
        check_rate(rate)
        if seed < 0:
            raise ValueError(f"seed is {seed}: allowed are 0 and more")
        heart = heart or HeartSettings()
        if heart_rate is not None:
            heart = replace(heart, rhythm=replace(heart.rhythm, heart_rate=heart_rate))
        self.rate = float(rate)
        self._heart = Heart(self.rate, heart, np.random.default_rng((seed, 0)))
        self._room = Room(
            self.rate,
            settings_of(preset, families=families, without=without),
            seed,
            height=heart.r_mv,
            severity=severity,
            recorded=recorded,
        )
        self.families = self._room.families
        self._block = block_length(self.rate)
        self._drop = self._room.delay
        self._made = self._read = 0
        self._ready = np.empty(0, np.float32)
        self._known = 0  # up to where the beats are known
        self._near: list[int] = []
        self._untaken: deque[tuple[int, str]] = deque(maxlen=KEPT)

    def read(self, n: int) -> Samples:
        """Read the next samples.

        Parameters
        ----------
        n : int
            How many, 0 or more.

        Returns
        -------
        numpy.ndarray
            Shape (n,), float32, in mV.
        """
        if n < 0:
            raise ValueError(f"n is {n}: allowed are 0 and more")
        pieces = [self._ready]
        have = len(self._ready)
        while have < n:
            pieces.append(self._next_block())
            have += len(pieces[-1])
        joined = np.concatenate(pieces) if len(pieces) > 1 else self._ready
        self._ready = joined[n:]
        self._read += n
        return joined[:n]

    def take_beats(self) -> list[tuple[int, str]]:
        """Beats whose R peak has been read since the last call.

        Returns
        -------
        list of tuple of int and str
            Sample of the R peak, counted from the first one read, and the MIT-BIH code of the beat (``N``, ``V``,
            ``A``, ``L``, ``R``, ``/``).
        """
        taken = []
        while self._untaken and self._untaken[0][0] < self._read:
            taken.append(self._untaken.popleft())
        return taken

    def _next_block(self) -> Samples:
        start, stop = self._made, self._made + self._block
        ahead = stop + int(np.ceil(AFTER_S * self.rate))
        ecg = self._heart.render(start, stop)
        beats = self._heart.beats(self._known, ahead)
        self._known, self._made = ahead, stop
        self._untaken.extend((beat.index, beat.label) for beat in beats)
        self._near = [index for index in self._near if index >= start - BEFORE_S * self.rate]
        self._near += [beat.index for beat in beats]
        samples, _ = self._room.render(ecg, start, np.array(self._near, np.int64))
        kept = samples[self._drop :]
        self._drop -= len(samples) - len(kept)
        return kept.astype(np.float32)
