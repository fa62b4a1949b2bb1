import numpy as np
import pytest

from streamqrs.clock import ClockMap


def worst(rate, chunk, true, stamp, seconds=120, settle=30):
    """Greatest error in s after settling; `true` and `stamp` give time by sample."""
    clock, errors = ClockMap(rate), []
    for k in range(0, int(seconds * rate), chunk):
        clock.push(k, stamp(k))
        if k > settle * rate:
            errors.append(abs(clock.time(k - 0.4 * rate) - true(k - 0.4 * rate)))
    return max(errors)


def test_without_stamps_time_is_the_count():
    assert ClockMap(500).time(1234) == 1234 / 500


def test_exact_stamps_are_taken_as_they_are():
    assert worst(360, 9, lambda k: 5e5 + k / 360, lambda k: 5e5 + k / 360) < 1e-7


@pytest.mark.parametrize("drift", [-2e-4, 2e-4])
def test_drift_and_jitter(drift):
    rng = np.random.default_rng(0)

    def true(k):
        return 1000 + k / 500 * (1 + drift)

    assert worst(500, 10, true, true) < 0.2e-3
    assert worst(500, 10, true, lambda k: true(k) + 0.02 * rng.standard_normal()) < 3e-3


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_jump_is_followed_and_counted(jump):
    clock = ClockMap(250)
    for k in range(0, 5000, 5):
        clock.push(k, k / 250 + (jump if k > 2500 else 0.0))
    assert clock.time(5000) == pytest.approx(20 + jump, abs=1e-6)
    assert clock.jumps == 1


@pytest.mark.parametrize("jitter", [0.0, 0.02])
@pytest.mark.parametrize("step", [0.006, 0.05, -0.05, 0.25])
def test_a_step_too_small_for_a_jump_is_followed_within_4_s(step, jitter):
    rng = np.random.default_rng(2)
    clock, errors = ClockMap(250), []
    for k in range(0, 60 * 250, 5):
        true = k / 250 * (1 + 1e-4) + step * (k >= 30 * 250)
        clock.push(k, true + rng.uniform(-jitter, jitter))
        errors.append(abs(clock.time(k) - true))
    settled = np.array(errors)[np.arange(len(errors)) * 5 / 250 >= 34]
    assert settled.max() < 0.005
    assert clock.jumps == 0


def test_a_burst_of_late_stamps_is_no_step():
    clock = ClockMap(250)
    for k in range(0, 60 * 250, 5):
        clock.push(k, k / 250 + 0.2 * (7500 <= k < 8000))
        assert abs(clock.time(k) - k / 250) < 0.005


def test_a_single_wild_stamp_is_passed_over():
    clock = ClockMap(250)
    for k in range(0, 5000, 5):
        clock.push(k, 99.0 if k == 2500 else k / 250)
    assert clock.time(5000) == pytest.approx(20, abs=1e-9)
    assert clock.jumps == 0


def test_nan_and_infinity_are_passed_over():
    clock = ClockMap(250)
    for k in range(0, 1000, 5):
        clock.push(k, float("nan") if k % 2 else k / 250)
    clock.push(1000, float("inf"))
    assert clock.time(1000) == pytest.approx(4)


def test_time_grows_with_the_count_even_when_stamps_do_not():
    rng = np.random.default_rng(1)
    clock = ClockMap(250)
    for k in range(0, 10_000, 5):
        clock.push(k, k / 250 + 0.05 * rng.standard_normal())
        assert clock.time(k + 1) > clock.time(k)
