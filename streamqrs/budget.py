"""GateBudget: what the way to a trigger costs in source time, whatever the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from streamqrs.resample import Resampler
from streamqrs.settings import Settings
from streamqrs.types import HALF_MASK, RATE


@dataclass(frozen=True, slots=True)
class GateBudget:
    """Parts of the delay from an R peak to the newest sample that its trigger needs, in ms.

    Attributes
    ----------
    look_ahead_ms : float
        Samples after the one that decides. The network answers before R by half its mask, 48 ms, which is taken off.
    hop_ms : float
        Longest wait for the next decision.
    peak_ms : float
        Longest wait for the R peak itself to pass, where the network expects it.
    resampler_ms : float
        Delay of the resampler.
    """

    look_ahead_ms: float
    hop_ms: float
    peak_ms: float
    resampler_ms: float

    @classmethod
    def of(cls, settings: Settings, rate: float) -> Self:
        """Budget of a detector with these settings at a source rate in Hz."""
        step_ms = 1000 / RATE
        return cls(
            look_ahead_ms=settings.gate_depth * step_ms,
            hop_ms=(settings.gate_hop - 1) * step_ms,
            peak_ms=settings.gate_patience * step_ms,
            resampler_ms=Resampler(rate).delay_s * 1000,
        )

    @property
    def decided_ms(self) -> float:
        """From R to the decision, in ms; below zero if it comes before R."""
        return self.look_ahead_ms - HALF_MASK / RATE * 1000

    @property
    def least_ms(self) -> float:
        """Soonest after R that a trigger can be known, in ms."""
        return max(self.decided_ms, 0.0 if self.peak_ms else self.decided_ms) + self.resampler_ms

    @property
    def most_ms(self) -> float:
        """Latest after R, as the network expects it, that a trigger is known, in ms."""
        return max(self.decided_ms, self.peak_ms or self.decided_ms) + self.hop_ms + self.resampler_ms

    def __str__(self) -> str:
        return (
            f"look-ahead {self.look_ahead_ms:g} ms, of which the network gains 48 before R, "
            f"hop up to {self.hop_ms:g}, wait for the peak up to {self.peak_ms:g}, resampler {self.resampler_ms:.1f}: "
            f"a trigger needs signal up to {self.least_ms:.0f} to {self.most_ms:.0f} ms after R"
        )
