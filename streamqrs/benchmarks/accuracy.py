"""Accuracy: the figures that ``shared`` measures are given in, for several models on several data sets.

This is `streamqrs.evaluation` with a list of what is usually asked; for one model on one set, broken down as you like,
there is ``streamqrs evaluate``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from streamqrs.datasets import DataSet, find_data
from streamqrs.evaluation import evaluate
from streamqrs.metrics import Score
from streamqrs.scores import Evaluation

SETS = ("mitdb:test", "ludb:test", "nstdb")


@dataclass(frozen=True, slots=True)
class Row:
    """Scores of one model on one set, or on one level of noise of it.

    Attributes
    ----------
    model, data, group : str
        The model, the set, and the level of noise (empty if all of it).
    tolerance_ms : float
        Within which a beat counts as found, in ms.
    records : int
        How many went in.
    score : Score
        All records as one.
    worst, worst_f1 : str, float
        Record of the lowest F1, and that in %; of a level of noise empty and NaN.
    """

    model: str
    data: str
    group: str
    tolerance_ms: float
    records: int
    score: Score
    worst: str = ""
    worst_f1: float = float("nan")


def measure_accuracy(
    model: str,
    sets: Sequence[str] = SETS,
    *,
    records: Sequence[str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Row]:
    """Score a model on data sets, as the streaming detector hears them.

    Parameters
    ----------
    model : str
        Name or package of a model.
    sets : sequence of str
        See `streamqrs.datasets.find_data`.
    records : sequence of str, optional
        Only records of these names.
    progress : callable, optional
        Called with the name of each record that is done, the count of those done, and of all.

    Yields
    ------
    Row
        One for each set; one for each level of noise where a set has such levels.
    """
    for name in sets:
        result = evaluate(model, _only(find_data(name), records), progress=progress)
        groups = {group: score for group, score in result.groups().items() if group}
        if groups:
            for group, score in groups.items():
                count = sum(r.group == group for r in result.records)
                yield Row(result.model, name, group, result.main_ms, count, score)
        else:
            yield _whole(result, name)


def _whole(result: Evaluation, name: str) -> Row:
    worst = result.worst()
    count = sum(r.counted for r in result.records)
    f1 = worst.scores[result.main_ms].f1
    return Row(result.model, name, "", result.main_ms, count, result.pooled(), worst.name, f1)


def _only(data: DataSet, records: Sequence[str] | None) -> DataSet:
    if records is None:
        return data
    kept = tuple(item for item in data.items if item.path.stem in records)
    if not kept:
        raise ValueError(f"no record {', '.join(records)} in {data.name}")
    return replace(data, items=kept)
