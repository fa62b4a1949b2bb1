"""Settings: frozen, checked, every parameter with its allowed bounds; ranges to draw a recording's own values from."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, get_type_hints

import numpy as np

Range = tuple[float, float]
"""Lowest and highest value, both allowed."""


@dataclass(frozen=True)
class Bounds:
    """What a number, or both ends of a `Range`, may be.

    Attributes
    ----------
    lowest, highest : float
        Both allowed.
    """

    lowest: float
    highest: float

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError for a value that is out of bounds, or a range that is upside down."""
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if not isinstance(number, Real) or not self.lowest <= float(number) <= self.highest:
                raise ValueError(f"{name} is {value}: allowed are {self.lowest:g} to {self.highest:g}")
        if isinstance(value, tuple) and (len(value) != 2 or value[0] > value[1]):
            raise ValueError(f"{name} is {value}: a range is (lowest, highest)")


@dataclass(frozen=True)
class Choice:
    """What a word, or each word of a tuple, may be.

    Attributes
    ----------
    allowed : tuple of str
        The words.
    """

    allowed: tuple[str, ...]

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError for a word that is not allowed."""
        for word in (value,) if isinstance(value, str) else value:
            if word not in self.allowed:
                raise ValueError(f"{name} is {word!r}: allowed are {', '.join(self.allowed)}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all settings: a value that its field's `Bounds` or `Choice` do not allow is a ValueError."""

    _rules: ClassVar[dict[str, Bounds | Choice]] = {}

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        pairs = ((name, rule) for name, hint in hints.items() for rule in getattr(hint, "__metadata__", ()))
        cls._rules = {name: rule for name, rule in pairs if isinstance(rule, (Bounds, Choice))}

    def __post_init__(self) -> None:
        for name, rule in self._rules.items():
            rule.check(f"{type(self).__name__}.{name}", getattr(self, name))


def uniform(rng: np.random.Generator, limits: Range) -> float:
    """Draw a number of a range, all equally likely."""
    return float(rng.uniform(*limits))


def loguniform(rng: np.random.Generator, limits: Range) -> float:
    """Draw a number of a range above zero, all orders of magnitude equally likely."""
    return float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]))))
