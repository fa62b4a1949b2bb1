"""``streamqrs dataset`` as a user types it."""

import json

import pytest

from streamqrs.cli.app import main
from streamqrs.evaluation import evaluate
from streamqrs.mri300_plan import SEED, plan


def run(*arguments, code=0):
    with pytest.raises(SystemExit) as left:
        main(["dataset", *map(str, arguments)])
    assert left.value.code == code


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (["mri300", "--data", "HERE"], 1, "no folder mitdb in"),
        (["mri300", "--data", "HERE/none"], 1, "no folder mitdb in"),
        (["mri300", "--severity", "-1"], 2, "severity is -1: allowed are 0 to 10"),
        (["mri300", "--preset", "9T"], 2, "preset is '9T': allowed are none"),
        (["mri300", "--workers", "0"], 2, "workers are 0"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, capsys, arguments, code, wanted):
    given = [argument.replace("HERE", str(tmp_path)) for argument in arguments]
    if "--data" not in given:
        given += ["--data", str(tmp_path)]
    run(*given, "--out", tmp_path / "set", code=code)
    error = capsys.readouterr().err
    assert error.startswith("streamqrs: ")
    assert wanted in error
    assert error.count("\n") == 1
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_there(tmp_path, capsys):
    run("mri300", "--data", tmp_path, "--out", tmp_path, code=1)
    assert "is there already: give a folder that is not" in capsys.readouterr().err


def test_no_data_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STREAMQRS_DATA", str(tmp_path / "none"))
    run("mri300", "--out", tmp_path / "set", code=1)
    assert "the variable STREAMQRS_DATA must name it" in capsys.readouterr().err


def test_another_name_is_refused(tmp_path, capsys):
    run("mri400", "--out", tmp_path / "set", code=2)
    assert "mri300" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.slow
def test_the_set_is_as_hard_as_the_original(data_dir, tmp_path, monkeypatch, capsys):
    entries = [entry for entry in plan(data_dir) if entry.part != "finetune"]  # those to learn from take long
    monkeypatch.setattr("streamqrs.mri300.plan", lambda *given, **options: entries)
    out = tmp_path / "set"
    run("mri300", "--data", data_dir, "--out", out, "--json")
    summary = json.loads(capsys.readouterr().out)
    assert summary["records"] == {"finetune": 0, "validation": 50, "test": 5}
    assert summary["duration_s"] == 50 * 50 + 5 * 480
    validation, test = (evaluate("base", str(out / part)).pooled() for part in ("validation", "test"))
    # the original is 63.29 and 68.86 for its ordinary model, this set 63.33 and 61.34 for the seed's network
    assert 68 <= validation.f1 <= 88  # base hears more in noise: 78.14
    assert 53 <= test.f1 <= 73  # 62.57


def test_help_names_the_seed_of_the_set(capsys):
    run("--help")
    assert f"[default: {SEED}]" in capsys.readouterr().out
