"""Parts: annotated recordings of a folder or list → told apart by patient, and split into three parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamqrs.errors import BadRecord, SourceNotFound
from streamqrs.records import find_records
from streamqrs.training.annotated import Annotated, read_annotated

PARTS = ("finetune", "validation", "test")
"""Names of the parts, and of the folders that hold them."""

HELD_BACK = 0.15
"""Share of the patients that validation takes, and the test again, if they are not given."""

FEWEST_PATIENTS = 3
LISTS = (".txt", ".lst", ".list")


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The three parts; no patient is in two of them, as far as is known.

    Attributes
    ----------
    finetune, validation, test : tuple of Annotated
        Trained on; weights and thresholds are chosen on; only scored (may be empty).
    notes : tuple of str
        How the parts came to be.
    """

    finetune: tuple[Annotated, ...]
    validation: tuple[Annotated, ...]
    test: tuple[Annotated, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def items(self) -> list[tuple[str, tuple[Annotated, ...]]]:
        """Names and recordings of the parts that are not empty."""
        return [(name, part) for name in PARTS if (part := getattr(self, name))]


def load_parts(
    data: Path,
    validation: Path | None = None,
    test: Path | None = None,
    *,
    lead: str | int | None = None,
    records: int | None = None,
    seed: int = 0,
) -> Parts:
    """Read, check and split.

    Parameters
    ----------
    data : pathlib.Path
        Folder, list or recording; or a folder with the folders ``finetune``, ``validation`` and perhaps ``test``. A
        line of a list names a recording and may name its patient, after a tab or a comma.
    validation, test : pathlib.Path, optional
        The same. Without `validation`, patients of `data` are held back for both, or for validation alone if there
        is a `test`.
    lead : str or int, optional
        Lead of each recording, by label or index; as in `read_record`.
    records : int, optional
        Train on so many recordings; with the same seed, those of a smaller number are among those of a larger one.
    seed : int
        Of the split.

    Returns
    -------
    Parts
        What there is.

    Raises
    ------
    SourceNotFound, BadRecord
        If something is missing or cannot be used.
    ValueError
        If `records` is out of range.
    """
    if (data / PARTS[0]).is_dir():
        inside = [data / name if (data / name).is_dir() else None for name in PARTS]
        data, validation, test = inside[0] or data, validation or inside[1], test or inside[2]
    found = {
        name: [read_annotated(path, patient, lead=lead) for path, patient in list_recordings(source)]
        for name, source in zip(PARTS, (data, validation, test), strict=True)
        if source is not None
    }
    notes = [_told(one for part in found.values() for one in part)]
    patients = {one.patient for part in found.values() for one in part}
    if len(patients) < FEWEST_PATIENTS:
        count = f"{len(patients)} patient{'s' * (len(patients) != 1)} ({', '.join(sorted(patients))}; {notes[0]})"
        raise BadRecord(
            f"{data} has {count}: allowed are {FEWEST_PATIENTS} and more; "
            "a list of lines 'recording, patient' tells them apart"
        )
    rng = np.random.default_rng((seed, 7))
    if "validation" not in found:
        wanted = [name for name in PARTS[1:] if name not in found]
        found |= _split(found["finetune"], wanted, rng)
        notes.append(f"split by patient at random (seed {seed}): " + ", ".join(_size(n, p) for n, p in found.items()))
    notes += _check_apart(found)
    chosen = found["finetune"]
    if records is not None:
        if not 1 <= records <= len(chosen):
            raise ValueError(f"records are {records}: allowed are 1 to {len(chosen)}, what there is to train on")
        chosen = pick(chosen, records, seed)
        notes.append(f"trained on {records} of {len(found['finetune'])} recordings")
    return Parts(tuple(chosen), tuple(found["validation"]), tuple(found.get("test", ())), tuple(notes))


def pick(recordings: Sequence[Annotated], count: int, seed: int) -> list[Annotated]:
    """Pick some at random; with the same seed, those of a smaller count are among those of a larger one."""
    order = np.random.default_rng((seed, 8)).permutation(len(recordings))
    return [recordings[i] for i in sorted(order[:count].tolist())]


def list_recordings(source: Path) -> list[tuple[Path, str | None]]:
    """Recordings of a folder or list, each with its patient if the list names it."""
    if not source.exists() and not source.with_name(f"{source.name}.hea").is_file():
        raise SourceNotFound(f"no data {source}: wanted is a folder, a list or a recording")
    if not source.is_file() or source.suffix not in LISTS:
        return [(path, None) for path in find_records(source)]
    lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [re.split(r"\t|,", line.strip()) for line in lines]
    named = [row for row in rows if row[0] and not row[0].startswith("#")]
    if not any(len(row) > 1 for row in named):
        return [(path, None) for path in find_records(source)]
    return [
        (source.parent / row[0].strip(), row[1].strip() if len(row) > 1 and row[1].strip() else None) for row in named
    ]


def _split(
    recordings: Sequence[Annotated], wanted: Sequence[str], rng: np.random.Generator
) -> dict[str, list[Annotated]]:
    """Hold back some patients for each of the parts that are wanted, and leave the others."""
    patients = sorted({one.patient for one in recordings})
    if len(patients) <= len(wanted):
        raise BadRecord(f"{len(patients)} patients cannot be split: allowed are {len(wanted) + 1} and more")
    order = [patients[i] for i in rng.permutation(len(patients))]
    count = min(max(1, round(HELD_BACK * len(patients))), (len(patients) - 1) // len(wanted))
    held = {name: set(order[i * count : (i + 1) * count]) for i, name in enumerate(wanted)}
    rest = set(order[len(wanted) * count :])
    return {
        name: [one for one in recordings if one.patient in whose] for name, whose in {"finetune": rest, **held}.items()
    }


def _check_apart(found: dict[str, list[Annotated]]) -> list[str]:
    """Refuse a patient in two parts; where only names of files tell patients apart, note it."""
    notes = []
    names = [name for name in PARTS if name in found]
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = {one.path.resolve() for one in found[first]} & {one.path.resolve() for one in found[second]}
            if both:
                raise BadRecord(f"{min(both).name} is in {first} and in {second}: allowed is one of them")
            whose = [{one.patient: one.told for one in found[name]} for name in (first, second)]
            shared = sorted(whose[0].keys() & whose[1].keys())
            if not shared:
                continue
            if any(part[shared[0]] != "name" for part in whose):
                raise BadRecord(f"patient {shared[0]} is in {first} and in {second}: allowed is one of them")
            notes.append(f"by the names of the files, {shared[0]} may be the same patient in {first} and {second}")
    return notes


def _told(recordings: Iterable[Annotated]) -> str:
    words = {"list": "the list", "header": "comments of the headers", "name": "names of files up to the first _ or -"}
    told = {one.told for one in recordings}
    return "patients from " + " and ".join(words[name] for name in words if name in told)


def _size(name: str, part: Sequence[Annotated]) -> str:
    return f"{len({one.patient for one in part})} {name}"
