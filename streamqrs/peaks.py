"""Peaks: the finished curve → candidates, by a probability criterion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamqrs.types import Peak, Probabilities

LONGEST = 250
"""A stretch of high probability is cut after this many samples (1 s), whatever the network says."""
PLACES = np.arange(float(LONGEST))


class Peaks:
    """Find what may be QRS complexes in a curve of probabilities.

    Each stretch above `low` is a candidate. The R peak is its centre of mass, since the network is trained on masks
    centred on R; its probability is the highest one in the stretch.

    Parameters
    ----------
    low : float
        Probability at which a candidate begins and ends, 0 to 1.

    Attributes
    ----------
    stop : int
        Count of the sample after the newest one of the curve.
    """

    def __init__(self, low: float) -> None:
        if not 0 < low < 1:
            raise ValueError(f"low is {low:g}: allowed are 0 < low < 1")
        self.low = low
        self.reset()

    @property
    def delay(self) -> int:
        """Samples held back: none, but for a stretch that has not ended."""
        return 0

    @property
    def settled(self) -> int:
        """No more candidates come before this sample."""
        return self.stop - len(self._open)

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self.stop = 0  # end of the curve so far
        self._known = 0
        self._open = np.empty(0, np.float32)  # the stretch above `low` that reaches to the end of the curve

    def push(self, curve: Probabilities) -> list[Peak]:
        """Take the next piece of the finished curve, and return the candidates that have ended."""
        if curve.start != self.stop:
            raise ValueError(f"curve goes on at {curve.start}: {self.stop} was next")
        self._known = max(self._known, curve.known)
        self.stop += len(curve.values)
        held: NDArray[np.float32] = np.concatenate((self._open, curve.values))
        above = np.zeros(len(held) + 2, np.bool_)  # no np.diff: its checks cost ten times the work on short pieces
        above[1:-1] = held >= self.low
        edges = np.flatnonzero(above[1:] != above[:-1])
        if not len(edges):
            return []
        stretches = [cut for begin, end in zip(edges[::2], edges[1::2], strict=True) for cut in _cut(begin, end)]
        start = self.stop - len(held)
        self._open = held[:0]
        if stretches and stretches[-1][1] == len(held):
            self._open = held[stretches.pop()[0] :]
        return [self._peak(held[begin:end], start + begin) for begin, end in stretches]

    def flush(self) -> list[Peak]:
        """End the curve here, and return the candidate that was still open."""
        return self.push(Probabilities(np.zeros(1, np.float32), self.stop, self._known))

    def _peak(self, stretch: NDArray[np.float32], start: int) -> Peak:
        p = stretch.astype(np.float64)
        centre = p.dot(PLACES[: len(p)]) / np.add.reduce(p)
        return Peak(int(start) + float(centre), float(np.maximum.reduce(p)), self._known, int(start) + len(p))


def _cut(begin: int, end: int) -> list[tuple[int, int]]:
    starts = range(begin, end, LONGEST)
    return [(start, min(start + LONGEST, end)) for start in starts]
