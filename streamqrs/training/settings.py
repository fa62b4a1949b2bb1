"""How a training is set, how it stands, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamqrs.training.unet import UNet


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a network is trained.

    Attributes
    ----------
    steps : int
        Batches in all; 0: the weights stay as they are, and are validated.
    batch : int
        Windows in a batch.
    learning_rate : float
        At its highest, after the warm-up.
    optimiser : str
        ``adamw``, or ``muon`` for the matrices: see `streamqrs.training.optimise`.
    weight_decay : float
        Decoupled.
    warm_up : float
        Share of the steps over which the rate rises.
    steady : bool
        Keep the rate after the warm-up; else it falls to a hundredth, as half a cosine.
    average : float
        Decay of the moving average of the weights, which is what is validated and kept.
    validate_every : int
        Steps between two validations.
    seed : int
        Of the batches.
    threads : int
        CPU threads of torch.
    precision : str
        ``float32``, or ``bfloat16`` in the forward and backward pass: half as long again where the processor has it.
    workers : int
        Processes that draw batches; 0: a thread does. Changes nothing in the batches.
    """

    steps: int = 6000
    batch: int = 64
    learning_rate: float = 1e-3
    optimiser: str = "adamw"
    weight_decay: float = 1e-2
    warm_up: float = 0.05
    steady: bool = False
    average: float = 0.998
    validate_every: int = 500
    seed: int = 0
    threads: int = 2
    precision: str = "float32"
    workers: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("batch", 1), ("validate_every", 1), ("threads", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: allowed are {least} and more")
        for name, allowed in (("precision", ("float32", "bfloat16")), ("optimiser", ("adamw", "muon"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}: allowed are {', '.join(allowed)}")
        if not 0 < self.learning_rate <= 1:
            raise ValueError(f"learning_rate is {self.learning_rate:g}: allowed are above 0 to 1")
        for name in ("weight_decay", "warm_up", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name):g}: allowed are 0 to below 1")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands.

    Attributes
    ----------
    step, steps : int
        Batches done, and in all.
    loss : float
        Running mean of the weighted cross entropy, in nats.
    scores : dict of str to float
        Of the newest validation; empty before the first.
    best : float
        Score of the weights that are kept, NaN before the first validation.
    elapsed_s : float
        Time spent in training, stops not counted, in s.
    """

    step: int
    steps: int
    loss: float
    scores: dict[str, float]
    best: float
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """What came out.

    Attributes
    ----------
    network : UNet
        The best weights of all validations, or the last ones, in evaluation mode.
    scores : dict of str to float
        Their validation.
    step : int
        When that was.
    history : list of dict
        Step, loss and scores of each validation.
    elapsed_s : float
        Time spent in training, in s.
    share : float
        How far on the way from the weights it began with to those of `step` the network is, 0 to 1.
    """

    network: UNet
    scores: dict[str, float]
    step: int
    history: list[dict[str, float]] = field(default_factory=list)
    elapsed_s: float = 0.0
    share: float = 1.0
