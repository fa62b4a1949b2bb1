import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.adapters.lsl_stamps import HOLD_S, MOST_S, StampTrack

RATE = 250.0


def feed(track, values, stamps, packet, arrivals=None):
    """Push in packets, as they arrive; return where each value was put, and its time."""
    placed = {}
    arrivals = stamps if arrivals is None else arrivals
    for at in range(0, len(values), packet):
        part = slice(at, at + packet)
        pieces = track.push(values[part].astype(np.float32), stamps[part], float(arrivals[part][-1]))
        for piece in pieces:
            for k, value in enumerate(piece.samples):
                placed[int(value)] = (piece.start + k, piece.time + k / RATE)
    return placed


def regular(seconds, begin=1000.0, rate=RATE):
    n = round(seconds * RATE)
    return np.arange(n), begin + np.arange(n) / rate


@pytest.mark.parametrize("packet", [1, 5, 25])
def test_regular_stamps_are_numbered_one_by_one(packet):
    values, stamps = regular(10)
    placed = feed(StampTrack(RATE), values, stamps, packet)
    assert {value: count for value, (count, _) in placed.items()} == {int(v): int(v) for v in values}
    assert max(abs(placed[int(v)][1] - stamp) for v, stamp in zip(values, stamps, strict=True)) < 1e-6


@pytest.mark.parametrize("packet", [1, 5])
def test_jitter_is_smoothed_and_is_no_loss(packet):
    values, stamps = regular(60)
    rng = np.random.default_rng(1)
    late = np.repeat(rng.exponential(0.012, len(stamps) // packet), packet)
    placed = feed(StampTrack(RATE), values, stamps + late, packet)
    assert all(count == value for value, (count, _) in placed.items())
    errors = np.array([placed[int(v)][1] for v in values]) - stamps - 0.012
    assert np.std(errors[2500:]) < 0.004 < np.std(late)


@given(seed=st.integers(0, 1000), lost=st.integers(20, 2000), packet=st.sampled_from([1, 4, 10]))
def test_loss_is_found_where_it_is(seed, lost, packet):
    values, stamps = regular(16)
    hole = 2000
    keep = (values < hole) | (values >= hole + lost)
    noise = np.random.default_rng(seed).normal(0, 0.001, len(stamps))
    placed = feed(StampTrack(RATE), values[keep], (stamps + noise)[keep], packet)
    assert all(abs(count - value) <= (1 if value >= hole + lost else 0) for value, (count, _) in placed.items())
    assert set(values[keep][: -round(HOLD_S * RATE) - packet]) <= placed.keys()


def test_burst_after_a_stall_is_no_loss():
    values, stamps = regular(20)
    stalled = np.maximum(stamps, np.where((stamps > 1010) & (stamps < 1010.8), 1010.8, 0))
    placed = feed(StampTrack(RATE), values, stalled, 1)
    assert all(count == value for value, (count, _) in placed.items())
    assert max(abs(placed[int(v)][1] - stamp) for v, stamp in zip(values, stamps, strict=True)) < 0.03


def test_loss_behind_a_stall_is_found():
    values, stamps = regular(20)
    stalled = np.maximum(stamps, np.where((stamps > 1010) & (stamps < 1010.8), 1010.8, 0))
    keep = (values < 2510) | (values >= 2560)
    placed = feed(StampTrack(RATE), values[keep], stalled[keep], 1)
    assert abs(placed[4500][0] - 4500) <= 5
    assert abs(placed[4500][1] - stamps[4500]) < 0.005


def test_clock_off_its_nominal_rate_is_followed():
    values, stamps = regular(120, rate=RATE * 1.003)
    placed = feed(StampTrack(RATE), values, stamps, 5)
    assert all(count == value for value, (count, _) in placed.items())
    assert abs(placed[29000][1] - stamps[29000]) < 1e-3


@pytest.mark.parametrize("step", [-3600.0, -0.5, 3600.0])
def test_clock_that_is_set_is_followed_without_losing_an_hour(step):
    values, stamps = regular(20)
    set_stamps = stamps + np.where(values >= 2500, step, 0)
    placed = feed(StampTrack(RATE), values, set_stamps, 1, arrivals=stamps)
    count, time = placed[4900]
    assert count >= 4900
    assert count - 4900 <= 6 * RATE
    assert time == pytest.approx(set_stamps[4900], abs=0.01)


def test_resume_counts_the_time_away():
    values, stamps = regular(10)
    track = StampTrack(RATE)
    feed(track, values[:1000], stamps[:1000], 5)
    track.resume(RATE)
    track.resume(RATE)  # it went away again before it said anything
    placed = feed(track, values[1500:], stamps[1500:], 5)
    assert all(abs(count - value) <= 1 for value, (count, _) in placed.items())


def test_resume_with_stamps_begun_anew_goes_by_arrival():
    values, stamps = regular(10)
    track = StampTrack(RATE)
    feed(track, values[:1000], stamps[:1000], 5)
    track.resume(RATE)
    placed = feed(track, values[1500:], stamps[1500:] - stamps[1500] + 3, 5, arrivals=stamps[1500:])
    assert all(abs(count - value) <= 10 for value, (count, _) in placed.items())


def test_resume_at_another_rate_counts_in_the_new_one():
    values, stamps = regular(4)
    track = StampTrack(RATE)
    feed(track, values, stamps, 5)
    track.resume(500.0)
    (piece,) = track.push(np.zeros(10, np.float32), stamps[-1] + 2 + np.arange(10) / 500, stamps[-1] + 2.02)
    assert abs(piece.start - (1000 + 2 * 500)) <= 2


def test_stamps_that_are_no_numbers_are_passed_over():
    values, stamps = regular(4)
    stamps[200:300] = np.nan
    placed = feed(StampTrack(RATE), values, stamps, 7)
    assert all(count == value for value, (count, _) in placed.items())
    assert all(np.isfinite(time) for _, time in placed.values())


def test_nothing_is_held_back_for_longer_than_promised():
    values, stamps = regular(10)
    rng = np.random.default_rng(3)
    stamps += np.repeat(rng.exponential(MOST_S, len(stamps) // 10), 10)
    track, handed = StampTrack(RATE), 0
    for at in range(0, len(values), 10):
        pieces = track.push(values[at : at + 10].astype(np.float32), stamps[at : at + 10], stamps[at])
        handed += sum(len(piece.samples) for piece in pieces)
        assert at + 10 - handed <= HOLD_S * RATE
