import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamqrs.resample import Resampler, resample

RATES = [100, 128, 200, 249.97, 250, 256, 257.13, 360, 500, 512, 1000, 2048, 5000, 10_000]


def pieces(x, sizes):
    """Cut x into pieces of the given sizes, over and over."""
    at = 0
    while at < len(x):
        for size in sizes:
            yield x[at : at + size]
            at += size


def bump(rate, at_s=5.0, width_s=0.012, length_s=8.0):
    t = np.arange(int(length_s * rate)) / rate
    return np.exp(-0.5 * ((t - at_s) / width_s) ** 2)


def top(y):
    """Position of the maximum, between samples."""
    k = int(np.argmax(y))
    a, b, c = (float(v) for v in y[k - 1 : k + 2])
    return k + 0.5 * (a - c) / (a - 2 * b + c)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("sizes", [(1,), (7,), (50, 0, 3), (1000,)], ids=str)
def test_pieces_give_the_same_bits_as_the_whole(rate, sizes):
    x = np.random.default_rng(1).standard_normal(int(rate * 2.3)).cumsum().astype(np.float32)
    whole = Resampler(rate).push(x)
    stream = Resampler(rate)
    np.testing.assert_array_equal(np.concatenate([stream.push(p) for p in pieces(x, sizes)]), whole)
    assert len(whole) == -(-len(x) * 250 // rate)
    assert stream.flush().shape == (0,)


@given(st.lists(st.integers(0, 90), min_size=1, max_size=30).filter(any), st.sampled_from(RATES))
@settings(deadline=None, max_examples=50)
def test_random_pieces_give_the_same_bits(sizes, rate):
    x = np.random.default_rng(2).standard_normal(sum(sizes)).astype(np.float32)
    stream = Resampler(rate)
    parts = [stream.push(p) for p in np.split(x, np.cumsum(sizes)[:-1])]
    np.testing.assert_array_equal(np.concatenate(parts), Resampler(rate).push(x))


@pytest.mark.parametrize("rate", RATES)
def test_the_delay_is_what_it_says(rate):
    resampler = Resampler(rate)
    delay_s = top(resampler.push(bump(rate))) / 250 - 5.0
    assert delay_s == pytest.approx(resampler.delay_s, abs=1.5e-3 if rate < 200 else 0.1e-3)
    if rate >= 256:
        assert resampler.delay_s < 0.007


@pytest.mark.parametrize("rate", [256, 360, 500, 1000, 2048, 5000, 10_000])
def test_what_would_land_below_60_hz_is_gone_and_the_qrs_band_is_kept(rate):
    t = np.arange(int(rate * 8)) / rate
    for f, least, most in ((5, 0.95, 1.05), (30, 0.95, 1.05), (50, 0.9, 1.1)):
        assert least < np.abs(Resampler(rate).push(np.sin(2 * np.pi * f * t))[500:]).max() < most
    for f in (200, 240, 450):
        if f < rate / 2:
            assert np.abs(Resampler(rate).push(np.sin(2 * np.pi * f * t))[500:]).max() < 2e-3


def test_250_hz_passes_unchanged():
    x = np.random.default_rng(3).standard_normal(1000).astype(np.float32)
    np.testing.assert_array_equal(Resampler(250).push(x), x)
    assert Resampler(250).delay_s == 0


def test_a_constant_stays_constant_from_the_first_sample():
    y = Resampler(1000).push(np.full(4000, 1234.5))
    np.testing.assert_allclose(y, 1234.5, rtol=1e-6)


@pytest.mark.parametrize("rate", [128, 360, 1000, 257.13])
def test_newest_is_the_last_sample_that_an_output_needs(rate):
    x = np.random.default_rng(4).standard_normal(int(rate)).astype(np.float32)
    whole = Resampler(rate).push(x)
    resampler = Resampler(rate)
    for n in (0, 1, 50, 99, 200):
        needed = resampler.newest(n) + 1
        assert len(Resampler(rate).push(x[:needed])) > n
        assert len(Resampler(rate).push(x[: needed - 1])) <= n
        np.testing.assert_array_equal(Resampler(rate).push(x[:needed])[: n + 1], whole[: n + 1])


@pytest.mark.parametrize("rate", RATES)
def test_offline_puts_a_peak_where_it_was(rate):
    y = resample(bump(rate), rate)
    assert len(y) == -(-int(8 * rate) * 250 // rate)
    assert abs(top(y) - 5 * 250) < 0.55
    assert resample([], rate).shape == (0,)


def test_reset_forgets():
    x = np.random.default_rng(5).standard_normal(700)
    resampler = Resampler(360)
    first = resampler.push(x)
    resampler.reset()
    np.testing.assert_array_equal(resampler.push(x), first)


@pytest.mark.parametrize("rate", [0, -1, 99.9, 10_001, float("nan"), float("inf")])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match="allowed are 100 to 10000 Hz"):
        Resampler(rate)
