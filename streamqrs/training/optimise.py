"""Optimise: how weights follow their gradients, by AdamW, or those of convolutions and products by Muon.

Muon moves a matrix in the direction of its gradient's running mean in which all singular values are one: what few
windows ask for is learnt as fast as what all of them ask for. A kernel counts as a matrix with a row for each output.

References
----------
Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019 (AdamW).
Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; Liu et al., "Muon is scalable for LLM
training", arXiv:2502.16982, 2025 (rates that fit AdamW's).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from streamqrs.training.settings import TrainSettings

REST = 0.4
"""Rate of what is no matrix, and of the head, next to that of the matrices."""


class Optimiser:
    """Makes a step of all layers that learn, each at a rate of its own.

    Parameters
    ----------
    layers : dict of str to torch.nn.Module
        Those that learn, by name.
    factors : sequence of float
        For each of them, on the learning rate.
    settings : TrainSettings
        Which optimiser, rate and decay.
    """

    def __init__(self, layers: dict[str, nn.Module], factors: Sequence[float], settings: TrainSettings) -> None:
        muon = settings.optimiser == "muon"
        others: list[dict[str, Any]] = []
        matrices: list[dict[str, Any]] = []
        self._pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
        for (name, layer), factor in zip(layers.items(), factors, strict=True):
            chosen = _matrices(layer) if muon and name != "head" else []
            rest = [p for p in layer.parameters() if not any(p is matrix for matrix in chosen)]
            others.append({"params": rest, "factor": REST * factor if muon else factor})
            # Muon takes matrices only: each has the memory of its parameter
            pairs = [(p, nn.Parameter(p.detach().flatten(1))) for p in chosen]
            matrices.append({"params": [flat for _, flat in pairs], "factor": factor})
            self._pairs += pairs
        rate, decay = settings.learning_rate, settings.weight_decay
        self._parts: dict[str, torch.optim.Optimizer] = {"adamw": torch.optim.AdamW(others, rate, weight_decay=decay)}
        if muon:
            self._parts["muon"] = torch.optim.Muon(matrices, rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")

    def step(self, rate: float) -> None:
        """Follow the gradients, at a learning rate."""
        for parameter, flat in self._pairs:
            flat.grad = None if parameter.grad is None else parameter.grad.flatten(1)
        for part in self._parts.values():
            for group in part.param_groups:
                group["lr"] = group["factor"] * rate
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what a training goes on from."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for name, part in self._parts.items():
            part.load_state_dict(state[name])


def _matrices(layer: nn.Module) -> list[nn.Parameter]:
    """Weights of convolutions and products: no norms, offsets, or tables of times."""
    return [p for name, p in layer.named_parameters() if name.endswith("weight") and p.dim() > 1]
