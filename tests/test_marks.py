import numpy as np
import pytest

from streamqrs.marks import refine_marks


def spikes(rate, at, n, *, sign=1.0, width_s=0.012):
    t = np.arange(n)
    return sign * sum(np.exp(-0.5 * ((t - k) / (width_s * rate)) ** 2) for k in at)


@pytest.mark.parametrize("rate", [250.0, 360.0, 1000.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_marks_move_to_the_peak(rate, sign):
    n = int(20 * rate)
    peaks = np.arange(rate, n - rate, 0.8 * rate).astype(np.int64)
    rng = np.random.default_rng(0)
    ecg = spikes(rate, peaks, n, sign=sign) + 3 * np.sin(2 * np.pi * 0.2 * np.arange(n) / rate) + 100
    off = rng.integers(-int(0.02 * rate), int(0.02 * rate) + 1, len(peaks))
    moved = refine_marks(ecg, peaks + off, rate)
    assert moved.dtype == np.int64
    assert np.abs(moved - peaks).max() <= 0.002 * rate + 0.5


def test_no_mark_moves_further_than_60_ms():
    ecg = np.random.default_rng(1).standard_normal(5000)
    marks = np.arange(0, 5000, 61)
    moved = refine_marks(ecg, marks, 250.0)
    assert np.abs(moved - marks).max() <= 15
    assert moved.min() >= 0
    assert moved.max() < 5000


def test_no_marks():
    assert refine_marks(np.zeros(1000), [], 250.0).shape == (0,)


@pytest.mark.parametrize("marks", [[-1], [1000]])
def test_marks_outside_the_signal_are_refused(marks):
    with pytest.raises(ValueError, match="allowed are 0 to 999"):
        refine_marks(np.zeros(1000), marks, 250.0)
