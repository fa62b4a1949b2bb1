"""``streamqrs detect``, on recordings of the virtual patient."""

import json
import subprocess
import sys

import numpy as np
import pytest

from streamqrs.cli.app import main
from streamqrs.cli.detect import detect_record
from streamqrs.detector import Detector
from streamqrs.metrics import score
from streamqrs.offline import detect
from streamqrs.records import Record, read_record
from streamqrs.scanner import VirtualPatient
from streamqrs.wfdb_files import load_wfdb

RATE, SECONDS = 360, 60


@pytest.fixture(scope="module")
def patient():
    """Samples, and the samples of their R peaks."""
    patient = VirtualPatient(rate=RATE, seed=3)
    samples = patient.read(RATE * SECONDS)
    return samples, np.array([at for at, _ in patient.take_beats()])


@pytest.fixture
def path(patient, tmp_path):
    x = np.stack([np.zeros_like(patient[0]), patient[0]], axis=1).astype(np.float64)
    load_wfdb().wrsamp("rec", fs=RATE, units=["mV"] * 2, sig_name=["flat", "II"], p_signal=x, fmt=["16"] * 2,
                       write_dir=str(tmp_path))  # fmt: skip
    return tmp_path / "rec.hea"


def run(*arguments, code=0):
    with pytest.raises(SystemExit) as left:
        main(["detect", *map(str, arguments), "--model", "base"])
    assert left.value.code == code


def failure(capsys, *arguments, code):
    run(*arguments, code=code)
    error = capsys.readouterr().err
    assert error.startswith("streamqrs: ")
    assert error.count("\n") == 1
    return error


def test_annotations_that_wfdb_reads(path, patient, capsys):
    out = path.with_suffix(".atr")
    run(path, "--lead", "II", "--out", out)
    found = load_wfdb().rdann(str(path.with_suffix("")), "atr")
    assert score(patient[1] / RATE, found.sample / RATE, 0.02, lead_in_s=0).f1 > 99
    assert set(found.symbol) == {"N"}
    text = capsys.readouterr().out
    assert f"rec: {len(found.sample)} beats in 60.0 s of II" in text
    assert str(out) in text


def test_the_table_and_the_events_say_the_same(path, tmp_path):
    run(path, "--lead", "II", "--out", tmp_path / "b.csv")
    run(path, "--lead", "II", "--out", tmp_path / "b.jsonl")
    header, *rows = [line.split(",") for line in (tmp_path / "b.csv").read_text().splitlines()]
    started, *events = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert started["event"] == "started"
    assert header[:2] == ["time_s", "sample"]
    times = [event["time"] for event in events]
    assert [float(row[0]) for row in rows] == pytest.approx(times, abs=6e-5)  # rounded to 0.1 ms
    beats = detect(read_record(path, lead="II").samples, RATE, "base")
    assert [event["index"] for event in events] == [beat.index for beat in beats]


def test_the_summary_as_json(path, patient, capsys):
    run(path, "--lead", 1, "--json")
    summary = json.loads(capsys.readouterr().out)
    assert abs(summary["beats"] - len(patient[1])) <= 1
    assert summary["mean_heart_rate"] == pytest.approx(60 * RATE / np.diff(patient[1]).mean(), rel=0.02)
    assert (summary["lead"], summary["rate"], summary["duration_s"]) == ("II", RATE, SECONDS)
    assert summary["model"] == "base"
    assert summary["gaps"] == 0


def test_a_table_on_stdout_leaves_the_summary_to_stderr(path, capsys):
    run(path, "--lead", "II", "--out", "-")
    said = capsys.readouterr()
    assert said.out.startswith("time_s,sample")
    assert "beats in 60.0 s" in said.err


def test_missing_samples_are_a_gap(patient, tmp_path, capsys):
    x = patient[0].copy()
    x[20 * RATE : 25 * RATE] = np.nan
    np.savez(tmp_path / "a.npz", ecg=x, fs=RATE)
    run(tmp_path / "a.npz", "--json")
    summary = json.loads(capsys.readouterr().out)
    assert (summary["gaps"], summary["missing_s"]) == (1, 5)
    truth = patient[1][(patient[1] < 20 * RATE) | (patient[1] > 25 * RATE)]
    assert abs(summary["beats"] - len(truth)) <= 2


def test_progress_is_told_and_changes_nothing(patient, monkeypatch):
    record = Record("x", patient[0], RATE)
    whole = detect_record(record, Detector(RATE, "base"))
    monkeypatch.setattr("streamqrs.cli.detect.STEP_S", 7.0)
    seen = []
    parts = detect_record(record, Detector(RATE, "base"), seen.append)
    assert [beat.index for beat in parts.beats] == [beat.index for beat in whole.beats]
    assert seen == [7, 14, 21, 28, 35, 42, 49, 56, 60]


def test_a_file_that_is_there_is_kept(path, tmp_path, capsys):
    out = tmp_path / "b.csv"
    out.write_text("mine")
    assert "is there already" in failure(capsys, path, "--lead", "II", "--out", out, code=1)
    assert out.read_text() == "mine"
    run(path, "--lead", "II", "--out", out, "--force")
    assert out.read_text().startswith("time_s")


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (["--lead", "flat"], 1, "flat line"),
        (["--lead", "V5"], 1, "it has flat, II"),
        (["--lead", "II", "--rate", "500"], 2, "rec says 360 Hz"),
        (["--lead", "II", "--out", "beats.xml"], 2, "allowed are .atr, .csv, .edf, .jsonl, .tsv"),
        (["--lead", "II", "--out", "no/such/folder/beats.csv"], 1, "no folder"),
        (["--lead", "II", "--out", "-", "--json"], 2, "allowed is one of them"),
    ],
)
def test_bad_arguments(path, capsys, arguments, code, wanted):
    assert wanted in failure(capsys, path, *arguments, code=code)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("# rate: 250\n" + "nan\n" * 5000, "NaN"),
        ("# rate: 250\n" + "1\n2\n" * 100, "lasts 0.8 s"),
        ("1\n2\n" * 5000, "does not say its sampling rate"),
        ("# rate: 50\n" + "1\n2\n" * 5000, "50 Hz: allowed are 100"),
        ("", "no row of numbers"),
    ],
)
def test_bad_recordings(tmp_path, capsys, content, wanted):
    (tmp_path / "a.csv").write_text(content)
    assert wanted in failure(capsys, tmp_path / "a.csv", code=1)


def test_no_file_and_no_model(path, tmp_path, capsys):
    assert "no recording" in failure(capsys, tmp_path / "nothing.hea", code=1)
    with pytest.raises(SystemExit) as left:
        main(["detect", str(path), "--model", "nobody"])
    assert left.value.code == 1
    assert "no model 'nobody'" in capsys.readouterr().err


def test_as_a_user_types_it(path):
    code = "import sys; from streamqrs.cli.app import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "detect", str(path), "--lead", "II", "--model", "base"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("rec: ")
    assert done.stderr == ""


@pytest.mark.data
def test_a_real_recording(data_dir, capsys):
    run(data_dir / "mitdb" / "100", "--json")
    assert abs(json.loads(capsys.readouterr().out)["beats"] - 2273) <= 2
