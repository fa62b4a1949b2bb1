"""Worst: the windows in which a model goes most astray, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamqrs.datasets import MAIN_MS
from streamqrs.evaluation import run_detector
from streamqrs.metrics import LEAD_IN_S, match
from streamqrs.model import Model
from streamqrs.training.annotated import Annotated
from streamqrs.training.appraise import LIMIT_S, cut_record
from streamqrs.training.dataset import WindowSettings, qrs_mask
from streamqrs.types import RATE, WINDOW, Samples
from streamqrs.window import normalise

HOP = WINDOW // 2


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A window, what is true, and what was found. Places are 250 Hz samples of the window.

    Attributes
    ----------
    name : str
        Of the recording.
    start_s : float
        Where the window begins in it, in s.
    ecg, probability : numpy.ndarray
        Shape (750,), float32: normalised; of QRS, 0 to 1.
    found, missed, false : numpy.ndarray
        Shapes (k,), float64: beats that were found, beats that were missed, detections that are no beat.
    loss : float
        Mean cross entropy of the window in nats.
    """

    name: str
    start_s: float
    ecg: Samples
    probability: Samples
    found: NDArray[np.float64]
    missed: NDArray[np.float64]
    false: NDArray[np.float64]
    loss: float

    @property
    def errors(self) -> int:
        """Misses and false detections."""
        return len(self.missed) + len(self.false)


def worst_windows(model: Model, recordings: Sequence[Annotated], count: int = 20) -> list[Picture]:
    """Find the windows with the most errors; of those with equally many, the ones of the highest loss.

    Parameters
    ----------
    model : Model
        Is run over all recordings, through the streaming detector.
    recordings : sequence of Annotated
        The first 15 minutes of each are looked at.
    count : int
        Windows at most; none of them overlap, and of each recording there are three, or as many as it takes.

    Returns
    -------
    list of Picture
        The worst first.
    """
    pictures = [picture for one in recordings for picture in _pictures(model, one)]
    chosen: list[Picture] = []
    most = max(3, -(-count // max(1, len(recordings))))
    for picture in sorted(pictures, key=lambda p: (-p.errors, -p.loss)):
        near = [p for p in chosen if p.name == picture.name]
        apart = all(abs(p.start_s - picture.start_s) >= WINDOW / RATE for p in near)
        if len(chosen) < count and len(near) < most and apart:
            chosen.append(picture)
    return chosen


def _pictures(model: Model, one: Annotated) -> list[Picture]:
    record = cut_record(one.record, LIMIT_S)
    marks = np.asarray(record.beats if record.beats is not None else [], np.float64) / record.rate
    beats = np.array([beat.time for beat in run_detector(record, model) if beat.kind == "beat"])
    pairs = match(marks, beats, MAIN_MS / 1000)
    missed = np.delete(marks, pairs.reference) * RATE
    false = np.delete(beats, pairs.detected) * RATE
    ecg = one.recording.ecg[0][: int(LIMIT_S * RATE)]
    first = int(LEAD_IN_S * RATE)
    starts = np.arange(first, len(ecg) - WINDOW + 1, HOP)
    if not len(starts):
        return []
    windows = normalise(np.stack([ecg[start : start + WINDOW] for start in starts]))
    said = model(windows)
    truth = [one.recording.beats[0] - start for start in starts]
    target = qrs_mask(truth, WINDOW, WindowSettings().mask)
    p = np.clip(said, 1e-6, 1 - 1e-6)
    losses = -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean(axis=1)
    return [
        Picture(
            one.record.name,
            float(start / RATE),
            windows[i],
            said[i],
            _inside(beats[pairs.detected] * RATE, int(start)),
            _inside(missed, int(start)),
            _inside(false, int(start)),
            float(losses[i]),
        )
        for i, start in enumerate(starts)
    ]


def _inside(places: NDArray[np.float64], start: int) -> NDArray[np.float64]:
    return places[(places >= start) & (places < start + WINDOW)] - start
