from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamqrs.intervals import LONGEST_RR
from streamqrs.rhythm import Rhythm
from streamqrs.types import Peak


def choose(candidates, *, weight=0.5, threshold=0.5, distance=50, patience=90, sure=0.0, step=None):
    """Positions of the beats among (position, probability[, likeness]), pushed at once or step by step."""
    rhythm = Rhythm(threshold, distance, patience, weight, sure)
    peaks = [Peak(float(at), p, 0, at + 13, *likeness) for at, p, *likeness in sorted(candidates)]
    end = peaks[-1].at + 300 if peaks else 300
    found = []
    seen = 0.0
    for stop in np.arange(step, end, step) if step else []:
        found += rhythm.push([p for p in peaks if seen < p.stop <= stop], stop, int(stop))
        seen = stop
    found += rhythm.push([p for p in peaks if p.stop > seen], max(end, seen), int(end))
    return [round(p.at) for p in found + rhythm.flush(int(end))]


def regular(n, rr=225, p=0.95, start=100):
    return [(start + k * rr, p) for k in range(n)]


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_regular_rhythm_is_taken_as_it_is(weight):
    beats = regular(20)
    assert choose(beats, weight=weight) == [at for at, _ in beats]


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_of_two_that_are_too_close_the_more_probable_stays(weight):
    assert choose([(100, 0.6), (140, 0.9)], weight=weight) == [140]
    assert choose([(100, 0.9), (140, 0.6)], weight=weight) == [100]


def test_without_rhythm_the_threshold_decides_alone():
    assert choose([(100, 0.6), (300, 0.49), (420, 0.51)], weight=0.0) == [100, 420]
    assert choose([(100, 0.49)], weight=0.0) == []


def test_waves_half_way_between_beats_are_left_out():
    beats = regular(20)
    waves = [(at + 120, 0.65) for at, _ in beats]
    assert choose(beats + waves, weight=0.0) == sorted(at for at, _ in beats + waves)
    assert choose(beats + waves) == [at for at, _ in beats]


def test_it_comes_back_to_the_beats_when_it_began_with_a_wave():
    beats = regular(30)
    waves = [(at + 120, 0.65) for at, _ in beats]
    chosen = choose(waves[:1] + beats[1:] + waves[1:])
    assert [at for at in chosen if at > 1500] == [at for at, _ in beats if at > 1500]


def test_a_confident_premature_beat_survives():
    beats = [*regular(10), (100 + 9 * 225 + 120, 0.995), *regular(10, start=100 + 11 * 225)]
    assert choose(beats) == [at for at, _ in beats]


def test_after_a_premature_beat_a_compensatory_pause_is_expected_too():
    early = 100 + 9 * 225 + 120
    for at, p, found in ((100 + 11 * 225, 0.25, True), (early + 250, 0.25, False), (early + 250, 0.6, True)):
        beats = [*regular(10), (early, 0.999), (at, p), *regular(4, start=at + 225)]
        assert (at in choose(beats)) is found


def bigeminy(n, *, coupling=130, pause=220, p=0.97, early=0.97, start=100):
    """Beats in their time and, each as long after one of them, premature ones."""
    pairs = ((start + k * (coupling + pause), start + k * (coupling + pause) + coupling) for k in range(n))
    return [beat for a, b in pairs for beat in ((a, p), (b, early))]


def test_in_bigeminy_doubtful_premature_beats_are_expected():
    learnt = bigeminy(10)
    doubtful = bigeminy(10, early=0.4, start=100 + 10 * 350)
    assert choose(learnt + doubtful) == [at for at, _ in learnt + doubtful]
    regular_before = regular(20, rr=350)
    end = regular_before[-1][0] + 350
    odd = [(at, p) for at, p in bigeminy(1, early=0.4, start=end)]
    after = regular(5, rr=350, start=end + 350)
    assert odd[1][0] not in choose([*regular_before, *odd, *after])


def test_a_premature_beat_is_expected_as_long_after_the_beat_as_the_last_one():
    for coupling, found in ((130, True), (110, False), (150, False)):
        learnt = bigeminy(10)
        end = 100 + 10 * 350
        other = [(end, 0.97), (end + coupling, 0.45), *regular(4, rr=350, start=end + 350)]
        assert (end + coupling in choose(learnt + other)) is found


def test_a_wave_soon_after_each_beat_is_not_expected_as_a_premature_one_is():
    """T waves come less than 380 ms after R; a chain of both is no bigeminy."""
    beats = regular(30, rr=260)
    waves = [(at + 80, 0.6) for at, _ in beats]
    assert choose(beats + waves) == [at for at, _ in beats]


@pytest.mark.parametrize(("wide", "found"), [(0, False), (85, True)])
def test_an_irregular_heart_has_doubtful_beats_at_odd_times(wide, found):
    """The patient's own sure beats say how regular the heart is."""
    rng = np.random.default_rng(1)
    at = 100 + np.cumsum(215 + rng.uniform(-wide - 5, wide + 5, 120)).astype(int)
    odd = int(at[-1]) + 160
    beats = [*((int(a), 0.97) for a in at), (odd, 0.75), *regular(5, rr=215, start=odd + 215)]
    assert (odd in choose(beats)) is found


def test_a_doubtful_candidate_is_a_beat_where_one_was_due():
    beats = regular(10)
    doubtful = [(at, 0.3 if k == 6 else p) for k, (at, p) in enumerate(beats)]
    assert choose(doubtful) == [at for at, _ in beats]
    assert choose(doubtful, weight=0.0) == [at for at, _ in beats if at != beats[6][0]]


def test_where_nothing_is_sure_there_is_no_heart():
    rng = np.random.default_rng(0)
    at = 100 + np.cumsum(rng.uniform(60, 260, 60)).astype(int)
    doubtful = [(int(a), p) for a, p in zip(at, rng.uniform(0.2, 0.7, len(at)), strict=True)]
    assert choose(doubtful)
    assert choose(doubtful, sure=0.8) == []


@pytest.mark.parametrize("step", [None, 1, 37])
@pytest.mark.parametrize(("p", "least", "most"), [(0.8, 3, 8), (0.6, 10, 20)])
def test_a_heart_none_of_whose_beats_is_sure_is_heard_after_some(step, p, least, most):
    beats = regular(30, p=p)
    chosen = choose(beats, sure=0.9, step=step)
    assert least <= len(beats) - len(chosen) <= most
    assert chosen == [at for at, _ in beats[-len(chosen) :]]


def test_a_heart_that_was_sure_vouches_for_doubtful_beats():
    beats = regular(12)
    doubtful = regular(12, p=0.6, start=beats[-1][0] + 225)
    assert choose(beats + doubtful, sure=0.8) == [at for at, _ in beats + doubtful]


def test_after_a_pause_nobody_vouches():
    beats = regular(12)
    doubtful = regular(4, p=0.7, start=beats[-1][0] + LONGEST_RR + 5)
    assert choose(beats + doubtful, sure=0.8) == [at for at, _ in beats]


def test_more_is_asked_of_a_sure_beat_before_the_patient_is_known():
    beats = [(at, 0.85, 0.2) for at, _ in regular(3)]
    assert choose(beats, sure=0.8) == [at for at, *_ in beats]
    assert choose([(at, p) for at, p, _ in beats], sure=0.8) == []


def test_a_probable_candidate_that_looks_like_the_patients_beats_is_sure():
    known = [(at, 0.6, 0.7) for at, _ in regular(8)]
    assert choose(known, sure=0.8) == [at for at, *_ in known]
    assert choose([(at, 0.6, 0.3) for at, *_ in known], sure=0.8) == []
    assert choose([(at, 0.4, 0.7) for at, *_ in known], threshold=0.3, sure=0.8) == []


def test_what_is_neither_probable_nor_alike_is_no_beat_even_where_one_is_due():
    beats = [(at, 0.95, 0.9) for at, _ in regular(20)]
    due = beats[6][0]
    for doubtful, counts in (((0.1, 0.3), True), ((0.3, 0.0), True), ((0.2, 0.05), False)):
        others = [*beats[:6], (due, *doubtful), *beats[7:]]
        assert (due in choose(others, threshold=0.3, weight=2.0, sure=0.8)) is counts


def test_after_a_reset_nobody_vouches():
    rhythm = Rhythm(0.5, 50, 50, 0.5, 0.8)
    rhythm.push([Peak(100.0, 0.95, 0, 113)], 400, 400)
    rhythm.reset()
    assert not rhythm.push([Peak(100.0, 0.7, 0, 113)], 400, 400) + rhythm.flush(400)


def test_an_irregular_but_confident_rhythm_is_kept():
    rng = np.random.default_rng(0)
    at = 100 + np.cumsum(rng.uniform(90, 260, 60)).astype(int)
    chosen = choose([(int(a), 0.97) for a in at])
    assert len(set(at.tolist()) - set(chosen)) <= 1
    assert set(chosen) <= set(at.tolist())


def test_the_highest_heart_rates_pass():
    beats = regular(40, rr=62)  # 242 beats per minute
    assert choose(beats) == [at for at, _ in beats]


def test_after_a_long_pause_it_begins_anew():
    beats = regular(5) + regular(5, start=6000)
    assert choose(beats) == [at for at, _ in beats]


@given(
    st.lists(st.tuples(st.integers(0, 6000), st.floats(0.2, 0.999)), max_size=60),
    st.sampled_from([1.0, 7.0, 120.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(deadline=None, max_examples=60)
def test_pieces_give_the_same_beats_as_the_whole_and_none_too_close(candidates, step, weight):
    candidates = list({at: (at, p) for at, p in candidates}.values())
    chosen = choose(candidates, weight=weight)
    assert choose(candidates, weight=weight, step=step) == chosen
    assert all(b - a >= 50 for a, b in pairwise(chosen))
    assert set(chosen) <= {at for at, _ in candidates}


def test_nobody_waits_longer_than_the_delay():
    rng = np.random.default_rng(1)
    rhythm = Rhythm(0.5, 50, 90, 0.5)
    for stop in range(30, 20_000, 10):
        new = [Peak(stop - rng.uniform(13, 23), rng.uniform(0.2, 1), 0, stop - 5)] if rng.random() < 0.08 else []
        for beat in rhythm.push(new, float(stop), stop):
            assert stop - beat.at <= rhythm.delay + 10
        assert rhythm.settled >= stop - rhythm.delay - 10
    assert len(rhythm._nodes) < 300


def test_reset_forgets():
    rhythm = Rhythm(0.5, 50, 90, 0.5)
    rhythm.push([Peak(100.0, 0.9, 0, 113)], 400, 400)
    rhythm.reset()
    assert [p.at for p in rhythm.push([Peak(30.0, 0.9, 0, 43)], 400, 400)] == [30.0]
