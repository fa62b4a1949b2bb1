"""Data sets known by name, with their fixed splits: what is scored in each record, and how closely.

They lie as PhysioNet gives them in one folder, which the environment variable ``STREAMQRS_DATA`` names; in a checkout
the default is ``../shared/data``. Any folder, list or single recording can be scored besides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamqrs.errors import SourceNotFound
from streamqrs.metrics import Span
from streamqrs.records import Record, find_records

MITDB_TEST = "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234 104 217"
"""DS2 of de Chazal 2004, and two paced records."""
MITDB_TRAIN = "101 106 108 109 112 114 115 116 122 124 201 203 205 207 208 209 215 220 223 230 102 107"
SAME_PATIENT = frozenset({"202"})
"""Its patient is that of 201, in the train list: scored, but left out of pooled and mean figures."""

MITDB_VALIDATION = ("106", "114", "209", "223")
"""Ventricular ectopy, small and noisy QRS, supraventricular ectopy, bigeminy; all of the train list.

The two paced patients of that list are both trained on: there are no more of them."""
MITDB_FOR_TRAINING = tuple(name for name in MITDB_TRAIN.split() if name not in MITDB_VALIDATION)
QTDB_VALIDATION = ("sel14157", "sel16420", "sel302", "sel840", "sele0133")
LUDB_TRAIN = range(1, 151)
LUDB_VALIDATION = range(151, 176)
LUDB_TEST = range(176, 201)

NSTDB_SNR = {"24": "24 dB", "18": "18 dB", "12": "12 dB", "06": "6 dB", "00": "0 dB", "_6": "-6 dB"}
NSTDB_FIRST_S, NSTDB_BLOCK_S = 300.0, 120.0
"""Noise begins after five minutes, and comes and goes in blocks of two."""

MAIN_MS = 75.0


@dataclass(frozen=True, slots=True)
class Item:
    """A record of a data set.

    Attributes
    ----------
    path : pathlib.Path
        For `read_record`.
    lead : str, int or None
        Lead that is scored; None is the record's own default.
    group : str
        Level of noise, empty if it has none by name.
    noisy : bool
        Whether only NSTDB's noisy blocks count.
    marked : bool
        Whether only what lies between the first and the last marked beat counts.
    counted : bool
        Whether it goes into pooled and mean figures.
    scanner : str
        Preset of the virtual scanner that it was made in, empty if in none.
    families : tuple of str
        Families of scanner noise in it.
    """

    path: Path
    lead: str | int | None = None
    group: str = ""
    noisy: bool = False
    marked: bool = False
    counted: bool = True
    scanner: str = ""
    families: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the marks lie on R already: a simulated record, with the clean truth beside it."""
        path = Path(self.path)
        return path.with_name(f"{path.name.removesuffix('.hea')}_clean.hea").exists()

    def spans(self, record: Record) -> list[Span] | None:
        """Parts of the record that count, in s; None is all of it."""
        if self.noisy:
            first, block, stop = NSTDB_FIRST_S, NSTDB_BLOCK_S, record.duration_s
            starts = [first + 2 * block * k for k in range(int(stop / (2 * block)) + 1)]
            return [(start, min(start + block, stop)) for start in starts if start < stop]
        if self.marked and record.beats is not None and len(record.beats):
            return [(float(record.beats[0] / record.rate), float(record.beats[-1] / record.rate))]
        return None


@dataclass(frozen=True, slots=True)
class DataSet:
    """Records to score, and the tolerance in ms that their main figure is given at."""

    name: str
    items: tuple[Item, ...]
    main_ms: float = MAIN_MS
    note: str = field(default="", compare=False)


NAMES = ("mitdb:test", "mitdb:train", "nstdb", "ludb:val", "ludb:test", "qtdb")


def find_data(spec: str, *, lead: str | int | None = None) -> DataSet:
    """Find the records that a name or a path stands for.

    Parameters
    ----------
    spec : str
        One of `NAMES`, or the path of a folder, a list or a recording (see `find_records`).
    lead : str or int, optional
        Lead to score. Default: the first of MIT-BIH and QTDB, MLII of NSTDB, ii of LUDB.

    Raises
    ------
    SourceNotFound
        If nothing is there, or the folder of the data sets is not known.
    """
    if spec not in NAMES:
        path = Path(spec).expanduser()
        if not path.exists() and not path.with_name(f"{path.name}.hea").exists():
            raise SourceNotFound(f"no data {spec!r}: allowed are {', '.join(NAMES)}, or a folder, list or recording")
        return DataSet(path.name, tuple(_with_noise(Item(record, lead) for record in find_records(path))))
    root = data_folder()
    database, _, part = spec.partition(":")
    if not (root / database).is_dir():
        raise SourceNotFound(f"no folder {database} in {root}: STREAMQRS_DATA names the folder that holds it")
    if database == "mitdb":
        names = (MITDB_TEST if part == "test" else MITDB_TRAIN).split()
        counted = {name: part != "test" or name not in SAME_PATIENT for name in names}
        items = [Item(root / "mitdb" / name, 0 if lead is None else lead, counted=counted[name]) for name in names]
        note = "202 is left out of pooled and mean figures: its patient is that of 201" if part == "test" else ""
        return DataSet(spec, tuple(items), note=note)
    if database == "nstdb":
        items = [
            Item(root / "nstdb" / f"{patient}e{code}", lead or "MLII", snr, noisy=True)
            for code, snr in NSTDB_SNR.items()
            for patient in (118, 119)
        ]
        return DataSet(spec, tuple(items), 150.0, "noisy blocks only")
    if database == "ludb":
        numbers = LUDB_VALIDATION if part == "val" else LUDB_TEST
        items = [Item(root / "ludb" / "data" / str(n), lead or "ii", marked=True) for n in numbers]
        return DataSet(spec, tuple(items), note="between the first and the last marked beat")
    records = sorted((root / "qtdb").glob("*.hea"))
    return DataSet(spec, tuple(Item(path.with_suffix(""), 0 if lead is None else lead) for path in records))


def _with_noise(items: Iterable[Item]) -> list[Item]:
    """Tell of recordings of an MRI-300 set what noise is in them, as the manifest of the set says."""
    items = list(items)
    known: dict[Path, tuple[str, list[str]]] = {}
    for folder in {item.path.absolute().parent for item in items}:
        try:
            manifest = json.loads((folder.parent / "manifest.json").read_text(encoding="utf-8"))
            rows = manifest["recordings"] if manifest["set"] == "mri300" else []
            known |= {folder.parent / row["part"] / row["name"]: (row["preset"], row["families"]) for row in rows}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no manifest, or somebody else's
    found = [known.get(item.path.absolute().with_suffix(""), ("", [])) for item in items]
    return [
        replace(item, scanner=scanner, families=tuple(families))
        for item, (scanner, families) in zip(items, found, strict=True)
    ]


def data_folder() -> Path:
    """Folder of the data sets.

    Raises
    ------
    SourceNotFound
        If it is not there.
    """
    named = os.environ.get("STREAMQRS_DATA")
    root = Path(named) if named else Path(__file__).parent.parent.parent / "shared" / "data"
    if not root.is_dir():
        raise SourceNotFound(f"no data folder{f' {root}' if named else ''}: the variable STREAMQRS_DATA must name it")
    return root
