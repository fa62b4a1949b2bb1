"""Templates: candidates are weighed by how much they look like the QRS complexes of this patient.

A network knows what QRS complexes look like in general. Who has watched a patient for half a minute knows more: in
noise that looks like any QRS complex, one that has the shape and the height of the patient's own is a beat. So each
doubtful candidate is compared with the means of the patient's sure beats (`streamqrs.shapes`), where the noise is least
in the way (`streamqrs.innovations`), and its log odds change by how well it fits. Nothing is weighed before enough sure
beats were seen.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from streamqrs.innovations import LEAST, Matcher
from streamqrs.odds import log_odds, probability
from streamqrs.shapes import SURE, Floats, Shapes
from streamqrs.types import RATE, Peak, Samples

HELD = 6 * RATE
"""Samples that are kept: a beat is learnt from once it is confirmed, and noise is foreseen from the last ones."""

MOST_SAID = 64
"""Candidates from which on those that are no longer held are forgotten."""

ENOUGH = 5
"""Beats that a shape is the mean of, before it counts."""

SURELY = 0.99
"""Probability from which a candidate is not compared: it is one of the patient's beats."""

NONE = 0.05
"""A candidate that is less probable, once weighed, is none: half of the rhythm's work in noise was about such."""

FORMLESS, LOW = 0.75, 0.25
"""A candidate whose form is less than this like that of the patient's beats, and whose height is below this share of
theirs, is none: noise adds to what a QRS complex moves, and takes nothing from it. Where gain fell, the form stays."""

LIKE, UNLIKE = 4.8, 1.7
"""What likeness adds to the log odds of a candidate at most, and what is taken off in any case; how much both count is
a setting. Chosen on validation recordings."""


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
        self._signal: Floats = np.empty(0)
        self._stop = 0  # count of the sample after the newest one of it
        self._shapes.reset()
        self._said: dict[float, float] = {}  # what the network said about the last candidates

    def push(self, samples: Samples) -> None:
        """Take the next samples, shape (n,), 250 Hz."""
        if self.weight and len(samples):
            self._signal = np.concatenate((self._signal[-HELD:], samples))
            self._stop += len(samples)

    def weigh(self, peaks: list[Peak]) -> list[Peak]:
        """Return candidates, which have become known at once, with the probability that they have now.

        Those that are next to impossible then are left out.
        """
        if not self.weight or not peaks:
            return peaks
        if len(self._said) > MOST_SAID:
            self._said = {at: p for at, p in self._said.items() if at > self._stop - HELD}
        self._said |= {peak.at: peak.probability for peak in peaks}
        doubtful = [i for i, peak in enumerate(peaks) if peak.probability < SURELY]
        known = peaks[-1].known
        signal = self._signal[: known - self._stop + len(self._signal)]  # no sample later than that
        if not doubtful or not self._shapes.known or len(signal) < LEAST:
            return peaks
        at = [round(peaks[i].at) - known for i in doubtful]
        matcher = Matcher(signal, self._shapes.known)
        looks = np.array(matcher.looks(np.array(at))).T.tolist()
        weighed = peaks.copy()
        for i, r, (like, form) in zip(doubtful, at, looks, strict=True):
            if matcher.drowned(r) or (form < FORMLESS and matcher.is_low(r, LOW)):
                weighed[i] = replace(peaks[i], probability=0.0)
            elif not math.isnan(like):
                weighed[i] = self._weighed(peaks[i], like)
        return [one for one in weighed if one.probability >= NONE]

    def learn(self, beats: list[Peak]) -> None:
        """Learn from beats that are confirmed, if the network was sure of them."""
        for beat in beats if self.weight else ():
            if self._said.get(beat.at, 0.0) >= SURE:
                self._shapes.learn(self._signal, round(beat.at) - self._stop + len(self._signal), beat.at)

    def _weighed(self, peak: Peak, likeness: float) -> Peak:
        odds = log_odds(peak.probability) + self.weight * (LIKE * likeness - UNLIKE)
        return Peak(peak.at, probability(odds), peak.known, peak.stop, likeness)
