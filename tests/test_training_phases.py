import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch.nn import functional

from streamqrs.training.phases import convolve, join, split, stretch
from streamqrs.training.unet import PRESETS, UNet, UNetSettings


def random(*shape):
    return torch.from_numpy(np.random.default_rng(len(shape) + shape[0]).standard_normal(shape))


def test_sample_n_u_plus_p_of_a_channel_stands_at_u_in_its_phase_p():
    x = torch.arange(24.0).reshape(1, 2, 12)
    parted = split(x, 3)
    assert parted.shape == (1, 6, 4)
    assert parted[0, 1].tolist() == [1, 4, 7, 10]
    assert parted[0, 3].tolist() == [12, 15, 18, 21]
    assert torch.equal(join(parted, 3), x)
    assert split(x, 1) is join(x, 1) is x


@pytest.mark.parametrize("phases", [2, 5, 6])
@pytest.mark.parametrize("taps", [5, 6, 12, 13, 25])
@pytest.mark.parametrize("before", ["half", "none", "all"])
def test_a_convolution_in_phases_is_the_convolution(phases, taps, before):
    x, weight = random(3, 4, 60), random(2, 4, taps)
    before = {"half": (taps - 1) // 2, "none": 0, "all": taps - 1}[before]
    plain = functional.conv1d(functional.pad(x, (before, taps - 1 - before)), weight)
    parted = convolve(split(x, phases), weight, before, 1, phases)
    assert parted.shape == (3, 2 * phases, 60 // phases)
    torch.testing.assert_close(join(parted, phases), plain)


@pytest.mark.parametrize(("phases", "taps"), [(6, 12), (5, 13), (5, 5), (2, 12)])
def test_one_that_lowers_the_rate_leaves_no_phases(phases, taps):
    x, weight = random(3, 4, 60), random(7, 4, taps)
    before = (taps - phases) // 2
    plain = functional.conv1d(functional.pad(x, (before, taps - phases - before)), weight, stride=phases)
    torch.testing.assert_close(convolve(split(x, phases), weight, before, phases, phases), plain)


@pytest.mark.parametrize("bias", [None, random(3)])
def test_one_that_raises_the_rate_makes_phases(bias):
    x, weight = random(2, 5, 10), random(5, 3, 6)
    plain = functional.conv_transpose1d(x, weight, bias, stride=6)
    torch.testing.assert_close(join(stretch(x, weight, bias), 6), plain)


@pytest.mark.parametrize("settings", [*PRESETS.values(), UNetSettings(kernel=13, strides=(5, 6), channels=(4, 8, 8))])
def test_a_network_in_training_computes_what_it_would_without_phases(settings):
    torch.manual_seed(0)
    network = UNet(settings).double()
    windows = random(4, 1, 750)
    logits, gradients = [], []
    for phased in (True, False):
        network.training = phased  # of the network alone: its batch norms and attention stay as they are
        network.zero_grad()
        logits.append(network(windows))
        logits[-1].square().sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    torch.testing.assert_close(*logits)
    torch.testing.assert_close(*gradients)


def test_a_network_that_was_only_asked_before_can_still_learn():
    network = UNet(PRESETS["seed"])
    with torch.inference_mode():
        network(torch.zeros(2, 1, 750))
    network(torch.zeros(2, 1, 750)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_attention_in_training_is_that_of_a_trained_network():
    torch.manual_seed(0)
    attention = UNet(PRESETS["context"]).double().attention["1"]
    torch.nn.init.normal_(attention.bias)
    rows = random(3, 32, 125)
    torch.testing.assert_close(attention.train()(rows), attention.eval()(rows))
