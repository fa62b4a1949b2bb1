"""Inference: a 250 Hz stream → what the network says about each of its windows.

Windows are made when the network is about to want them. In a long recording that is while it works on those before, on
other cores, and while somebody looks at what it said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from streamqrs.model import BATCH, Model
from streamqrs.quality import still
from streamqrs.types import Probabilities, Samples, Window
from streamqrs.window import Windower


def infer(model: Model, windower: Windower, samples: Samples) -> Iterator[tuple[Window, Probabilities]]:
    """Take samples, shape (n,), and give each window that they complete, with its probabilities, shape (750,).

    The samples are taken when all windows have been.
    """
    asked: deque[tuple[list[Window], Samples]] = deque()

    def batches() -> Iterator[Samples]:
        size = BATCH * windower.hop
        for at in range(0, len(samples), size):
            if windows := windower.push(samples[at : at + size]):
                asked.append((windows, np.stack([window.samples for window in windows])))
                yield asked[-1][1]

    for values in model.parts(batches()):
        yield from _said(*asked.popleft(), values)


def infer_last(model: Model, windower: Windower) -> list[tuple[Window, Probabilities]]:
    """End the stream, and return the last window, if there is one, with its probabilities."""
    windows = windower.flush()
    if not windows:
        return []
    batch = np.stack([window.samples for window in windows])
    return list(_said(windows, batch, model(batch)))


def _said(windows: list[Window], batch: Samples, values: Samples) -> Iterator[tuple[Window, Probabilities]]:
    values[still(batch)] = 0.0  # a flat line: nothing to ask the network about
    for window, row in zip(windows, values, strict=True):
        yield window, Probabilities(row, window.start, window.stop)
