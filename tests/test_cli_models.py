"""``streamqrs models``."""

import json
import shutil
from pathlib import Path

import pytest

import streamqrs.models
from streamqrs.cli.app import main
from streamqrs.model import available, load

SHIPPED = Path(streamqrs.models.__file__).parent


def run(*arguments, code=0):
    with pytest.raises(SystemExit) as left:
        main(["models", *map(str, arguments)])
    assert left.value.code == code


@pytest.fixture
def package(tmp_path):
    """The base model in a folder of its own, without a card."""
    for name in ("base.onnx", "base.json"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def test_the_list_names_every_model_its_hash_and_scores(capsys):
    run()
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["model", "version"]
    assert len(lines) == len(available())
    for name, line in zip(available(), lines, strict=True):
        assert line.startswith(name)
        assert load(name).sha256[:12] in line
    assert "F1".casefold() in lines[0].casefold()


def test_the_list_as_json(capsys):
    run("--json")
    found = json.loads(capsys.readouterr().out)
    assert [model["alias"] or model["name"] for model in found] == available()
    assert all(model["bytes"] == (SHIPPED / model["onnx"]).stat().st_size for model in found)


def test_a_card_is_shown_as_it_is_written(capsys):
    run("base")
    assert capsys.readouterr().out.rstrip() == (SHIPPED / "base.md").read_text().rstrip()


def test_one_model_as_json(capsys):
    run("base", "--json")
    assert json.loads(capsys.readouterr().out)["sha256"] == load("base").sha256


def test_a_model_of_ones_own(package, capsys):
    for path in (package, package / "base.onnx", package / "base.json"):
        run(path)
        assert json.loads(capsys.readouterr().out)["name"] == "base"
    (package / "base.md").write_text("# Ours\n")
    run(package)
    assert capsys.readouterr().out == "# Ours\n"


def test_an_alias_says_where_it_leads(package, capsys):
    (package / "ours.json").write_text(json.dumps({"format": 1, "name": "ours", "alias": "base"}))
    run(package / "ours.json")
    said = capsys.readouterr()
    assert "'ours' leads to 'base'" in said.err
    assert json.loads(said.out)["alias"] == "ours"


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(p.read_bytes()[:-1] + b"x"), Path.unlink])
def test_an_altered_model_is_refused(package, capsys, damage):
    damage(package / "base.onnx")
    run(package, code=1)
    error = capsys.readouterr().err
    assert error.startswith("streamqrs: ")
    assert error.count("\n") == 1


def test_no_such_model(capsys):
    run("nobody", code=1)
    assert "no model 'nobody': allowed are base" in capsys.readouterr().err
