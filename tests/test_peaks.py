import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamqrs.peaks import LONGEST, Peaks
from streamqrs.types import Probabilities


def curve(n, *bumps, width=25):
    """Curve with a plateau of the given height around each position."""
    p = np.zeros(n, np.float32)
    for at, height in bumps:
        p[at - width // 2 : at + width // 2 + 1] = height
    return p


def find(p, sizes=(), low=0.2):
    peaks = Peaks(low)
    found, at = [], 0
    for size in [*sizes, len(p)]:
        piece = p[at : at + size]
        found += peaks.push(Probabilities(piece, at, at + len(piece)))
        at += len(piece)
    return found + peaks.flush()


def test_a_peak_is_the_centre_of_its_stretch():
    (one, two) = find(curve(600, (100, 0.9), (300, 0.7)))
    assert (one.at, two.at) == (pytest.approx(100), pytest.approx(300))
    assert (one.probability, two.probability) == (pytest.approx(0.9), pytest.approx(0.7))


def test_a_candidate_reaches_the_low_probability():
    assert find(curve(300, (100, 0.19))) == []
    assert len(find(curve(300, (100, 0.21)))) == 1


def test_a_peak_is_the_centre_of_the_upper_half_of_its_hill():
    p = curve(300, (100, 0.9))
    p[113:160] = 0.4
    (peak,) = find(p)
    assert peak.at == pytest.approx(100)
    p[113:120] = 0.6
    (peak,) = find(p)
    upper = p * (p >= 0.45)
    assert peak.at == pytest.approx((upper * np.arange(300)).sum() / upper.sum())


def test_two_hills_above_the_low_probability_are_two_candidates():
    p = curve(300, (100, 0.9), (140, 0.6))
    p[113:128] = 0.25
    low, high = find(p)
    assert (low.at, high.at) == (pytest.approx(100), pytest.approx(140))
    assert (low.probability, high.probability) == (pytest.approx(0.9), pytest.approx(0.6))
    p[113:128] = 0.57  # no valley to speak of
    (one,) = find(p)
    assert one.probability == pytest.approx(0.9)


def test_a_candidate_is_given_once_the_curve_has_fallen_to_half():
    p = curve(300, (100, 0.9))
    p[113:] = 0.3
    peaks = Peaks(0.2)
    (peak,) = peaks.push(Probabilities(p[:114], 0, 114))
    assert peak.at == pytest.approx(100)
    assert peaks.push(Probabilities(p[114:], 114, 300)) == []
    assert peaks.settled >= 113
    assert peaks.flush() == []


def test_a_stretch_that_never_ends_is_cut():
    found = find(np.full(1000, 0.9, np.float32))
    assert len(found) == 1000 // LONGEST
    peaks = Peaks(0.2)
    for at in range(0, 100_000, 100):
        peaks.push(Probabilities(np.full(100, 0.9, np.float32), at, at + 100))
        assert at + 100 - peaks.settled <= LONGEST


@given(st.lists(st.integers(0, 300), max_size=20), st.integers(0, 5))
@settings(deadline=None)
def test_pieces_give_the_same_bits_as_the_whole(sizes, seed):
    rng = np.random.default_rng(seed)
    p = np.convolve(rng.random(2500), np.ones(15) / 15, "same")
    p = np.clip(4 * (p - 0.42), 0, 1).astype(np.float32)
    whole = find(p)
    got = find(p, sizes)
    assert len(whole) > 5
    assert [(g.at, g.probability) for g in got] == [(w.at, w.probability) for w in whole]


def test_settled_is_where_the_open_stretch_begins():
    peaks = Peaks(0.2)
    peaks.push(Probabilities(curve(300, (290, 0.9))[:292], 0, 292))
    assert peaks.settled == 278
    (peak,) = peaks.push(Probabilities(curve(600, (290, 0.9))[292:], 292, 600))
    assert peak.at == pytest.approx(290)
    assert peaks.settled == 600


def test_a_hole_in_the_curve_is_refused():
    with pytest.raises(ValueError, match="0 was next"):
        Peaks(0.2).push(Probabilities(np.zeros(5, np.float32), 7, 12))


@pytest.mark.parametrize("low", [0, 1, -0.1, float("nan")])
def test_settings_out_of_range_are_refused(low):
    with pytest.raises(ValueError, match="0 < low < 1"):
        Peaks(low)


@pytest.mark.parametrize(("seen", "count"), [(295, 0), (299, 0), (302, 1), (313, 1)])
def test_at_the_end_a_hill_counts_once_its_r_peak_has_come(seen, count):
    p = curve(400, (300, 0.9))
    assert len(find(p[:seen])) == count
