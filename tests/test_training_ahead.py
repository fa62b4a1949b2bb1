"""Batches drawn ahead: the same ones, whoever draws them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

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


PARENT = """
import os
from tests.test_training_ahead import WINDOWS, Ahead
if __name__ == "__main__":
    with Ahead(WINDOWS.draw, 3, 1, lambda step: (7, step)) as ahead:
        print(ahead.take(0, 100).ecg.shape, flush=True)
        os.kill(os.getpid(), 9)
"""


def test_a_process_that_draws_ends_with_the_one_that_was_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    root = str(Path(__file__).parents[1])
    told = subprocess.run(  # until all that have its output have ended
        [sys.executable, tmp_path / "parent.py"],
        stdout=subprocess.PIPE, text=True, timeout=60, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert (told.returncode, told.stdout) == (-signal.SIGKILL, "(3, 750)\n")
