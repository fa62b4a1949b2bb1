"""Plan of MRI-300: whose heart is recorded in which scanner, and where the three parts take their patients from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamqrs import datasets
from streamqrs.errors import SourceNotFound
from streamqrs.scanner import PRESETS
from streamqrs.scanner.settings import Range

SEED = 8
SEVERITY: Range = (1.35, 2.2)
TEST_SEVERITY: Range = (1.1, 1.8)
"""Factor on the height of all noise; the recordings of a part are spread evenly, on a logarithmic scale, between these.

Chosen, with the seed (of 0–9), so that the model ``base`` (65 and 69 %) scores about what the original's did before its
transfer: F1 63 % on validation and 69 % on test. Five test recordings vary much from seed to seed (sd of F1 14
points)."""

FIELDS = {"1.5T": 0.4, "3T": 0.45, "7T": 0.15}
"""Share of each preset among the recordings of a part."""

LUDB_LEADS = ("ii", "avr", "v1", "v2", "v3", "v4", "v5", "v6")
"""Leads with a QRS complex to see in everybody, as electrodes in a scanner are placed; also upside down."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the three parts.

    Attributes
    ----------
    name, letter : str
        Folder, and what the names of its recordings begin with.
    count : int
        Number of recordings.
    duration_s : float
        Length of each in s.
    severity : tuple of float
        Factor on the height of all added noise, from the mildest recording to the worst.
    shares : dict of str to float
        Share of each database among the recordings.
    second_lead : float
        Chance of a two-lead record to give its second lead.
    """

    name: str
    letter: str
    count: int
    duration_s: float
    severity: Range
    shares: dict[str, float]
    second_lead: float = 0.0


STIMULUS_MARKED = frozenset({"102", "104", "107", "217"})
"""Patients with a pacemaker whose marks lie at the stimulus: where their R peaks are, nobody has said. Pacing stimuli
are added to other hearts instead, whose R peaks are known."""

PARTS = (
    Part("finetune", "f", 250, 50.0, SEVERITY, {"mitdb": 0.44, "qtdb": 0.36, "ludb": 0.20}, second_lead=0.25),
    Part("validation", "v", 50, 50.0, SEVERITY, {"mitdb": 0.4, "qtdb": 0.4, "ludb": 0.2}),
    Part("test", "t", 5, 480.0, TEST_SEVERITY, {"mitdb": 1.0}),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """How one recording is made.

    Attributes
    ----------
    part, name : str
        Folder and name of the recording.
    database, record : str
        Where its heart comes from.
    lead : str or int
        Which lead.
    duration_s : float
        Length in s.
    slot, slots : int
        Its piece lies in this part of the record, of so many equal ones.
    preset : str
        The scanner.
    severity : float
        Factor on the height of all added noise.
    seed : int
        All else is drawn from it.
    """

    part: str
    name: str
    database: str
    record: str
    lead: str | int
    duration_s: float
    slot: int
    slots: int
    preset: str
    severity: float
    seed: int

    @property
    def patient(self) -> str:
        """Database and record, such as ``mitdb/101``; one name for each patient."""
        return f"{self.database}/{'201' if self.record in datasets.SAME_PATIENT else self.record}"


def patients(data: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """Records that each part takes its hearts from, by part and database.

    Parameters
    ----------
    data : pathlib.Path
        Holds ``mitdb``, ``qtdb`` and ``ludb/data``, as PhysioNet gives them.

    Raises
    ------
    SourceNotFound
        If something is missing.
    """
    if missing := [name for name in ("mitdb", "qtdb", "ludb") if not (data / name).is_dir()]:
        raise SourceNotFound(
            f"no folder {missing[0]} in {data}: wanted are mitdb, qtdb and ludb, as PhysioNet has them"
        )
    qtdb = sorted(path.stem for path in (data / "qtdb").glob("*.hea"))
    test = [name for name in datasets.MITDB_TEST.split() if name not in datasets.SAME_PATIENT | STIMULUS_MARKED]
    found = {
        "finetune": {
            "mitdb": tuple(name for name in datasets.MITDB_FOR_TRAINING if name not in STIMULUS_MARKED),
            "qtdb": tuple(name for name in qtdb if name not in datasets.QTDB_VALIDATION),
            "ludb": tuple(map(str, datasets.LUDB_TRAIN)),
        },
        "validation": {
            "mitdb": datasets.MITDB_VALIDATION,
            "qtdb": datasets.QTDB_VALIDATION,
            "ludb": tuple(map(str, datasets.LUDB_VALIDATION)),
        },
        "test": {"mitdb": tuple(test)},
    }
    for parts in found.values():
        for database, names in parts.items():
            for name in names:
                if not record_path(data, database, name).with_name(f"{name}.hea").is_file():
                    raise SourceNotFound(f"no record {name} in {data / database}: the database is not complete")
    return found


def plan(
    data: Path, seed: int = SEED, *, preset: str | None = None, severity: float = 1.0, parts: tuple[Part, ...] = PARTS
) -> list[Entry]:
    """Draw which hearts are recorded in which scanner.

    Parameters
    ----------
    data : pathlib.Path
        See `patients`.
    seed : int
        Everything is drawn from it, 0 or more.
    preset : str, optional
        One of `streamqrs.scanner.PRESETS` for all. Default: the shares of `FIELDS`.
    severity : float
        Factor on that of each recording, 0 to 10.
    parts : tuple of Part
        What is to be made.

    Returns
    -------
    list of Entry
        One for each recording, by part and name.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}: allowed are 0 and more")
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}: allowed are {', '.join(PRESETS)}")
    if not 0 <= severity <= 10:
        raise ValueError(f"severity is {severity:g}: allowed are 0 to 10")
    there = patients(data)
    return [
        entry
        for number, part in enumerate(parts)
        for entry in _plan_part(part, there[part.name], (seed, number), preset, severity)
    ]


def record_path(data: Path, database: str, name: str) -> Path:
    """Path of a source record for `read_record`."""
    return data / database / "data" / name if database == "ludb" else data / database / name


def _plan_part(
    part: Part, there: dict[str, tuple[str, ...]], seed: tuple[int, int], preset: str | None, severity: float
) -> Iterator[Entry]:
    rng = np.random.default_rng((*seed, 0))
    presets = rng.permutation(_share(FIELDS, part.count)).tolist()
    low, high = part.severity
    severities = low * (high / low) ** ((rng.permutation(part.count) + rng.random(part.count)) / part.count)
    hearts: list[tuple[str, str, int, int]] = []
    databases = _share(part.shares, part.count)
    for database in part.shares:
        names, count = rng.permutation(there[database]).tolist(), databases.count(database)
        slots = -(-count // len(names))
        hearts += [(database, names[k % len(names)], k // len(names), slots) for k in range(count)]
    for number, which in enumerate(rng.permutation(len(hearts)).tolist()):
        database, record, slot, slots = hearts[which]
        own = np.random.default_rng((*seed, 1, number))
        second = int(own.random() < part.second_lead)
        yield Entry(
            part.name,
            f"{part.letter}{number + 1:0{len(str(part.count))}}",
            database,
            record,
            str(own.choice(LUDB_LEADS)) if database == "ludb" else second,
            part.duration_s,
            slot,
            slots,
            preset or presets[number],
            severity * float(severities[number]),
            int(own.integers(2**31)),
        )


def _share(shares: dict[str, float], count: int) -> list[str]:
    """Names in proportion to their shares, the largest remainders rounded up; shape (count,)."""
    exact = {name: share * count / sum(shares.values()) for name, share in shares.items()}
    whole = {name: int(value) for name, value in exact.items()}
    order = sorted(shares, key=lambda name: whole[name] - exact[name])
    for name in order[: count - sum(whole.values())]:
        whole[name] += 1
    return [name for name, number in whole.items() for _ in range(number)]
