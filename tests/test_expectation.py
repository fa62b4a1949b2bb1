"""What the gate expects: beats counted as the network sees them a moment later."""

import numpy as np
import pytest

from streamqrs.expectation import BACK, Expectation, onset
from streamqrs.types import HALF_MASK, Probabilities

WINDOW, CONFIRMED_AFTER = 400, 220


def hear(expectation, curve, stop, hop=2, seen=0, beats=()):
    """Let it hear the windows of a curve up to a sample, as if each were this piece of it; beats are confirmed late."""
    beats = list(beats)
    for end in range(max(seen, WINDOW), stop + 1, hop):
        while beats and beats[0] + CONFIRMED_AFTER < end:
            expectation.confirm(beats.pop(0))
        expectation.hear(Probabilities(curve[end - WINDOW : end], end - WINDOW, end))


def curve_of(beats, n=None):
    p = np.zeros(n or beats[-1] + 400, np.float32)
    for at in beats:
        p[at - HALF_MASK : at + HALF_MASK + 1] = 0.9
    return p


def heard(beats, *, depth=10, until=None):
    expectation = Expectation(50, depth)
    curve = curve_of(beats)
    hear(expectation, curve, until or beats[-1] + 150, beats=beats)
    return expectation


def test_nothing_is_due_before_a_rhythm_is_seen():
    assert Expectation(50, 10).due(1000) == (0, 0)
    assert heard([500]).due(700) == (0, 0)
    assert heard([500]).due(560) == (0, 0)


def test_a_beat_is_due_one_interval_after_the_last():
    expectation = heard(list(range(500, 3000, 200)))
    last = 2900
    due = [expectation.due(last + since)[0] for since in (60, 120, 170, 200, 230, 300)]
    assert max(due) == due[3] > 1.5
    assert due[0] == due[1] == 0


def test_a_premature_beat_is_due_in_bigeminy():
    beats = np.cumsum([500, *([130, 270] * 12)]).tolist()
    assert heard(beats).due(beats[-1] + 130)[0] > heard(beats).due(beats[-1] + 200)[0] + 0.3
    assert heard(beats).due(beats[-1] + 130)[0] > 0.8


def test_how_early_a_beat_comes():
    expectation = heard(list(range(500, 3000, 200)))
    early = [float(expectation.due(2900 + since)[1]) for since in (49, 50, 75, 100, 150)]
    assert early == pytest.approx([1, 1, 0.5, 0, 0], abs=0.02)


@pytest.mark.parametrize("depth", [10, 24, 60, 125])
def test_a_beat_counts_no_earlier_than_the_gate_has_decided_on_it(depth):
    beats = list(range(500, 3000, 200))
    seen = 2900 + max(BACK, depth + 3 * HALF_MASK) + HALF_MASK + 2
    before, after = heard(beats, depth=depth, until=seen - 4), heard(beats, depth=depth, until=seen + 4)
    assert before.due(2900)[0] > 1.5
    assert after.due(3100)[0] > 1.5
    assert after.due(2900) == (0, 1)


def test_a_trigger_counts_until_it_is_seen_whether_it_was_a_beat():
    beats = list(range(500, 3000, 200))
    curve = curve_of([*beats, 3300], 4000)
    expectation = Expectation(50, 10)
    hear(expectation, curve, 2960, beats=beats)
    expectation.trigger(2900.0)  # is one
    hear(expectation, curve, 3020, seen=2962)
    assert expectation.due(3100)[0] > 1.5
    expectation.trigger(3010.0)  # is none
    assert expectation.due(3210)[0] > 1.5
    hear(expectation, curve, 3110, seen=3022)
    assert expectation.due(3100)[0] > 1.5
    assert expectation.due(3210)[0] < 0.5


def test_what_is_seen_and_not_confirmed_is_forgotten():
    beats = list(range(500, 3000, 200))
    curve = curve_of([*beats, 3020], 4000)
    expectation = Expectation(50, 10)
    hear(expectation, curve, 3110, beats=beats)
    assert expectation.due(3100)[0] == 0  # the last one was at 3020
    hear(expectation, curve, 3400, seen=3112, beats=beats[-1:])
    assert expectation.due(3100)[0] > 1.5  # the last one was at 2900


def test_after_a_pause_and_a_reset_all_begins_anew():
    beats = list(range(500, 3000, 200))
    assert heard([*beats, 4000]).due(4200) == (0, 0)
    expectation = heard(beats)
    expectation.reset()
    assert expectation.due(3100) == (0, 0)


def test_the_onset_lies_between_two_samples():
    p = np.array([0.0, 0.1, 0.3, 0.7, 0.9, 0.9, 0.2], np.float32)
    assert onset(p, 5, 0.5) == pytest.approx(2.5)
    assert onset(p, 3, 0.5) == pytest.approx(2.5)
    assert onset(p[3:], 1, 0.5) == 0
