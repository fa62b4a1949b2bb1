import numpy as np
import pytest
from scipy import signal

from streamqrs.innovations import AROUND, HEARD, LEAD_IN, LEAST, NEAR, SHIFT, Matcher, drowned, whitened, whitener
from streamqrs.shapes import AFTER, BEFORE, Shape

R = -200


def complexes(height=1.0, width=3.0, n=BEFORE + AFTER, at=BEFORE):
    t = np.arange(n) - at
    return height * (np.exp(-0.5 * (t / width) ** 2) - 0.3 * np.exp(-0.5 * ((t - 2.7 * width) / width) ** 2))


def shape(whole):
    return Shape(np.zeros(41), np.zeros(41), whole, 0.0)


def wander(n, seed):
    """Noise that is foreseen in large part: slow, and taller than the beats."""
    white = np.random.default_rng(seed).normal(0, 0.05, n)
    return signal.lfilter([1.0], np.poly([0.98, 0.7 * np.exp(0.8j), 0.7 * np.exp(-0.8j)]).real, white)


def test_innovations_are_white_whatever_the_noise():
    x = wander(4000, 0)
    left = np.convolve(x, whitener(x), "valid")
    assert len(left) == len(x) - LEAD_IN
    power = np.correlate(left, left, "full")[len(left) - 1 :] / (left @ left)
    assert np.abs(power[1:40]).max() < 0.08
    assert left.std() < 0.1 * x.std()


def test_the_predictor_is_that_of_the_equations():
    """Its error has nothing in common with the samples that it was foreseen from."""
    x = wander(HEARD, 1)
    error = whitener(x)
    steps = np.diff(x)
    left = np.convolve(x, error, "valid")
    for lag in (1, 2, 10, 24):
        assert abs(np.corrcoef(left, steps[LEAD_IN - 1 - lag : -lag])[0, 1]) < 0.05


def test_neither_level_nor_unit_matter():
    x = wander(HEARD, 2)
    assert np.allclose(whitener(x), whitener(5 + 1000 * x), atol=1e-6)
    assert abs(whitener(x).sum()) < 1e-9


def test_shapes_pass_through_the_filter():
    x = wander(HEARD, 3)
    error = whitener(x)
    (row,) = whitened([shape(complexes())], error, NEAR, NEAR)
    whole = np.convolve(complexes(), error)
    assert np.allclose(row, whole[BEFORE - NEAR : BEFORE + NEAR])
    assert whitened([], error, NEAR, NEAR).shape == (0, 2 * NEAR)


def heard(height=1.0, width=3.0, off=0, seed=4):
    x = wander(HEARD, seed)
    return x + complexes(height, width, len(x), len(x) + R + off)


def test_a_beat_is_found_in_noise_that_is_as_tall():
    found = [Matcher(heard(seed=s), [shape(complexes())]).looks(np.array([R]))[0][0] for s in range(20)]
    none = [Matcher(wander(HEARD, s), [shape(complexes())]).looks(np.array([R]))[0][0] for s in range(20)]
    assert np.median(found) > 0.6 > 4 * np.quantile(none, 0.9)


@pytest.mark.parametrize(
    ("other", "least", "most"),
    [
        ({"off": SHIFT}, 0.5, 1.0),
        ({"off": -SHIFT}, 0.5, 1.0),
        ({"off": 30}, 0.0, 0.1),
        ({"height": -1.0}, 0.0, 0.2),
        ({"height": 6.0}, 0.0, 0.2),
        ({"height": 0.2}, 0.0, 0.2),
        ({"width": 12.0}, 0.0, 0.2),
    ],
)
def test_place_height_and_form_count(other, least, most):
    likeness = Matcher(heard(**other), [shape(complexes())]).looks(np.array([R]))[0]
    assert least <= likeness[0] <= most


def test_any_of_the_shapes_will_do():
    shapes = [shape(complexes(width=9.0)), shape(complexes()), shape(-complexes())]
    many, one = (Matcher(heard(), some).looks(np.array([R]))[0] for some in (shapes, shapes[1:2]))
    assert many == pytest.approx(one)


def test_several_candidates_are_each_as_if_alone():
    matcher = Matcher(heard(), [shape(complexes())])
    together = matcher.looks(np.array([-300, R, R + 5, -60]))[0]
    assert np.allclose(together, [matcher.looks(np.array([r]))[0][0] for r in (-300, R, R + 5, -60)])


def test_where_the_signal_does_not_reach_nothing_is_said():
    matcher = Matcher(heard()[-LEAST:], [shape(complexes())])
    first = NEAR + SHIFT + LEAD_IN - LEAST
    last = -NEAR - SHIFT
    unknown = np.isnan(matcher.looks(np.array([first - 1, first, last, last + 1]))[0])
    assert unknown.tolist() == [True, False, False, True]
    assert np.isnan(matcher.looks(np.array([-1]))[0]).all()


def test_white_noise_as_tall_as_beats_drowns_them():
    noises = [np.random.default_rng(seed).standard_normal(AROUND) for seed in range(400)]
    told = [drowned(3 + 20 * noise, 20.0) for noise in noises]
    assert 0.97 < np.mean(told) < 1  # one in a hundred looks like no white noise
    assert not any(drowned(noise, 1.8) for noise in noises)  # beats nearly twice as tall as its standard deviation


def test_what_can_be_foreseen_drowns_nothing():
    hum = np.sin(2 * np.pi * 50.3 / 250 * np.arange(AROUND))
    for seed in range(50):
        noise = np.random.default_rng(seed).standard_normal(AROUND)
        for x in (wander(AROUND, seed), np.cumsum(noise), hum + noise, signal.lfilter([1], [1, -0.5], noise)):
            assert not drowned(50 * x, 1.0)
    assert not drowned(np.zeros(AROUND), 0.0)
