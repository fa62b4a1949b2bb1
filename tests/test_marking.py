"""Marks while somebody works on them, and the places where to look."""

import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.doubts import find_doubts
from streamqrs.marking import Change, Mark, Marking
from streamqrs.types import RATE, Beat
from streamqrs.wfdb_files import encode_marks

N = 5000


@pytest.fixture
def samples():
    """A spike every 200 samples, from 100 on."""
    x = np.zeros(N, np.float32)
    for at in range(100, N, 200):
        x[at - 4 : at + 5] = 1 - np.abs(np.arange(-4, 5)) / 5
    return x


def marking(samples, at=(100, 300, 500)):
    return Marking([Mark(a) for a in at], samples, 250.0)


def test_a_new_mark_lands_on_the_peak_unless_told_otherwise(samples):
    m = marking(samples)
    assert m.add(710) == Change(added=[Mark(700)])
    assert m.add(905, snap=False) == Change(added=[Mark(905)])
    assert [mark.at for mark in m.marks] == [100, 300, 500, 700, 905]
    assert not m.saved


def test_near_the_ends_and_over_missing_samples_a_mark_can_be_added(samples):
    samples[1200:1300] = np.nan
    m = marking(samples, ())
    for at in (0, N - 1, 1250):
        assert len(m.add(at).added) == 1


def test_two_marks_are_never_nearer_than_50_ms(samples):
    m = marking(samples)
    assert m.add(305, snap=False) == Change()
    assert m.move(100, 295) == Change()
    assert m.move(100, 110) == Change([Mark(100)], [Mark(110)])  # near to itself is allowed
    assert m.saved is False


def test_what_is_not_there_cannot_be_deleted_or_moved(samples):
    m = marking(samples)
    assert m.delete(101) == Change()
    assert m.move(101, 800) == Change()
    assert m.undo() == Change()
    assert m.saved


@pytest.mark.parametrize("at", [-1, N])
def test_outside_of_the_recording_there_is_nothing(samples, at):
    with pytest.raises(ValueError, match="allowed are 0 to 4999"):
        marking(samples).add(at)
    with pytest.raises(ValueError, match="allowed are 0 to 4999"):
        marking(samples).move(100, at)


def test_the_code_of_a_beat_goes_with_it(samples):
    m = Marking([Mark(100, "V"), Mark(300)], samples, 250.0)
    assert m.move(100, 104).added == [Mark(104, "V")]
    with pytest.raises(ValueError, match="allowed are"):
        m.add(700, code="x")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, N - 1)),
        st.tuples(st.just("delete"), st.sampled_from([100, 300, 500, 700])),
        st.tuples(st.just("move"), st.sampled_from([100, 300, 500]), st.integers(0, N - 1)),
    ),
    max_size=30,
)


@given(steps)
def test_every_step_can_be_taken_back(given_steps):
    m = Marking([Mark(a) for a in (100, 300, 500)], np.zeros(N, np.float32), 250.0)
    states = [m.marks]
    for name, *arguments in given_steps:
        options = {"snap": False} if name == "add" else {}
        if getattr(m, name)(*arguments, **options) != Change():
            states.append(m.marks)
        assert all(b.at - a.at >= 12.5 for a, b in zip(m.marks, m.marks[1:], strict=False))
    while len(states) > 1:
        assert m.marks == states.pop()
        assert m.undo() != Change()
    assert m.marks == states[0]
    assert m.undo() == Change()


def test_wfdb_reads_codes_and_rhythms_back(samples, tmp_path):
    m = Marking([Mark(100, "V"), Mark(300), Mark(4000)], samples, 250.0)
    (tmp_path / "r.rev").write_bytes(m.encode([(50, "AFIB"), (3000, "N")]))
    found = wfdb.rdann(str(tmp_path / "r"), "rev")
    assert found.sample.tolist() == [50, 100, 300, 3000, 4000]
    assert found.symbol == ["+", "V", "N", "+", "N"]
    assert [note.strip("\0") for note in found.aux_note] == ["(AFIB", "", "", "(N", ""]
    assert encode_marks([], 250.0) == bytes(2)


def beats_at(times, probability=0.99):
    return [Beat(k, "beat", round(t * RATE), t, probability, None, t + 0.5) for k, t in enumerate(times)]


def test_agreement_at_a_steady_pace_leaves_no_doubt():
    times = np.arange(1, 60, 0.8)
    assert find_doubts(times, beats_at(times), np.zeros(60 * RATE, np.float32), threshold=0.5) == []


def test_each_kind_of_doubt_is_found():
    times = list(np.arange(1, 60, 0.8))
    curve = np.zeros(60 * RATE, np.float32)
    curve[round(40.6 * RATE) : round(40.65 * RATE)] = 0.3  # half way between two beats
    beats = beats_at(times)
    extra = Beat(99, "beat", round(10.2 * RATE), 10.2, 0.7, None, 11)
    weak = Beat(30, "beat", round(times[30] * RATE), times[30], 0.55, None, 30)
    found = sorted([*beats[:20], *beats[21:30], weak, *beats[31:], extra], key=lambda beat: beat.time)
    marks = times[:50] + times[51:]  # and one mark is missing: detected, not marked, and a long interval
    doubts = {round(d.time_s, 2): d for d in find_doubts(marks, found, curve, threshold=0.5)}
    assert doubts[10.2].reasons == ("detected (p 0.70), not marked",)
    assert doubts[round(times[20], 2)].reasons == ("marked, not detected",)
    assert doubts[round(times[30], 2)].reasons == ("probability 0.55",)
    assert doubts[40.6].reasons == ("no beat here, but probability 0.30",)
    assert doubts[round(times[50], 2)].reasons == ("detected (p 0.99), not marked",)
    assert doubts[round(times[51], 2)].reasons == ("RR 1600 ms is long",)
    assert len(doubts) == 6
    order = [d.degree for d in find_doubts(marks, found, curve, threshold=0.5)]
    assert order == sorted(order, reverse=True)
    assert all(0 <= degree <= 1 for degree in order)


def test_in_an_irregular_rhythm_an_interval_is_odd_only_if_it_stands_out():
    intervals = np.random.default_rng(0).uniform(0.5, 1.1, 200)
    times = np.cumsum(intervals)
    odd = find_doubts(times, beats_at(times), np.zeros(200 * RATE, np.float32), threshold=0.5)
    assert len(odd) < 10


def test_a_recording_without_beats_has_no_doubts():
    assert find_doubts([], [], np.zeros(2500, np.float32), threshold=0.5) == []
