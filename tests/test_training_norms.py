import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from streamqrs.training import norms
from streamqrs.training.dataset import Batch
from streamqrs.training.norms import renew_norms
from streamqrs.training.unet import PRESETS, UNet

KNOWN = np.ones((1, 750), np.float32)


def draw(rng, count):
    """Windows that are no white noise: each has a level and a height."""
    ecg = rng.normal(0.3, 1, (count, 1)) + rng.uniform(0.5, 2, (count, 1)) * rng.standard_normal((count, 750))
    rows = np.repeat(KNOWN, count, 0)
    return Batch(ecg.astype(np.float32), rows, rows)


def network(seed=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet(PRESETS["context"])


def of_norms(network, name):
    return [getattr(module, name).clone() for module in network.modules() if isinstance(module, nn.BatchNorm1d)]


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(norms, "BATCHES", 3)
    monkeypatch.setattr(norms, "BATCH", 16)


def test_statistics_are_those_of_the_windows_and_no_weight_changes(few):
    net = network()
    before = {name: value.clone() for name, value in net.named_parameters()}
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.fill_(7.0)
    renew_norms(net, draw, 5)
    assert all(torch.equal(value, before[name]) for name, value in net.named_parameters())
    assert not net.training
    assert {module.momentum for module in net.modules() if isinstance(module, nn.BatchNorm1d)} == {0.1}
    batches = [draw(np.random.default_rng((5, norms.STREAM, k)), 16).ecg[:, None] for k in range(3)]
    first = net.encoder[0][0]
    padded = nn.functional.pad(torch.from_numpy(np.concatenate(batches)), first.pad)
    with torch.no_grad():
        out = first.conv(padded)
    torch.testing.assert_close(first.norm.running_mean, out.mean((0, 2)), rtol=1e-4, atol=1e-5)
    spread = torch.stack([part.var((0, 2)) for part in out.split(16)]).mean(0)
    torch.testing.assert_close(first.norm.running_var, spread, rtol=1e-4, atol=1e-5)


def test_it_follows_from_the_seed(few):
    first, again, other = network(), network(), network()
    for net, seed in ((first, 1), (again, 1), (other, 2)):
        renew_norms(net, draw, seed)
    pairs = zip(of_norms(first, "running_mean"), of_norms(again, "running_mean"), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(of_norms(first, "running_var")[0], of_norms(other, "running_var")[0])


def test_the_mean_of_two_networks_is_normalised_again(few):
    ends = network(seed=3), network(seed=4)
    for end in ends:
        renew_norms(end, draw, 1)
    states = [end.state_dict() for end in ends]
    mean, right = (network() for _ in range(2))
    for net in (mean, right):
        net.load_state_dict({name: (value + states[1][name]) / 2 for name, value in states[0].items()})
    renew_norms(right, draw, 2)
    windows = torch.from_numpy(draw(np.random.default_rng(8), 64).ecg[:, None])

    def off(net):
        """By how much the spread of what leaves the last norm, channel by channel, differs from what it promises."""
        norm, seen = net.decoder[-1].join.norm, []
        hook = norm.register_forward_hook(lambda module, given, out: seen.append(out))
        with torch.no_grad():
            net.eval()(windows)
            hook.remove()
            return float((seen[0].var((0, 2)) / norm.weight.square() - 1).abs().max())

    assert off(right) < 0.3 < off(mean)
