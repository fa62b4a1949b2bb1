"""Life: the ids of beats, and what becomes of triggers."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from streamqrs.types import Peak

SAME = 20
"""A trigger and a confirmed beat this many 250 Hz samples apart (80 ms) are one heartbeat."""


class Step(NamedTuple):
    """A step in the life of a beat: what `Beat` holds, still in 250 Hz samples."""

    id: int
    kind: Literal["trigger", "beat", "withdrawn"]
    at: float
    probability: float
    rr: float | None
    known: int


class Life:
    """Give each heartbeat one id, and each trigger one end: ``beat`` or ``withdrawn``.

    Ids grow by one from 0 and go on after a reset.
    """

    def __init__(self) -> None:
        self.ids = 0
        self.reset()

    def reset(self) -> None:
        """Forget open triggers and the last beat; ids go on."""
        self._open: list[tuple[int, Peak]] = []
        self._last: float | None = None

    def trigger(self, peak: Peak) -> Step:
        """Open the life of a beat."""
        before = self._open[-1][1].at if self._open else self._last
        step = Step(self._next(), "trigger", peak.at, peak.probability, _since(peak.at, before), peak.known)
        self._open.append((step.id, peak))
        return step

    def confirm(self, peaks: list[Peak], settled: float, known: int) -> list[Step]:
        """Take confirmed beats in order, and end all triggers before `settled`: up to there no more beats come."""
        steps: list[Step] = []
        for peak in peaks:
            steps += self._withdraw(peak.at - SAME, known)
            near = [(abs(trigger.at - peak.at), id) for id, trigger in self._open if trigger.at <= peak.at + SAME]
            id = min(near)[1] if near else self._next()
            self._open = [(other, trigger) for other, trigger in self._open if other != id]
            steps.append(Step(id, "beat", peak.at, peak.probability, _since(peak.at, self._last), known))
            self._last = peak.at
        return steps + self._withdraw(settled - SAME, known)

    def end(self, known: int) -> list[Step]:
        """Withdraw all triggers that are open: the stream ends here."""
        return self._withdraw(math.inf, known)

    def _withdraw(self, before: float, known: int) -> list[Step]:
        gone = [(id, trigger) for id, trigger in self._open if trigger.at < before]
        self._open = self._open[len(gone) :]
        return [Step(id, "withdrawn", t.at, t.probability, None, known) for id, t in gone]

    def _next(self) -> int:
        self.ids += 1
        return self.ids - 1


def _since(at: float, before: float | None) -> float | None:
    return None if before is None else at - before
