"""Training augmentation: shapes, determinism, what may not be touched, variety."""

import numpy as np
import pytest

from streamqrs.scanner import PRESETS, Corruptor, VirtualPatient, settings_of
from streamqrs.scanner.flow import silence


@pytest.fixture(scope="module")
def corruptor():
    return Corruptor("mixture", 1, tracks=6)


@pytest.fixture(scope="module")
def batch():
    patient = VirtualPatient(seed=4)
    ecg = patient.read(64 * 750)
    at = np.array([index for index, _ in patient.take_beats()])
    peaks = [at[(at > k * 750 - 250) & (at < k * 750 + 800)] - k * 750 for k in range(64)]
    return ecg.reshape(64, 750), peaks


def test_it_keeps_shape_and_type_and_leaves_its_input_alone(corruptor, batch):
    windows, peaks = batch
    before = windows.copy()
    out = corruptor(windows, peaks, np.random.default_rng(0))
    assert out.shape == windows.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.array_equal(windows, before)
    assert np.abs(out - windows).max() > 0.5


def test_same_generator_same_bits(corruptor, batch):
    out = corruptor(*batch, np.random.default_rng(7))
    assert np.array_equal(out, corruptor(*batch, np.random.default_rng(7)))
    assert np.array_equal(out, Corruptor("mixture", 1, tracks=6)(*batch, np.random.default_rng(7)))
    assert not np.array_equal(out, corruptor(*batch, np.random.default_rng(8)))
    first = Corruptor("mixture", 2, tracks=2)(*batch)
    assert np.array_equal(first, Corruptor("mixture", 2, tracks=2)(*batch))


def test_severity_runs_from_nearly_clean_to_far_above_r(corruptor, batch):
    windows, peaks = batch
    rng = np.random.default_rng(3)
    sizes = np.concatenate([np.abs(corruptor(windows, peaks, rng) - windows).std(axis=1) for _ in range(8)])
    assert np.mean(sizes < 0.1) > 0.1
    assert np.mean(sizes > 0.7) > 0.1
    assert sizes.max() < 30


def test_noise_scales_with_the_height_of_r(batch):
    windows, peaks = batch
    quiet = Corruptor("mixture", 1, tracks=2, without=("recorder",))
    small = quiet(windows, peaks, np.random.default_rng(1)) - windows
    large = quiet(1000 * windows, peaks, np.random.default_rng(1)) - 1000 * windows
    assert np.allclose(large, 1000 * small, rtol=0.01, atol=1)


def test_waves_after_a_beat_reach_in_from_before_the_window_and_spare_the_qrs():
    mhd = Corruptor("7T", 1, families=("mhd",), mild=0.0)
    peaks = [np.array([-60, 140, 341.4, 540, 760])] * 40
    out = mhd(np.zeros((40, 750), np.float32), peaks, np.random.default_rng(2))
    for peak in (140, 341, 540):
        assert np.abs(out[:, peak - 10 : peak + 11]).max() == 0
    assert np.abs(out[:, :120]).max() > 0.3
    assert np.abs(out).max() > 1
    assert np.abs(mhd(np.zeros((3, 750), np.float32), [np.array([])] * 3)).max() == 0


def test_silence_is_the_same_for_a_batch_and_for_each_row_alone():
    rng = np.random.default_rng(0)
    batch = rng.standard_normal((60, 500))
    row = np.repeat(np.arange(60), 6)
    # some near each other, some outside
    peaks = np.concatenate([np.sort(rng.choice(np.arange(-60, 560), 6, replace=False)) for _ in range(60)])
    alone = batch.copy()
    for k in range(60):
        silence(alone[k : k + 1], np.zeros(6, np.int64), peaks[row == k], 250.0, 70.0)
    silence(batch, row, peaks, 250.0, 70.0)
    np.testing.assert_array_equal(batch, alone)
    at = peaks[(peaks >= 0) & (peaks < 500)]
    assert not batch[row[(peaks >= 0) & (peaks < 500)], at].any()
    assert np.count_nonzero(batch) > 10_000


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_works(preset, batch):
    out = Corruptor(preset, 0, tracks=1)(*batch, np.random.default_rng(0))
    assert np.isfinite(out).all()


def test_families_left_out_are_out(batch):
    windows, peaks = batch
    nothing = Corruptor("mixture", 0, families=(), tracks=1)
    assert np.array_equal(nothing(windows, peaks), windows)
    chances = Corruptor("mixture", 0, without=("epi", "spike"), tracks=1).settings
    assert chances.spike.chance == 0
    assert "epi" not in chances.exam.sequences
    assert chances.comb == settings_of("mixture").comb


def test_odd_batches(corruptor):
    empty = np.array([], np.int64)
    assert corruptor(np.empty((0, 750), np.float32), []).shape == (0, 750)
    assert np.isfinite(corruptor(np.zeros((4, 750), np.float32), [empty] * 4)).all()
    assert np.isfinite(corruptor(np.full((4, 100), 3, np.float32), [np.array([5])] * 4)).all()
    assert corruptor(np.zeros((2, 1000), np.float32), [np.array([999, 1200]), empty]).shape == (2, 1000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "9T"}, "mixture"),
        ({"severity": 1e9}, "0 to 100"),
        ({"mild": 2}, "0 to 1"),
        ({"tracks": 0}, "1 or more"),
        ({"track_s": 1}, "5 to 600"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        Corruptor(**arguments)


def test_bad_windows_are_refused(corruptor):
    with pytest.raises(ValueError, match=r"allowed are b and \(b, n\)"):
        corruptor(np.zeros(750, np.float32), [np.array([1])])
    with pytest.raises(ValueError, match=r"allowed are b and \(b, n\)"):
        corruptor(np.zeros((2, 750), np.float32), [np.array([1])])
    with pytest.raises(ValueError, match="allowed are up to"):
        corruptor(np.zeros((64, 100_000), np.float32), [np.array([1])] * 64)
