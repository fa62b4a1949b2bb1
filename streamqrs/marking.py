"""Marking: the marks of a recording while somebody works on them, and how they are saved."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from streamqrs.marks import refine_marks
from streamqrs.readers import BEAT_CODES
from streamqrs.types import Samples
from streamqrs.wfdb_files import encode_marks

NEAR_S = 0.05
"""A mark that would come closer to another one than this is refused, in s."""
STEPS = 1000
"""Steps that can be taken back."""


class Mark(NamedTuple):
    """A mark: sample of the recording, and the annotator's code."""

    at: int
    code: str = "N"


@dataclass(slots=True)
class Change:
    """What a step took away, and what it put there."""

    removed: list[Mark] = field(default_factory=list)
    added: list[Mark] = field(default_factory=list)


class Marking:
    """Marks that can be added, deleted, moved, and taken back.

    Parameters
    ----------
    marks : iterable of Mark
        What is there to begin with.
    samples : numpy.ndarray
        Shape (n,), float32: the recording, for finding the R peak next to where somebody points; may have NaN.
    rate : float
        Its rate in Hz.

    Attributes
    ----------
    saved : bool
        Whether nothing has changed since it was last saved.
    """

    def __init__(self, marks: Iterable[Mark], samples: Samples, rate: float) -> None:
        self._marks = sorted(marks)
        good = np.isfinite(samples)
        self._samples = samples if good.all() else np.where(good, samples, np.float32(np.median(samples[good])))
        self._rate = rate
        self._done: list[Change] = []
        self.saved = True

    @property
    def marks(self) -> list[Mark]:
        """All marks, in order."""
        return list(self._marks)

    def add(self, at: int, *, code: str = "N", snap: bool = True) -> Change:
        """Add a mark.

        Parameters
        ----------
        at : int
            Sample where somebody points.
        code : str
            Code of the beat, one of WFDB's.
        snap : bool
            Put it onto the R peak, within 60 ms.

        Returns
        -------
        Change
            Empty if there is a mark already.
        """
        self._check(at)
        if code not in BEAT_CODES:
            raise ValueError(f"code {code[:8]!r}: allowed are {' '.join(sorted(BEAT_CODES))}")
        if snap:
            lo, hi = max(0, at - round(2 * self._rate)), at + round(2 * self._rate)
            at = lo + int(refine_marks(self._samples[lo:hi], [at - lo], self._rate)[0])
        if self._near(at) is not None:
            return Change()
        return self._do(Change(added=[Mark(at, code)]))

    def delete(self, at: int) -> Change:
        """Delete the mark at a sample; nothing happens where there is none."""
        mark = self._at(at)
        return self._do(Change(removed=[mark])) if mark else Change()

    def move(self, at: int, to: int) -> Change:
        """Move the mark at one sample to another one, if no other mark is near."""
        self._check(to)
        mark = self._at(at)
        near = self._near(to, but=mark)
        if mark is None or near is not None or to == at:
            return Change()
        return self._do(Change([mark], [Mark(to, mark.code)]))

    def undo(self) -> Change:
        """Take back the last step."""
        if not self._done:
            return Change()
        last = self._done.pop()
        return self._apply(Change(last.added, last.removed))

    def encode(self, rhythms: Iterable[tuple[int, str]] = ()) -> bytes:
        """Content of an annotation file; `rhythms` are changes of rhythm as (sample, WFDB name)."""
        at, codes = [mark.at for mark in self._marks], [mark.code for mark in self._marks]
        return encode_marks(at, self._rate, codes=codes, rhythms=list(rhythms))

    def _do(self, change: Change) -> Change:
        self._done.append(change)
        del self._done[:-STEPS]
        return self._apply(change)

    def _apply(self, change: Change) -> Change:
        for mark in change.removed:
            self._marks.remove(mark)
        for mark in change.added:
            insort(self._marks, mark)
        self.saved = False
        return change

    def _at(self, at: int) -> Mark | None:
        i = bisect_left(self._marks, (at, ""))
        return self._marks[i] if i < len(self._marks) and self._marks[i].at == at else None

    def _near(self, at: int, *, but: Mark | None = None) -> Mark | None:
        i = bisect_left(self._marks, (at, ""))
        others = [mark for mark in self._marks[max(0, i - 2) : i + 2] if mark != but]
        return next((mark for mark in others if abs(mark.at - at) < NEAR_S * self._rate), None)

    def _check(self, at: int) -> None:
        if not 0 <= at < len(self._samples):
            raise ValueError(f"sample {at}: allowed are 0 to {len(self._samples) - 1}")
