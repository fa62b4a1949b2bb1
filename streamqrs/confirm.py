"""Confirmation: the finished curve → beats.

Candidates are weighed by their looks and by what they follow, and chosen by their rhythm.
"""

from __future__ import annotations

from streamqrs.followers import Followers, lessened
from streamqrs.peaks import Peaks
from streamqrs.rhythm import Rhythm
from streamqrs.settings import Settings
from streamqrs.templates import Templates
from streamqrs.types import Peak, Probabilities, Samples


class Confirmation:
    """`Peaks`, `Templates`, `Followers` and `Rhythm`, one after another.

    Parameters
    ----------
    settings : Settings
        Those of the detector.

    Attributes
    ----------
    followers : Followers or None
        What the gate may ask, too; None without a rhythm.
    """

    def __init__(self, settings: Settings) -> None:
        s = settings
        self._peaks = Peaks(s.low)
        self._templates = Templates(s.likeness)
        self.followers = Followers() if s.rhythm else None
        self._rhythm = Rhythm(s.threshold, s.distance, s.patience, s.rhythm, s.sure)

    @property
    def delay(self) -> int:
        """Samples after a candidate that are awaited at most."""
        return self._peaks.delay + self._rhythm.delay

    @property
    def settled(self) -> float:
        """No more beats come before this sample."""
        return min(self._rhythm.settled, self._peaks.settled)

    @property
    def last(self) -> float | None:
        """The newest beat, in 250 Hz samples."""
        return self._rhythm.last

    def reset(self, last: float | None = None) -> None:
        """Forget everything, as if newly made, but for a beat at `last`, whose refractory time may go on."""
        self._peaks.reset()
        self._templates.reset()
        if self.followers is not None:
            self.followers.reset()
        self._rhythm.reset(last)

    def hear(self, samples: Samples) -> None:
        """Take the next samples of the signal, shape (n,), 250 Hz: those that a curve is made of come before it."""
        self._templates.push(samples)

    def push(self, curve: Probabilities, known: int) -> list[Peak]:
        """Take the next piece of the finished curve, and return the beats that are certain now.

        Parameters
        ----------
        curve : Probabilities
            Contiguous with the last piece; may be empty.
        known : int
            Count of the 250 Hz sample after the newest one.
        """
        candidates = self._weigh(self._peaks.push(curve))
        beats = self._rhythm.push(candidates, self._peaks.stop, known)
        self._templates.learn(beats)
        return beats

    def flush(self, known: int) -> list[Peak]:
        """End the curve here, and return the beats that were still open."""
        candidates = self._weigh(self._peaks.flush())
        return self._rhythm.push(candidates, self._peaks.stop, known) + self._rhythm.flush(known)

    def _weigh(self, candidates: list[Peak]) -> list[Peak]:
        """Return candidates with the probability that they have, once looks and distances are known."""
        losses = self.followers.push(candidates) if self.followers is not None else {}
        weighed = self._templates.weigh(candidates)
        if not losses:
            return weighed
        return [lessened(one, losses[one.at]) if one.at in losses else one for one in weighed]
