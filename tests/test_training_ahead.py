"""Batches drawn ahead: the same ones, whoever draws them."""

import json

import numpy as np
import pytest

from streamqrs.training.ahead import Ahead
from streamqrs.training.dataset import Windows
from streamqrs.training.recordings import Recording

R = np.arange(100.0, 7400, 200)
ECG = np.exp(-0.5 * ((np.arange(7500) - R[:, None]) / 3) ** 2).sum(axis=0, dtype=np.float32)[None]
WINDOWS = Windows({"test": [Recording("test/1", ECG, (R,), (("N",) * len(R),), (np.array([[0.0, 7500.0]]),))]})


def batches(workers, first=0, steps=9):
    with Ahead(WINDOWS.draw, 3, workers, lambda step: (7, step)) as ahead:
        return [ahead.take(step, steps).ecg for step in range(first, steps)]


def test_processes_draw_what_a_thread_draws():
    here, there = batches(0), batches(2)
    assert len(here) == len(there) == 9
    assert all((a == b).all() for a, b in zip(here, there, strict=True))
    assert not (here[0] == here[1]).any()


def test_a_later_start_gives_the_later_batches():
    assert all((a == b).all() for a, b in zip(batches(0)[4:], batches(0, first=4), strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_what_goes_wrong_is_told(workers):
    with Ahead(json.loads, 3, workers, lambda step: (step,)) as ahead, pytest.raises(TypeError, match="loads"):
        ahead.take(0, 5)
