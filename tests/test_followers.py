import numpy as np
import pytest

from streamqrs.confirm import Confirmation
from streamqrs.followers import LOSS, Followers, lessened
from streamqrs.settings import Settings
from streamqrs.types import RATE, Peak, Probabilities

RR = 0.75


def candidates(waves):
    """Candidates of (place in s, probability), in order."""
    return [Peak(RATE * at, p, 0, round(RATE * at) + 13) for at, p in sorted(waves)]


def lost(waves, since=0.0):
    """Log odds that the candidates lose, by their places in s, from a moment on."""
    found = Followers().push(candidates(waves))
    return {round(at / RATE, 2): loss for at, loss in found.items() if at >= RATE * since}


def two_waves(gap, first=0.85, second=0.9, rr=RR, beats=20):
    """A first and a second wave in each cycle, from 1 s on."""
    at = 1 + rr * np.arange(beats)
    return [(t, first) for t in at] + [(t + gap, second) for t in at]


def test_the_second_wave_of_each_cycle_is_none():
    losses = lost(two_waves(gap=0.25), since=6)
    after_r = (np.array(list(losses)) - 1) % RR
    assert after_r == pytest.approx(0.25, abs=0.02)
    assert len(losses) >= 13
    assert min(losses.values()) == LOSS


def test_nothing_is_said_before_it_came_some_times():
    assert lost(two_waves(gap=0.25, beats=2)) == {}


@pytest.mark.parametrize("gap", [0.12, 0.42])
def test_p_waves_and_premature_beats_do_not_make_a_follower(gap):
    assert lost(two_waves(gap, rr=1.0)) == {}


@pytest.mark.parametrize("rr", [0.22, 0.3])
def test_a_fast_heart_has_no_followers(rr):
    beats = [(1 + rr * i, 0.9) for i in range(60)]
    assert lost(beats) == {}
    missed = beats[40]  # by the network: the next but one follows a beat that none came before as long ago
    assert lost([beat for beat in beats if beat != missed]) == {}


@pytest.mark.parametrize("seed", range(5))
def test_an_irregular_heart_has_no_followers(seed):
    rng = np.random.default_rng(seed)
    intervals = rng.gamma(12, 0.55 / 12, 400).clip(0.24)
    at = 1 + np.cumsum(intervals)
    losses = lost([(t, 0.9) for t in at])
    assert np.mean(intervals < 0.34) > 0.05
    assert sum(losses.values()) < 0.02 * LOSS * len(at)


@pytest.mark.parametrize("seed", range(3))
def test_waves_at_random_are_no_followers(seed):
    rng = np.random.default_rng(seed)
    at = 1 + np.cumsum(rng.exponential(0.2, 400))
    losses = lost([(t, p) for t, p in zip(at, rng.uniform(0.1, 0.7, 400), strict=True)])
    assert sum(losses.values()) < 0.05 * LOSS * len(at)


def test_a_faint_wave_before_each_beat_does_not_make_it_a_follower():
    assert lost(two_waves(gap=0.2, first=0.15, second=1.0)) == {}


def test_nor_does_a_late_wave_of_the_cycle_before_that_is_much_less_probable():
    assert lost(two_waves(gap=0.26, first=0.6, second=0.99)) == {}


def test_a_couplet_now_and_then_is_left_alone():
    beats = [(1 + RR * i, 0.95) for i in range(40)]
    assert lost(beats + [(1 + RR * i + 0.3, 0.9) for i in range(0, 40, 5)]) == {}


def test_several_candidates_of_one_wave_are_one():
    broken = [(t + d, p) for t, p in two_waves(gap=0.25, second=0.9) for d in (-0.03, 0.0, 0.04)]
    losses = lost(broken, since=6)
    after_r = (np.array(list(losses)) - 1) % RR
    assert after_r == pytest.approx(0.25, abs=0.06)
    assert len(losses) >= 35


def test_it_is_forgotten_once_the_second_wave_is_gone():
    gone = [(17 + RR * i, 0.95) for i in range(14)]
    late = [(27.5, 0.9), (27.75, 0.9)]
    assert lost(two_waves(gap=0.25) + gone + late, since=17) == {}
    assert lost([*two_waves(gap=0.25), (16.0, 0.9), (16.25, 0.9)], since=16.2) != {}


def test_pieces_and_a_new_beginning_change_nothing():
    waves = candidates(two_waves(gap=0.25))
    followers = Followers()
    whole = followers.push(waves)
    followers.reset()
    pieces = {at: loss for wave in waves for at, loss in followers.push([wave]).items()}
    assert pieces == whole != {}


def test_what_is_lessened_no_longer_counts_for_its_looks():
    less = lessened(Peak(100.0, 0.999, 120, 112, likeness=0.9), LOSS)
    assert (less.at, less.likeness) == (100.0, 0.0)
    assert 0.1 < less.probability < 0.15
    assert lessened(Peak(100.0, 0.5, 120), 1.0).likeness is None


def beats_of(curve, **settings):
    stage = Confirmation(Settings(likeness=0.0, **settings))
    return [beat.at / RATE for beat in stage.push(Probabilities(curve, 0, len(curve)), len(curve))]


def test_beats_are_the_first_waves_again_where_the_second_ones_were_surer():
    rng = np.random.default_rng(0)
    curve = np.zeros(30 * RATE, np.float32)
    at = 1 + RR * np.arange(38)
    for t in at:
        for place, p in ((t, 0.82), (t + 0.25, 0.9)):
            middle = round(RATE * (place + rng.normal(0, 0.005)))
            curve[middle - 12 : middle + 13] = p
    late = np.array([t for t in beats_of(curve) if 10 < t < 28])
    after_r = (late - 1 + 0.1) % RR - 0.1
    assert after_r == pytest.approx(0.0, abs=0.03)
    assert len(late) == 24
    unweighed = np.array([t for t in beats_of(curve, rhythm=0.0) if 10 < t < 28])
    assert np.sum(np.abs((unweighed - 1) % RR - 0.25) < 0.03) == 24
