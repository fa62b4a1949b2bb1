"""Ectopy: new beats are where the truth says, and the beats that they forestall are gone."""

import numpy as np
import pytest

from streamqrs.training.dataset import LENGTH, Draw
from streamqrs.training.ectopy import Ectopy, ventricular_beat
from streamqrs.types import RATE

BEATS = np.arange(-50.0, LENGTH + 350, 200)


def make_draw(rows=200):
    ecg = np.zeros((rows, LENGTH), np.float32)
    for r in BEATS[(BEATS > 5) & (BEATS < LENGTH - 5)].astype(int):
        ecg[:, r - 2 : r + 3] = (0.3, 0.7, 1, 0.7, 0.3)
    return Draw(ecg, (BEATS,) * rows, np.ones((rows, LENGTH), np.bool_), np.zeros(rows, np.bool_))


def test_what_comes_early_is_a_beat_and_what_it_forestalls_is_none():
    before = make_draw()
    after = Ectopy(1.0)(before, np.random.default_rng(0))
    gone = together = 0
    for ecg, beats in zip(after.ecg, after.beats, strict=True):
        assert (np.diff(beats) > 0).all()
        new, stay = np.setdiff1d(beats, BEATS), np.intersect1d(beats, BEATS)
        assert len(new)
        for r in new[(new > 60) & (new < LENGTH - 60)].astype(int):
            ago = r - BEATS[r > BEATS].max()
            assert 0.4 * 200 < ago < 0.9 * 200
            near = np.abs(ecg[r - 15 : r + 16])
            assert near.max() > 0.25
        for r in stay[(stay > 5) & (stay < LENGTH - 5)].astype(int):
            assert ecg[r] - np.mean((ecg[r - 3], ecg[r + 3])) > 0.4  # the narrow complex is still there
        missing = np.setdiff1d(BEATS, beats)
        gone += len(missing)
        together += len(new) - len(missing)
        for r in missing[(missing > 5) & (missing < LENGTH - 5)].astype(int):
            assert np.abs(np.diff(ecg[r - 4 : r + 5])).max() < 0.25
    assert gone > 3 * together > 0
    assert (before.ecg == make_draw().ecg).all()


def test_some_hearts_have_one_after_every_beat():
    after = Ectopy(1.0)(make_draw(), np.random.default_rng(1))
    counts = [len(np.setdiff1d(beats, BEATS)) for beats in after.beats]
    assert min(counts) == 1
    assert max(counts) >= 3


def test_complexes_are_wide_and_of_either_polarity():
    rng = np.random.default_rng(0)
    widths, signs = [], []
    for _ in range(200):
        shape, middle = ventricular_beat(rng)
        top = np.abs(shape[middle - 15 : middle + 16]).max()
        assert abs(abs(shape[middle]) - top) < 0.35 * top  # the T wave is added once R is chosen
        widths.append((np.abs(shape[middle - 40 : middle + 41]) > 0.5 * abs(shape[middle])).sum() / RATE)
        signs.append(np.sign(shape[middle]))
    assert np.quantile(widths, 0.1) > 0.03
    assert np.median(widths) > 0.06
    assert -0.3 < np.mean(signs) < 0.3


def test_a_share_of_the_windows_and_no_other():
    given = make_draw(800)
    after = Ectopy(0.25)(given, np.random.default_rng(2))
    changed = (after.ecg != given.ecg).any(axis=1)
    assert 0.18 < changed.mean() < 0.32
    assert all(len(np.setdiff1d(beats, BEATS)) > 0 for beats, yes in zip(after.beats, changed, strict=True) if yes)
    with pytest.raises(ValueError, match="share is 2: allowed are 0 to 1"):
        Ectopy(2)


def test_too_few_beats_are_left_alone():
    silent = Draw(np.zeros((4, LENGTH), np.float32), (np.array([500.0]),) * 4, *[np.ones((4, LENGTH), np.bool_)] * 2)
    assert not Ectopy(1.0)(silent, np.random.default_rng(0)).ecg.any()
