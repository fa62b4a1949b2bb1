"""Live peer: what tutorials on live ECG show, a band-pass filter and ``find_peaks`` on a sliding buffer.

Written plainly as a baseline for live use: a causal Butterworth band-pass, a buffer of the last 4 s, a look at it every
20 ms; what stands out from the buffer by its height and keeps its distance is a peak, and is told when it has been seen
in the same place twice. Its delay is that of the filter, of the wait for the next look, and of the second look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal

from streamqrs.benchmarks.lookahead import triggers_at
from streamqrs.benchmarks.subjects import Subject
from streamqrs.evaluation import TRIGGER_S
from streamqrs.metrics import Score, pooled, score
from streamqrs.model import Model
from streamqrs.settings import Settings

BAND_HZ = (2.0, 25.0)
BUFFER_S = 4.0
LOOK_S = 0.020
HEIGHT = 97.0
"""A peak is higher than this percentile of the buffer."""
APART_S = 0.4
SEEN = 2
"""A peak is told when it has been seen so often."""
SAME_S = 0.015


@dataclass(frozen=True, slots=True)
class Told:
    """A peak of the filtered signal: its time, and when it was told, in s since the first sample."""

    time_s: float
    known_s: float


def sliding_find_peaks(ecg: ArrayLike, rate: float) -> list[Told]:
    """Find R peaks as a live listener would.

    Parameters
    ----------
    ecg : array_like
        Shape (n,), one lead, any unit, finite.
    rate : float
        Sampling rate in Hz.

    Returns
    -------
    list of Told
        In the order in which they are told; times are those of the filtered signal, uncorrected.
    """
    x = np.asarray(ecg, np.float64).reshape(-1)
    sections = signal.butter(2, BAND_HZ, "bandpass", fs=rate, output="sos")
    filtered = signal.sosfilt(sections, x - x[:1])  # the same whether it is filtered piece by piece or at once
    size, step, apart, same = (round(s * rate) for s in (BUFFER_S, LOOK_S, APART_S, SAME_S))
    told: list[Told] = []
    last, candidate, times = -apart, -1, 0
    for stop in range(size, len(x) + 1, max(step, 1)):
        buffer = filtered[stop - size : stop]
        peaks, _ = signal.find_peaks(buffer, height=np.percentile(buffer, HEIGHT), distance=apart)
        new = [int(peak) + stop - size for peak in peaks if peak + stop - size >= last + apart]
        if not new:
            continue
        times = times + 1 if abs(new[-1] - candidate) <= same else 1
        candidate = new[-1]
        if times >= SEEN:
            told.append(Told(candidate / rate, (stop - 1) / rate))
            last, times = candidate, 0
    return told


def compare_live(model: Model, heard: Iterable[Subject]) -> dict[str, Score]:
    """Triggers of our gate and of the recipe, scored alike: true from 60 ms before R to 100 ms after it.

    Parameters
    ----------
    model : Model
        The network; its own settings hold.
    heard : iterable of Subject
        The records.

    Returns
    -------
    dict of str to Score
        By name; offsets are the moment of the trigger − R peak, in ms of source time.
    """
    depth = Settings.of(model.settings).gate_depth
    found: dict[str, list[Score]] = {f"streamqrs {model.name}, gate": [], "band-pass + find_peaks": []}
    for subject in heard:
        (ours,) = triggers_at(model, subject, [depth])
        theirs = [told.known_s for told in sliding_find_peaks(subject.record.samples, subject.record.rate)]
        for scores, known_s in zip(found.values(), (ours, theirs), strict=True):
            scores.append(score(subject.peaks_s, known_s, TRIGGER_S, spans=subject.spans))
    return {name: pooled(scores) for name, scores in found.items()}
