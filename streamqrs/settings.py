"""Settings of the detector: checked, and layered from the model's over the defaults to the user's."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from streamqrs.types import WINDOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a `Detector`; all lengths in samples at 250 Hz.

    Attributes
    ----------
    hop : int
        Distance between two windows of the merge grid.
    margin : int
        Right edge of a window that waits for the next one.
    low : float
        Probability that a candidate reaches, 0 to `threshold`.
    threshold : float
        Probability at which a candidate speaks as much for a beat as against one, 0 to 1.
    distance : int
        Refractory time: shortest distance between two beats.
    rhythm : float
        Weight of the rhythm against probability; with 0 only threshold and refractory time count.
    likeness : float
        Weight of a candidate's likeness to the patient's own sure beats against probability; with 0 it does not count.
    sure : float
        Probability of a beat that is beyond doubt; one below it counts where others make a heart of it. 0: always.
    patience : int
        Longest wait for a better candidate than one that comes early, at least `distance`.
    hold : int
        Longest run of missing samples (NaN, infinite, lost) that is bridged; after a longer one all begins anew.
    gate_hop : int
        Distance between two decisions of the gate; `hop` is a multiple of it.
    gate_depth : int
        Look-ahead of the gate: samples after the one that decides.
    gate_threshold, gate_low : float
        Probability at which a trigger is given, and the one below which the next one is allowed.
    gate_patience : int
        Longest wait of a trigger for the R peak in the signal, after the one that the network expects; 0: none.
    gate_rhythm : float
        Weight of the rhythm against probability where the gate expects a beat; with 0 it does not count.
    gate_likeness : float
        Weight of the likeness of what begins to the patient's own beats; with 0 it does not count.
    quality_low, quality_high : float
        Quality below which the signal is unusable, and above which it is usable again; see `QualityMeter`.
    """

    hop: int = 144
    margin: int = 36
    low: float = 0.12
    threshold: float = 0.5
    distance: int = 50
    rhythm: float = 0.5
    likeness: float = 1.0
    sure: float = 0.8
    patience: int = 50
    hold: int = 50
    gate_hop: int = 2
    gate_depth: int = 10
    gate_threshold: float = 0.6
    gate_low: float = 0.3
    gate_patience: int = 5
    gate_rhythm: float = 0.5
    gate_likeness: float = 4.0
    quality_low: float = 0.4
    quality_high: float = 0.5

    def __post_init__(self) -> None:
        limits = {"hop": (1, WINDOW), "margin": (0, WINDOW - self.hop), "distance": (1, 250),
                  "patience": (self.distance, 500), "hold": (0, 750),
                  "gate_hop": (1, self.hop), "gate_depth": (0, 250), "gate_patience": (0, 50)}  # fmt: skip
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name} is {value!r:.60}: allowed are {least} to {most} samples")
        for name in ("rhythm", "likeness", "gate_rhythm", "gate_likeness"):
            if not 0 <= getattr(self, name) <= 10:
                raise ValueError(f"{name} is {getattr(self, name)!r:.60}: allowed are 0 to 10")
        if not 0 <= self.sure < 1:
            raise ValueError(f"sure is {self.sure!r:.60}: allowed are 0 <= sure < 1")
        if self.hop % self.gate_hop:
            raise ValueError(f"hop is {self.hop}, gate_hop {self.gate_hop}: allowed are multiples of gate_hop")
        for low, high in (("low", "threshold"), ("gate_low", "gate_threshold")):
            if not 0 < getattr(self, low) <= getattr(self, high) < 1:
                given = f"{low} is {getattr(self, low)!r:.60}, {high} {getattr(self, high)!r:.60}"
                raise ValueError(f"{given}: allowed are 0 < {low} <= {high} < 1")
        if not 0 <= self.quality_low <= self.quality_high < 1:
            given = f"quality_low is {self.quality_low!r:.60}, quality_high {self.quality_high!r:.60}"
            raise ValueError(f"{given}: allowed are 0 <= quality_low <= quality_high < 1")

    @classmethod
    def of(cls, *layers: dict[str, Any]) -> Self:
        """Settings from several layers, later ones over earlier ones; an unknown name is an error."""
        merged = {name: value for layer in layers for name, value in layer.items()}
        allowed = [field.name for field in fields(cls)]
        if unknown := sorted(merged.keys() - set(allowed)):
            raise ValueError(f"no setting {', '.join(unknown)[:200]}: allowed are {', '.join(allowed)}")
        return cls(**merged)
