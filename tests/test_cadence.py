import numpy as np
import pytest

from streamqrs.cadence import MARGIN_S, Cadence


def learn(intervals, length_s):
    cadence = Cadence()
    cadence.push(float("nan"), length_s)
    for interval in intervals:
        cadence.push(interval, length_s)
    return cadence


def test_nothing_is_known_before_the_first_chunk():
    assert np.isnan(Cadence().limit_s)


@pytest.mark.parametrize("length_s", [0.002, 0.02, 0.5])
def test_the_length_of_a_chunk_is_allowed_from_the_first_one_on(length_s):
    assert learn([], length_s).limit_s == pytest.approx(length_s + MARGIN_S)
    assert learn([length_s] * 100, length_s).limit_s == pytest.approx(length_s + MARGIN_S, abs=1e-3)


def test_a_source_that_comes_in_bursts_is_allowed_its_pauses():
    bursts = ([0.001] * 49 + [0.951]) * 20  # chunks of 20 ms, a second's worth at a time
    assert learn(bursts, 0.02).limit_s > 0.95 * np.exp(-0.1) + MARGIN_S


def test_one_stall_is_no_habit_and_two_are_forgotten():
    assert learn([0.01] * 50 + [1.5] + [0.01] * 5, 0.01).limit_s < 0.3
    assert learn([0.01] * 50 + [1.5] * 2, 0.01).limit_s > 1.2
    assert learn([1.5] * 2 + [0.01] * 6000, 0.01).limit_s < 0.3


def test_small_chunks_are_missed_within_300_ms():
    jitter = np.abs(np.random.default_rng(1).normal(0.008, 0.008, 2000))
    assert learn(jitter, 0.008).limit_s < 0.3
