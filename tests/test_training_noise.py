"""Noise for training: as loud as it was asked to be, and of every kind."""

import numpy as np
import pytest

from streamqrs.training.noise import (
    TALLEST,
    at_level,
    coloured_noise,
    electrode_noise,
    electrode_track,
    noise_power,
    recorded_noise,
    strange_beats,
    validation_noise,
)
from streamqrs.types import RATE

N = 4 * RATE


def test_the_measure_leaves_out_what_is_slower_than_a_second():
    t = np.arange(60 * RATE) / RATE
    slow, fast = np.sin(2 * np.pi * 0.05 * t), np.sin(2 * np.pi * 5 * t)
    assert noise_power(slow.astype(np.float32)) < 0.02
    assert abs(noise_power(fast.astype(np.float32)) - 0.5) < 0.001


@pytest.mark.parametrize("db", [-12.0, 0.0, 12.0])
def test_noise_has_the_level_that_it_is_given(db):
    noise = at_level(np.random.default_rng(0).standard_normal(N).astype(np.float32), db)
    assert abs(-10 * np.log10(8 * noise_power(noise)) - db) < 0.01


def test_drift_is_never_taller_than_the_tallest():
    drift = np.linspace(-1, 1, N, dtype=np.float32)
    assert abs(at_level(drift, -18.0).std() - TALLEST) < 0.01
    assert not at_level(np.zeros(N, np.float32), -18.0).any()


@pytest.mark.parametrize("make", [coloured_noise, electrode_noise])
def test_every_draw_is_another_and_follows_from_the_generator(make):
    one, two = (make(N, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.shape == two.shape == (N,)
    assert one.dtype == np.float32
    assert (one == make(N, np.random.default_rng(0))).all()
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.9


def test_electrode_noise_moves_as_fast_as_hearts_and_slower():
    rng = np.random.default_rng(0)
    f = np.fft.rfftfreq(N, 1 / RATE)
    centres = []
    for _ in range(200):
        x = electrode_noise(N, rng)
        assert np.isfinite(x).all()
        assert x.any()
        power = np.abs(np.fft.rfft(x - x.mean())) ** 2
        centres.append((f * power).sum() / power.sum())
    assert np.quantile(centres, 0.1) < 2
    assert np.quantile(centres, 0.9) > 5


def test_a_track_is_as_loud_in_the_middle_as_anywhere():
    track = electrode_track(600 * RATE, np.random.default_rng(0))
    assert track.shape == (600 * RATE,)
    rms = np.sqrt(np.square(track, dtype=np.float64).reshape(5, -1).mean(axis=1))  # of two minutes
    assert rms.max() < 2 * rms.min()


def test_recorded_noise_is_played_at_other_speeds():
    tone = np.sin(2 * np.pi * 2 * np.arange(100 * RATE) / RATE).astype(np.float32)[None]
    rng = np.random.default_rng(0)
    tops = [np.abs(np.fft.rfft(recorded_noise(tone, N, rng))).argmax() * RATE / N for _ in range(200)]
    assert min(tops) < 1.5
    assert max(tops) > 12
    assert np.mean(np.abs(np.array(tops) - 2) < 0.3) > 0.4


def test_validation_noise_takes_turns():
    recorded = np.stack([np.full(1000, k + 1, np.float32) for k in range(2)])
    remains = np.full(700, 9, np.float32)
    rng = np.random.default_rng(0)
    kinds = [set(np.unique(np.abs(validation_noise(recorded, remains, k, 500, rng))).tolist()) for k in range(8)]
    assert kinds[0] == kinds[1] == {1.0}
    assert kinds[4] == kinds[5] == {2.0}
    assert kinds[3] == kinds[7] == {9.0}
    assert all(len(kinds[k]) > 10 for k in (2, 6))
    assert len(np.unique(validation_noise(recorded, remains[:0], 3, 500, rng))) > 10


def test_strange_beats_are_those_of_others_at_other_times():
    t = np.arange(N)
    beats = np.arange(100.0, 900, 160)
    lead = np.exp(-0.5 * ((t[:, None] - beats) / 4) ** 2).sum(axis=1).astype(np.float32)
    rng = np.random.default_rng(0)
    rates, at = [], []
    for _ in range(300):
        x = strange_beats(lead[None], [beats], N, rng)
        assert x.shape == (N,)
        assert np.isfinite(x).all()
        tops = np.flatnonzero((x[1:-1] > x[:-2]) & (x[1:-1] >= x[2:]) & (x[1:-1] > 0.2)) + 1
        rates.append(len(tops) / (N / RATE))
        at += tops.tolist()
    assert 0.3 < np.mean(rates) < 4
    assert abs(np.mean(np.isin(np.array(at) % 160, np.arange(95, 106))) - 11 / 160) < 0.06  # none where beats are
    assert not strange_beats(lead[None], [np.empty(0)], N, rng).any()
