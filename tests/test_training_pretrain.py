import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("wfdb")

import torch
import wfdb

from streamqrs import datasets, model
from streamqrs.cli.app import main
from streamqrs.errors import BadModel, BadRecord, StreamqrsError
from streamqrs.training.export import PackageInfo, export, load_network
from streamqrs.training.place import Place
from streamqrs.training.pretrain import check, new_network, pretrain
from streamqrs.training.settings import TrainSettings
from streamqrs.training.unet import PRESETS, UNet, predict

QUICK = TrainSettings(steps=4, batch=2, validate_every=4, threads=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small folder that looks like MIT-BIH: 22 records of 20 s, two leads."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mitdb").mkdir()
    t = np.arange(20 * 360)
    for seed, name in enumerate(datasets.MITDB_TRAIN.split()):
        rng = np.random.default_rng(seed)
        r = np.cumsum(rng.integers(200, 400, 40))
        r = r[r < len(t) - 50]
        ecg = sum(np.exp(-0.5 * ((t - k) / 4) ** 2) for k in r)[:, None] * [1.0, -0.5]
        ecg += 0.02 * rng.standard_normal(ecg.shape)
        where = {"write_dir": str(folder / "mitdb")}
        wfdb.wrsamp(name, 360, ["mV"] * 2, ["MLII", "V1"], ecg, fmt=["16"] * 2, **where)
        wfdb.wrann(name, "atr", r, ["N"] * len(r), **where)
    return folder


def test_a_package_comes_out_and_nothing_else(tmp_path, data):
    result = pretrain(data, tmp_path / "new", settings=QUICK, name="mine")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert model.load(tmp_path / "new").name == "mine"
    values = json.loads((tmp_path / "new" / "mine.json").read_text())
    assert values["training"]["steps"] == 4
    for option in ("--name mine", "--preset base", "--steps 4", "--learning-rate 0.001", "--seed 0", "--threads 1"):
        assert f"{option} " in values["training"]["command"] + " "
    assert str(data) not in json.dumps(values)
    assert result.history[-1]["step"] == 4


def test_interrupted_nothing_looks_like_a_model_and_the_same_call_goes_on(tmp_path, data, monkeypatch):
    monkeypatch.setattr("streamqrs.training.loop.SAVE_EVERY", 1)

    def stop(now):
        if now.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(data, tmp_path / "new", settings=QUICK, progress=stop)
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.rglob("*.json"))
    seen = []
    pretrain(data, tmp_path / "new", settings=QUICK, progress=lambda now: seen.append(now.step))
    assert seen == [4]
    whole = pretrain(data, tmp_path / "whole", settings=QUICK).network
    weights = [(tmp_path / name / "base.safetensors").read_bytes() for name in ("new", "whole")]
    assert weights[0] == weights[1]
    assert not whole.training


def test_what_was_begun_with_other_settings_is_not_gone_on_with(tmp_path, data):
    def stop(now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(data, tmp_path / "new", settings=replace(QUICK, steps=1), progress=stop)
    with pytest.raises(StreamqrsError, match="other settings"):
        pretrain(data, tmp_path / "new", settings=QUICK)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, data):
    """Folder in which a training of ``new`` was stopped after its first step."""

    def stop(now):
        raise KeyboardInterrupt

    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(KeyboardInterrupt):
        pretrain(data, folder / "new", settings=QUICK, progress=stop)
    return folder


@pytest.mark.parametrize(
    "other",
    [
        {"settings": replace(QUICK, learning_rate=0.01)},
        {"start": "base"},
        {"preset": "seed"},
        {"scanner": "mixture"},
        {"without": ("comb",)},
        {"minutes": 1.0},
    ],
)
def test_with_other_arguments_it_is_not_gone_on_with(stopped, data, other):
    with pytest.raises(StreamqrsError, match="belongs to a training on other data or with other settings"):
        pretrain(data, stopped / "new", **{"settings": QUICK, **other})


def test_on_other_data_it_is_not_gone_on_with(tmp_path, stopped, data):
    changed = shutil.copytree(data, tmp_path / "changed")
    marks = wfdb.rdann(str(data / "mitdb" / "101"), "atr")
    wfdb.wrann("101", "atr", marks.sample[1:], marks.symbol[1:], write_dir=str(changed / "mitdb"))
    with pytest.raises(StreamqrsError, match="other data"):
        pretrain(changed, stopped / "new", settings=QUICK)


def test_a_batch_of_another_size_stands_in_the_command(tmp_path, data):
    settings = replace(QUICK, batch=3, steady=True, average=0.9, weight_decay=0.02, optimiser="muon")
    pretrain(data, tmp_path / "new", settings=replace(settings, workers=1))
    training = json.loads((tmp_path / "new" / "base.json").read_text())["training"]
    given = (
        "--steps 4 --batch 3 --learning-rate 0.001 --steady --optimiser muon --weight-decay 0.02 --average 0.9 --seed 0"
    )
    assert given in training["command"]
    pretrain(data, tmp_path / "here", settings=settings)
    weights = [(tmp_path / name / "base.safetensors").read_bytes() for name in ("new", "here")]
    assert weights[0] == weights[1]  # whoever draws the batches


def test_it_starts_from_the_mean_of_several_models(tmp_path, data):
    for name, seed in (("a", 1), ("b", 2)):
        pretrain(data, tmp_path / name, settings=replace(QUICK, seed=seed))
    a, b, mean = (
        new_network("base", start, 0).state_dict()
        for start in (str(tmp_path / "a"), str(tmp_path / "b"), f"{tmp_path / 'a'}+{tmp_path / 'b'}")
    )
    differ = 0
    for name, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (a[name] + b[name]) / 2)
            differ += not torch.equal(a[name], b[name])
    assert differ > 10
    with pytest.raises(BadModel, match="are of several architectures"):
        new_network("base", f"{tmp_path / 'a'}+{seed_package(tmp_path)}", 0)


def seed_package(folder):
    """An untrained package of the seed's architecture."""
    with torch.random.fork_rng():
        return export(UNet(PRESETS["seed"]), folder, PackageInfo("small", "1", {}, {}))


def test_odds_are_added_to_all_answers_in_the_end(tmp_path, data):
    plain = pretrain(data, tmp_path / "plain", settings=QUICK).network
    pretrain(data, tmp_path / "more", settings=QUICK, odds=0.75)
    values = json.loads((tmp_path / "more" / "base.json").read_text())
    assert " --odds 0.75 " in values["training"]["command"]
    windows = np.random.default_rng(0).standard_normal((4, 750)).astype(np.float32)
    p, q = predict(plain, windows), model.load(tmp_path / "more")(windows)
    assert np.log(q / (1 - q)) - np.log(p / (1 - p)) == pytest.approx(0.75, abs=1e-3)
    again = replace(QUICK, steps=0)
    pretrain(data, tmp_path / "later", settings=again, start=str(tmp_path / "plain"), name="base", odds=0.75)
    weights = [(tmp_path / name / "base.safetensors").read_bytes() for name in ("more", "later")]
    assert weights[0] == weights[1]
    with pytest.raises(ValueError, match="odds are 4: allowed are -3 to 3"):
        pretrain(data, tmp_path / "wrong", settings=QUICK, odds=4.0)
    assert not list(tmp_path.glob("wrong*"))


def test_several_processes_are_refused(tmp_path, data):
    with pytest.raises(ValueError, match="2 processes pretrain: allowed is one"):
        pretrain(data, tmp_path / "new", settings=QUICK, place=Place(world=2))


def test_minutes_become_steps(tmp_path, data):
    pretrain(data, tmp_path / "new", settings=QUICK, minutes=0.005)
    training = json.loads((tmp_path / "new" / "base.json").read_text())["training"]
    assert 1 <= training["steps"] < 300
    assert f"--steps {training['steps']} " in training["command"]


def test_what_cannot_work_is_refused_before_anything_is_read(tmp_path, data):
    with pytest.raises(ValueError, match="preset is 'huge': allowed are base, context, large, seed"):
        check(data, tmp_path / "new", "huge", None)
    with pytest.raises(ValueError, match="minutes are 0: allowed are above 0"):
        check(data, tmp_path / "new", "base", 0)
    with pytest.raises(ValueError, match="steps are 0 and there is no model to start from: allowed are 1 and more"):
        pretrain(data, tmp_path / "new", settings=replace(QUICK, steps=0))
    with pytest.raises(FileExistsError, match="there already"):
        check(data, tmp_path, "base", None)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        check(data, tmp_path / "a" / "b", "base", None)
    with pytest.raises(BadRecord, match="no training data in"):
        check(tmp_path, tmp_path / "new", "base", None)


def test_a_damaged_record_is_named(tmp_path, data):
    (tmp_path / "mitdb").mkdir()
    for path in (data / "mitdb").iterdir():
        (tmp_path / "mitdb" / path.name).symlink_to(path)
    (tmp_path / "mitdb" / "203.atr").unlink()
    with pytest.raises(BadRecord, match=r"203.* cannot be read"):
        pretrain(tmp_path, tmp_path / "new", settings=QUICK)
    assert not (tmp_path / "new").exists()


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["pretrain", *map(str, arguments)])
    output = capsys.readouterr()
    return stopped.value.code, output.out, output.err


def test_command_with_a_teacher_and_from_a_mean(tmp_path, data, capsys):
    given = ("--data", data, "--steps", 2, "--batch", 2, "--threads", 1)
    code, out, _ = run(capsys, *given, "--out", tmp_path / "taught", "--preset", "context", "--teacher", "base")
    assert (code, out.count("\n")) == (0, 1)
    training = json.loads((tmp_path / "taught" / "context.json").read_text())["training"]
    assert "--preset context --teacher base --steps 2 --batch 2" in training["command"]
    both = f"{tmp_path / 'taught'}+base"
    code, out, err = run(
        capsys, "--data", data, "--steps", 0, "--out", tmp_path / "mean", "--start", both, "--name", "mean"
    )
    assert code == 0, err
    assert "step 0 (f1 " in out
    written = load_network(tmp_path / "mean" / "mean.json").state_dict()
    mean = new_network("base", both, 0)
    assert all(torch.equal(value, written[name]) for name, value in mean.named_parameters())
    first = "encoder.0.0.norm.running_var"
    assert not torch.equal(mean.state_dict()[first], written[first])  # of its own windows
    assert (
        f"--start {both} --steps 0 " in json.loads((tmp_path / "mean" / "mean.json").read_text())["training"]["command"]
    )
    for wrong in (("--start", "base+nothing"), ("--teacher", "nothing")):
        code, _, err = run(capsys, *given, "--out", tmp_path / "none", *wrong)
        assert code == 1
        assert err.splitlines()[1:] == [
            "streamqrs: no model 'nothing': allowed are base, mri, or a model's folder, .json or .onnx file"
        ]
        assert not list(tmp_path.glob("none*"))


def test_command(tmp_path, data, capsys):
    code, out, err = run(
        capsys, "--data", data, "--out", tmp_path / "new", "--preset", "seed", "--steps", 2, "--threads", 1
    )
    assert code == 0
    assert out.startswith(f"{tmp_path / 'new'}: step 2 (f1 ")
    assert "step 2 of 2, loss " in err
    assert model.load(tmp_path / "new").name == "seed"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "nowhere", "--out", "new"], 1, "no training data in nowhere"),
        (["--data", ".", "--out", "."], 1, ". is there already"),
        (["--data", ".", "--out", "new", "--steps", "-1"], 2, "steps is -1: allowed are 0 and more"),
        (["--data", ".", "--out", "new", "--steps", "5", "--minutes", "5"], 2, "allowed is one of them"),
        (["--data", ".", "--out", "new", "--preset", "huge"], 2, "allowed are base, context, large, seed"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    got, out, err = run(capsys, *arguments)
    assert (got, out) == (code, "")
    assert err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.iterdir())


def test_without_torch_it_says_what_to_install(tmp_path):
    program = (
        "import sys; sys.modules['torch'] = None; from streamqrs.cli.app import main;"
        f"main(['pretrain', '--data', '.', '--out', {str(tmp_path / 'new')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == 'streamqrs: torch is not installed: pip install "streamqrs[train]"\n'
