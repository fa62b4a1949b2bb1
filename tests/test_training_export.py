import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from streamqrs import model
from streamqrs.errors import BadModel
from streamqrs.training import export as exporting
from streamqrs.training.export import PackageInfo, check_onnx, export, load_network, to_onnx
from streamqrs.training.unet import PRESETS, UNet, UNetSettings, predict

INFO = PackageInfo("tiny", "3", {"data": "none", "seed": 0}, {"validation f1": 12.34}, summary="Only a test.")


def trained(settings=None):
    """A network whose batch norms are not those of a new one."""
    torch.manual_seed(1)
    network = UNet(settings or UNetSettings(kernel=12, strides=(6, 5), channels=(4, 8, 8)))
    for _ in range(3):
        network(2 + 3 * torch.randn(8, 1, 750))
    return network.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(trained(), tmp_path_factory.mktemp("package"), INFO).parent


@pytest.fixture
def package(exported, tmp_path):
    """Folder of a package that may be damaged."""
    return Path(shutil.copytree(exported, tmp_path / "package"))


@pytest.mark.parametrize("preset", PRESETS)
def test_onnx_computes_what_torch_does_in_batches_of_any_size(tmp_path, preset):
    network = trained(PRESETS[preset])
    to_onnx(network, tmp_path / "a.onnx")
    assert check_onnx(network, tmp_path / "a.onnx") < 1e-5


def test_a_package_runs_and_can_be_trained_on(package):
    network = trained()
    assert sorted(path.name for path in package.iterdir()) == ["tiny.json", "tiny.md", "tiny.onnx", "tiny.safetensors"]
    loaded = model.load(package)
    windows = np.random.default_rng(0).standard_normal((5, 750)).astype(np.float32)
    expected = predict(network, windows)
    np.testing.assert_allclose(loaded(windows), expected, atol=1e-4)
    assert expected.std() > 1e-3
    assert (loaded.name, loaded.version) == ("tiny", "3")
    again = load_network(package / "tiny.json")
    np.testing.assert_array_equal(predict(again, windows), expected)
    assert again.settings == network.settings


def test_sidecar_and_card_say_what_they_must(package):
    values = json.loads((package / "tiny.json").read_text())
    for key, file in (("sha256", "onnx"), ("weights_sha256", "weights")):
        assert values[key] == hashlib.sha256((package / values[file]).read_bytes()).hexdigest()
    assert {"rate": 250, "window": 750, "normalisation": "zscore", "format": 1}.items() <= values.items()
    assert values["architecture"] == {
        "type": "unet",
        "kernel": 12,
        "strides": [6, 5],
        "channels": [4, 8, 8],
        "attention": [],
    }
    card = (package / "tiny.md").read_text()
    for text in ("research use", "Only a test.", "12.34"):
        assert text in card


def test_a_wrong_export_is_noticed(tmp_path):
    to_onnx(trained(), tmp_path / "a.onnx")
    other = trained()
    with torch.no_grad():
        other.head.bias[1] += 0.5
    with pytest.raises(BadModel, match="differs from the trained network"):
        check_onnx(other, tmp_path / "a.onnx")


def test_altered_weights_are_refused(package):
    weights = package / "tiny.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BadModel, match="hash differs"):
        load_network(package / "tiny.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": {"type": "lstm"}}, "type unet"),
        ({"architecture": None}, "no model"),
        ({"weights": None}, "no"),
    ],
)
def test_a_base_of_another_kind_is_refused(package, change, message):
    sidecar = package / "tiny.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **change}))
    with pytest.raises(BadModel, match=message):
        load_network(sidecar)


def test_weights_of_another_shape_are_refused(package):
    sidecar = package / "tiny.json"
    values = json.loads(sidecar.read_text())
    values["architecture"]["channels"] = [4, 8, 16]
    sidecar.write_text(json.dumps(values))
    with pytest.raises(BadModel, match="can be trained on"):
        load_network(sidecar)


def test_no_weights_are_refused(package):
    (package / "tiny.safetensors").unlink()
    with pytest.raises(BadModel, match="can be trained on"):
        load_network(package / "tiny.json")


def test_the_shipped_base_model_can_be_trained_on():
    shipped = model._shipped() / "base.json"
    network = load_network(shipped)
    windows = np.random.default_rng(0).standard_normal((2, 750)).astype(np.float32)
    np.testing.assert_allclose(predict(network, windows), model.load("base")(windows), atol=exporting.TOLERANCE)
