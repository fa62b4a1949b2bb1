"""MRI-300: whose hearts, in which scanner, and that the same seed writes the same bytes; on a small data folder."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamqrs import datasets
from streamqrs.errors import BadRecord, MissingExtra, SinkError, SourceNotFound
from streamqrs.evaluation import evaluate
from streamqrs.marks import refine_marks
from streamqrs.mri300 import write_mri300
from streamqrs.mri300_make import recorded_sequences
from streamqrs.mri300_plan import FIELDS, LUDB_LEADS, PARTS, SEED, STIMULUS_MARKED, plan
from streamqrs.records import read_record
from streamqrs.scanner import VirtualPatient
from streamqrs.wfdb_files import load_wfdb

SMALL = tuple(
    replace(part, count=count, duration_s=duration_s, shares=dict.fromkeys(part.shares, 1.0))
    for part, count, duration_s in zip(PARTS, (3, 2, 1), (8.0, 8.0, 12.0), strict=True)
)


def write_source(folder, names, rate, seconds, leads, seed, extensions):
    """Records of different names over the same samples: the virtual patient, upside down in every other lead."""
    folder.mkdir(parents=True)
    patient = VirtualPatient(rate, seed, heart_rate=80)
    samples, beats = patient.read(round(rate * seconds)), patient.take_beats()
    both = np.stack([samples * (-1) ** k for k in range(len(leads))], axis=1).astype(np.float64)
    wfdb = load_wfdb()
    wfdb.wrsamp("shared", rate, ["mV"] * len(leads), list(leads), both, fmt=["16"] * len(leads), write_dir=str(folder))
    at, codes = np.array([index for index, _ in beats]), [code for _, code in beats]
    wfdb.wrann("shared", "atr", at, symbol=codes, fs=rate, write_dir=str(folder))
    marks, header = (folder / "shared.atr").read_bytes(), (folder / "shared.hea").read_text()
    for name in names:
        (folder / f"{name}.hea").write_text(header.replace("shared ", f"{name} ", 1))
        for extension in extensions:
            (folder / f"{name}.{extension}").write_bytes(marks)
    for file in ("shared.hea", "shared.atr"):
        (folder / file).unlink()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What PhysioNet has, by names and formats: short, and of three patients."""
    folder = tmp_path_factory.mktemp("data")
    mitdb = (datasets.MITDB_TRAIN + " " + datasets.MITDB_TEST).split()
    qtdb = (*datasets.QTDB_VALIDATION, "sel100", "sel101", "sel102")
    ludb = map(str, (*datasets.LUDB_TRAIN, *datasets.LUDB_VALIDATION))
    write_source(folder / "mitdb", mitdb, 360, 40, ("MLII", "V1"), 1, ["atr"])
    write_source(folder / "qtdb", qtdb, 250, 40, ("ECG1", "ECG2"), 2, ["atr"])
    write_source(folder / "ludb" / "data", ludb, 500, 10, LUDB_LEADS, 3, LUDB_LEADS)
    return folder


@pytest.fixture(scope="module")
def written(data, tmp_path_factory):
    """A set of 3 + 2 + 1 recordings."""
    return write_mri300(tmp_path_factory.mktemp("out") / "set", data, parts=SMALL)


def manifest(out):
    return json.loads((out / "manifest.json").read_text())


def digests(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


# The plan


def test_patients_of_the_three_parts_are_disjoint(data):
    found = {part.name: {entry.patient for entry in plan(data) if entry.part == part.name} for part in PARTS}
    finetune, validation, test = found["finetune"], found["validation"], found["test"]
    assert not finetune & validation
    assert not finetune & test
    assert not validation & test
    assert "mitdb/202" not in finetune | validation | test  # the patient of 201
    assert {name.partition("/")[0] for name in test} == {"mitdb"}
    assert {name.partition("/")[2] for name in test} < set(datasets.MITDB_TEST.split())
    set_aside = {*datasets.MITDB_VALIDATION, *datasets.QTDB_VALIDATION, *map(str, datasets.LUDB_VALIDATION)}
    assert {name.partition("/")[2] for name in validation} <= set_aside
    assert not {name for name in finetune if name.partition("/")[2] in set_aside and not name.startswith("ludb")}
    assert len(finetune) > 60
    assert len(test) == 5


def test_the_size_and_the_mixture_are_those_of_the_protocol(data):
    entries = plan(data)
    lengths = Counter((entry.part, entry.duration_s) for entry in entries)
    assert lengths == {("finetune", 50): 250, ("validation", 50): 50, ("test", 480): 5}
    assert len({entry.name for entry in entries}) == len({entry.seed for entry in entries}) == 305
    for part in PARTS:
        mine = [entry for entry in entries if entry.part == part.name]
        presets = Counter(entry.preset for entry in mine)
        for preset, share in FIELDS.items():
            assert abs(presets[preset] - share * part.count) < 1
        severities = [entry.severity for entry in mine]
        assert part.severity[0] <= min(severities) < max(severities) <= part.severity[1]
        assert np.mean(np.log(severities)) == pytest.approx(np.mean(np.log(part.severity)), abs=0.2)


def test_pieces_of_a_patient_do_not_overlap(data):
    slots = Counter((e.patient, e.slot) for e in plan(data) if e.database != "ludb" and e.part != "test")
    assert max(slots.values()) == 1
    assert max(entry.slot for entry in plan(data)) > 1
    assert all(entry.slot < entry.slots for entry in plan(data))


def test_no_heart_whose_marks_lie_at_the_stimulus(data):
    assert not {entry.record for entry in plan(data) if entry.database == "mitdb"} & STIMULUS_MARKED


def test_another_seed_is_another_plan(data):
    assert plan(data, 1) == plan(data, 1)
    assert plan(data, 1) != plan(data, 2)


def test_one_preset_and_another_severity_for_all(data):
    base, other = plan(data, 1), plan(data, 1, preset="7T", severity=0.5)
    assert {entry.preset for entry in other} == {"7T"}
    assert [entry.severity for entry in other] == pytest.approx([entry.severity / 2 for entry in base])
    assert [entry.record for entry in other] == [entry.record for entry in base]


# What is written


def test_records_are_what_a_user_would_have(written):
    wfdb, rows = load_wfdb(), manifest(written.out)["recordings"]
    assert written.records == {"finetune": 3, "validation": 2, "test": 1}
    assert [row["name"] for row in rows] == ["f1", "f2", "f3", "v1", "v2", "t1"]
    assert {row["database"] for row in rows[:3]} == {"mitdb", "qtdb", "ludb"}
    for row in rows:
        path = written.out / row["part"] / row["name"]
        record, clean = wfdb.rdrecord(str(path)), wfdb.rdrecord(f"{path}_clean")
        assert (record.n_sig, record.fs, record.fmt) == (1, 250, ["16"])
        assert record.sig_len == clean.sig_len == row["duration_s"] * 250
        assert record.sig_name == clean.sig_name == [row["lead"]]
        assert record.comments[0] == f"patient {row['patient']}"
        marks = wfdb.rdann(str(path), "atr")
        assert len(marks.sample) == row["beats"] > 6
        assert marks.sample.min() >= 0
        assert marks.sample.max() < record.sig_len
        difference = np.std(record.p_signal - clean.p_signal) / np.ptp(clean.p_signal)
        assert difference > 0.02
    assert sum(row["beats"] for row in rows) == written.beats


def test_marks_lie_on_the_r_peaks_of_the_clean_lead(written):
    for row in manifest(written.out)["recordings"]:
        clean = read_record(written.out / row["part"] / f"{row['name']}_clean")
        inside = clean.beats[(clean.beats > 100) & (clean.beats < len(clean.samples) - 100)]
        assert np.abs(refine_marks(clean.samples, inside, 250) - inside).max() <= 1


def test_the_clean_lead_is_easy_and_the_other_is_not(written):
    paths = [written.out / row["part"] / row["name"] for row in manifest(written.out)["recordings"]]
    listing = written.out.parent / "clean.lst"
    listing.write_text("".join(f"{path}_clean\n" for path in paths))
    clean = evaluate("base", str(listing), workers=1).pooled()
    listing.write_text("".join(f"{path}\n" for path in paths))
    assert clean.f1 >= 98
    assert evaluate("base", str(listing), workers=1).pooled().f1 < clean.f1 - 2


def test_folders_are_found_by_the_other_commands(written):
    assert [item.path.name for item in datasets.find_data(str(written.out / "finetune")).items] == ["f1", "f2", "f3"]


def test_the_readme_says_how_to_make_it_again(written):
    head = manifest(written.out)
    assert head["command"] in (written.out / "README.md").read_text()
    assert head["seed"] == SEED
    assert head["recorded_sequences"] == 0


def test_a_page_of_pictures(written):
    from matplotlib.image import imread

    page = imread(written.out / "pictures.png")
    assert page.shape[0] > 800
    assert page.shape[1] > 800
    assert page[..., :3].std() > 0.05


def test_the_same_seed_writes_the_same_bytes_however_many_work_at_it(data, written, tmp_path):
    again = write_mri300(tmp_path / "again", data, parts=SMALL, workers=2)
    assert digests(again.out) == digests(written.out)
    assert len(digests(again.out)) == 6 * 6 + 3 + 3
    other = write_mri300(tmp_path / "other", data, parts=SMALL, seed=6, pictures=False)
    first, second = digests(written.out), digests(other.out)
    assert all(first[name] != second[name] for name in first if name.endswith(".dat"))
    assert "pictures.png" not in second


def test_progress_is_told_in_order(data, tmp_path):
    told = []
    write_mri300(tmp_path / "a", data, parts=SMALL, pictures=False, progress=lambda *done: told.append(done))
    assert told[0] == ("finetune/f1", 1, 6)
    assert told[-1] == ("test/t1", 6, 6)


# What is refused, and that nothing is left of it


@pytest.mark.parametrize(
    ("changes", "error", "wanted"),
    [
        ({"seed": -1}, ValueError, "seed is -1: allowed are 0 and more"),
        ({"preset": "9T"}, ValueError, "preset is '9T': allowed are none, ward, 1.5T"),
        ({"severity": 11}, ValueError, "severity is 11: allowed are 0 to 10"),
        ({"severity": float("nan")}, ValueError, "severity is nan"),
        ({"workers": 0}, ValueError, "workers are 0: allowed are 1 and more"),
    ],
)
def test_bad_arguments(data, tmp_path, changes, error, wanted):
    with pytest.raises(error, match=wanted):
        write_mri300(tmp_path / "set", data, **changes)
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_there_or_cannot_be(data, tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(FileExistsError, match="set is there already"):
        write_mri300(tmp_path / "set", data)
    with pytest.raises(FileNotFoundError, match="none is no folder"):
        write_mri300(tmp_path / "none" / "set", data)
    assert not [*(tmp_path / "set").iterdir()]


def test_data_that_is_missing_or_not_complete(data, tmp_path):
    with pytest.raises(SourceNotFound, match="no folder mitdb in"):
        write_mri300(tmp_path / "set", tmp_path)
    part = tmp_path / "data"
    part.mkdir()
    for name in ("mitdb", "ludb"):
        (part / name).symlink_to(data / name)
    (part / "qtdb").mkdir()
    with pytest.raises(SourceNotFound, match=r"no record sel14157 in .*qtdb: the database is not complete"):
        write_mri300(tmp_path / "set", part)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_pictures_without_matplotlib_are_refused_at_once(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r'pip install "streamqrs\[train\]"'):
        write_mri300(tmp_path / "set", data, parts=SMALL)
    assert write_mri300(tmp_path / "set", data, parts=SMALL, pictures=False).beats > 40


def test_nothing_is_left_after_an_interruption(data, tmp_path):
    def interrupt(name, done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mri300(tmp_path / "set", data, parts=SMALL, pictures=False, progress=interrupt)
    assert not [*tmp_path.iterdir()]


def test_nothing_is_left_after_a_source_that_cannot_be_read(data, tmp_path):
    broken = tmp_path / "data"
    broken.mkdir()
    for name in ("mitdb", "ludb"):
        (broken / name).symlink_to(data / name)
    (broken / "qtdb").mkdir()
    for file in (data / "qtdb").glob("*.hea"):
        (broken / "qtdb" / file.name).write_text("nonsense\n")
    with pytest.raises(BadRecord, match="cannot be read as WFDB"):
        write_mri300(tmp_path / "set", broken, parts=SMALL, pictures=False)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_disk_that_takes_no_more_is_one_clear_line(data, tmp_path):
    code = f"""if True:
        import resource
        from dataclasses import replace
        from pathlib import Path
        from streamqrs.mri300 import PARTS, write_mri300
        parts = tuple(replace(part, count=1, duration_s=8.0, shares={{"mitdb": 1.0}}) for part in PARTS)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        write_mri300(Path({str(tmp_path / "set")!r}), Path({str(data)!r}), parts=parts, pictures=False)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{SinkError.__module__}.SinkError: {tmp_path / 'set'} cannot be written: "), done.stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.data
def test_real_hearts(data_dir, tmp_path):
    out = write_mri300(tmp_path / "set", data_dir, parts=SMALL, pictures=False).out
    rows = manifest(out)["recordings"]
    assert {row["looped"] for row in rows} == {True, False}
    paths = [out / row["part"] / f"{row['name']}_clean" for row in rows]
    (tmp_path / "clean.lst").write_text("".join(f"{path}\n" for path in paths))
    assert evaluate("base", str(tmp_path / "clean.lst"), workers=1).pooled().f1 >= 97


@pytest.mark.data
def test_the_test_hears_sequences_that_training_does_not(data_dir):
    heard, held_out = (recorded_sequences(Path(data_dir), test=test) for test in (False, True))
    assert len(heard) > len(held_out) > 3
    assert not {id(sequence) for sequence in heard} & {id(sequence) for sequence in held_out}
    shots = [{sequence.shot[0][1].tobytes() for sequence in row} for row in (heard, held_out)]
    assert len(shots[1] - shots[0]) >= 3
