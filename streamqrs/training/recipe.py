"""Recipe: how a model is fine-tuned, checked, and turned into rates of layers, batches and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.random import Generator

from streamqrs.scanner import PRESETS as SCANNERS
from streamqrs.training.augment import AugmentSettings
from streamqrs.training.dataset import Batch, Drawn, WindowSettings
from streamqrs.training.settings import TrainSettings
from streamqrs.types import WINDOW

NO_SCANNER = "none"
LEAST_BETWEEN = 50
"""Fewest steps between two validations, which take as long as some steps do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a preset stands for.

    Attributes
    ----------
    epochs : int
        Times that as many windows are drawn as the recordings hold, end to end.
    least, most : int
        Fewest and most steps that follow from it.
    learning_rate, weight_decay, warm_up, average
        As in `TrainSettings`.
    steady : bool
        The rate stays as it is; otherwise it follows a cosine down.
    patience : int or None
        Validations without a better score after which training stops; None is never.
    validations : int
        Validations in all; fewer in a short training.
    windows : WindowSettings
        How windows are drawn.
    augment : AugmentSettings or None
        What else is done to the user's windows; they have a scanner's noise already.
    replay : float
        Share of ordinary ECG in each batch, against forgetting, 0 to below 1.
    scanner : str
        Virtual scanner that most of that ordinary ECG is taken into, for more kinds of noise than the user has.
    shares : tuple of float
        How far to go on the way from the base's weights to the new ones: what validation chooses from, above 0 to 1.
    """

    epochs: int
    least: int
    most: int
    learning_rate: float
    weight_decay: float = 0.01
    warm_up: float = 0.05
    average: float = 0.99
    steady: bool = False
    patience: int | None = None
    validations: int = 24
    windows: WindowSettings = field(default_factory=WindowSettings)
    augment: AugmentSettings | None = None
    replay: float = 0.0
    scanner: str = NO_SCANNER
    shares: tuple[float, ...] = (1.0,)


_PLAIN = WindowSettings(edge=0.0, free=1.0, stretch=0.0, hurry=0.0, mix=0.0, edge_weight=1.0)
_LIGHT = replace(
    AugmentSettings(**dict.fromkeys(AugmentSettings.__slots__, 0.0)), inverted=0.5, low_pass=0.1, high_pass=0.1
)

PRESETS = {
    "default": Recipe(
        40, 400, 3000, 3e-4, patience=8, augment=_LIGHT, replay=0.5, scanner="mixture", shares=(0.25, 0.5, 0.75, 1.0)
    ),
    "seed": Recipe(
        30, 30, 100_000, 1e-3, weight_decay=0.0, warm_up=0.0, average=0.0, steady=True, validations=30, windows=_PLAIN
    ),
}
"""``seed`` is what the slides say: 30 epochs, Adam, rate 0.001, weighted cross entropy, plain windows.

The rate of ``default`` was chosen on validation, from ``mri`` 1 on 25 recordings of MRI-300: after 120 steps at 0.001,
F1 of ordinary validation recordings had fallen from 99.95 to 99.54 %, at 0.0003 to 99.85 %; in the scanner it had risen
from 83.1 to 83.8 and 83.6 %.
"""

NEW_RATE = 1e-3
"""Learning rate of new weights, which have nothing to forget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """How to fine-tune.

    Attributes
    ----------
    preset : str
        One of `PRESETS`, for all that is not said here.
    freeze : int or str
        So many layers from the bottom stay as they are, batch norms included; ``encoder``: all of the encoder;
        ``none``.
    learning_rate : float or None
        Of the top layer, at its highest; None is the preset's, of new weights 0.001.
    decay : float
        Each layer learns at this factor of the rate of the one above, above 0 to 1.
    from_scratch : bool
        Begin with new weights, in the base model's architecture.
    epochs, steps : int or None
        How long, either way; None is the preset's.
    scanner : str or None
        Virtual scanner that ordinary ECG is taken into (a preset of `streamqrs.scanner`), or without any ordinary ECG a
        part of the user's windows; ``none``; None is the preset's, if there is ordinary ECG.
    batch : int
        Windows in a batch.
    seed, threads, precision
        As in `TrainSettings`.
    """

    preset: str = "default"
    freeze: int | Literal["encoder", "none"] = "none"
    learning_rate: float | None = None
    decay: float = 1.0
    from_scratch: bool = False
    epochs: int | None = None
    steps: int | None = None
    scanner: str | None = None
    batch: int = 64
    seed: int = 0
    threads: int = 2
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset is {self.preset!r}: allowed are {', '.join(PRESETS)}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"lr-decay is {self.decay:g}: allowed are above 0 to 1")
        if self.scanner not in {None, NO_SCANNER, *SCANNERS}:
            raise ValueError(f"scanner is {self.scanner!r}: allowed are {NO_SCANNER}, {', '.join(SCANNERS)}")
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps were both given: allowed is one of them")
        for name in ("epochs", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} are {value}: allowed are 1 and more")
        if isinstance(self.freeze, str) and self.freeze not in {"encoder", "none"}:
            raise ValueError(f"freeze is {self.freeze!r}: allowed are encoder, none, or a number of layers")
        if self.from_scratch and self.freeze not in {0, "none"}:
            raise ValueError("from-scratch and freeze were both given: new weights cannot stay as they are")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}: allowed are 0 and more")
        self.plan_steps(0.0)

    @property
    def recipe(self) -> Recipe:
        """What the preset stands for."""
        return PRESETS[self.preset]

    def plan_steps(self, duration_s: float) -> TrainSettings:
        """Settings of the training loop, for recordings that last so long in all, in s."""
        recipe = self.recipe
        rate = NEW_RATE if self.from_scratch else recipe.learning_rate
        per_epoch = max(1, round(duration_s * 250 / WINDOW / self.batch))
        steps = self.steps
        if steps is None:
            steps = (self.epochs or recipe.epochs) * per_epoch
            steps = steps if self.epochs else min(max(steps, recipe.least), recipe.most)
        return TrainSettings(
            steps=steps,
            batch=self.batch,
            learning_rate=rate if self.learning_rate is None else self.learning_rate,
            weight_decay=recipe.weight_decay,
            warm_up=recipe.warm_up,
            steady=recipe.steady,
            average=recipe.average,
            validate_every=min(steps, max(LEAST_BETWEEN, steps // recipe.validations)),
            seed=self.seed,
            threads=self.threads,
            precision=self.precision,
        )

    def layer_rates(self, layers: Sequence[str]) -> dict[str, float]:
        """Factor on the learning rate of each layer, named from the bottom to the top; 0 is frozen."""
        rates = {name: self.decay**above for above, name in enumerate(reversed(layers))}
        if self.freeze == "encoder":
            frozen = [name for name in layers if name.startswith("encoder")]
        else:
            count = 0 if self.freeze == "none" else self.freeze
            if not 0 <= count < len(layers):
                raise ValueError(f"freeze is {count}: allowed are 0 to {len(layers) - 1} of {', '.join(layers)}")
            frozen = list(layers[:count])
        return {name: 0.0 if name in frozen else rates[name] for name in layers}


class Mixed:
    """Batches of the user's windows and of ordinary ECG, in a fixed share.

    Parameters
    ----------
    own : Drawn
        The user's.
    replay : Drawn or None
        Ordinary ECG, perhaps taken into a virtual scanner.
    share : float
        Of ordinary ECG, 0 to below 1.
    """

    def __init__(self, own: Drawn, replay: Drawn | None, share: float) -> None:
        self.own, self.replay, self.share = own, replay, share if replay else 0.0

    def draw(self, rng: Generator, count: int) -> Batch:
        """Return `count` windows with their targets and weights."""
        other = round(self.share * count)
        own = self.own.draw(rng, count - other)
        if not other or self.replay is None:
            return own
        more = self.replay.draw(rng, other)
        return Batch(
            np.concatenate((own.ecg, more.ecg)),
            np.concatenate((own.target, more.target)),
            np.concatenate((own.weight, more.weight)),
        )
