"""Leads: another shape in every window, the same for all its beats, and marks that follow the peaks."""

import numpy as np
import pytest

from streamqrs.training.dataset import LENGTH, Draw
from streamqrs.training.leads import LEAST, REACH, Leads

BEATS = np.array([-40.0, 110.3, 330.0, 541.8, 765.0, 958.2, 1200.0])


def make_draw(rows=100):
    t = np.arange(LENGTH)
    x = sum(np.exp(-0.5 * ((t - r) / 2.5) ** 2) + 0.2 * np.exp(-0.5 * ((t - r - 70) / 12) ** 2) for r in BEATS)
    ecg = np.tile(np.asarray(x, np.float32) + 5, (rows, 1))
    return Draw(ecg, (BEATS,) * rows, np.ones((rows, LENGTH), np.bool_), np.zeros(rows, np.bool_))


def test_marks_lie_on_the_peaks_of_the_new_shape():
    before = make_draw()
    after = Leads(1.0)(before, np.random.default_rng(0))
    moves = []
    for ecg, beats in zip(after.ecg, after.beats, strict=True):
        inside = slice(1, 6)
        assert (beats[[0, 6]] == BEATS[[0, 6]]).all()  # those outside stay
        moves.append(beats[inside] - BEATS[inside])
        for r in np.round(beats[inside]).astype(int):
            near = np.abs(ecg[r - 8 : r + 9] - np.median(ecg[max(r - 75, 0) : r + 76]))
            assert near[8] > 0.8 * near.max()
    moves = np.array(moves)
    assert np.abs(moves).max() <= REACH
    assert (np.ptp(moves, axis=1) <= 1).mean() > 0.9  # one shape for all beats of a window
    assert (np.abs(moves.mean(axis=1)) > 2).mean() > 0.02
    assert (before.ecg == make_draw().ecg).all()


def test_complexes_are_as_tall_as_before_and_their_shapes_differ():
    after = Leads(1.0)(make_draw(), np.random.default_rng(1))
    cuts = after.ecg[:, 542 - 25 : 542 + 26]
    assert np.median(np.ptp(cuts, axis=1)) == pytest.approx(1.0, abs=0.1)
    likeness = np.corrcoef(cuts)[np.triu_indices(len(cuts), 1)]
    assert np.quantile(likeness, 0.25) < 0.9


def test_a_lead_whose_complexes_would_vanish_stays_as_it_is(monkeypatch):
    monkeypatch.setattr("streamqrs.training.leads.filtered", lambda x, rng: 0.9 * LEAST * x)
    given = make_draw(4)
    after = Leads(1.0)(given, np.random.default_rng(0))
    np.testing.assert_array_equal(after.ecg, given.ecg)


def test_a_lead_whose_largest_wave_is_none_near_the_mark_stays_as_it_is():
    given = make_draw(40)
    t = np.arange(LENGTH)
    far = sum(3 * np.exp(-0.5 * ((t - r - 25) / 8) ** 2) for r in BEATS).astype(np.float32)
    paced = Draw(given.ecg + far, given.beats, given.known, given.scanned)  # a wide complex after each stimulus
    after = Leads(1.0)(paced, np.random.default_rng(0))
    same = (after.ecg == paced.ecg).all(axis=1)
    assert same.mean() > 0.5
    for at in np.flatnonzero(~same):
        assert np.abs(after.beats[at][1:6] - BEATS[1:6]).max() < REACH


def test_a_share_of_the_windows():
    given = make_draw(400)
    after = Leads(0.3)(given, np.random.default_rng(2))
    assert 0.22 < (after.ecg != given.ecg).any(axis=1).mean() < 0.38
    with pytest.raises(ValueError, match="share is -1: allowed are 0 to 1"):
        Leads(-1)
