"""Peaks: the finished curve → candidates, by a probability criterion."""

from __future__ import annotations

from operator import mul

import numpy as np

from streamqrs.types import HALF_MASK, Peak, Probabilities

LONGEST = 250
"""A candidate is cut after this many samples (1 s), whatever the network says."""

DIP = 0.9
"""Between two candidates the curve falls below this share of either's height."""


class Peaks:
    """Find what may be QRS complexes in a curve of probabilities.

    Each hill of the curve that reaches `low` is a candidate, from the valley before it to the one after it. The R peak
    is the centre of mass of its upper half, since the network is trained on masks centred on R; its probability is the
    highest one.

    Parameters
    ----------
    low : float
        Probability that a candidate reaches, 0 to 1.

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
        """Samples held back: none, but for a hill that has not ended."""
        return 0

    @property
    def settled(self) -> int:
        """No more candidates come before this sample."""
        if not self._hill:
            return self.stop
        return self._start + (self._low_at if self._given else 0)

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self.stop = 0  # end of the curve so far
        self._known = 0
        self._begin(0)

    def push(self, curve: Probabilities) -> list[Peak]:
        """Take the next piece of the finished curve, and return the candidates that have ended."""
        if curve.start != self.stop:
            raise ValueError(f"curve goes on at {curve.start}: {self.stop} was next")
        self._known = max(self._known, curve.known)
        above = np.zeros(len(curve.values) + 2, np.bool_)  # no np.diff: its checks cost ten times the work
        above[1:-1] = curve.values >= self.low
        edges = (above[1:] != above[:-1]).nonzero()[0].tolist()
        found: list[Peak] = []
        if self._hill and not above[1] and len(curve.values):
            found += self._end()
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            values = curve.values[begin:end].tolist()
            if begin or not self._hill:
                if end < len(curve.values) and _is_simple(values):
                    found.append(_summit(self.stop + begin, values, max(values), self._known))
                    continue
                self._begin(self.stop + begin)
            found += self._climb(values)
            if end < len(curve.values):
                found += self._end()
        self.stop += len(curve.values)
        return found

    def flush(self) -> list[Peak]:
        """End the curve here, and return the candidate that was still open, if its R peak lies before the end."""
        upper = [p for p in self._hill if p >= 0.5 * self._top]
        if len(upper) < HALF_MASK:  # the end cuts it ahead of its R peak: of a beat still to come
            self._given = True
        return self.push(Probabilities(np.zeros(1, np.float32), self.stop, self._known))

    def _begin(self, start: int, hill: list[float] | None = None) -> None:
        """Begin a hill at a sample."""
        self._start = start
        self._hill = hill or []
        self._top = max(self._hill, default=0.0)
        self._low: float | None = None  # lowest value since the top, once the curve has fallen
        self._low_at = 0
        self._given = False

    def _climb(self, values: list[float]) -> list[Peak]:
        """Take the next values of a hill."""
        found: list[Peak] = []
        hill, top, low, low_at = self._hill, self._top, self._low, self._low_at
        for p in values:
            hill.append(p)
            if low is None:
                if p > top:
                    top = p
                elif p < DIP * top:
                    low, low_at = p, len(hill) - 1
            elif p < low:
                low, low_at = p, len(hill) - 1
            elif DIP * p > low:  # the next hill begins in the valley
                self._top = top
                found += self._give(low_at)
                self._begin(self._start + low_at, hill[low_at:])
                hill, top, low, low_at = self._hill, p, None, 0
            if p < 0.5 * top and not self._given:
                self._top = top
                found += self._give(len(hill))
            if len(hill) == LONGEST:
                self._top = top
                found += self._give(LONGEST)
                self._begin(self._start + LONGEST)
                hill, top, low, low_at = self._hill, 0.0, None, 0
        self._top, self._low, self._low_at = top, low, low_at
        return found

    def _end(self) -> list[Peak]:
        """The curve has fallen below `low`."""
        found = self._give(len(self._hill))
        self._begin(self.stop)
        return found

    def _give(self, size: int) -> list[Peak]:
        """Return the candidate that a hill of this size is, unless it was returned before."""
        if self._given:
            return []
        self._given = True
        return [_summit(self._start, self._hill[:size], self._top, self._known)]


def _is_simple(values: list[float]) -> bool:
    """Whether a whole hill rises to its top and falls from there: there is nothing to search, as in most."""
    top = values.index(max(values))
    up, down = values[:top], values[top:]
    return len(values) < LONGEST and up == sorted(up) and down == sorted(down, reverse=True)


def _summit(start: int, hill: list[float], top: float, known: int) -> Peak:
    """Return the candidate that a hill is."""
    least = 0.5 * top
    first = hill.index(max(hill))
    end = first + 1
    while first and hill[first - 1] >= least:
        first -= 1
    while end < len(hill) and hill[end] >= least:
        end += 1
    centre = sum(map(mul, range(first, end), hill[first:end])) / sum(hill[first:end])
    return Peak(start + centre, top, known, start + min(end + 1, len(hill)))
