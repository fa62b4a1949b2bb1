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
        self.factors = tuple(factors)
        muon = settings.optimiser == "muon"
        self._rest = REST if muon else 1.0
        matrices = [_matrices(layer) if muon and name != "head" else [] for name, layer in layers.items()]
        others = [[p for p in layer.parameters() if not any(p is matrix for matrix in chosen)]
                  for layer, chosen in zip(layers.values(), matrices, strict=True)]  # fmt: skip
        self._all = [p for layer in layers.values() for p in layer.parameters()]
        rate, decay = settings.learning_rate, settings.weight_decay
        self._adamw = torch.optim.AdamW([{"params": part} for part in others], rate, weight_decay=decay)
        # Muon takes matrices only: each has the memory of its parameter
        self._pairs = [[(p, nn.Parameter(p.detach().flatten(1))) for p in part] for part in matrices]
        self._muon = None
        if muon:
            groups = [{"params": [flat for _, flat in part]} for part in self._pairs]
            self._muon = torch.optim.Muon(groups, rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._all:
            parameter.grad = None

    def step(self, rate: float) -> None:
        """Follow the gradients, at a learning rate."""
        for group, factor in zip(self._adamw.param_groups, self.factors, strict=True):
            group["lr"] = self._rest * factor * rate
        self._adamw.step()
        if self._muon is None:
            return
        for group, factor, pairs in zip(self._muon.param_groups, self.factors, self._pairs, strict=True):
            group["lr"] = factor * rate
            for parameter, flat in pairs:
                flat.grad = None if parameter.grad is None else parameter.grad.flatten(1)
        self._muon.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what a training goes on from."""
        parts = {"adamw": self._adamw, **({"muon": self._muon} if self._muon is not None else {})}
        return {name: part.state_dict() for name, part in parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self._adamw.load_state_dict(state["adamw"])
        if self._muon is not None:
            self._muon.load_state_dict(state["muon"])


def _matrices(layer: nn.Module) -> list[nn.Parameter]:
    """Weights of convolutions and products: no norms, offsets, or tables of times."""
    return [p for name, p in layer.named_parameters() if name.endswith("weight") and p.dim() > 1]
