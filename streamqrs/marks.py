"""Reference marks: from where an annotator put them onto the R peak.

Annotators' marks lie up to 20 ms off the peak. That does not matter for counting beats, but it does for timing, and
for what the network is trained on.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy import signal

REACH_S = 0.060
"""How far a mark may move, in s."""

MEDIAN_S = 0.300
"""The local median is taken over this long on either side of a mark, in s."""

BAND_HZ = (1.0, 45.0)


def refine_marks(ecg: ArrayLike, marks: ArrayLike, rate: float, *, reach_s: float = REACH_S) -> NDArray[np.int64]:
    """Move each mark to the R peak: the largest size of signal − local median within ±60 ms.

    The signal is filtered to 1–45 Hz in both directions (zero phase), so that the peak stays where it is.

    Parameters
    ----------
    ecg : array_like
        Shape (n,), one lead, any unit, finite.
    marks : array_like
        Shape (k,), samples of `ecg`, 0 to n − 1.
    rate : float
        Sampling rate of `ecg` in Hz.
    reach_s : float
        How far a mark may move, in s, up to `MEDIAN_S`.

    Returns
    -------
    numpy.ndarray
        Shape (k,), int64, samples of `ecg`, in the order given.
    """
    x = np.asarray(ecg, dtype=np.float64).reshape(-1)
    at = np.asarray(marks, dtype=np.int64).reshape(-1)
    if not len(at):
        return at
    if at.min() < 0 or at.max() >= len(x):
        raise ValueError(
            f"marks lie at {at.min()} to {at.max()}: allowed are 0 to {len(x) - 1} (samples of the signal)"
        )
    top = min(BAND_HZ[1], 0.45 * rate)
    sections = signal.butter(2, (BAND_HZ[0], top), "bandpass", fs=rate, output="sos")
    x = signal.sosfiltfilt(sections, x, padlen=min(len(x) - 1, round(rate)))
    reach, around = round(reach_s * rate), round(MEDIAN_S * rate)
    rows = sliding_window_view(np.pad(x, around, mode="edge"), 2 * around + 1)[at]
    height = np.abs(rows - np.median(rows, axis=1, keepdims=True))[:, around - reach : around + reach + 1]
    moved: NDArray[np.int64] = at + height.argmax(axis=1) - reach
    return np.minimum(np.maximum(moved, 0), len(x) - 1)
