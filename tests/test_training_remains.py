"""Remains: the noise of a lead is found where it is, and its beats are not taken for noise."""

import numpy as np
import pytest

from streamqrs.training.recordings import Recording
from streamqrs.training.remains import BLOCK, remains
from streamqrs.types import RATE

SECONDS = 120
LOUD = slice(40 * RATE, 50 * RATE)


@pytest.fixture
def lead():
    """A lead with beats of two kinds, T waves, and ten seconds of noise; its beats, labels, and the noise."""
    rng = np.random.default_rng(0)
    n = SECONDS * RATE
    r = np.cumsum(rng.uniform(180, 220, SECONDS)).astype(int)
    r = r[(r > 100) & (r < n - 250)]
    labels = tuple("V" if k % 5 == 0 else "N" for k in range(len(r)))
    t = np.arange(-80, 160)
    normal = np.exp(-0.5 * (t / 3) ** 2) + 0.3 * np.exp(-0.5 * ((t - 75) / 12) ** 2)
    wide = -1.3 * np.exp(-0.5 * (t / 9) ** 2) + 0.4 * np.exp(-0.5 * ((t - 80) / 14) ** 2)
    x = 0.01 * rng.standard_normal(n)
    for at, label in zip(r, labels, strict=True):
        x[at - 80 : at + 160] += normal if label == "N" else wide
    noise = np.zeros(n)
    noise[LOUD] = np.convolve(rng.standard_normal(10 * RATE), np.hanning(15), "same")
    noise *= 0.6 / noise[LOUD].std()
    return x, r.astype(float), labels, noise


def record(x, r, labels, known=None):
    spans = np.array([[0.0, len(x)]]) if known is None else known
    return Recording("test/1", x[None].astype(np.float32), (r,), (labels,), (spans,))


def test_noise_is_found_and_the_beats_in_it_are_taken_out(lead):
    x, r, labels, noise = lead
    found = remains([record(x + noise, r, labels)])
    assert len(found) >= 2 * BLOCK - RATE
    assert len(found) <= 2 * BLOCK
    same = np.corrcoef(found[: BLOCK - RATE // 2], noise[LOUD][: BLOCK - RATE // 2])[0, 1]
    assert same > 0.9
    assert found.dtype == np.float32


def test_a_quiet_lead_holds_none(lead):
    x, r, labels, _ = lead
    assert remains([record(x, r, labels)]).shape == (0,)
    assert remains([]).shape == (0,)


def test_what_is_always_there_is_no_noise(lead):
    x, r, labels, noise = lead
    assert not len(remains([record(x + np.resize(noise[LOUD], len(x)), r, labels)]))


def test_where_beats_are_not_known_nothing_is_taken(lead):
    x, r, labels, noise = lead
    known = np.array([[0.0, 45.0 * RATE], [46.0 * RATE, len(x)]])
    assert len(remains([record(x + noise, r, labels, known)])) == BLOCK


def test_beats_that_were_left_are_no_noise(lead):
    x, r, labels, _ = lead
    heights = np.ones(len(r))
    heights[(r > LOUD.start) & (r < LOUD.stop)] = np.tile((4.0, 0.2), len(r))[
        : ((r > LOUD.start) & (r < LOUD.stop)).sum()
    ]
    for at, height in zip(r.astype(int), heights, strict=True):
        x[at - 20 : at + 20] *= height
    assert not len(remains([record(x, r, labels)]))


def test_short_recordings_are_passed_over(lead):
    x, r, labels, noise = lead
    stop = 55 * RATE
    kept = r < stop - 200
    short = record((x + noise)[:stop], r[kept], tuple(np.array(labels)[kept]))
    assert not len(remains([short]))
