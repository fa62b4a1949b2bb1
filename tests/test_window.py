import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamqrs.types import WINDOW
from streamqrs.window import SHORTEST, Windower, normalise


def walk(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n).cumsum().astype(np.float32)


def same(one, other):
    assert [w.start for w in one] == [w.start for w in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)


@given(st.integers(0, 3000), st.lists(st.integers(0, 400), max_size=20), st.sampled_from([1, 2, 120, 750]))
@settings(deadline=None, max_examples=60)
def test_pieces_give_the_same_bits_as_the_whole(n, cuts, hop):
    x = walk(n)
    whole, stream = Windower(hop), Windower(hop)
    expected = whole.push(x) + whole.flush()
    got = [w for part in np.split(x, sorted(c for c in cuts if c <= n)) for w in stream.push(part)]
    same(got + stream.flush(), expected)


def test_windows_are_the_normalised_signal_on_a_grid():
    x = walk(2000)
    windows = Windower(120).push(x)
    assert [w.start for w in windows] == list(range(0, 2000 - WINDOW + 1, 120))
    for w in windows:
        cut = x[w.start : w.stop].astype(float)
        np.testing.assert_allclose(w.samples, (cut - cut.mean()) / cut.std(), atol=1e-5)
        assert w.samples.dtype == np.float32


@pytest.mark.parametrize("n", [0, 1, SHORTEST - 1])
def test_too_short_a_stream_gives_nothing(n):
    windower = Windower(120)
    assert windower.push(walk(n)) == []
    assert windower.flush() == []


def test_a_stream_under_a_window_gives_one_that_is_filled_up():
    windower = Windower(120)
    windower.push(walk(400))
    (window,) = windower.flush()
    assert (window.start, window.stop) == (400 - WINDOW, 400)
    assert not window.samples[: WINDOW - 400].any()
    np.testing.assert_array_equal(window.samples[WINDOW - 400 :], normalise(walk(400)[None])[0])


def test_flush_ends_with_the_stream_and_says_nothing_twice():
    windower = Windower(120)
    windower.push(walk(1000))
    (last,) = windower.flush()
    assert last.stop == 1000
    assert windower.flush() == []


def test_flush_completes_the_coarser_grid():
    fine = Windower(2, 120)
    fine.push(walk(1000))
    (last,) = fine.flush()  # a window of the fine grid ended here, one of the coarse grid did not
    assert last.stop == 1000
    fine = Windower(2, 120)
    fine.push(walk(750 + 240))
    assert fine.flush() == []


def test_reset_forgets():
    windower = Windower(120)
    first = windower.push(walk(1000))
    windower.reset()
    same(windower.push(walk(1000)), first)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e6, 1e30])
def test_flat_becomes_zeros(value):
    assert not normalise(np.full((2, WINDOW), value, np.float32)).any()


def test_gain_and_offset_do_not_matter():
    x = walk(WINDOW)[None]
    np.testing.assert_allclose(normalise(x * 1000 + 77), normalise(x), atol=2e-3)


@pytest.mark.parametrize("hop", [0, -1, 751])
def test_a_hop_out_of_range_is_refused(hop):
    with pytest.raises(ValueError, match="allowed are 1 to 750"):
        Windower(hop)
