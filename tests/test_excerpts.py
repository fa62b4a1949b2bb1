"""Clean pieces of recordings: where they may lie, that no beat is lost, and that a loop has no seam."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from streamqrs.errors import BadRecord
from streamqrs.excerpts import AFTER, BEFORE, CLEAR_S, cut_excerpt, loop_excerpt
from streamqrs.marks import refine_marks
from streamqrs.records import Record
from streamqrs.scanner import HeartSettings, RhythmSettings, VirtualPatient
from streamqrs.types import RATE


@lru_cache(maxsize=8)
def record(rate=360.0, seconds=60, seed=0):
    """A virtual patient at another rate; the marks lie up to 20 ms off the R peaks, as annotators put them."""
    rhythm = RhythmSettings(heart_rate=75, arrhythmia=0.05, variability=0.04, pvc=0.05)
    patient = VirtualPatient(rate, seed, heart=HeartSettings(rhythm=rhythm))
    samples, beats = patient.read(round(seconds * rate)), patient.take_beats()
    off = np.random.default_rng(seed).integers(-round(0.02 * rate), round(0.02 * rate) + 1, len(beats))
    at = np.clip(np.array([index for index, _ in beats]) + off, 0, len(samples) - 1)
    made = Record("r", samples, rate, "II", "mV", at, tuple(code for _, code in beats))
    return made, np.array([index for index, _ in beats]) / rate


def draw(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("rate", "seed"), [(250.0, 0), (360.0, 1), (360.0, 2), (500.0, 3)])
def test_all_beats_of_the_piece_are_marked_on_their_r_peaks(rate, seed):
    source, truth_s = record(rate, seconds=40, seed=seed)
    piece = cut_excerpt(source, 20, draw(seed))
    assert len(piece.samples) == BEFORE + 20 * RATE + AFTER
    at = (truth_s - piece.start_s) * RATE + BEFORE
    at = at[(at > 20) & (at < len(piece.samples) - 20)]
    assert len(at) > 20
    nearest = np.abs(piece.beats[:, None] - at).min(axis=0)
    assert nearest.max() <= 2  # half a sample of each rate, and the resampler's half
    assert len(piece.labels) == len(piece.beats)


def test_codes_stay_with_their_beats():
    source, _ = record(seed=3)
    piece = cut_excerpt(source, 30, draw())
    assert {"V", "N"} <= set(piece.labels)
    marks = (source.beats / source.rate - piece.start_s) * RATE + BEFORE
    for beat, code in zip(piece.beats, piece.labels, strict=True):
        assert source.labels[np.abs(marks - beat).argmin()] == code


def test_pieces_lie_in_their_span_and_cut_no_beat():
    source, truth_s = record(seconds=40)
    for seed in range(20):
        piece = cut_excerpt(source, 10, draw(seed), span_s=(15, 30))
        assert 15 <= piece.start_s <= 20.01
        for edge in (piece.start_s, piece.start_s + 10):
            assert np.abs(truth_s - edge).min() > CLEAR_S - 0.03


def test_missing_samples_and_flutter_are_passed_over():
    source, _ = record(seconds=60)
    samples = source.samples.copy()
    samples[20 * 360] = np.nan
    source = replace(source, samples=samples, rhythms=((0, "N"), (40 * 360, "VFL"), (45 * 360, "N")))
    for seed in range(20):
        piece = cut_excerpt(source, 8, draw(seed))
        assert np.isfinite(piece.samples).all()
        start, stop = piece.start_s - BEFORE / RATE, piece.start_s + 8 + AFTER / RATE
        assert stop < 40 or start > 45
        assert not start < 20 < stop


def test_pieces_that_are_not_to_be_had():
    source, _ = record(seconds=20)
    with pytest.raises(BadRecord, match="no 30 s with all beats marked between 0 and 20 s"):
        cut_excerpt(source, 30, draw())
    with pytest.raises(BadRecord, match="no 8 s"):  # hardly anything is marked
        cut_excerpt(replace(source, beats=source.beats[:3], labels=source.labels[:3]), 8, draw())
    for beats in (None, source.beats[:2]):
        with pytest.raises(BadRecord, match="r has no marked beats"):
            loop_excerpt(replace(source, beats=beats), 50, draw())


@pytest.mark.parametrize("seed", range(3))
def test_a_loop_repeats_intervals_that_the_heart_had(seed):
    source, _ = record(500.0, seconds=10, seed=seed)
    piece = loop_excerpt(source, 50, draw(seed))
    assert piece.looped
    assert len(piece.samples) == BEFORE + 50 * RATE + AFTER
    had = np.diff(refine_marks(source.samples, source.beats, 500.0)) / 500
    rr = np.diff(piece.beats) / RATE
    assert len(rr) > 50
    assert all(np.abs(had - interval).min() < 0.009 for interval in rr)
    assert piece.beats[0] < 2 * had.max() * RATE
    assert piece.beats[-1] > len(piece.samples) - 2 * had.max() * RATE


@pytest.mark.parametrize("seed", range(3))
def test_a_loop_has_no_seam(seed):
    source, _ = record(500.0, seconds=10, seed=seed)
    drifting = replace(source, samples=(source.samples + np.linspace(0, 2, 5000)).astype(np.float32))
    piece = loop_excerpt(drifting, 50, draw(seed))
    steps = np.abs(np.diff(piece.samples))[:-AFTER]
    quiet = np.abs(np.arange(len(steps))[:, None] - piece.beats).min(axis=1) > 0.1 * RATE
    assert steps[quiet].max() < 0.15 * np.ptp(piece.samples[BEFORE:])
    assert np.ptp(piece.samples) < 1.5 * np.ptp(source.samples)
    np.testing.assert_array_equal(refine_marks(piece.samples, piece.beats, RATE), piece.beats)


def test_marks_do_not_jump_between_the_r_and_the_s_of_one_complex():
    t, beats = np.arange(60 * 250), np.arange(200, 59 * 250, 210)
    deep = np.random.default_rng(0).uniform(0.85, 1.15, len(beats))  # S is now a little less, now a little more
    ecg = sum(
        np.exp(-0.5 * ((t - b) / 3) ** 2) - d * np.exp(-0.5 * ((t - b - 15) / 5) ** 2)
        for b, d in zip(beats, deep, strict=True)
    )
    source = Record("r", ecg.astype(np.float32), 250.0, "II", "mV", beats + 2, ("/",) * len(beats))
    piece = cut_excerpt(source, 30, draw())
    phase = (piece.beats - BEFORE + round(piece.start_s * RATE) - 200) % 210
    assert set(np.minimum(phase, 210 - phase)) <= {0, 1}
