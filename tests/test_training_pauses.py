"""Pauses: what they add lies between two beats, and truth moves with the signal."""

import numpy as np
import pytest

from streamqrs.training.dataset import LENGTH, Draw
from streamqrs.training.pauses import LONGEST_S, UNSURE, Pauses, open_input
from streamqrs.types import RATE

BEATS = np.arange(-50.0, LENGTH + 150, 200)


def make_draw(rows=60):
    ecg = np.zeros((rows, LENGTH), np.float32)
    ecg[:, BEATS[(BEATS >= 0) & (BEATS < LENGTH)].astype(int)] = 1
    return Draw(ecg, (BEATS,) * rows, np.ones((rows, LENGTH), np.bool_), np.zeros(rows, np.bool_))


def test_every_beat_keeps_its_peak_and_one_interval_is_longer():
    before = make_draw()
    after = Pauses(1.0, 0.0)(before, np.random.default_rng(0))
    longest = []
    for ecg, beats in zip(after.ecg, after.beats, strict=True):
        inside = beats[(beats >= 0) & (beats < LENGTH)].astype(int)
        assert (ecg[inside] > 0.9).all()
        assert len(inside) == (ecg > 0.9).sum()
        intervals = np.diff(beats)
        assert (intervals > 200).sum() == 1
        longest.append(intervals.max() - 200)
    assert min(longest) >= 0.4 * RATE - 1
    assert 2.5 * RATE < max(longest) <= LONGEST_S * RATE
    assert (before.ecg == make_draw().ecg).all()


def test_a_lead_that_is_off_has_no_beats_there():
    before = make_draw(200)
    after = Pauses(0.0, 1.0)(before, np.random.default_rng(0))
    whole = after.known.all(axis=1)
    assert 0.5 < np.mean(whole) < 0.75
    assert not any(len(beats) for beats, all_of_it in zip(after.beats, whole, strict=True) if all_of_it)
    for ecg, known, beats in zip(after.ecg, after.known, after.beats, strict=True):
        inside = beats[(beats >= 0) & (beats < LENGTH)].astype(int)
        assert (ecg[inside[known[inside]]] > 0.9).all()  # what stays is where it was, unless it is cut in two
        assert (~known).sum() <= 2 * UNSURE
    assert (before.ecg == make_draw(200).ecg).all()


def test_an_open_input_is_not_always_the_same():
    rng = np.random.default_rng(0)
    made = [open_input(LENGTH, rng) for _ in range(100)]
    assert any(not x.any() for x in made)
    heights = np.array([np.ptp(x) for x in made])
    assert (heights < 0.1).any()
    assert (heights > 2).any()
    assert all(np.isfinite(x).all() for x in made)


def test_shares_hold():
    after = Pauses(0.25, 0.0)(make_draw(800), np.random.default_rng(1))
    assert 0.18 < np.mean([np.diff(beats).max() > 200 for beats in after.beats]) < 0.32
    with pytest.raises(ValueError, match="share is 2: allowed are 0 to 1"):
        Pauses(2)
