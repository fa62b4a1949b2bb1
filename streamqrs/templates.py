"""Templates: what the QRS complexes of this patient look like, learnt from sure beats, to weigh doubtful ones.

A network knows what QRS complexes look like in general. Who has watched a patient for half a minute knows more: in
noise that looks like any QRS complex, one that has the shape and the height of the patient's own is a beat. So each
candidate is compared with the mean of the patient's sure beats, between 4 and 32 Hz (a matched filter), and its log
odds change by how well it fits. Beats of several shapes have a template each, so that ectopic ones are
known, too.

Nothing is weighed before enough sure beats were seen, nor after sure beats stopped to look like the templates, as when
a lead is changed: then the templates are forgotten, and learnt anew.

References
----------
Turin, "An introduction to matched filters", IRE Trans. Inf. Theory 6, 1960.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamqrs.types import RATE, Peak, Samples

Floats = NDArray[np.float64]

REACH = 20
"""Samples of a template on either side of R (80 ms)."""

TAPS = 15
"""Taps on either side of the middle of the band-pass filter."""

PLAY = 5
"""A candidate is compared at its R peak and so many samples to either side."""

WIDTH = 2 * REACH + 1
SIZE = WIDTH + 2 * PLAY
"""Samples about a candidate that are looked at; of those that are not there yet the last one is held."""

HELD = 6 * RATE
"""Samples that are kept: a beat is learnt from once it is confirmed."""

BAND = signal.firwin(2 * TAPS + 1, (4, 32), pass_zero=False, fs=RATE)
BAND -= BAND.sum() * np.hamming(2 * TAPS + 1) / np.hamming(2 * TAPS + 1).sum()
"""The filter, symmetric; neither a constant nor a slope passes."""

MOST_SAID = 64
"""Candidates from which on those that are no longer held are forgotten."""

SURE = 0.95
"""Probability from which a beat is learnt from."""

ALIKE = 0.8
"""Correlation with a template from which a beat is of its shape."""

OTHER = 0.5
"""Correlation below which a sure beat speaks against all templates."""

ENOUGH = 8
"""Beats that a template is the mean of, before it counts."""

SLOWEST = 32
"""A template follows the last beats of its shape, as a running mean of about so many."""

MOST = 4
"""Templates; the one that was longest not seen makes room for a new shape."""

LOST = 8
"""Sure beats in a row that look like no template that counts, after which those are forgotten."""

HEIGHTS = 16
"""Last heights whose median is the height of a template's beats."""

SPREAD = 0.35
"""Standard deviation of the log of a beat's height, against the template's."""

LIKE, UNLIKE = 2.6, 1.2
"""What likeness adds to the log odds of a candidate at most, and what is taken off in any case.

Their ratio is that of a logistic regression on candidates of 47 training recordings in noise, in the virtual scanner,
and as they are; how much of both counts is a setting."""


@dataclass(slots=True, eq=False)
class _Template:
    """Mean of beats of one shape, shape (41,), as a whole and of height 1, and the heights of the last ones."""

    mean: Floats
    shape: Floats
    heights: deque[float]
    height: float
    seen: float
    count: int = 1


class Templates:
    """Weigh candidates by how much they look like the patient's beats.

    Parameters
    ----------
    weight : float
        Of the likeness against the network's probability; with 0 nothing is learnt, and nothing weighed.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self._raw = np.empty(0, np.float32)  # the last samples, for the filter
        self._held = np.empty(0)  # the filtered signal
        self._stop = 0  # count of the sample after the newest one that is filtered
        self._templates: list[_Template] = []
        self._said: dict[float, float] = {}  # what the network said about the last candidates
        self._strange = 0

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
        known = [one for one in self._templates if one.count >= ENOUGH]
        if not known:
            return peaks
        match, height, _ = _compare(np.concatenate([self._pieces(peak) for peak in peaks]), known)
        off = np.log(np.maximum(height, 1e-9) / [one.height for one in known]) / SPREAD
        likeness = (np.maximum(match, 0.0) ** 2 * np.exp(-0.5 * off**2)).max(axis=1).tolist()
        return [self._weighed(peak, like) for peak, like in zip(peaks, likeness, strict=True)]

    def learn(self, beats: list[Peak]) -> None:
        """Learn from beats that are confirmed, if the network was sure of them."""
        for beat in beats if self.weight else ():
            if self._said.get(beat.at, 0.0) >= SURE:
                self._learn(beat)

    def _weighed(self, peak: Peak, likeness: float) -> Peak:
        odds = _log_odds(peak.probability) + self.weight * (LIKE * likeness - UNLIKE)
        return Peak(peak.at, 1 / (1 + math.exp(-odds)), peak.known, peak.stop, likeness)

    def _learn(self, beat: Peak) -> None:
        pieces = self._pieces(beat)
        match, height, place = (x.reshape(-1) for x in _compare(pieces, self._templates))
        known = [one for one in self._templates if one.count >= ENOUGH]
        fits = max((m for m, one in zip(match.tolist(), self._templates, strict=True) if one in known), default=1.0)
        self._strange = self._strange + 1 if fits < OTHER else 0
        best = int(match.argmax()) if len(match) else -1
        if best >= 0 and match[best] >= ALIKE:
            one = self._templates[best]
            one.mean += (pieces[place[best]] - one.mean) / min(one.count + 1, SLOWEST)
            one.shape = _unit(one.mean)
            one.heights.append(float(height[best]))
            one.height = sorted(one.heights)[len(one.heights) // 2]
            one.count, one.seen = one.count + 1, beat.at
        else:
            self._begin(pieces[PLAY].copy(), beat.at)
        if self._strange >= LOST:
            self._templates = [one for one in self._templates if one not in known]
            self._strange = 0

    def _begin(self, own: Floats, at: float) -> None:
        """Begin a template with a beat of a new shape."""
        if len(self._templates) == MOST:
            self._templates.remove(min(self._templates, key=lambda one: one.seen))
        tall = float(np.linalg.norm(own))
        self._templates.append(_Template(own, _unit(own), deque([tall], HEIGHTS), tall, at))

    def _pieces(self, peak: Peak) -> Floats:
        """The filtered signal about a candidate, shape (11, 41): at its R peak, and before and after it."""
        first = self._stop - len(self._held)
        begin = round(peak.at) - REACH - PLAY - first
        last = min(peak.known - TAPS, self._stop) - 1 - first  # no sample later than what was known then
        if begin >= 0 and begin + SIZE - 1 <= last:
            x = self._held[begin : begin + SIZE]
        else:
            x = self._held[np.clip(np.arange(begin, begin + SIZE), 0, last)]
        return np.ndarray((2 * PLAY + 1, WIDTH), x.dtype, x, 0, x.strides * 2)


def _compare(pieces: Floats, templates: list[_Template]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """For each candidate, 11 pieces, and each template: the best correlation, that piece's height, and which it is."""
    count = len(pieces) // (2 * PLAY + 1)
    if not templates:
        return np.empty((count, 0)), np.empty((count, 0)), np.empty((count, 0), np.int64)
    height = pieces @ np.array([one.shape for one in templates]).T
    match = height / np.maximum(np.sqrt(np.einsum("ij,ij->i", pieces, pieces)), 1e-12)[:, None]
    height, match = (x.reshape(count, 2 * PLAY + 1, len(templates)) for x in (height, match))
    place = match.argmax(axis=1)
    best = (np.arange(count)[:, None], place, np.arange(len(templates)))
    return match[best], height[best], place


def _unit(x: Floats) -> Floats:
    return np.asarray(x / max(float(np.linalg.norm(x)), 1e-12))


def _log_odds(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))
