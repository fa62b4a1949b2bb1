"""Innovations: what of a signal cannot be foreseen from its last samples.

The noise of an electrode that moves, of breath or of a scanner's gradients is in large part foreseen by a linear
predictor from sample to sample (an autoregressive model, causal), a QRS complex is not: it stands out of the noise by
much more in what is left over, the innovations, which have equal parts at all frequencies. There a matched filter is
the best there is; `streamqrs.likeness` has one for the gate, `streamqrs.templates` one for confirmed beats.

References
----------
Kay, "Fundamentals of Statistical Signal Processing, Volume II: Detection Theory", Prentice Hall 1998, chapter 5;
Makhoul, "Linear prediction: a tutorial review", Proc. IEEE 63, 1975; Ljung, Box, "On a measure of lack of fit in time
series models", Biometrika 65, 1978 (`drowned`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv

from streamqrs.shapes import BEFORE, Floats, Shape
from streamqrs.types import RATE

ORDER = 24
"""Differences of samples from which the next one is foreseen."""

LAGS = np.abs(np.subtract.outer(np.arange(ORDER), np.arange(ORDER)))

HEARD = 4 * RATE
"""Samples that a predictor is fitted to."""

LEAD_IN = ORDER + 1
"""Samples before a piece of signal, without which its innovations are not known."""

ROBUST = 0.005
"""White noise, as a share of the power, that keeps the fit stable."""

LEAST = 2 * RATE
"""Samples without which a `Matcher` is not fitted."""

NEAR = 20
"""Samples before and after R that it compares."""

SHIFT = 7
"""It looks for a shape at R, and so many samples before and after it: in noise, R is not seen well."""

SHIFTS = np.arange(2 * SHIFT + 1)
REACH = NEAR + SHIFT

ALIKE = 0.4
"""Square of the correlation from which two QRS complexes are of one form: noise takes off the rest."""

SPREAD = 0.7
"""Standard deviation of the log of a beat's height, against the shape's: the noise has a part in it."""

AROUND = RATE
"""Samples in which it is asked whether noise drowns a heart."""

DROWNS = 0.7
"""Standard deviation of white noise, in heights of the patient's QRS complexes, in which none can be told."""

WHITE_LAGS, WHITE = 10, 23.21
"""Lags of the autocorrelation that count, and the 99th percentile of their measure in white noise (χ²)."""

AS_IT_IS = 1.25
"""Power of the innovations of white noise, in its own, below which a filter leaves it as it is."""


def drowned(samples: Floats, height: float) -> bool:
    """Say whether nothing can be heard in a piece of signal, because it is white noise as tall as QRS complexes.

    No part of white noise can be foreseen, so nothing takes it away; a heart that is still there does not stand out of
    it. An electrode that moves, muscles, and nearly all gradients are not white. A lead that has come off often is.

    Parameters
    ----------
    samples : numpy.ndarray
        Shape (n,), about `AROUND`.
    height : float
        Of the patient's QRS complexes, peak to peak, in the unit of the samples.
    """
    x = samples - samples.mean()
    n, power = len(x), float(x @ x)
    if power <= n * (DROWNS * height) ** 2:
        return False
    lags = np.arange(1, WHITE_LAGS + 1)
    share = np.array([x[lag:] @ x[:-lag] for lag in lags]) / power
    return bool(n * (n + 2) * np.sum(share**2 / (n - lags)) < WHITE)


def whitener(samples: Floats) -> Floats:
    """Fit a predictor, and return the filter that leaves what it does not foresee.

    Parameters
    ----------
    samples : numpy.ndarray
        Shape (n,), more than `ORDER`: the noise that is to be foreseen, and what beats there are in it.

    Returns
    -------
    numpy.ndarray
        Shape (26,); convolved with n samples ("valid"), it gives the innovations of all but the first 25.
    """
    x = np.zeros(len(samples) - 1 + ORDER)
    new = x[: len(samples) - 1]
    new[:] = samples[1:] - samples[:-1]
    power = np.correlate(x, new, "valid") / len(new)
    power[0] = power[0] * (1 + ROBUST) + 1e-30
    _, foreseen, _ = dposv(power[LAGS], power[1:])  # no np.linalg.solve: its checks cost as much as all the rest
    error = np.zeros(ORDER + 2)
    error[0], error[1:-1] = 1.0, -foreseen
    error[1:] -= error[:-1]  # it foresees differences: now from samples
    return error


def whitened(shapes: list[Shape], error: Floats, before: int, after: int) -> Floats:
    """Pass shapes through a filter of `whitener`: their samples from `before` R to `after` it, a row for each."""
    first = BEFORE - before - LEAD_IN
    rows = [np.convolve(one.whole[first : BEFORE + after], error, "valid") for one in shapes]
    return np.array(rows).reshape(-1, before + after)


class Matcher:
    """Look for the QRS complexes of a patient in the innovations.

    Parameters
    ----------
    signal : numpy.ndarray
        Shape (n,), at least `LEAST`: the samples up to the newest one; the predictor is fitted to the last 4 s.
    shapes : list of Shape
        What is looked for.
    """

    def __init__(self, signal: Floats, shapes: list[Shape]) -> None:
        self._signal = signal
        self._error = whitener(signal[-HEARD:])
        self._wanted = whitened(shapes, self._error, NEAR, NEAR)
        self._power = np.maximum(np.einsum("ij,ij->i", self._wanted, self._wanted), 1e-30)
        self._white = float(self._error @ self._error) < AS_IT_IS  # next to nothing can be foreseen
        self._heights = [one.height for one in shapes]

    def looks(self, r: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """How much candidates look like one of the shapes: in form and height, and in form alone.

        Parameters
        ----------
        r : numpy.ndarray
            Shape (k,), int: their R peaks as indices of samples from the end of the signal on, below 0, rising.

        Returns
        -------
        likeness, form : numpy.ndarray
            Shape (k,), 0 to 1, NaN where not enough of the signal is there.
        """
        likeness, form = np.full((2, len(r)), np.nan)
        there = (r >= REACH + LEAD_IN - len(self._signal)) & (r <= -REACH)
        r = r[there]
        if not len(r):
            return likeness, form
        first, last = int(r[0]) - REACH, int(r[-1]) + REACH
        seen = np.convolve(self._signal[first - LEAD_IN : last or None], self._error, "valid")
        pieces = np.ndarray((len(seen) - 2 * NEAR + 1, 2 * NEAR), seen.dtype, seen, 0, seen.strides * 2)
        pieces = pieces[((r - r[0])[:, None] + SHIFTS).ravel()]
        height = np.maximum(pieces @ self._wanted.T / self._power, 1e-9)
        square = height**2 * self._power / np.maximum(np.einsum("ij,ij->i", pieces, pieces), 1e-30)[:, None]
        height, square = (x.reshape(len(r), len(SHIFTS), -1) for x in (height, square))
        best = (np.arange(len(r))[:, None], square.argmax(axis=1), np.arange(len(self._power)))
        forms = np.minimum(square[best] / ALIKE, 1.0)
        fits = forms * np.exp(-0.5 * (np.log(height[best]) / SPREAD) ** 2)
        likeness[there], form[there] = fits.max(axis=1), forms.max(axis=1)
        return likeness, form

    def is_low(self, r: int, share: float) -> bool:
        """Whether the signal moves less, near a candidate, than a share of the height of any QRS complex known."""
        near = self._signal[len(self._signal) + r - NEAR : len(self._signal) + r + NEAR]
        return float(near.max() - near.min()) < share * min(self._heights)

    def drowned(self, r: int) -> bool:
        """Whether noise drowns this patient's heart around a candidate, an index as in `looks`."""
        if not self._white:
            return False
        first = min(max(r + len(self._signal) - AROUND // 2, 0), len(self._signal) - AROUND)
        return drowned(self._signal[first : first + AROUND], max(self._heights))
