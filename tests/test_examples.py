"""The scripts in examples/, as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *arguments, folder, timeout=200):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
        cwd=folder, check=False, env=os.environ | {"PYTHONWARNINGS": "error::DeprecationWarning:__main__"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_of_them_are_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "offline_detection.py", "live_loop.py", "gate_a_stimulus.py", "fine_tune_ten_records.py",
    }  # fmt: skip


def test_offline_detection(tmp_path):
    text = run("offline_detection.py", folder=tmp_path)
    assert "72 beats" in text
    table = (tmp_path / "beats.csv").read_text().splitlines()
    assert len(table) == 73
    (tmp_path / "again").mkdir()
    ecg = tmp_path / "ecg.csv"
    ecg.write_text("# rate: 250\n" + "\n".join(str((i % 200) // 199) for i in range(2500)))
    assert "beats" in run("offline_detection.py", ecg, folder=tmp_path / "again")


@pytest.mark.slow
def test_live_loop(tmp_path):
    lines = run("live_loop.py", folder=tmp_path).splitlines()
    assert sum(line.startswith("R at") for line in lines) >= 9
    assert any("trigger at" in line for line in lines)


@pytest.mark.slow
def test_gate_a_stimulus(tmp_path):
    lines = run("gate_a_stimulus.py", folder=tmp_path).splitlines()
    assert [line.split(":")[0] for line in lines] == [f"trial {i}" for i in range(1, 6)]
    assert all(int(line.split()[3]) >= 250 for line in lines), lines  # never before it is due


@pytest.mark.slow
def test_fine_tune(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    import importlib.util

    from streamqrs import model

    spec = importlib.util.spec_from_file_location("fine_tune_ten_records", EXAMPLES / "fine_tune_ten_records.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    (tmp_path / "data").mkdir()
    example.make_recordings(tmp_path / "data", count=3, seconds=9)  # a tiny stand-in for the ten
    text = run("fine_tune_ten_records.py", "data", "mine", 1, folder=tmp_path, timeout=500)
    assert "test: F1" in text
    assert model.load(tmp_path / "mine").name == "mine"
