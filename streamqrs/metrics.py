"""Metrics: detected beats against an annotator's, one to one, nearest first.

A second detection of one beat is a false positive. All events of a record are matched first and counted afterwards, so
that a pair that straddles the edge of what is counted is judged by its reference, and never as a miss and a false
detection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAD_IN_S = 3.0
"""The beginning of a record that is not counted: one window, in s."""

_TIE_S = 1e-9
"""A distance that equals the tolerance counts as within it, whatever the last bit says."""

Span = tuple[float, float]


class Matches(NamedTuple):
    """Pairs of reference and detection, in time order; both arrays have shape (p,), int64, and index what was given."""

    reference: NDArray[np.int64]
    detected: NDArray[np.int64]


def match(reference_s: ArrayLike, detected_s: ArrayLike, tolerance_s: float | Span) -> Matches:
    """Pair reference and detected events one to one, the nearest first.

    Of all pairs that are close enough the closest one is taken, then the closest of those that are left, and so on; of
    pairs that are equally close the earliest.

    Parameters
    ----------
    reference_s, detected_s : array_like
        Shapes (k,) and (d,), times in s, in any order.
    tolerance_s : float or tuple of float
        How far a detection may lie from its reference, in s; two numbers (before, after) for a lopsided window.

    Returns
    -------
    Matches
        The pairs, in the order of the reference times.
    """
    before, after = tolerance_s if isinstance(tolerance_s, tuple) else (tolerance_s, tolerance_s)
    if not (before >= 0 and after >= 0):
        raise ValueError(f"tolerance is {tolerance_s} s: allowed are numbers from 0 up")
    reference, detected = _times(reference_s), _times(detected_s)
    in_time, in_found = np.argsort(reference, kind="stable"), np.argsort(detected, kind="stable")
    r, d = reference[in_time], detected[in_found]
    first = np.searchsorted(d, r - before - _TIE_S, side="left")
    count = np.searchsorted(d, r + after + _TIE_S, side="right") - first
    of = np.repeat(np.arange(len(r)), count)  # candidate pairs: of each reference, all detections near it
    to = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    partner = np.full(len(r), -1, np.int64)
    free = np.ones(len(d), dtype=bool)
    for pair in np.lexsort((to, of, np.abs(d[to] - r[of]))):
        if partner[of[pair]] < 0 and free[to[pair]]:
            partner[of[pair]] = to[pair]
            free[to[pair]] = False
    paired = np.flatnonzero(partner >= 0)
    return Matches(in_time[paired], in_found[partner[paired]])


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one record, or of several together.

    Attributes
    ----------
    tp, fp, fn : int
        Beats found, detections that are no beat (or a beat's second one), beats missed.
    offsets_ms : numpy.ndarray
        Shape (tp,), float64: detection minus R peak, in ms.
    """

    tp: int
    fp: int
    fn: int
    offsets_ms: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False, repr=False)

    @property
    def beats(self) -> int:
        """Reference beats that were counted."""
        return self.tp + self.fn

    @property
    def se(self) -> float:
        """Sensitivity TP / (TP + FN) in %; NaN without a reference beat."""
        return _percent(self.tp, self.tp + self.fn)

    @property
    def ppv(self) -> float:
        """Positive predictive value TP / (TP + FP) in %; NaN without a detection."""
        return _percent(self.tp, self.tp + self.fp)

    @property
    def f1(self) -> float:
        """F1 = 2 TP / (2 TP + FP + FN) in %; NaN where there is neither beat nor detection."""
        return _percent(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def bias_ms(self) -> float:
        """Mean of detection minus R peak in ms; above 0 is late; NaN without a pair."""
        return float(self.offsets_ms.mean()) if len(self.offsets_ms) else math.nan

    @property
    def jitter_ms(self) -> float:
        """Standard deviation of detection minus R peak in ms; NaN without a pair."""
        return float(self.offsets_ms.std()) if len(self.offsets_ms) else math.nan

    def quantile_ms(self, q: float) -> float:
        """Quantile of detection minus R peak in ms, `q` from 0 to 1; NaN without a pair."""
        return float(np.quantile(self.offsets_ms, q)) if len(self.offsets_ms) else math.nan


def score(
    reference_s: ArrayLike,
    detected_s: ArrayLike,
    tolerance_s: float | Span,
    *,
    peaks_s: ArrayLike | None = None,
    spans: Sequence[Span] | None = None,
    only: ArrayLike | None = None,
    lead_in_s: float = LEAD_IN_S,
) -> Score:
    """Count hits, misses and false detections of one record.

    Parameters
    ----------
    reference_s, detected_s : array_like
        Shapes (k,) and (d,), times in s since the record's first sample.
    tolerance_s : float or tuple of float
        As in `match`.
    peaks_s : array_like, optional
        Shape (k,), times in s of the R peaks that belong to `reference_s`: what timing is measured against. Default:
        the reference itself.
    spans : sequence of tuple of float, optional
        Parts of the record that are counted, (start, stop) in s, both included. Default: all of it.
    only : array_like, optional
        Shape (k,), bool: reference beats that are counted. The others are neither hits nor misses, and what is paired
        with one is not false. Default: all.
    lead_in_s : float
        What lies before this is not counted, in s.

    Returns
    -------
    Score
        Counts, and offsets of the pairs.
    """
    reference, detected = _times(reference_s), _times(detected_s)
    peaks = reference if peaks_s is None else _times(peaks_s)
    if len(peaks) != len(reference):
        raise ValueError(f"{len(peaks)} R peaks for {len(reference)} reference beats: allowed are as many")
    pairs = match(reference, detected, tolerance_s)
    counted = _inside(reference, spans, lead_in_s)
    if only is not None:
        counted &= np.asarray(only, dtype=bool)
    false = _inside(detected, spans, lead_in_s)
    false[pairs.detected] = False
    hit = counted[pairs.reference]
    offsets = (detected[pairs.detected] - peaks[pairs.reference])[hit] * 1000
    tp = int(hit.sum())
    return Score(tp, int(false.sum()), int(counted.sum()) - tp, offsets)


def pooled(scores: Iterable[Score]) -> Score:
    """All records taken as one: counts added up ("gross" figures)."""
    scores = list(scores)
    offsets = [s.offsets_ms for s in scores]
    return Score(
        sum(s.tp for s in scores),
        sum(s.fp for s in scores),
        sum(s.fn for s in scores),
        np.concatenate(offsets) if offsets else np.empty(0),
    )


def mean(scores: Iterable[Score], figure: Callable[[Score], float]) -> float:
    """Mean of a figure over records, each record with the same weight; records where it is NaN are passed over."""
    values = [value for s in scores if not math.isnan(value := figure(s))]
    return sum(values) / len(values) if values else math.nan


def _times(values: ArrayLike) -> NDArray[np.float64]:
    times = np.asarray(values, dtype=np.float64)
    if times.ndim != 1 or not np.isfinite(times).all():
        raise ValueError(f"times of shape {times.shape}: allowed is (n,), in s, all finite")
    return times


def _inside(times: NDArray[np.float64], spans: Sequence[Span] | None, lead_in_s: float) -> NDArray[np.bool_]:
    inside = times >= lead_in_s
    if spans is not None:
        inside &= np.any([(times >= start) & (times <= stop) for start, stop in spans], axis=0) if spans else False
    return inside


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else math.nan
