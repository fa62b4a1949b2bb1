"""Templates: candidates are weighed by how much they look like the QRS complexes of this patient.

A network knows what QRS complexes look like in general. Who has watched a patient for half a minute knows more: in
noise that looks like any QRS complex, one that has the shape and the height of the patient's own is a beat. So each
candidate is compared with the means of the patient's sure beats (`streamqrs.shapes`), and its log odds change by how
well it fits. Nothing is weighed before enough sure beats were seen.
"""

from __future__ import annotations

import math

import numpy as np

from streamqrs.shapes import BAND, PLAY, REACH, SIZE, SURE, TAPS, Floats, Shapes, compare, pieces_of
from streamqrs.types import RATE, Peak, Samples

HELD = 6 * RATE
"""Samples that are kept: a beat is learnt from once it is confirmed."""

MOST_SAID = 64
"""Candidates from which on those that are no longer held are forgotten."""

ENOUGH = 8
"""Beats that a shape is the mean of, before it counts."""

SPREAD = 0.35
"""Standard deviation of the log of a beat's height, against the shape's."""

LIKE, UNLIKE = 2.6, 1.2
"""What likeness adds to the log odds of a candidate at most, and what is taken off in any case.

Their ratio is that of a logistic regression on candidates of 47 training recordings in noise, in the virtual scanner,
and as they are; how much of both counts is a setting."""


class Templates:
    """Weigh candidates by how much they look like the patient's beats.

    Parameters
    ----------
    weight : float
        Of the likeness against the network's probability; with 0 nothing is learnt, and nothing weighed.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self._shapes = Shapes(ENOUGH)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._raw = np.empty(0, np.float32)  # the last samples, for the filter
        self._held = np.empty(0)  # the filtered signal
        self._stop = 0  # count of the sample after the newest one that is filtered
        self._shapes.reset()
        self._said: dict[float, float] = {}  # what the network said about the last candidates

    def push(self, samples: Samples) -> None:
        """Take the next samples, shape (n,), 250 Hz."""
        if not self.weight or not len(samples):
            return
        first = np.repeat(samples[:1], TAPS) if not len(self._raw) else samples[:0]
        raw = np.concatenate((self._raw, first, samples))
        self._raw = raw[-2 * TAPS :]
        if len(raw) > 2 * TAPS:
            new = np.convolve(raw, BAND, "valid")
            self._held = np.concatenate((self._held[-HELD:], new))
            self._stop += len(new)

    def weigh(self, peaks: list[Peak]) -> list[Peak]:
        """Return candidates with the probability that they have now."""
        if not self.weight or not peaks:
            return peaks
        if len(self._said) > MOST_SAID:
            self._said = {at: p for at, p in self._said.items() if at > self._stop - HELD}
        self._said |= {peak.at: peak.probability for peak in peaks}
        known = self._shapes.known
        if not known:
            return peaks
        match, height, _ = compare(np.concatenate([self._pieces(peak) for peak in peaks]), known)
        off = np.log(np.maximum(height, 1e-9) / [one.height for one in known]) / SPREAD
        likeness = (np.maximum(match, 0.0) ** 2 * np.exp(-0.5 * off**2)).max(axis=1).tolist()
        return [self._weighed(peak, like) for peak, like in zip(peaks, likeness, strict=True)]

    def learn(self, beats: list[Peak]) -> None:
        """Learn from beats that are confirmed, if the network was sure of them."""
        for beat in beats if self.weight else ():
            if self._said.get(beat.at, 0.0) >= SURE:
                self._shapes.learn(self._pieces(beat), beat.at)

    def _weighed(self, peak: Peak, likeness: float) -> Peak:
        odds = _log_odds(peak.probability) + self.weight * (LIKE * likeness - UNLIKE)
        return Peak(peak.at, 1 / (1 + math.exp(-odds)), peak.known, peak.stop, likeness)

    def _pieces(self, peak: Peak) -> Floats:
        """The filtered signal about a candidate, shape (11, 41): at its R peak, and before and after it."""
        first = self._stop - len(self._held)
        begin = round(peak.at) - REACH - PLAY - first
        last = min(peak.known - TAPS, self._stop) - 1 - first  # no sample later than what was known then
        if begin >= 0 and begin + SIZE - 1 <= last:
            x = self._held[begin : begin + SIZE]
        else:
            x = self._held[np.clip(np.arange(begin, begin + SIZE), 0, last)]
        return pieces_of(x)


def _log_odds(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))
