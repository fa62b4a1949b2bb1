"""Score: validation while training, on whole leads, by the windows of a network without the streaming parts.

The figures of record come from the streaming `Detector`; these here are quick, and only choose weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from streamqrs.metrics import pooled, score
from streamqrs.training.noise import at_level, validation_noise
from streamqrs.training.recordings import Recording
from streamqrs.training.remains import remains
from streamqrs.training.scanned import VALIDATION_SEED, scan_lead
from streamqrs.training.unet import UNet, predict
from streamqrs.types import RATE, WINDOW, Samples
from streamqrs.window import normalise

HOP = 500
TOLERANCE_S = 0.075
NOISE_DB = -6.0
DISTANCE = 50
"""Refractory time in samples (0.2 s)."""

EDGE_DEPTH = 10
"""Samples between the newest one and the one that the live gate decides on (40 ms)."""

EDGE_WINDOWS = 3000
"""Windows whose newest edge is looked at, about."""

SCANNED_S = 150
"""Seconds of each lead that are taken into the scanner."""


class Lead(NamedTuple):
    """One lead of a recording, as `Recording` describes it: ecg (n,), beats (k,), known (m, 2)."""

    ecg: Samples
    beats: NDArray[np.float64]
    known: NDArray[np.float64]


class Validation:
    """Score a network on set-aside recordings: as they are, with noise, and at the newest edge.

    Parameters
    ----------
    recordings : dict of str to sequence of Recording
        By database. One lead of each counts, of short ones (under a minute) all.
    noise : numpy.ndarray
        Shape (series, n), float32, 250 Hz: recorded noise that training has not seen; may be empty.
    limit_s : float
        Seconds of each recording that count at most.
    scanner : str, optional
        Preset of the scanner that the leads are taken into, too.
    edge_windows : int
        Windows whose newest edge is looked at, about.
    """

    def __init__(
        self,
        recordings: Mapping[str, Sequence[Recording]],
        noise: Samples | None = None,
        *,
        limit_s: float = 900.0,
        scanner: str | None = None,
        edge_windows: int = EDGE_WINDOWS,
    ) -> None:
        limit = int(limit_s * RATE)
        self.leads = [
            Lead(recording.ecg[i][:limit], recording.beats[i][recording.beats[i] < limit], recording.known[i])
            for part in recordings.values()
            for recording in part
            for i in range(len(recording.ecg) if recording.ecg.shape[1] < 60 * RATE else 1)
        ]
        self.noisy: list[Lead] = []
        if noise is not None and noise.size:
            rng = np.random.default_rng(VALIDATION_SEED)
            others = remains(recording for part in recordings.values() for recording in part)
            for i, lead in enumerate(self.leads):
                track = at_level(validation_noise(noise, others, i, len(lead.ecg), rng), NOISE_DB)
                self.noisy.append(lead._replace(ecg=(lead.ecg + track).astype(np.float32)))
        self.scanned: list[Lead] = []
        for i, lead in enumerate(self.leads if scanner else ()):
            part = _cut(lead, SCANNED_S * RATE)
            self.scanned.append(part._replace(ecg=scan_lead(part.ecg, part.beats, str(scanner), i)))
        self._edge = _edge_windows(self.leads, edge_windows)
        self._scanned_edge = _edge_windows(self.scanned, edge_windows)

    def __call__(self, network: UNet) -> dict[str, float]:
        """Return figures in %: F1 as recorded and with noise, accuracy at the edge, and their mean as ``score``."""
        scores = {"f1": _f1(network, self.leads)}
        if self.noisy:
            scores["noisy_f1"] = _f1(network, self.noisy)
        if self.scanned:
            scores["scanned_f1"] = _f1(network, self.scanned)
        for name, (windows, beat) in (("edge", self._edge), ("scanned_edge", self._scanned_edge)):
            if len(windows):
                said = predict(network, windows)[:, WINDOW - 1 - EDGE_DEPTH] > 0.5
                scores[name] = 50 * float(sum((said == beat)[beat == kind].mean() for kind in (False, True)))
        return {**scores, "score": sum(scores.values()) / len(scores)}


def find_beats(network: UNet, ecg: Samples) -> NDArray[np.float64]:
    """R peaks of a lead: centres of the stretches where the probability is above one half, the surer one of near two.

    Parameters
    ----------
    network : UNet
        Is asked once for each sample: a window decides on its middle 500 samples, the first and last on their ends too.
    ecg : numpy.ndarray
        Shape (n,), float32, 250 Hz, any unit; n at least 1.

    Returns
    -------
    numpy.ndarray
        Shape (k,), float64, samples.
    """
    ecg = np.concatenate((ecg, np.full(max(WINDOW - len(ecg), 0), ecg[-1], np.float32)))
    starts = np.append(np.arange(0, len(ecg) - WINDOW, HOP), len(ecg) - WINDOW)
    values = predict(network, normalise(sliding_window_view(ecg, WINDOW)[starts]))
    curve = np.empty(len(ecg), np.float32)
    skip = (WINDOW - HOP) // 2
    for start, row in zip(starts, values, strict=True):
        first = skip if start else 0
        curve[start + first : start + WINDOW] = row[first:]
    edges = np.flatnonzero(np.diff(curve > 0.5, prepend=False, append=False))
    found: list[tuple[float, float]] = []
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        now = float(np.average(np.arange(a, b), weights=curve[a:b])), float(curve[a:b].max())
        if found and now[0] - found[-1][0] < DISTANCE:
            now = max(now, found.pop(), key=lambda beat: beat[1])
        found.append(now)
    return np.array([at for at, _ in found])


def _cut(lead: Lead, samples: int) -> Lead:
    return lead._replace(ecg=lead.ecg[:samples], beats=lead.beats[lead.beats < samples])


def _f1(network: UNet, leads: Sequence[Lead]) -> float:
    return pooled(
        score(
            lead.beats / RATE,
            find_beats(network, lead.ecg) / RATE,
            TOLERANCE_S,
            spans=[(float(start), float(stop)) for start, stop in lead.known / RATE],
            lead_in_s=0.0,
        )
        for lead in leads
    ).f1


def _edge_windows(leads: Sequence[Lead], count: int) -> tuple[Samples, NDArray[np.bool_]]:
    """Windows, (b, 750), that end where the gate decides on an R peak or on what is at least 120 ms from any."""
    windows, beat = [], []
    for lead in leads:
        if len(lead.beats) < 2 or len(lead.ecg) < 2 * WINDOW:
            continue
        r = np.round(lead.beats).astype(np.int64)
        between = (r[:-1] + (r[1:] - r[:-1]) * (0.25 + 0.6 * (np.arange(len(r) - 1) % 7) / 6)).astype(np.int64)
        between = between[np.abs(between[:, None] - r).min(axis=1) >= 30]
        for at, kind in ((r, True), (between, False)):
            stops = at[(at >= WINDOW) & (at < len(lead.ecg) - EDGE_DEPTH - 1)] + EDGE_DEPTH + 1
            sure = np.any([(stops - WINDOW >= a) & (stops <= b) for a, b in lead.known], axis=0)
            stops = stops[sure]
            windows.append(normalise(sliding_window_view(lead.ecg, WINDOW)[stops - WINDOW]))
            beat.append(np.full(len(stops), kind))
    if not windows:
        return np.empty((0, WINDOW), np.float32), np.empty(0, np.bool_)
    all_windows, all_beats = np.concatenate(windows), np.concatenate(beat)
    step = max(1, len(all_windows) // count)
    return all_windows[::step].copy(), all_beats[::step]
