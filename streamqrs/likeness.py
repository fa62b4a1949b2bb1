"""Likeness: how much the QRS complex that begins now looks like this patient's, for the gate.

`streamqrs.templates` compares whole QRS complexes. The gate has no more than the beginning of one, up to the newest
sample. So in the signal's innovations (`streamqrs.innovations`), for which no later sample is needed, the beginning of
each of the patient's shapes is looked for.
"""

from __future__ import annotations

import numpy as np

from streamqrs.innovations import AROUND, HEARD, LEAD_IN, drowned, whitened, whitener
from streamqrs.shapes import SURE, Floats, Shapes
from streamqrs.types import RATE, Peak, Samples

STALE = 2 * RATE
"""Samples after which the predictor is fitted anew where no beat is confirmed, which is when that is done: no trigger
waits."""

FROM, UNTIL = 25, 20
"""Samples before and after R that are compared, as far as they are there."""

SHIFT = 3
"""A shape is looked for where R is expected, and so many samples before and after it."""

LEAST = 2
"""Samples after R that must be there."""

ENOUGH = 3
"""Beats that a shape is the mean of, before it counts: in the noise of a scanner an ectopic beat is rarely sure."""

LOWEST = 0.1
"""What is no taller than this, in heights of the shape that it looks like, looks like none."""

SIZE, SHIFTS = FROM + UNTIL, np.arange(2 * SHIFT + 1)


class Likeness:
    """Know the QRS complexes of a patient, and say whether another one begins."""

    def __init__(self) -> None:
        self._kept = np.zeros(3 * HEARD)
        self._shapes = Shapes(ENOUGH)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._stop = 0  # count of the samples taken
        self._fill = 0  # of the buffer, whose last sample is the newest
        self._shapes.reset()
        self._fitted = -STALE  # the newest sample at the last fit
        self._error: Floats = np.empty(0)  # filter that leaves what is not foreseen
        self._wanted: Floats = np.empty((0, SIZE))  # the shapes, through that filter
        self._powers: Floats = np.empty((0, SIZE))  # their powers up to each sample

    def push(self, samples: Samples) -> None:
        """Take the next samples, shape (n,), 250 Hz."""
        self._stop += len(samples)
        samples = samples[-2 * HEARD :]
        if self._fill + len(samples) > len(self._kept):
            keep = min(self._fill, HEARD)
            self._kept[:keep] = self._kept[self._fill - keep : self._fill].copy()
            self._fill = keep
        self._kept[self._fill : self._fill + len(samples)] = samples
        self._fill += len(samples)

    def learn(self, beat: Peak) -> None:
        """Take a beat that is confirmed: learnt from if the network was sure of it, and a time to fit the predictor."""
        if beat.probability >= SURE:
            heard = self._kept[: self._fill]
            self._shapes.learn(heard, round(beat.at) - self._stop + self._fill, beat.at)
        if self._fill >= HEARD:
            self._fit()

    def of(self, r: float) -> float | None:
        """How much a QRS complex whose R peak is expected at sample `r` looks like the patient's so far, 0 to 1.

        The square of the best correlation; 0 where too little of it is there to tell, None while no shape is known.
        """
        if self._fill < HEARD or not self._shapes.known:
            return None
        if self._stop - self._fitted >= STALE:
            self._fit()
        middle = round(r) - self._stop + self._fill
        first, last = middle - SHIFT - FROM - LEAD_IN, min(middle + SHIFT + UNTIL, self._fill)
        if first < 0 or last < middle + LEAST:
            return 0.0
        seen = np.convolve(self._kept[first:last], self._error, "valid")
        sizes = np.minimum(SIZE, len(seen) - SHIFTS)
        seen = np.concatenate((seen, np.zeros(SIZE + 2 * SHIFT - len(seen))))
        products = np.ndarray((len(SHIFTS), SIZE), seen.dtype, seen, 0, seen.strides * 2) @ self._wanted.T
        wanted = self._powers[:, sizes - 1].T
        products[products < LOWEST * wanted] = 0.0
        power = np.concatenate(((0.0,), np.cumsum(seen * seen)))
        powers = (power[SHIFTS + sizes] - power[SHIFTS])[:, None] * wanted
        return float((products**2 / np.maximum(powers, 1e-30)).max())

    def drowned(self) -> bool:
        """Whether noise drowns this patient's heart now."""
        heights = [one.height for one in self._shapes.known]
        newest = self._kept[max(self._fill - AROUND, 0) : self._fill]
        return bool(heights) and drowned(newest, max(heights))

    def _fit(self) -> None:
        """Fit the predictor to the newest samples, and pass the shapes through what it leaves."""
        self._error = whitener(self._kept[self._fill - HEARD : self._fill])
        self._wanted = whitened(self._shapes.known, self._error, FROM, UNTIL)
        self._powers = np.cumsum(self._wanted**2, axis=1)
        self._fitted = self._stop
