import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from streamqrs.training.predictor import Predictor
from streamqrs.training.unet import PRESETS, UNet, UNetSettings, predict


@pytest.mark.parametrize("preset", PRESETS)
def test_shapes_and_size(preset):
    network = UNet(PRESETS[preset])
    assert network(torch.randn(2, 1, 750)).shape == (2, 2, 750)
    assert 250_000 < sum(p.numel() for p in network.parameters()) < (1_600_000 if preset == "large" else 450_000)


def test_seed_preset_goes_down_to_one_value():
    network = UNet(PRESETS["seed"]).eval()
    x, lengths = torch.randn(1, 1, 750), []
    for stage in network.encoder:
        x = stage(x)
        lengths.append(x.shape[2])
    assert lengths == [750, 125, 25, 5, 1]


def test_layers_are_all_of_the_network_from_the_bottom_to_the_top():
    network = UNet()
    layers = network.layers()
    assert list(layers) == ["encoder0", "encoder1", "encoder2", "encoder3", "decoder2", "decoder1", "decoder0", "head"]
    inside = [id(p) for layer in layers.values() for p in layer.parameters()]
    assert sorted(inside) == sorted(id(p) for p in network.parameters())


def test_layers_with_attention_are_all_of_the_network_too():
    network = UNet(PRESETS["context"])
    layers = network.layers()
    assert list(layers)[4:] == ["decoder2", "attention2", "decoder1", "attention1", "decoder0", "head"]
    inside = [id(p) for layer in layers.values() for p in layer.parameters()]
    assert sorted(inside) == sorted(id(p) for p in network.parameters())


def test_predict_is_softmax_in_any_batches_and_leaves_the_mode():
    network = UNet()
    network(torch.randn(16, 1, 750))  # batch norms that are not those of a new network
    windows = np.random.default_rng(0).standard_normal((5, 750)).astype(np.float32)
    whole, pieces = predict(network, windows), predict(network, windows, batch=2)
    assert network.training
    assert whole.shape == (5, 750)
    assert whole.dtype == np.float32
    assert ((whole > 0) & (whole < 1)).all()
    np.testing.assert_allclose(whole, pieces, atol=1e-6)
    assert predict(network, windows[:0]).shape == (0, 750)


@pytest.mark.parametrize("settings", [*PRESETS.values(), UNetSettings(kernel=13, strides=(5, 6), channels=(4, 8, 8))])
def test_predictor_with_folded_norms_computes_the_same(settings):
    torch.manual_seed(0)
    network = UNet(settings)
    for _ in range(3):
        network(torch.randn(16, 1, 750))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    windows = torch.randn(4, 1, 750)
    with torch.inference_mode():
        folded = Predictor(network)(windows)
    assert folded.shape == (4, 2, 750)
    np.testing.assert_allclose(folded[:, 1].numpy(), predict(network, windows[:, 0].numpy()), atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_settings_survive_the_sidecar():
    for settings in PRESETS.values():
        assert UNetSettings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"strides": (7, 5)}, "product divides 750"),
        ({"strides": ()}, "product divides 750"),
        ({"kernel": 4}, "allowed are 6"),
        ({"channels": (16, 32)}, "allowed are 4 positive"),
        ({"attention": (0,)}, "allowed are stages 1 to 2"),
        ({"attention": (3,)}, "allowed are stages 1 to 2"),
    ],
)
def test_impossible_shapes_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        UNetSettings(**given)


@pytest.mark.parametrize("values", [{"type": "lstm"}, {"type": "unet", "depth": 3}, {}])
def test_other_architectures_are_refused(values):
    with pytest.raises(ValueError, match="allowed are type unet"):
        UNetSettings.from_dict(values)


def test_gradients_in_bfloat16_are_those_in_float32():
    """A processor sums those of the norms of attention, over all rows, in the precision of the rows."""
    torch.manual_seed(0)
    attention, found = UNet(PRESETS["context"]).attention["1"].train(), []
    signal = torch.randn(128, attention.place.shape[1], len(attention.place)).bfloat16()
    wanted = torch.randn(signal.shape)
    for half in (False, True):
        attention.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            out = attention(signal if half else signal.float())
        (out.float() * wanted).sum().backward()
        found.append({name: p.grad.flatten() for name, p in attention.named_parameters()})
    for name, gradient in found[0].items():
        assert torch.cosine_similarity(gradient, found[1][name], dim=0) > 0.995, name
