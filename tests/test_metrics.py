"""Matching and counting."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.metrics import Score, match, mean, pooled, score

times = st.lists(st.integers(0, 4000).map(lambda ms: ms / 1000), max_size=25)


def pairs(*args):
    found = match(*args)
    return list(zip(found.reference.tolist(), found.detected.tolist(), strict=True))


def test_a_second_detection_of_one_beat_is_false():
    counted = score([5.0, 6.0], [5.0, 5.03, 6.0], 0.075)
    assert (counted.tp, counted.fp, counted.fn) == (2, 1, 0)


def test_the_nearest_detection_is_taken_whichever_comes_first():
    assert pairs([5.0], [4.95, 5.01], 0.075) == [(0, 1)]
    assert pairs([5.0], [5.01, 4.95], 0.075) == [(0, 0)]


def test_the_closest_pair_is_taken_before_earlier_ones():
    # 5.06 is near both; in time order it would go to 5.00 and leave 5.07 with 5.14
    assert pairs([5.0, 5.07], [5.06, 5.14], 0.075) == [(1, 0)]


def test_equally_close_pairs_go_to_the_earliest():
    assert pairs([0.0, 2.0], [1.0], 1.0) == [(0, 0)]
    assert pairs([1.0], [0.0, 2.0], 1.0) == [(0, 0)]


def test_a_distance_of_just_the_tolerance_is_within_it():
    rate = 360  # 27 samples of 360 Hz are 75 ms
    assert (
        len(pairs([n / rate for n in range(0, 9000, 300)], [(n + 27) / rate for n in range(0, 9000, 300)], 0.075)) == 30
    )
    assert pairs([5.0], [5.0751], 0.075) == []


def test_a_lopsided_window():
    assert pairs([1.0], [0.93], (0.06, 0.1)) == []
    assert pairs([1.0], [1.09], (0.06, 0.1)) == [(0, 0)]


@given(times, times, st.sampled_from([0.0, 0.05, 0.075, 0.4]))
def test_pairs_are_one_to_one_close_and_leave_nothing_that_could_be_paired(reference, detected, tolerance):
    found = pairs(reference, detected, tolerance)
    assert len({r for r, _ in found}) == len({d for _, d in found}) == len(found)
    assert all(abs(reference[r] - detected[d]) <= tolerance + 1e-8 for r, d in found)
    left = [r for k, r in enumerate(reference) if k not in {r for r, _ in found}]
    over = [d for k, d in enumerate(detected) if k not in {d for _, d in found}]
    assert all(abs(r - d) > tolerance for r in left for d in over)
    assert [reference[r] for r, _ in found] == sorted(reference[r] for r, _ in found)


@given(times, times)
def test_the_order_that_events_are_given_in_does_not_count(reference, detected):
    ahead = score(reference, detected, 0.075)
    assert ahead == score(reference[::-1], detected[::-1], 0.075)


@given(times, times)
def test_counts_add_up(reference, detected):
    counted = score(reference, detected, 0.075, lead_in_s=0)
    assert counted.tp + counted.fn == len(reference)
    assert counted.tp + counted.fp == len(detected)


def test_the_first_three_seconds_are_left_out():
    counted = score([1.0, 2.0, 3.0, 4.0], [1.5, 2.5, 3.0, 4.0, 4.5], 0.075)
    assert (counted.tp, counted.fp, counted.fn) == (2, 1, 0)


def test_a_pair_across_the_edge_is_judged_by_its_reference():
    assert score([3.01], [2.98], 0.075) == Score(1, 0, 0)
    assert score([2.98], [3.01], 0.075) == Score(0, 0, 0)


def test_only_spans_count():
    counted = score([5, 10, 15, 20], [5, 10, 12, 16, 20], 0.075, spans=[(9, 13), (19, 21)])
    assert counted == Score(2, 1, 0)
    assert score([5.0], [6.0], 0.075, spans=[]) == Score(0, 0, 0)


def test_only_some_beats_count():
    counted = score([5, 10, 15, 20], [5, 10, 12], 0.075, only=[True, False, True, False])
    assert counted == Score(1, 1, 1)


def test_figures():
    counted = Score(90, 30, 10)
    assert (counted.se, counted.ppv, counted.f1) == (90.0, 75.0, pytest.approx(100 * 180 / 220))


def test_figures_of_nothing_are_nan():
    figures = Score(0, 0, 0).f1, Score(0, 1, 0).se, Score(0, 0, 1).ppv, Score(0, 0, 1).bias_ms
    assert all(map(math.isnan, figures))
    assert Score(0, 1, 0).f1 == Score(0, 0, 1).f1 == 0


def test_timing_is_measured_against_the_peaks():
    counted = score([5.0, 6.0], [5.02, 6.0], 0.075, peaks_s=[5.01, 6.01])
    assert counted.bias_ms == pytest.approx(0, abs=1e-9)
    assert counted.jitter_ms == pytest.approx(10)
    assert counted.quantile_ms(1) == pytest.approx(10)


def test_pooled_and_mean_weigh_differently():
    scores = [Score(99, 0, 1, np.zeros(99)), Score(1, 0, 1, np.full(1, 100.0)), Score(0, 0, 0)]
    assert pooled(scores).se == pytest.approx(100 * 100 / 102)
    assert pooled(scores).bias_ms == pytest.approx(1)
    assert mean(scores, lambda s: s.se) == pytest.approx((99 + 50) / 2)
    assert pooled([]) == Score(0, 0, 0)


@pytest.mark.parametrize("bad", [[[1.0]], [math.nan], 3.0])
def test_times_of_another_shape_are_refused(bad):
    with pytest.raises(ValueError, match="allowed is"):
        match(bad, [1.0], 0.1)


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match=r"tolerance is -0\.1 s"):
        match([1.0], [1.0], -0.1)
