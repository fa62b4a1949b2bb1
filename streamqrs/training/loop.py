"""Training loop: AdamW or Muon, warm-up and cosine decay, moving average of the weights, resumable.

Batch k follows from the seed and k alone, and the network has no randomness of its own. So what was stopped goes on
from its last checkpoint as if it had never been stopped, to the same bits on the same number of threads.

References
----------
Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv:1503.02531, 2015 (`train`, teacher).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict
from math import cos, pi
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional

from streamqrs.errors import StreamqrsError
from streamqrs.training.ahead import Ahead
from streamqrs.training.dataset import Batch
from streamqrs.training.optimise import Optimiser
from streamqrs.training.place import Place
from streamqrs.training.settings import Progress, Result, TrainSettings
from streamqrs.training.unet import UNet

SAVE_EVERY = 100
"""Steps between two checkpoints, at most: each validation is kept, too."""

TAUGHT = 0.6
"""Share of what a teacher says in the target; the rest are the marks."""

Validate = Callable[[UNet], dict[str, float]]
"""Scores of a network by name; the one called ``score`` decides which weights are kept."""


def train(
    network: UNet,
    draw: Callable[[Generator, int], Batch],
    settings: TrainSettings,
    *,
    validate: Validate,
    rates: Mapping[str, float] | None = None,
    progress: Callable[[Progress], None] | None = None,
    checkpoint: Path | None = None,
    patience: int | None = None,
    keep_last: bool = False,
    teacher: UNet | None = None,
    place: Place | None = None,
) -> Result:
    """Train a network.

    Parameters
    ----------
    network : UNet
        Where it starts from; is trained in place.
    draw : callable
        (generator, count) → `Batch`; anything random in it must come from the generator.
    settings : TrainSettings
        How.
    validate : callable
        Network → scores.
    rates : dict of str to float, optional
        For layers by name (`UNet.layers`): factor on the learning rate; 0 freezes a layer, its batch norms included.
    progress : callable, optional
        Told after each step.
    checkpoint : pathlib.Path, optional
        Where to save every 100 steps and at each validation, and to go on from if it is there.
    patience : int, optional
        Stop after so many validations without a better score. Default: never.
    keep_last : bool
        Give the last weights, whatever validation says: where it differs by chance alone, they are the best.
    teacher : UNet, optional
        A better network, perhaps too slow to be run live: `TAUGHT` of each target is what it says.
    place : Place, optional
        Where to train; on the CPU by default.

    Returns
    -------
    Result
        The best network of all validations, or the last one.

    Raises
    ------
    StreamqrsError
        If the checkpoint belongs to a training with other settings, or the loss is not a number.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        training = _Training(network, settings, dict(rates or {}), checkpoint, place or Place())
        training.patience, training.keep_last = patience, keep_last
        training.teacher = teacher.to(training.place.device).eval() if teacher is not None else None
        return training.run(draw, validate, progress)
    finally:
        torch.set_num_threads(threads)


def loss_of(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross entropy of the two classes.

    Parameters
    ----------
    logits : torch.Tensor
        Shape (b, 2, n).
    target, weight : torch.Tensor
        Shape (b, n): probability of QRS; weight in the mean.
    """
    # softmax of two classes is the logistic function of their difference
    losses = functional.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], target, reduction="none")
    return (losses * weight).sum() / weight.sum().clamp(min=1.0)


class _Training:
    """State of a training between two steps."""

    patience: int | None = None
    keep_last = False
    teacher: UNet | None = None

    def __init__(
        self, network: UNet, settings: TrainSettings, rates: dict[str, float], checkpoint: Path | None, place: Place
    ) -> None:
        self.network, self.settings, self.checkpoint, self.place = network.to(place.device), settings, checkpoint, place
        layers = network.layers()
        unknown = set(rates) - set(layers)
        if unknown or any(rate < 0 for rate in rates.values()):
            raise ValueError(f"rates are {rates}: allowed are factors from 0 for {', '.join(layers)}")
        self.frozen = [layer for name, layer in layers.items() if rates.get(name) == 0]
        for layer in self.frozen:
            layer.requires_grad_(False)
        learn = {name: layer for name, layer in layers.items() if rates.get(name) != 0}
        if not learn:
            raise ValueError("rates are 0 for all layers: at least one must be trained")
        self.optimiser = Optimiser(learn, [rates.get(name, 1.0) for name in learn], settings)
        self.spread = place.spread(network)
        self.average = deepcopy(network).eval()
        self.best = deepcopy(network.state_dict())
        given = {name: value for name, value in asdict(settings).items() if name != "workers"}
        self.identity = {**given, "architecture": str(network.settings), "rates": rates}
        self.step, self.loss, self.elapsed_s = 0, float("nan"), 0.0
        self.best_step, self.best_scores = 0, {"score": float("nan")}
        self.scores: dict[str, float] = {}
        self.history: list[dict[str, float]] = []
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)

    def run(
        self,
        draw: Callable[[Generator, int], Batch],
        validate: Validate,
        progress: Callable[[Progress], None] | None,
    ) -> Result:
        s = self.settings
        own = (self.place.rank,) if self.place.world > 1 else ()
        with Ahead(draw, self.place.share(s.batch), s.workers, lambda step: (s.seed, step, *own)) as ahead:
            over = self.step >= s.steps or self._is_out_of_patience()
            if not s.steps:
                self._validate(validate)
            while not over:
                start = time.monotonic()
                self._learn(ahead.take(self.step, s.steps))
                over = self.step == s.steps
                due = self.step % s.validate_every == 0 or over
                if due:
                    if self.place.first:
                        self._validate(validate)
                    over = self.place.agree(over or self._is_out_of_patience())
                self.elapsed_s += time.monotonic() - start
                if self.checkpoint is not None and self.place.first and (self.step % SAVE_EVERY == 0 or due):
                    self._save(self.checkpoint)
                if progress is not None:
                    best = self.best_scores["score"]
                    progress(Progress(self.step, s.steps, self.loss, self.scores, best, self.elapsed_s))
        network = UNet(self.network.settings)
        network.load_state_dict(self.best)
        return Result(network.eval(), self.best_scores, self.best_step, self.history, self.elapsed_s)

    def _learn(self, batch: Batch) -> None:
        self.spread.train()
        for layer in self.frozen:
            layer.eval()
        self.network.zero_grad()
        ecg, target, weight = (
            torch.from_numpy(rows).to(self.place.device) for rows in (batch.ecg[:, None], batch.target, batch.weight)
        )
        half = self.settings.precision == "bfloat16"
        with torch.autocast(self.place.device.type, torch.bfloat16, enabled=half):
            if self.teacher is not None:
                with torch.no_grad():
                    said = torch.softmax(self.teacher(ecg).float(), dim=1)[:, 1]
                target = torch.where(self._taught(batch), torch.lerp(target, said, TAUGHT), target)
            logits = self.spread(ecg)
        loss = loss_of(logits.float(), target, weight)
        if not torch.isfinite(loss):
            raise StreamqrsError(
                f"the loss is {float(loss.detach())} at step {self.step}: allowed are finite values; lower the rate"
            )
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in self.network.parameters() if p.requires_grad], 1.0)
        self.optimiser.step(learning_rate(self.step, self.settings))
        value = float(loss.detach())
        self.loss = value if self.step == 0 else 0.98 * self.loss + 0.02 * value
        self.step += 1
        decay = min(self.settings.average, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(new, 1 - decay)
                else:
                    mean.copy_(new)

    def _taught(self, batch: Batch) -> Tensor:
        """Rows in which the teacher is heard, shape (b, 1)."""
        taught = np.ones(len(batch.ecg), np.bool_) if batch.taught is None else batch.taught
        return torch.from_numpy(taught).to(self.place.device)[:, None]

    def _validate(self, validate: Validate) -> None:
        self.scores = validate(self.average)
        self.history.append({"step": self.step, "loss": self.loss, **self.scores})
        if self.keep_last or not self.scores["score"] <= self.best_scores["score"]:  # the first one beats NaN
            self.best, self.best_scores = deepcopy(self.average.state_dict()), self.scores
            self.best_step = self.step

    def _is_out_of_patience(self) -> bool:
        since = sum(entry["step"] > self.best_step for entry in self.history)
        return self.patience is not None and since >= self.patience

    def _save(self, path: Path) -> None:
        kept = ("step", "loss", "elapsed_s", "best", "best_step", "best_scores", "scores", "history", "identity")
        state = {name: getattr(self, name) for name in kept}
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimiser")}
        new = path.with_suffix(".new")
        try:
            torch.save({**state, "parts": parts}, new)
        except RuntimeError as error:  # what torch makes of a full disk
            raise StreamqrsError(f"checkpoint {new} cannot be written: {str(error).splitlines()[0]}") from error
        os.replace(new, path)

    def _load(self, path: Path) -> None:
        try:
            state = torch.load(path, weights_only=True, map_location=self.place.device)
        except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
            raise StreamqrsError(f"checkpoint {path} cannot be read: remove it to start anew") from error
        if state["identity"] != self.identity:
            raise StreamqrsError(f"{path} belongs to a training with other settings: go on with those, or remove it")
        for name, part in state.pop("parts").items():
            getattr(self, name).load_state_dict(part)
        for name, value in state.items():
            setattr(self, name, value)


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Rate of a step: a linear warm-up, then half a cosine down to a hundredth, or steady."""
    rise = settings.warm_up * settings.steps
    if step < rise:
        return settings.learning_rate * (step + 1) / (rise + 1)
    if settings.steady:
        return settings.learning_rate
    share = (step - rise) / max(settings.steps - rise, 1)
    return settings.learning_rate * (0.01 + 0.99 * (1 + cos(pi * share)) / 2)
