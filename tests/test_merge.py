import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamqrs.merge import RAMP, OverlapMerger
from streamqrs.types import WINDOW, Probabilities


def curves(n, hop, seed=0):
    rng = np.random.default_rng(seed)
    starts = [*range(0, n - WINDOW + 1, hop)]
    if not starts or starts[-1] + WINDOW < n:
        starts.append(n - WINDOW)
    return [Probabilities(rng.random(WINDOW, dtype=np.float32), s, s + WINDOW) for s in starts]


def plain_mean(windows, n, margin):
    """What the merger computes, the long way: sample by sample."""
    edge = np.arange(1, WINDOW + 1) / RAMP
    weight = np.minimum(1, np.minimum(edge, edge[::-1]))
    curve = np.zeros(n)
    for i in range(n):
        seen = []
        for w in windows:
            if w.start <= i < w.start + WINDOW:
                seen.append((weight[i - w.start], w.values[i - w.start]))
            if w.start + WINDOW - margin > i:
                break
        weights, values = np.array(seen, float).T
        curve[i] = (weights * values).sum() / weights.sum()
    return curve


@given(st.integers(200, 3000), st.sampled_from([1, 7, 60, 120, 600]), st.integers(0, 120))
@settings(deadline=None, max_examples=40)
def test_the_flushed_curve_is_contiguous_and_complete(n, hop, margin):
    merger = OverlapMerger(hop, margin)
    pieces = [merger.push(w) for w in curves(n, hop)]
    pieces.append(merger.flush())
    at = 0
    for piece in pieces:
        assert piece.start == at
        at += len(piece.values)
    assert at == n


@pytest.mark.parametrize(("hop", "margin", "n"), [(120, 40, 2000), (50, 0, 1500), (375, 375, 2300), (120, 40, 400)])
def test_it_is_the_weighted_mean_of_the_windows_that_came_in_time(hop, margin, n):
    windows = curves(n, hop)
    merger = OverlapMerger(hop, margin)
    merged = np.concatenate([merger.push(w).values for w in windows] + [merger.flush().values])
    np.testing.assert_allclose(merged, plain_mean(windows, n, margin), atol=1e-6)


def test_known_is_the_end_of_the_newest_window():
    merger = OverlapMerger(120, 40)
    for w in curves(1500, 120):
        piece = merger.push(w)
        assert piece.known == w.known
        assert piece.start + len(piece.values) == w.start + WINDOW - 40
    assert merger.delay == 159


def test_reset_forgets():
    windows = curves(1500, 120)
    merger = OverlapMerger(120, 40)
    first = [merger.push(w).values for w in windows]
    merger.reset()
    for w, before in zip(windows, first, strict=True):
        np.testing.assert_array_equal(merger.push(w).values, before)


def test_a_window_that_leaves_a_hole_is_refused():
    merger = OverlapMerger(120, 40)
    merger.push(Probabilities(np.zeros(WINDOW, np.float32), 0, WINDOW))
    with pytest.raises(ValueError, match="after the first unfinished one"):
        merger.push(Probabilities(np.zeros(WINDOW, np.float32), 720, 720 + WINDOW))


@pytest.mark.parametrize(("hop", "margin"), [(120, -1), (120, 631), (750, 1)])
def test_a_margin_out_of_range_is_refused(hop, margin):
    with pytest.raises(ValueError, match="allowed are 0 to"):
        OverlapMerger(hop, margin)
