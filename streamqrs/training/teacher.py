"""Teacher: another model says where R is, so that what it knew is not forgotten.

Where ordinary ECG leaves room for opinion (a pacing stimulus ahead of its QRS complex, the shape of a premature beat),
a model that learns to hear through a scanner drifts. Near each beat its targets are therefore drawn towards the
probabilities of the model it came from; where there is no beat, the annotators alone are right.

References
----------
Li and Hoiem, "Learning without forgetting", IEEE Trans. Pattern Anal. Mach. Intell. 40, 2018.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.random import Generator
from scipy.ndimage import maximum_filter1d

from streamqrs.model import Model
from streamqrs.training.dataset import Batch

WEIGHT = 0.7
"""Of the teacher's opinion against the annotators', near a beat."""

NEAR = 8
"""Samples at 250 Hz to both sides of the mask of a beat in which the teacher has a say (32 ms)."""


class Drawn(Protocol):
    """What batches are drawn from."""

    def draw(self, rng: Generator, count: int) -> Batch:
        """Return `count` windows with their targets and weights."""


class Taught:
    """Windows whose targets a teacher has a say in.

    Parameters
    ----------
    windows : Drawn
        Ordinary ECG, as the teacher knows it.
    teacher : Model
        Any model; it sees the windows as they are learnt, changes and all.
    """

    def __init__(self, windows: Drawn, teacher: Model) -> None:
        self.windows, self.teacher = windows, teacher

    def draw(self, rng: Generator, count: int) -> Batch:
        """Return `count` windows with their targets and weights."""
        batch = self.windows.draw(rng, count)
        near = maximum_filter1d(batch.target, 2 * NEAR + 1, axis=1) > 0
        taught = (1 - WEIGHT) * batch.target + WEIGHT * self.teacher(batch.ecg)
        return Batch(batch.ecg, np.where(near, taught, batch.target).astype(np.float32), batch.weight)
