"""Windower: a 250 Hz stream → overlapping, normalised 3 s windows on a fixed grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamqrs.types import WINDOW, Samples, Window

ROWS = 32
"""Windows that are normalised together: what a core's cache holds."""

SHORTEST = 125
"""A stream that ends before this many samples (0.5 s) gives no window at all."""


class Windower:
    """Cut a stream into windows that start every `hop` samples.

    Parameters
    ----------
    hop : int
        Distance between the starts of two windows in samples, 1 to 750.
    grid : int, optional
        Coarser grid that `flush` completes, a multiple of `hop`.
    """

    def __init__(self, hop: int, grid: int | None = None) -> None:
        if not 1 <= hop <= WINDOW:
            raise ValueError(f"hop is {hop} samples: allowed are 1 to {WINDOW}")
        self.hop, self.grid = hop, grid or hop
        self.reset()

    @property
    def delay(self) -> int:
        """Samples held back at most, once the first window is full."""
        return self.hop - 1

    @property
    def stop(self) -> int:
        """Count of the sample after the newest one."""
        return self._start + len(self._held)

    @property
    def due(self) -> int:
        """Count of the sample after the window that comes next."""
        return self._next + WINDOW

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._held = np.empty(0, np.float32)  # from the next window or the last 3 s, whichever reaches further back
        self._start = 0  # count of the first sample held
        self._next = 0  # start of the next window on the grid
        self._given = 0  # count of the sample after the newest window on the grid

    def push(self, samples: Samples) -> list[Window]:
        """Take samples, shape (n,), and return the windows that they complete."""
        held = np.concatenate((self._held, samples))
        stop = self._start + len(held)
        starts = range(self._next, stop - WINDOW + 1, self.hop)
        windows: list[Window] = []
        if starts:
            first = self._next - self._start
            # the same view as sliding_window_view's, made ten times as fast
            size = held.itemsize
            rows = np.ndarray((len(starts), WINDOW), held.dtype, held, first * size, (self.hop * size, size))
            windows = [Window(row, start) for row, start in zip(normalise(rows), starts, strict=True)]
            self._next = starts[-1] + self.hop
            self._given = starts[-1] // self.grid * self.grid + WINDOW
        keep = max(min(self._next, stop - WINDOW), self._start)
        self._held = held[keep - self._start :].copy()
        self._start = keep
        return windows

    def flush(self) -> list[Window]:
        """Return a last window that ends with the stream, if samples are left that no window on the grid held.

        A stream shorter than a window gives one that starts before it, filled with zeros up to its first sample.
        """
        stop = self.stop
        if stop <= self._given or (self._start == 0 and stop < SHORTEST):
            return []
        if stop < WINDOW:
            padded = np.zeros(WINDOW, np.float32)
            padded[WINDOW - stop :] = normalise(self._held[None])[0]
            last = Window(padded, stop - WINDOW)
        else:
            last = Window(normalise(self._held[-WINDOW:][None])[0], stop - WINDOW)
        self._given = stop
        return [last]


def normalise(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """z-score of each window; what is constant to within rounding becomes zeros.

    Parameters
    ----------
    windows : numpy.ndarray
        Shape (b, n), any unit, finite.

    Returns
    -------
    numpy.ndarray
        Shape (b, n), float32, mean 0 and standard deviation 1 in each row. Each row depends on its own samples only,
        bit for bit.
    """
    out = np.zeros(windows.shape, np.float32)
    for at in range(0, len(windows), ROWS):
        x = np.array(windows[at : at + ROWS], dtype=np.float64, order="C")
        scale = np.abs(x).max(axis=1, keepdims=True)
        x -= x.mean(axis=1, keepdims=True)
        sd = np.sqrt(np.square(x).mean(axis=1, keepdims=True))
        flat = sd <= 1e-6 * scale
        np.divide(x, sd, out=out[at : at + ROWS], where=~flat, casting="same_kind")
    return out
