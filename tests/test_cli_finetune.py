"""`streamqrs finetune` as a user types it, right and wrong."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from streamqrs import model
from streamqrs.cli.app import main
from streamqrs.scanner import VirtualPatient


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three patients in a quiet room, as npz."""
    folder = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("a_1", "b_1", "c_1")):
        patient = VirtualPatient(250.0, seed)
        ecg = patient.read(250 * 9)
        np.savez(folder / f"{name}.npz", ecg=ecg, rate=250.0, beats=[at for at, _ in patient.take_beats()])
    return folder


def run(capsys, *arguments):
    try:
        main(["finetune", "--base", "base", "--replay", "none", "--threads", "1", *map(str, arguments)])
    except SystemExit as stopped:
        output = capsys.readouterr()
        return stopped.code, output.out, output.err
    raise AssertionError("the command did not end")


def test_a_table_and_a_model_that_can_be_used(tmp_path, data, capsys):
    out = tmp_path / "mine"
    code, text, said = run(capsys, "--data", data, "--steps", 2, "--lr-decay", 0.8, "--freeze", 1, "--out", out)
    assert code == 0, said
    lines = text.splitlines()
    assert lines[0] == "before and after, within 75 ms"
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["validation", "base"], ["validation", "mine"], ["test", "base"], ["test", "mine"],
    ]  # fmt: skip
    assert "triggers on validation recordings, by --gate-depth and --gate-threshold; held by --align" in lines
    assert lines[-1].endswith(f"streamqrs run --source lsl --model {out}")
    assert "patients from names of files" in said
    assert "split by patient at random (seed 0): 1 finetune, 1 validation, 1 test" in said
    assert "step 2 of 2, loss " in said
    values = json.loads((out / "mine.json").read_text())
    assert model.load(out).name == "mine"
    command = values["training"]["command"]
    assert command.startswith("streamqrs finetune --base base --data DATA --preset default --freeze 1 --lr-decay 0.8 ")
    assert str(tmp_path) not in json.dumps(values) + (out / "report.html").read_text() + (out / "mine.md").read_text()


def test_figures_as_json(tmp_path, data, capsys):
    code, text, _ = run(
        capsys, "--data", data, "--test", data / "c_1.npz", "--validation", data / "b_1.npz", "--steps", 1,
        "--out", tmp_path / "x", "--name", "other", "--json",
    )  # fmt: skip
    assert code == 1
    listed = tmp_path / "list.txt"
    listed.write_text(f"{data / 'a_1.npz'}\n")
    code, text, said = run(
        capsys, "--data", listed, "--test", data / "c_1.npz", "--validation", data / "b_1.npz", "--steps", 1,
        "--out", tmp_path / "x", "--name", "other", "--json",
    )  # fmt: skip
    assert code == 0, said
    values = json.loads(text)
    assert values["model"] == "other"
    assert [look["gate_depth"] for look in values["triggers"]][1:] == [14, 18, 24]
    assert set(values["scores"]) == {"validation", "test"}
    after = values["scores"]["test"]["after"]
    assert after["tp"] + after["fn"] == after["beats"] > 5
    assert (tmp_path / "x" / "other.onnx").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "nowhere"], 1, "no data nowhere"),
        (["--data", "DATA", "--base", "huge"], 1, "no model 'huge'"),
        (["--data", "DATA", "--preset", "best"], 2, "preset is 'best': allowed are default, seed"),
        (["--data", "DATA", "--freeze", "all"], 2, "freeze is 'all': allowed are encoder, none, or a number"),
        (["--data", "DATA", "--freeze", "99"], 2, "freeze is 99: allowed are 0 to "),
        (["--data", "DATA", "--freeze", "1", "--from-scratch"], 2, "new weights cannot stay as they are"),
        (["--data", "DATA", "--lr", "0"], 2, "learning_rate is 0: allowed are above 0 to 1"),
        (["--data", "DATA", "--lr-decay", "1.5"], 2, "lr-decay is 1.5: allowed are above 0 to 1"),
        (["--data", "DATA", "--steps", "5", "--epochs", "5"], 2, "allowed is one of them"),
        (["--data", "DATA", "--steps", "0"], 2, "steps are 0: allowed are 1 and more"),
        (["--data", "DATA", "--records", "9"], 2, "records are 9: allowed are 1 to 1"),
        (["--data", "DATA", "--scanner", "9T"], 2, "scanner is '9T': allowed are none, "),
        (["--data", "DATA", "--lead", "V9"], 1, "has no lead 'V9'"),
        (["--data", "DATA", "--replay", "nowhere"], 1, "no training data in nowhere"),
        (["--data", "DATA", "--name", "a/b"], 2, "name is 'a/b': allowed are letters, digits"),
        (["--data", "DATA", "--out", "."], 2, "name is ''"),
        (["--data", "DATA", "--out", "there"], 1, "there is there already"),
        (["--data", "DATA", "--out", "no/new"], 1, "no is no folder"),
    ],
)
def test_bad_input_is_one_line_before_any_training(tmp_path, data, capsys, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    arguments = [str(data) if word == "DATA" else word for word in arguments]
    got, text, said = run(capsys, "--out", "new", *arguments)
    assert (got, text) == (code, ""), said
    lines = said.splitlines()
    assert lines[-1].startswith("streamqrs: ")
    assert message in lines[-1]
    assert lines[:-1] in ([], ["reading recordings"])
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_no_space_is_said_before_anything_is_read(tmp_path, data, capsys, monkeypatch):
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1 << 20, "total": usage.f_blocks}))
    code, _, said = run(capsys, "--data", data, "--out", tmp_path / "new")
    assert code == 1
    assert said.startswith("streamqrs: less than 64 MB are free in ")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_it_says_what_to_install(tmp_path):
    program = (
        "import sys; sys.modules['matplotlib'] = None; from streamqrs.cli.app import main;"
        f"main(['finetune', '--data', '.', '--out', {str(tmp_path / 'new')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr == 'streamqrs: matplotlib is not installed: pip install "streamqrs[train]"\n'


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path, data):
    program = tmp_path / "program.py"
    program.write_text("from streamqrs.cli.app import main\nmain()\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
            "--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", program, "finetune",
            "--base", "base", "--data", data, "--replay", "none", "--steps", "3", "--threads", "1", "--json",
            "--out", tmp_path / "new",
        ],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "new"
    assert done.stderr.count("step 3 of 3") == 1
    assert model.load(tmp_path / "new").name == "new"
