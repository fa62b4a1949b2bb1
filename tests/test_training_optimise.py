from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from streamqrs.training.optimise import REST, Optimiser
from streamqrs.training.settings import TrainSettings
from streamqrs.training.unet import UNet, UNetSettings

SMALL = UNetSettings(kernel=12, strides=(6, 5), channels=(4, 8, 8), attention=(1,))
MUON = TrainSettings(learning_rate=1e-2, weight_decay=0.0, optimiser="muon")


def small():
    torch.manual_seed(0)
    return UNet(SMALL)


def set_gradients(network, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def moved_by_one_step(settings, factors=None):
    network = small()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    layers = network.layers()
    optimiser = Optimiser(layers, factors or [1.0] * len(layers), settings)
    set_gradients(network)
    optimiser.step(settings.learning_rate)
    return {name: parameter.detach() - before[name] for name, parameter in network.named_parameters()}


def is_matrix(name, moved):
    return name.endswith("weight") and moved.dim() > 1 and not name.startswith("head")


def test_muon_moves_matrices_alike_in_all_directions():
    moved = moved_by_one_step(MUON)
    matrices = [one.flatten(1) for name, one in moved.items() if is_matrix(name, one)]
    assert len(matrices) == 13  # 5 of the encoder, 4 of the decoder, 4 of attention
    for one in matrices:
        singular = torch.linalg.svdvals(one) / (MUON.learning_rate * 0.2 * max(one.shape) ** 0.5)
        assert 0.5 < float(singular.min()) <= float(singular.max()) < 1.4, one.shape


def test_what_is_no_matrix_and_the_head_move_as_by_adamw_slower():
    by_muon = moved_by_one_step(MUON)
    by_adamw = moved_by_one_step(replace(MUON, optimiser="adamw"))
    others = [name for name, one in by_muon.items() if not is_matrix(name, one)]
    assert {"head.weight", "head.bias", "attention.1.place", "attention.1.bias"} < set(others)
    for name in others:
        torch.testing.assert_close(by_muon[name], REST * by_adamw[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_each_layer_has_its_own_rate(optimiser):
    names = list(small().layers())
    factors = np.linspace(0.1, 1.0, len(names)).tolist()
    settings = replace(MUON, optimiser=optimiser)
    free, slow = moved_by_one_step(settings), moved_by_one_step(settings, factors)
    checked = set()
    for name in free:
        part, number, *_ = name.split(".")
        level = 1 - int(number) if part == "decoder" else number
        layer = "head" if part == "head" else f"{part}{level}"
        factor = factors[names.index(layer)]
        torch.testing.assert_close(slow[name], factor * free[name], rtol=1e-2, atol=1e-6)
        checked.add(layer)
    assert checked == set(names)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_what_is_loaded_goes_on_as_what_was_saved(optimiser):
    settings = replace(MUON, optimiser=optimiser)
    networks = [small(), small()]
    layers = [network.layers() for network in networks]
    optimisers = [Optimiser(one, [1.0] * len(one), settings) for one in layers]
    for seed in range(3):
        set_gradients(networks[0], seed)
        optimisers[0].step(0.01)
    networks[1].load_state_dict(networks[0].state_dict())
    optimisers[1].load_state_dict(deepcopy(optimisers[0].state_dict()))
    for network, one in zip(networks, optimisers, strict=True):
        set_gradients(network, 9)
        one.step(0.01)
    for first, second in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(first, second)


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(ValueError, match="optimiser is 'sgd': allowed are adamw, muon"):
        TrainSettings(optimiser="sgd")
