"""Scores: those of a model on a data set, record by record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from streamqrs.metrics import Score, mean, pooled


@dataclass(frozen=True, slots=True)
class RecordScore:
    """Scores of one record.

    Attributes
    ----------
    name, lead : str
        Of the record.
    group : str
        Its level of noise, empty if it has none by name.
    counted : bool
        Whether it goes into pooled and mean figures.
    duration_s : float
        Length of the record in s.
    scores : dict of float to Score
        Confirmed beats, by tolerance in ms.
    rhythms : dict of str to Score
        Confirmed beats at the main tolerance, by rhythm; empty unless asked for.
    triggers, normal_triggers : Score or None
        Triggers, their delay as offset; those of normal beats. None without the gate.
    scanner : str
        Preset of the virtual scanner that it was made in, empty if in none.
    families : tuple of str
        Families of scanner noise in it.
    """

    name: str
    lead: str
    group: str
    counted: bool
    duration_s: float
    scores: dict[float, Score]
    rhythms: dict[str, Score] = field(default_factory=dict)
    triggers: Score | None = None
    normal_triggers: Score | None = None
    scanner: str = ""
    families: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a model on a data set.

    Attributes
    ----------
    model, version, sha256 : str
        The network.
    data, note : str
        The data set, and what is special about how it is scored.
    main_ms : float
        Tolerance of the main figure in ms.
    tolerances_ms : tuple of float
        All tolerances in ms.
    records : tuple of RecordScore
        In the order of the data set.
    align_ms : float or None
        How long after R triggers were sent, in ms; None: as soon as they were known.
    """

    model: str
    version: str
    sha256: str
    data: str
    note: str
    main_ms: float
    tolerances_ms: tuple[float, ...]
    records: tuple[RecordScore, ...]
    align_ms: float | None = None

    def scores(self, tolerance_ms: float | None = None) -> list[Score]:
        """Scores of the records that go into pooled and mean figures."""
        return [record.scores[tolerance_ms or self.main_ms] for record in self.records if record.counted]

    def pooled(self, tolerance_ms: float | None = None) -> Score:
        """All records as one."""
        return pooled(self.scores(tolerance_ms))

    def mean(self, figure: Callable[[Score], float], tolerance_ms: float | None = None) -> float:
        """Mean of a figure over the records."""
        return mean(self.scores(tolerance_ms), figure)

    def worst(self, tolerance_ms: float | None = None) -> RecordScore:
        """Record of the lowest F1; one without a beat is passed over."""
        tolerance_ms = tolerance_ms or self.main_ms
        return min(self.records, key=lambda record: np.nan_to_num(record.scores[tolerance_ms].f1, nan=np.inf))

    def groups(self) -> dict[str, Score]:
        """Pooled score of each level of noise, at the main tolerance."""
        return _by_name((r.group, r.scores[self.main_ms]) for r in self.records if r.counted)

    def scanners(self) -> dict[str, list[RecordScore]]:
        """Records of each virtual scanner, by its name."""
        return {name: [r for r in self._scanned() if r.scanner == name] for name in self._all(lambda r: [r.scanner])}

    def families(self) -> dict[str, tuple[list[RecordScore], list[RecordScore]]]:
        """For each family of scanner noise the records that have it, and those that do not, by its name."""
        return {
            name: (
                [r for r in self._scanned() if name in r.families],
                [r for r in self._scanned() if name not in r.families],
            )
            for name in self._all(lambda r: r.families)
        }

    def _scanned(self) -> list[RecordScore]:
        return [record for record in self.records if record.counted and record.scanner]

    def _all(self, names: Callable[[RecordScore], Iterable[str]]) -> list[str]:
        return sorted({name for record in self._scanned() for name in names(record)})

    def rhythms(self) -> dict[str, Score]:
        """Pooled score of each rhythm, at the main tolerance; the most frequent first."""
        found = _by_name(pair for r in self.records if r.counted for pair in r.rhythms.items())
        return dict(sorted(found.items(), key=lambda pair: -pair[1].beats))

    def triggers(self, *, normal: bool = False) -> Score | None:
        """Triggers of all records as one, or those of normal beats alone; None without the gate."""
        found = [r.normal_triggers if normal else r.triggers for r in self.records if r.counted]
        scores = [s for s in found if s is not None]
        return pooled(scores) if scores else None


def _by_name(pairs: Iterable[tuple[str, Score]]) -> dict[str, Score]:
    found: dict[str, list[Score]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: pooled(scores) for name, scores in found.items()}
