"""When triggers are sent: decided on clocks that the tests hand in."""

import math

import numpy as np
import pytest

from streamqrs.triggers import MEMORY_S, ArrivalClock, TriggerDesk, TriggerSettings
from streamqrs.types import Beat

RATE = 250.0


def trigger(time=10.0, known=10.01, id=0):
    return Beat(id, "trigger", 2500, time, 0.9, 0.8, known)


def live_desk(**settings):
    """A desk that heard 4 s of samples, each 20 ms after it was taken; sample k is of the local time 100 + k / RATE."""
    desk = TriggerDesk(TriggerSettings(**settings), live=True)
    for newest in range(0, 1001, 2):
        desk.hear(newest, RATE, 100.02 + newest / RATE)
    return desk


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"deadline_ms": 0.0}, "deadline is 0 ms: allowed is more than 0"),
        ({"deadline_ms": math.nan}, "deadline is nan ms"),
        ({"align_ms": -1.0}, "align is -1 ms: allowed are 0 to the deadline, 100 ms"),
        ({"align_ms": 101.0}, "align is 101 ms"),
        ({"align_ms": math.nan}, "align is nan ms"),
    ],
)
def test_settings_are_checked(given, text):
    with pytest.raises(ValueError, match=text):
        TriggerSettings(**given)


@pytest.mark.parametrize("chunk", [1, 7, 125])
def test_chunks_and_jitter_do_not_move_the_clock(chunk):
    rng = np.random.default_rng(5)
    clock = ArrivalClock()
    for newest in range(chunk - 1, 5000, chunk):
        late = 0.0 if rng.random() < 0.2 else rng.uniform(0, 0.03)
        clock.push(newest, RATE, 50.0 + newest / RATE + late)
    assert clock.time(4000, RATE) == pytest.approx(50.0 + 4000 / RATE, abs=1e-9)


@pytest.mark.parametrize("drift", [2e-4, -2e-4])
def test_a_clock_that_drifts_is_followed(drift):
    clock = ArrivalClock()
    for newest in range(0, 250_000, 5):
        clock.push(newest, RATE, newest / RATE * (1 + drift))
    assert clock.time(249_995, RATE) == pytest.approx(249_995 / RATE * (1 + drift), abs=abs(drift) * MEMORY_S * 1.01)


def test_what_waited_through_a_pause_does_not_pass_for_prompt():
    clock = ArrivalClock()
    for newest in range(1000):
        clock.push(newest, RATE, newest / RATE)
    for newest in range(1000, 3500):  # the process slept for 10 s, and now gets all at once
        clock.push(newest, RATE, 14.0)
    assert clock.time(3499, RATE) == pytest.approx(3499 / RATE)


def test_an_unseen_loss_is_forgotten_after_the_memory():
    clock = ArrivalClock()
    for newest in range(1000):
        clock.push(newest, RATE, newest / RATE)
    for newest in range(1000, 2500):  # 50 samples are missing, and the source does not say so
        clock.push(newest, RATE, (newest + 50) / RATE)
    assert clock.time(2499, RATE) == pytest.approx(2549 / RATE)


def test_a_trigger_in_time_leaves_at_once():
    # R 0.1 s before the newest sample, which was taken at 104.0 and came at 104.02
    found = live_desk().judge(trigger(), 0.05, 104.025)
    assert found.peak == pytest.approx(103.97)
    assert found.due <= 104.025
    assert found.latest == pytest.approx(104.07)
    assert not found.held


def test_a_trigger_past_its_deadline_is_late():
    desk = live_desk(deadline_ms=60.0)
    assert desk.judge(trigger(), 0.05, 104.029)
    assert desk.judge(trigger(), 0.05, 104.031) is None


def test_aligned_triggers_are_due_at_r_plus_so_much_wherever_r_is():
    desk = live_desk(align_ms=80.0)
    for ago_s in (-0.01, 0.0, 0.0123, 0.05):
        found = desk.judge(trigger(), ago_s, 104.025)
        assert found.held
        assert found.due - found.peak == pytest.approx(0.08)
        assert found.latest - found.due == pytest.approx(0.001)
        assert found.peak == pytest.approx(104.02 - ago_s)


def test_an_aligned_trigger_that_missed_its_time_is_late():
    desk = live_desk(align_ms=80.0)
    assert desk.judge(trigger(), 0.0755, 104.025).held is False  # 0.5 ms past its time: at once
    assert desk.judge(trigger(), 0.0765, 104.025) is None


def test_without_a_live_source_the_source_clock_decides():
    desk = TriggerDesk(TriggerSettings(deadline_ms=50.0), live=False)
    desk.hear(2500, RATE, 7.0)
    assert desk.judge(trigger(10.0, 10.049), 0.7, 1e6)
    assert desk.judge(trigger(10.0, 10.051), 0.0, 7.0) is None
    desk = TriggerDesk(TriggerSettings(align_ms=30.0), live=False)
    assert desk.judge(trigger(10.0, 10.03), 0.0, 7.0).held is False
    assert desk.judge(trigger(10.0, 10.032), 0.0, 7.0) is None
