"""Likeness: whether what begins now looks like this patient's QRS complexes."""

import numpy as np
import pytest

from streamqrs.likeness import ENOUGH, HEARD, Likeness
from streamqrs.shapes import SURE
from streamqrs.types import Peak

RR = 200
BEATS = list(range(300, 4500, RR))
SEEN = 10  # samples after R that are there when it is asked


def narrow(n):
    t = np.arange(n) - n // 2
    return np.exp(-0.5 * (t / 3) ** 2) - 0.4 * np.exp(-0.5 * ((t - 8) / 3) ** 2)


def wide(n):
    t = np.arange(n) - n // 2
    return 1.3 * np.exp(-0.5 * ((t + 4) / 10) ** 2) - np.exp(-0.5 * ((t - 15) / 9) ** 2)


def heart(beats, noise=0.0, shapes=(narrow,), seed=0, hum=0.0):
    """ECG, shape (n,), of beats of one shape after another; noise is a random walk that comes back, and mains."""
    n = beats[-1] + 400
    rng = np.random.default_rng(seed)
    walk = np.zeros(n)
    for i, x in enumerate(rng.standard_normal(n - 1)):
        walk[i + 1] = 0.98 * walk[i] + x
    ecg = noise * walk + hum * np.sin(2 * np.pi * 50 * np.arange(n) / 250)
    for k, r in enumerate(beats):
        ecg[r - 60 : r + 60] += shapes[k % len(shapes)](120)
    return ecg.astype(np.float32)


def watch(ecg, beats, asked, *, chunk=2, probability=1.0, likeness=None):
    """How much what is at each sample looks like the patient's, `SEEN` samples later; beats are known 200 later."""
    likeness = likeness or Likeness()
    found, beats = [], list(beats)
    for stop in range(chunk, len(ecg) + 1, chunk):
        likeness.push(ecg[stop - chunk : stop])
        while beats and beats[0] + 200 < stop:
            likeness.learn(Peak(float(beats.pop(0)), probability, stop))
        found += [likeness.of(r) for r in asked if stop - chunk < r + SEEN <= stop]
    return found


def test_the_next_beat_looks_like_those_before_and_a_wave_between_them_does_not():
    between = [r + RR // 2 for r in BEATS]
    ecg = heart(BEATS, noise=0.001)
    for r in between:
        ecg[r - 60 : r + 60] += 0.4 * wide(120)
    later = [r for r in BEATS if r > 2000]
    assert min(watch(ecg, BEATS, later)) > 0.5
    assert max(watch(ecg, BEATS, [r for r in between if r > 2000])) < 0.35


def test_nothing_is_said_before_enough_sure_beats():
    known = BEATS[:ENOUGH]
    ecg = heart(BEATS, noise=0.001)
    assert watch(ecg, known[:-1], BEATS[-3:]) == [None] * 3
    assert watch(ecg, BEATS, BEATS[-3:], probability=SURE - 0.01) == [None] * 3
    assert min(watch(ecg, known, BEATS[-3:])) > 0.5


def test_ectopic_beats_have_a_shape_of_their_own():
    ecg = heart(BEATS, noise=0.001, shapes=(narrow, narrow, wide))
    ectopic = BEATS[2::3]
    assert min(watch(ecg, BEATS, ectopic[-3:])) > 0.5
    assert max(watch(ecg, [r for r in BEATS if r not in ectopic], ectopic[-3:])) < 0.5


def test_noise_that_can_be_foreseen_hides_no_beat():
    """The mains are twice as tall as the QRS complex, and the baseline moves as much."""
    ecg = heart(BEATS, noise=0.02, hum=2.0, seed=3)
    later = [r for r in BEATS if r > 2500]
    there = watch(ecg, BEATS, later)
    nothing = watch(ecg, BEATS, [r + RR // 2 for r in later])
    assert min(there) > 0.6
    assert max(nothing) < 0.4


def test_chunks_and_the_length_of_the_stream_change_nothing():
    beats = list(range(300, 5 * 3 * HEARD, RR))
    ecg = heart(beats, noise=0.01)
    asked = beats[-5:]
    small = watch(ecg, beats, asked)
    single = watch(ecg, beats, asked, chunk=1)
    assert single == pytest.approx(small, abs=0.05)  # the predictor is fitted at other samples
    likeness = Likeness()
    likeness.push(ecg[: 2 * HEARD + 500])
    likeness.push(ecg[: 2 * HEARD + 500])
    likeness.reset()
    assert watch(ecg, beats, asked, likeness=likeness) == small


def test_a_beat_that_is_no_longer_kept_is_not_learnt():
    likeness = Likeness()
    likeness.push(heart(BEATS))
    likeness.learn(Peak(10.0, 1.0, 100))
    likeness.learn(Peak(float(BEATS[-1] + 395), 1.0, 100))
    assert likeness.of(float(BEATS[-1])) is None


def test_what_is_a_hundredth_as_tall_looks_like_none():
    beats = [*BEATS, 5000, 5200]
    ecg = heart(beats)
    ecg[4700:] = 0
    for r, height in zip(beats[-2:], (1.0, 0.01), strict=True):
        ecg[r - 60 : r + 60] += height * narrow(120).astype(np.float32)
    alike, small = watch(ecg, BEATS, beats[-2:])
    assert alike > 0.9
    assert small == 0.0


def test_white_noise_as_tall_as_the_beats_drowns_them():
    likeness = Likeness()
    noises = np.random.default_rng(2).standard_normal((20, 500)).astype(np.float32)
    likeness.push(noises[0])
    assert not likeness.drowned()  # no patient is known
    likeness.reset()
    watch(heart(BEATS, noise=0.02), BEATS, [], likeness=likeness)
    assert not likeness.drowned()
    for height, least, most in ((0.2, 0, 0), (2, 18, 20)):
        told = 0
        for noise in noises:
            likeness.push(height * noise)
            told += likeness.drowned()
        assert least <= told <= most
