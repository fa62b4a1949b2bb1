"""Adding short waves to a signal: Gaussians, rectangles, and bells of finite length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REACH = 5.0
"""Gaussians end after so many standard deviations (4 in a million of the height)."""

_BELL = np.cos(np.linspace(0, np.pi / 2, 513)) ** 2


def add_waves(out: Floats, t: Floats, waves: Floats) -> None:
    """Add Gaussians in place.

    Parameters
    ----------
    out, t : numpy.ndarray
        Shape (n,): the signal, and its times in s, growing.
    waves : numpy.ndarray
        Shape (k, 3): height, time in s, standard deviation in s.
    """
    for height, at, width in waves:
        low, high = np.searchsorted(t, (at - REACH * width, at + REACH * width))
        if low < high:
            out[low:high] += height * np.exp(-0.5 * ((t[low:high] - at) / width) ** 2)


def add_spikes(out: Floats, start: int, rate: float, spikes: Floats) -> None:
    """Add rectangles in place; a sample takes the mean over its own interval.

    Parameters
    ----------
    out : numpy.ndarray
        Shape (n,): the signal.
    start : int
        Count of its first sample.
    rate : float
        Its rate in Hz.
    spikes : numpy.ndarray
        Shape (k, 3): height, onset in s, width in s.
    """
    for height, onset, width in spikes:
        low, high = onset * rate - start, (onset + width) * rate - start
        k = np.arange(max(0, int(np.floor(low))), min(len(out), int(np.ceil(high))))
        out[k] += height * (np.minimum(k + 1, high) - np.maximum(k, low))


def add_bells(out: NDArray[np.floating], row: NDArray[np.int64], bells: Floats) -> None:
    """Add squared-cosine bells, steeper on one side, to the rows of a batch in place.

    Parameters
    ----------
    out : numpy.ndarray
        Shape (b, n), C-contiguous float64 or float32: the signals.
    row : numpy.ndarray
        Shape (k,), int64: the row that each bell is added to.
    bells : numpy.ndarray
        Shape (k, 4): height, middle in samples, length of the left and of the right flank in samples. Outside its
        flanks a bell is exactly zero.
    """
    rows, length = out.shape
    height, middle, left, right = bells.T
    first = np.floor(middle - left).astype(np.int64) + 1
    count = np.floor(middle + right).astype(np.int64) - first + 1
    seen = (first < length) & (first + count > 0) & (count > 0)
    if not seen.any():
        return
    which = np.repeat(np.flatnonzero(seen), count[seen])
    offset = np.arange(len(which)) - np.repeat(np.cumsum(count[seen]) - count[seen], count[seen])
    at = first[which] + offset
    inside = (at >= 0) & (at < length)
    which, at = which[inside], at[inside]
    away = at - middle[which]
    share = np.abs(away) / np.where(away < 0, left[which], right[which])
    value = height[which] * _BELL[np.rint(share * 512).astype(np.int64)]
    out += np.bincount(row[which] * length + at, value, rows * length).reshape(rows, length).astype(out.dtype)
