"""Edges: what a gate hears of a lead, kept, so that the network is asked once and many gates are tried on its answers.

The triggers are those of the `Detector`, but that in a stretch of unusable signal it gives none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from streamqrs.detector import Detector
from streamqrs.evaluation import trigger_times
from streamqrs.followers import Followers
from streamqrs.gate import Gate
from streamqrs.model import Model
from streamqrs.peaks import Peaks
from streamqrs.quality import still
from streamqrs.settings import Settings
from streamqrs.types import RATE, WINDOW, Peak, Probabilities, Samples
from streamqrs.window import normalise

TAIL = 224
"""Newest probabilities of each window that are kept, and a hop: a gate of up to 96 ms of look-ahead needs no more (two
distances to a wave that is followed, and the look-ahead)."""

AT_ONCE = 64
"""Windows that the network is asked about at once."""


@dataclass(frozen=True, slots=True)
class Edges:
    """What a gate hears of a lead.

    Attributes
    ----------
    ecg : numpy.ndarray
        Shape (n,), float32, 250 Hz.
    tails : numpy.ndarray
        Shape (windows, 224 + hop), float32: the newest probabilities of each window; the first ends at sample 750.
    hop : int
        Samples between two windows.
    confirmed : tuple of Peak
        Beats that the detector confirms, whatever the gate does.
    candidates : tuple of Peak
        What it chose them from.
    """

    ecg: Samples
    tails: NDArray[np.float32]
    hop: int
    confirmed: tuple[Peak, ...] = ()
    candidates: tuple[Peak, ...] = ()


class Triggers(NamedTuple):
    """Triggers of a lead, in s since its first 250 Hz sample: R peaks, and the newest samples that they needed."""

    time: NDArray[np.float64]
    known: NDArray[np.float64]

    def sent(self, align_ms: float | None = None) -> NDArray[np.float64]:
        """When they are sent, see `streamqrs.evaluation.trigger_times`."""
        return trigger_times(self.time, self.known, align_ms)


def hear(model: Model, ecg: Samples, hop: int) -> Edges:
    """Ask a network about each window of a lead, shape (n,), 250 Hz."""
    ecg = ecg.astype(np.float32)
    if len(ecg) < WINDOW:
        return Edges(ecg, np.empty((0, TAIL + hop), np.float32), hop)
    detector = Detector(RATE, model)
    detector.curves = deque()
    confirmed, peaks = detector.push(ecg), Peaks(detector.settings.low)
    candidates = tuple(peak for curve in detector.curves for peak in peaks.push(curve))
    windows = sliding_window_view(ecg, WINDOW)[::hop]
    tail = TAIL + hop
    tails = np.empty((len(windows), tail), np.float32)
    for at in range(0, len(windows), AT_ONCE):
        part = normalise(windows[at : at + AT_ONCE].copy())
        tails[at : at + AT_ONCE] = model(part)[:, -tail:]
        tails[at : at + AT_ONCE][still(part)[:, -tail:]] = 0.0
    beats = tuple(Peak(beat.time * RATE, beat.probability, round(beat.known * RATE) + 1) for beat in confirmed)
    return Edges(ecg, tails, hop, beats, candidates)


def find_triggers(edges: Edges, settings: Settings) -> Triggers:
    """Run a gate over a lead."""
    followers = Followers() if settings.rhythm else None
    gate = Gate.of(settings, followers)
    found, seen = [], 0
    confirmed, candidates = deque(edges.confirmed), deque(edges.candidates)
    for k, tail in enumerate(edges.tails):
        stop = WINDOW + k * edges.hop
        while followers and candidates and candidates[0].known < stop:
            followers.push([candidates.popleft()])
        while confirmed and confirmed[0].known < stop:
            gate.confirm([confirmed.popleft()])
        passed = gate.watch(edges.ecg[seen:stop])
        decided = gate.push(Probabilities(tail, stop - len(tail), stop))
        found += [(peak.at, peak.known - 1) for peak in (passed, decided) if peak]
        seen = stop
    return Triggers(*np.array(found, np.float64).reshape(-1, 2).T / RATE)
