import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import streamqrs.models
from streamqrs.errors import BadModel
from streamqrs.model import AHEAD, available, load, read_sidecar
from streamqrs.types import WINDOW
from streamqrs.window import normalise

SHIPPED = Path(streamqrs.models.__file__).parent


@pytest.fixture
def package(tmp_path):
    """A copy of the base model that a test may damage."""
    for name in ("base.onnx", "base.json"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def change(package, **keys):
    sidecar = json.loads((package / "base.json").read_text()) | keys
    (package / "base.json").write_text(json.dumps({k: v for k, v in sidecar.items() if v is not None}))


def windows(n):
    rng = np.random.default_rng(0)
    return normalise(rng.standard_normal((n, 750)).cumsum(axis=1).astype(np.float32))


@pytest.mark.parametrize("name", available())
def test_every_shipped_model_runs_and_gives_probabilities(name):
    model = load(name)
    p = model(windows(3))
    assert p.shape == (3, 750)
    assert p.dtype == np.float32
    assert p.min() >= 0
    assert p.max() <= 1
    assert (SHIPPED / f"{model.name}.onnx").stat().st_size <= 4_000_000


def test_any_number_of_windows_on_any_number_of_threads_is_the_same():
    one = np.concatenate([load("base")(w[None]) for w in windows(70)])
    np.testing.assert_allclose(load("base")(windows(70)), one, atol=1e-6)
    np.testing.assert_allclose(load("base", threads=2)(windows(70)), one, atol=1e-6)


def test_batches_come_in_order_and_none_is_worked_on_twice(monkeypatch):
    model = load("base", threads=3)
    seen, plain = [], type(model).__call__

    def slow_for_some(self, batch):
        seen.append((threading.current_thread() is threading.main_thread(), len(batch)))
        time.sleep(0.02 * (len(batch) % 3))
        return plain(self, batch)

    monkeypatch.setattr(type(model), "__call__", slow_for_some)
    sizes = range(1, 41)
    parts = list(model.parts(windows(size) for size in sizes))
    assert [len(part) for part in parts] == list(sizes)
    for part in parts:
        np.testing.assert_allclose(part[0], parts[0][0], atol=1e-6)
    assert sorted(size for _, size in seen) == list(sizes)
    assert {own for own, _ in seen} == {True, False}  # who waits works, too


def test_batches_are_made_a_few_ahead_of_who_takes_them():
    model = load("base", threads=2)
    made = []
    parts = model.parts(made.append(k) or windows(1) for k in range(200))
    next(parts)
    assert len(made) == AHEAD + 1
    next(parts)
    assert len(made) == AHEAD + 2
    parts.close()


def test_a_network_that_fails_in_a_thread_is_heard_of():
    model = load("base", threads=2)
    with pytest.raises(Exception, match="Got: 749 Expected: 750"):
        list(model.parts(np.zeros((1, 749 if k == 30 else WINDOW), np.float32) for k in range(60)))


def test_a_package_is_found_by_folder_sidecar_or_network(package):
    for path in (package, package / "base.json", package / "base.onnx"):
        assert load(path).sha256 == load("base").sha256


def test_mri_is_there_whatever_it_leads_to():
    assert load("mri").name in {"mri", "base"}


def test_an_alias_leads_to_its_model_and_says_so(package):
    (package / "other.json").write_text(json.dumps({"format": 1, "name": "other", "alias": "base"}))
    model = load(package / "other.json")
    assert (model.name, model.alias) == ("base", "other")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"sha256": "0" * 64}, "altered"),
        ({"onnx": "../base.onnx"}, "plain name of a file beside it"),
        ({"onnx": "/etc/passwd"}, "plain name of a file beside it"),
        ({"onnx": "missing.onnx"}, "No such file"),
        ({"onnx": None}, "'onnx' is None"),
        ({"name": 7}, "'name' is 7"),
        ({"format": 2}, "format 1"),
        ({"rate": 360}, "'rate' is 360: allowed is 250"),
        ({"normalisation": "minmax"}, "allowed is 'zscore'"),
        ({"settings": [1]}, "an object is wanted"),
    ],
)
def test_a_bad_sidecar_is_refused_in_one_line(package, keys, text):
    change(package, **keys)
    with pytest.raises(BadModel, match=text) as caught:
        load(package)
    assert "\n" not in str(caught.value)


def test_settings_that_no_detector_takes_are_refused(package):
    from streamqrs import Detector

    change(package, settings={"treshold": 0.5})
    with pytest.raises(BadModel, match="no setting treshold"):
        Detector(250, model=package)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "[" * 100_000])
def test_what_is_no_sidecar_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadModel):
        read_sidecar(tmp_path / "x.json")


def test_a_file_that_is_no_network_is_refused(package):
    import hashlib

    (package / "base.onnx").write_bytes(b"junk" * 100)
    change(package, sha256=hashlib.sha256(b"junk" * 100).hexdigest())
    with pytest.raises(BadModel, match="not a network"):
        load(package)


def test_too_large_a_file_is_not_read(package):
    with (package / "base.onnx").open("r+b") as file:
        file.truncate(65 << 20)
    with pytest.raises(BadModel, match="allowed are 67108864"):
        load(package)


def test_a_folder_without_or_with_several_sidecars_is_refused(tmp_path, package):
    with pytest.raises(BadModel, match=r"holds 0 \.json files"):
        load(Path(__file__).parent)
    shutil.copy(package / "base.json", package / "other.json")
    with pytest.raises(BadModel, match=r"holds 2 \.json files"):
        load(package)
