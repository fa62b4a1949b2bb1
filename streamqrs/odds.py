"""Odds: probabilities as log odds, where evidence adds up."""

from __future__ import annotations

import math

MOST = 6.0
"""Log odds are cut here: nothing counts as more certain."""


def log_odds(p: float) -> float:
    """Return the log odds of a probability, −6 to 6."""
    p = min(max(p, 1e-6), 1 - 1e-6)
    return min(max(math.log(p / (1 - p)), -MOST), MOST)


def probability(odds: float) -> float:
    """Return the probability that has these log odds."""
    return 1 / (1 + math.exp(-odds))
