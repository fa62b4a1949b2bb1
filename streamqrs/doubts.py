"""Doubts: the beats of a recording that somebody should look at, the most doubtful first.

Three things make a beat doubtful: a probability near the threshold, an interval that does not fit those around it, and
marks and detector that do not agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamqrs.metrics import match
from streamqrs.types import RATE, Beat, Samples

AGREE_S = 0.075
"""A mark and a detection this close are the same beat, in s."""
AROUND = 8
"""Intervals on either side that an interval is compared with."""
SHORT, LONG, SPREADS = 0.75, 1.4, 4.0
"""An interval is odd outside of these multiples of the median around it, and, where the rhythm is irregular, of so many
median deviations."""
CANDIDATE = 0.15
"""A peak of the curve that reaches this, and is neither marked nor detected, may be a missed beat."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One place to look at.

    Attributes
    ----------
    time_s : float
        Where, in s since the first sample.
    degree : float
        How doubtful, 0 to 1.
    reasons : tuple of str
        Why, each in a few words.
    """

    time_s: float
    degree: float
    reasons: tuple[str, ...]


def find_doubts(marks_s: ArrayLike, beats: list[Beat], curve: Samples, *, threshold: float) -> list[Doubt]:
    """Find the places of a recording that somebody should look at.

    Parameters
    ----------
    marks_s : array_like
        Shape (k,), marks in s since the first sample, rising.
    beats : list of Beat
        What the detector found.
    curve : numpy.ndarray
        Shape (n,), float32, the finished probabilities at 250 Hz from the first sample on; NaN where there are none.
    threshold : float
        The detector's, 0 to 1.

    Returns
    -------
    list of Doubt
        The most doubtful first; one for all that is doubtful about one beat.
    """
    marks = np.asarray(marks_s, np.float64)
    found = np.array([beat.time for beat in beats])
    sure = np.array([beat.probability for beat in beats])
    pairs = match(marks, found, AGREE_S)
    doubts = [
        *_disagreements(marks, found, sure, pairs.reference, pairs.detected),
        *_weak(found[pairs.detected], sure[pairs.detected], threshold),
        *_odd(marks),
        *_candidates(marks, found, curve, threshold),
    ]
    return sorted(_joined(doubts), key=lambda doubt: (-doubt.degree, doubt.time_s))


def _disagreements(
    marks: NDArray[np.float64],
    found: NDArray[np.float64],
    sure: NDArray[np.float64],
    paired: NDArray[np.int64],
    detected: NDArray[np.int64],
) -> list[Doubt]:
    alone = np.delete(marks, paired)
    extra = np.delete(np.arange(len(found)), detected)
    return [Doubt(float(t), 0.95, ("marked, not detected",)) for t in alone] + [
        Doubt(float(found[i]), 0.9 + 0.1 * float(sure[i]), (f"detected (p {sure[i]:.2f}), not marked",)) for i in extra
    ]


def _weak(found: NDArray[np.float64], sure: NDArray[np.float64], threshold: float) -> list[Doubt]:
    """Probabilities in the lower half of what counts as a beat."""
    scaled = (sure - threshold) / max(1e-6, 1 - threshold)
    return [
        Doubt(float(t), float(0.8 * (1 - 2 * max(0.0, s))), (f"probability {p:.2f}",))
        for t, p, s in zip(found, sure, scaled, strict=True)
        if s < 0.5
    ]


def _odd(marks: NDArray[np.float64]) -> list[Doubt]:
    intervals = np.diff(marks)
    doubts = []
    for i, interval in enumerate(intervals):
        near = intervals[max(0, i - AROUND) : i + AROUND + 1]
        middle = float(np.median(near))
        ratio = float(interval / middle) if len(near) >= 4 else 1.0
        spread = SPREADS * float(np.median(np.abs(near - middle))) / middle
        if not min(SHORT, 1 - spread) <= ratio <= max(LONG, 1 + spread):
            word = "short" if ratio < 1 else "long"
            degree = min(0.85, 0.3 + 0.6 * abs(np.log2(ratio)))
            doubts.append(Doubt(float(marks[i + 1]), float(degree), (f"RR {interval * 1000:.0f} ms is {word}",)))
    return doubts


def _candidates(
    marks: NDArray[np.float64], found: NDArray[np.float64], curve: Samples, threshold: float
) -> list[Doubt]:
    """Peaks of the curve that came to nothing."""
    p = np.nan_to_num(curve)
    above = np.flatnonzero(np.diff(np.concatenate([[0], (p > CANDIDATE).astype(np.int8), [0]])))
    known = np.sort(np.concatenate([marks, found]))
    doubts: list[Doubt] = []
    highest = 0.0
    for first, stop in above.reshape(-1, 2):
        at = int(first + p[first:stop].argmax())
        t, height = at / RATE, float(p[at])
        if doubts and t - doubts[-1].time_s <= AGREE_S:  # one place, two peaks: the higher one stands for both
            if height <= highest:
                continue
            doubts.pop()
        highest = height
        i = int(np.searchsorted(known, t))
        if min((abs(t - k) for k in known[max(0, i - 1) : i + 1]), default=np.inf) > 2 * AGREE_S:
            degree = 0.8 * min(1.0, height / threshold)
            doubts.append(Doubt(t, degree, (f"no beat here, but probability {height:.2f}",)))
    return doubts


def _joined(doubts: list[Doubt]) -> list[Doubt]:
    """One doubt for all that lie within `AGREE_S` of each other."""
    joined: list[Doubt] = []
    for doubt in sorted(doubts, key=lambda d: d.time_s):
        if joined and doubt.time_s - joined[-1].time_s <= AGREE_S:
            last = joined[-1]
            degree = 1 - (1 - last.degree) * (1 - doubt.degree)
            joined[-1] = Doubt(last.time_s, degree, (*last.reasons, *doubt.reasons))
        else:
            joined.append(doubt)
    return joined
