"""Windows: annotated recordings → batches of 3 s windows with their targets, wherever beats may lie in them.

A batch is a pure function of a random generator. The live gate decides on the newest samples, so many windows end
shortly after an R peak, and the last samples weigh more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streamqrs.training.recordings import PACED as PACED_CODES
from streamqrs.training.recordings import Recording
from streamqrs.types import RATE, WINDOW
from streamqrs.window import normalise

CONTEXT = 250
"""Samples drawn ahead of each window, in which simulated recorders settle."""

LENGTH = CONTEXT + WINDOW
BEFORE = 2 * LENGTH
"""Samples ahead of a piece that it may be made of, if its heart is made faster."""

FAST = (120.0, 225.0)
"""Rates per minute of hearts that are made faster: recordings lack them."""

SHORTENED = 3.0
"""By how much the time between two QRS complexes is shortened at most; its waves become narrower, too."""

FASTER = 1.3
"""By how much all of it is played faster at most, besides."""

KEPT = 15
"""Samples on either side of an R peak that keep their time: a heart that beats faster does not conduct faster."""
SHARE = {"mitdb": 0.4, "qtdb": 0.25, "ludb": 0.35}
"""How often each database is drawn from; others as often as 0.25."""

PACED = 2.5
"""How much more often a recording with a pacemaker is drawn than others of its database: there are two."""


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How windows are drawn and weighed.

    Attributes
    ----------
    edge : float
        Share of windows that end 0 to 120 ms after an R peak.
    free : float
        Share of windows at a random time; all others lie around a beat, rare kinds of beats more often.
    stretch : float
        Largest change of the time scale, either way.
    hurry : float
        Share of windows whose heart beats faster, 120 to 225 times a minute: the time between its QRS complexes is
        shortened, to a quarter at most.
    mix : float
        Share of windows in which another lead of the record is mixed in.
    mask : int
        Samples around R that are QRS (odd).
    edge_samples : int
        Newest samples that weigh more.
    edge_weight : float
        By how much.
    qrs_weight : float
        Weight of the class QRS against the other.
    """

    edge: float = 0.35
    free: float = 0.2
    stretch: float = 0.15
    hurry: float = 0.16
    mix: float = 0.15
    mask: int = 25
    edge_samples: int = 60
    edge_weight: float = 4.0
    qrs_weight: float = 2.0


@dataclass(frozen=True, slots=True)
class Draw:
    """Pieces of recordings, not yet normalised.

    Attributes
    ----------
    ecg : numpy.ndarray
        Shape (b, 1000), float32, 250 Hz, in heights of the lead's QRS. The last 750 samples are the window.
    beats : tuple of numpy.ndarray
        For each piece its R peaks, shape (k,), float64, samples of the piece, ascending; some lie outside.
    known : numpy.ndarray
        Shape (b, 1000), bool: where it is known whether there is a QRS.
    scanned : numpy.ndarray
        Shape (b,), bool: which have been taken into a scanner.
    paced : numpy.ndarray, optional
        Shape (b,), bool: which are of a patient with a pacemaker.
    """

    ecg: NDArray[np.float32]
    beats: tuple[NDArray[np.float64], ...]
    known: NDArray[np.bool_]
    scanned: NDArray[np.bool_]
    paced: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What the network is trained on.

    Attributes
    ----------
    ecg : numpy.ndarray
        Shape (b, 750), float32, normalised.
    target : numpy.ndarray
        Shape (b, 750), float32, 0 (not QRS) to 1 (QRS).
    weight : numpy.ndarray
        Shape (b, 750), float32: weight of each sample in the loss, 0 where nothing is known.
    taught : numpy.ndarray, optional
        Shape (b,), bool: windows in which a teacher is heard; all by default. Not those of a pacemaker: where in a wide
        complex the mark lies is a convention.
    """

    ecg: NDArray[np.float32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]
    taught: NDArray[np.bool_] | None = None


class Change(Protocol):
    """Something that changes pieces before they are normalised: an augmentation, a simulated scanner."""

    def __call__(self, draw: Draw, rng: Generator, /) -> Draw:
        """Return the changed pieces; must not write into those given."""


class Drawn(Protocol):
    """What batches are drawn from."""

    def draw(self, rng: Generator, count: int, /) -> Batch:
        """Return `count` windows with their targets and weights."""


class Windows:
    """Draw batches from recordings.

    Parameters
    ----------
    recordings : dict of str to sequence of Recording
        By database.
    settings : WindowSettings
        How to draw.
    changes : sequence of Change
        Applied in this order: plain augmentation, a scanner.
    """

    def __init__(
        self,
        recordings: Mapping[str, Sequence[Recording]],
        settings: WindowSettings | None = None,
        *,
        changes: Sequence[Change] = (),
    ) -> None:
        self.settings = settings or WindowSettings()
        self.changes = tuple(changes)
        self._databases = [tuple(part) for part in recordings.values() if part]
        if not self._databases:
            raise ValueError("there are no recordings: at least one is needed")
        share = np.array([SHARE.get(name, 0.25) for name, part in recordings.items() if part])
        self._share = share / share.sum()
        self._paced = [np.array([_is_paced(recording) for recording in part]) for part in self._databases]
        self._chance = [chance / chance.sum() for chance in (np.where(paced, PACED, 1.0) for paced in self._paced)]
        self._rarity = [
            [[_rarity(labels) for labels in recording.labels] for recording in part] for part in self._databases
        ]

    def draw(self, rng: Generator, count: int) -> Batch:
        """Return `count` windows, changed, normalised, with targets and weights."""
        pieces = self.pieces(rng, count)
        for change in self.changes:
            pieces = change(pieces, rng)
        return self.finish(pieces)

    def pieces(self, rng: Generator, count: int) -> Draw:
        """Return `count` pieces of 1000 samples."""
        ecg = np.empty((count, LENGTH), np.float32)
        known = np.empty((count, LENGTH), np.bool_)
        paced = np.empty(count, np.bool_)
        beats = []
        for i in range(count):
            database = int(rng.choice(len(self._databases), p=self._share))
            number = int(rng.choice(len(self._chance[database]), p=self._chance[database]))
            recording, paced[i] = self._databases[database][number], self._paced[database][number]
            lead = int(rng.integers(len(recording.ecg)))
            step = 1 + self.settings.stretch * rng.uniform(-1, 1)
            rate = rng.uniform(*FAST) if rng.random() < self.settings.hurry else 0.0
            if rate:
                step = rng.uniform(1, FASTER)
            start = self._start(recording, lead, self._rarity[database][number][lead], step, rng)
            times = start + step * np.arange(-BEFORE, 2 * LENGTH, dtype=np.float64)
            at = times[BEFORE : BEFORE + LENGTH]
            if rate:
                faster = _hurried(times, recording.beats[lead], rate)
                piece = faster[BEFORE : BEFORE + LENGTH]
                if piece[CONTEXT] >= 0 and piece[-1] <= recording.ecg.shape[1] - 1:  # else it is too short
                    times, at = faster, piece
            x = _interpolate(recording.ecg[lead], at)
            if len(recording.ecg) > 1 and rng.random() < self.settings.mix:
                other = (lead + rng.integers(1, len(recording.ecg))) % len(recording.ecg)
                x += np.float32(rng.uniform(-0.3, 0.3)) * _interpolate(recording.ecg[other], at)
            ecg[i] = x
            known[i] = _inside(at, recording.known[lead], recording.ecg.shape[1])
            r = recording.beats[lead]
            low, high = np.searchsorted(r, (at[0] - 50, at[-1] + 50))
            beats.append(np.interp(r[low:high], times, np.arange(-BEFORE, 2.0 * LENGTH)))
        return Draw(ecg, tuple(beats), known, np.zeros(count, np.bool_), paced)

    def finish(self, pieces: Draw) -> Batch:
        """Cut pieces to windows, normalise them, and make targets and weights."""
        s = self.settings
        target = qrs_mask(pieces.beats, LENGTH, s.mask)[:, CONTEXT:]
        weight = np.where(target > 0.5, s.qrs_weight, 1.0) * pieces.known[:, CONTEXT:]
        weight[:, WINDOW - s.edge_samples :] *= s.edge_weight
        plain = None if pieces.paced is None else ~pieces.paced
        return Batch(normalise(pieces.ecg[:, CONTEXT:]), target, weight.astype(np.float32), plain)

    def _start(
        self, recording: Recording, lead: int, rarity: NDArray[np.float64], step: float, rng: Generator
    ) -> float:
        """Where a piece of recording starts, in its samples: mostly where a chosen beat lies at a chosen place."""
        r = recording.beats[lead]
        size = recording.ecg.shape[1]
        kind = rng.random()
        if kind < self.settings.free or not len(r):
            window = rng.uniform(0, max(size - step * WINDOW, 0))
        else:
            beat = r[min(int(np.searchsorted(rarity, rng.random())), len(r) - 1)]
            at_edge = kind < self.settings.free + self.settings.edge
            place = rng.uniform(WINDOW - 31, WINDOW - 1) if at_edge else rng.uniform(-15, WINDOW + 15)
            window = beat - step * place
        window = min(max(window, 0), max(size - step * WINDOW, 0))
        return float(window - step * CONTEXT)


def qrs_mask(beats: Sequence[NDArray[np.float64]], length: int, width: int) -> NDArray[np.float32]:
    """Mark `width` samples around each R peak; where R lies between two samples, the outermost ones are partly marked.

    Parameters
    ----------
    beats : sequence of numpy.ndarray
        For each row its R peaks, shape (k,), samples.
    length, width : int
        Samples of a row; samples of a mask.

    Returns
    -------
    numpy.ndarray
        Shape (rows, length), float32, 0 to 1. The centre of mass of each mask is its R peak.
    """
    mask = np.zeros((len(beats), length), np.float32)
    reach = width // 2 + 1
    around = np.arange(-reach, reach + 1)
    for row, r in zip(mask, beats, strict=True):
        index = np.round(r).astype(np.int64)[:, None] + around
        value = np.clip(width / 2 + 0.5 - np.abs(index - r[:, None]), 0, 1).astype(np.float32)
        inside = (index >= 0) & (index < length)
        np.maximum.at(row, index[inside], value[inside])
    return mask


def _is_paced(recording: Recording) -> bool:
    return any(code in PACED_CODES for labels in recording.labels for code in labels)


def _rarity(labels: Sequence[str]) -> NDArray[np.float64]:
    """Cumulative chance of each beat; a kind that is n times rarer is drawn only √n times less often."""
    if not labels:
        return np.empty(0)
    _, kind, count = np.unique(labels, return_inverse=True, return_counts=True)
    chance = 1 / np.sqrt(count[kind])
    return np.asarray(np.cumsum(chance / chance.sum()))


def _interpolate(x: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values of x between its samples, by Catmull–Rom splines; beyond its ends the last value."""
    base = np.floor(at)
    t = (at - base).astype(np.float32)
    i = np.clip(base.astype(np.int64) + np.arange(-1, 3)[:, None], 0, len(x) - 1)
    a, b, c, d = x[i]
    out: NDArray[np.float32] = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return out


def _hurried(times: NDArray[np.float64], beats: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Times at which a recording is read so that its heart beats at a rate per minute, if that is faster.

    Nothing moves about the beat that is nearest to the end of the piece; `times` begin `BEFORE` samples ahead of it.
    """
    step = times[1] - times[0]
    r = beats[(beats >= times[0]) & (beats < times[-1])]
    interval = float(np.median(np.diff(r))) / step if len(r) > 1 else 0.0
    wanted = 60 * RATE / rate
    if wanted >= interval:
        return times
    shortened = min((interval - 2 * KEPT) / (wanted - 2 * KEPT), SHORTENED)
    places = (r - times[0]) / step
    near = qrs_mask([places], len(times), 2 * KEPT + 1)[0]
    passed = np.cumsum(near + (1 - near) / shortened)  # what a sample of the recording takes, summed up
    stays = round(float(places[np.abs(places - (BEFORE + LENGTH)).argmin()]))
    return np.asarray(np.interp(passed[stays] + np.arange(len(times)) - stays, passed, times))


def _inside(at: NDArray[np.float64], spans: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    inside = np.zeros(len(at), np.bool_)
    for start, stop in spans[(spans[:, 1] > at[0]) & (spans[:, 0] <= at[-1])]:
        inside |= (at >= start) & (at < stop)
    return inside & (at > -0.5) & (at < size - 0.5)
