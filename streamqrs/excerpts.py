"""Excerpts: clean pieces of annotated recordings at 250 Hz, for the scanner to spoil; short recordings are looped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamqrs.errors import BadRecord
from streamqrs.marks import refine_marks
from streamqrs.records import Record
from streamqrs.resample import resample
from streamqrs.types import RATE, Samples

BEFORE, AFTER = 2 * RATE, RATE // 2
"""Samples around what is asked for: filters settle there, and beats there have waves that reach into it."""

CLEAR_S = 0.12
"""No R peak lies so near to either end, in s: a QRS complex is there as a whole, or not at all."""

SLOWEST = 30.0
"""Pieces with fewer beats per minute are passed over: something is not marked there."""

LOOP_S = 0.2
"""A loop is closed so long before R, in s: clear of the QRS complex and of the T wave before it."""

FADE = 20
"""Samples that a loop's end takes to fade into its beginning: over before the QRS complex begins."""

FAR_S, NEAR_S, TALL = 0.048, 0.03, 0.7
"""A mark that would move as far as `FAR_S` goes to a peak within `NEAR_S` instead, if that is `TALL` times as high: R
and S of a broad RS complex are about equally high, and the truth should not jump between them."""

TRIES = 1000

UNMARKED = frozenset({"VFL", "VF"})
"""Rhythms in which single beats are not marked."""


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """A piece of one lead.

    Attributes
    ----------
    samples : numpy.ndarray
        Shape (`BEFORE` + n + `AFTER`,), float32, 250 Hz, in the unit of the record.
    beats : numpy.ndarray
        Shape (k,), int64, rising: the R peaks, as samples of `samples`.
    labels : tuple of str
        The annotator's code of each beat.
    start_s : float
        Where in the record the n samples begin, in s.
    looped : bool
        Whether the record was repeated.
    """

    samples: Samples
    beats: NDArray[np.int64]
    labels: tuple[str, ...]
    start_s: float
    looped: bool = False


def cut_excerpt(
    record: Record, duration_s: float, rng: np.random.Generator, *, span_s: tuple[float, float] | None = None
) -> Excerpt:
    """Cut a piece at random, with all of its beats marked and none of them cut through.

    Parameters
    ----------
    record : Record
        With beats and their codes.
    duration_s : float
        Length in s.
    rng : numpy.random.Generator
        Draws where.
    span_s : tuple of float, optional
        The piece lies between these times, in s. Default: anywhere.

    Returns
    -------
    Excerpt
        `duration_s` and what is around it.

    Raises
    ------
    BadRecord
        If there is no such piece.
    """
    marks = _marks(record) / record.rate
    first, last = span_s or (0.0, record.duration_s)
    low, high = max(first, BEFORE / RATE + 0.1), min(last, record.duration_s - AFTER / RATE - 0.1) - duration_s
    for _ in range(TRIES if high >= low else 0):
        start = round(float(rng.uniform(low, high)) * RATE) / RATE
        stop = start + duration_s
        inside = marks[(marks > start - CLEAR_S) & (marks < stop + CLEAR_S)]
        clear = len(inside) and inside[0] > start + CLEAR_S and inside[-1] < stop - CLEAR_S
        if clear and len(inside) >= SLOWEST / 60 * duration_s and _is_whole(record, start, stop):
            return _cut(record, start, round(duration_s * RATE))
    raise BadRecord(f"{record.name} has no {duration_s:g} s with all beats marked between {first:.0f} and {last:.0f} s")


def loop_excerpt(record: Record, duration_s: float, rng: np.random.Generator) -> Excerpt:
    """Repeat what lies between the first and the last marked beat, until a short record is long enough.

    It is cut `LOOP_S` before R of both of these beats, levelled, and cross-faded, so that the interval across the
    seam is one that the heart had.

    Parameters
    ----------
    record : Record
        With beats and their codes, at least three.
    duration_s : float
        Length in s.
    rng : numpy.random.Generator
        Draws where the loop is entered.

    Returns
    -------
    Excerpt
        `duration_s` and what is around it.

    Raises
    ------
    BadRecord
        If there are too few beats.
    """
    marks = _marks(record)
    y = resample(record.samples, record.rate)
    peaks = np.unique(_r_peaks(y, np.minimum(np.rint(marks * RATE / record.rate).astype(np.int64), len(y) - 1)))
    back = round(LOOP_S * RATE)
    usable = peaks[peaks >= back]
    if len(usable) < 3 or len(peaks) != len(marks):
        raise BadRecord(f"{record.name} has {len(usable)} beats to be looped: allowed are 3 and more")
    codes = (record.labels or ("N",) * len(marks))[len(peaks) - len(usable) : -1]
    first, last = int(usable[0]) - back, int(usable[-1]) - back
    body, tail = y[first:last].astype(np.float64), y[last : last + FADE]
    level = float(np.mean(tail) - np.mean(body[:FADE]))
    body -= level * np.arange(len(body)) / len(body)
    share = (np.arange(FADE) + 0.5) / FADE
    body[:FADE] = share * body[:FADE] + (1 - share) * (tail - level)
    length = BEFORE + round(duration_s * RATE) + AFTER
    turns = length // len(body) + 2
    at = (usable[:-1] - first + len(body) * np.arange(turns)[:, None]).reshape(-1)
    ends = BEFORE, length - AFTER
    for _ in range(TRIES):
        start = int(rng.integers(len(body)))
        if all(np.abs(at - start - end).min() > CLEAR_S * RATE for end in ends):
            break
    else:
        raise BadRecord(f"{record.name} cannot be looped: its beats are too close")
    samples = np.tile(body, turns)[start : start + length].astype(np.float32)
    inside = (at >= start) & (at < start + length)
    labels = tuple(code for code, here in zip(codes * turns, inside, strict=True) if here)
    return Excerpt(samples, at[inside] - start, labels, first / RATE, looped=True)


def _marks(record: Record) -> NDArray[np.int64]:
    if record.beats is None or len(record.beats) < 3:
        raise BadRecord(f"{record.name} has no marked beats: allowed are 3 and more")
    return record.beats


def _is_whole(record: Record, start_s: float, stop_s: float) -> bool:
    """Whether no sample is missing, and no beat unmarked."""
    start_s, stop_s = start_s - BEFORE / RATE - 0.1, stop_s + AFTER / RATE + 0.1
    spans = [span for name, parts in record.rhythm_spans().items() if name in UNMARKED for span in parts]
    if any(begin < stop_s and end > start_s for begin, end in spans):
        return False
    return bool(np.isfinite(record.samples[int(start_s * record.rate) : int(stop_s * record.rate) + 1]).all())


def _cut(record: Record, start_s: float, n: int) -> Excerpt:
    """Resample the piece and its surroundings, and move the marks onto its R peaks."""
    rate, length = record.rate, BEFORE + n + AFTER
    origin = round((start_s - BEFORE / RATE) * rate)
    piece = record.samples[origin : origin + int(np.ceil((length + 1) * rate / RATE))]
    samples = resample(piece, rate)[:length]
    marks = np.rint((_marks(record) - origin) * RATE / rate).astype(np.int64)
    inside = np.flatnonzero((marks >= 0) & (marks < length))
    beats, kept = np.unique(_r_peaks(samples, marks[inside]), return_index=True)
    codes = record.labels or ("N",) * len(marks)
    labels = tuple(codes[i] for i in inside[kept])
    return Excerpt(samples, beats, labels, (origin + BEFORE / RATE * rate) / rate)


def _r_peaks(samples: Samples, marks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move marks onto the R peak, in the same way in every beat."""
    wide, near = refine_marks(samples, marks, RATE), refine_marks(samples, marks, RATE, reach_s=NEAR_S)
    around = np.clip(marks[:, None] + np.arange(-RATE // 4, RATE // 4), 0, len(samples) - 1)
    level = np.median(samples[around], axis=1)
    as_tall = np.abs(samples[near] - level) >= TALL * np.abs(samples[wide] - level)
    return np.where((np.abs(wide - marks) >= FAR_S * RATE) & as_tall, near, wide)
