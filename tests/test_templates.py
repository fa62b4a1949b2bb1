import numpy as np
import pytest

from streamqrs.confirm import Confirmation
from streamqrs.settings import Settings
from streamqrs.shapes import LOST, SURE
from streamqrs.templates import ENOUGH, Templates
from streamqrs.types import Peak, Probabilities

N = 250


def complexes(n, at, shape=0, height=1.0):
    """A lead with a QRS complex at each place: upright and narrow, inverted, or wide; and a little noise."""
    t = np.arange(n) - np.asarray(at, float)[:, None]

    def bell(centre, width):
        return np.exp(-0.5 * ((t - centre) / width) ** 2)

    one = (bell(0, 3) - 0.3 * bell(8, 3), -bell(0, 3), bell(0, 9) - 0.6 * bell(20, 8))[shape]
    noise = np.random.default_rng(n).normal(0, 0.02, n)
    return (height * one.sum(axis=0) + noise).astype(np.float32)


def candidates(at, p, known):
    return [Peak(float(a), p, known, int(a) + 13) for a in at]


def watched(ecg, at, weight=1.0, p=0.99):
    """Templates that have heard a lead and learnt from its beats."""
    templates = Templates(weight)
    templates.push(ecg)
    templates.learn(templates.weigh(candidates(at, p, len(ecg))))
    return templates


def weighed(templates, ecg, at, p=0.5):
    """Probability of a candidate in what comes next."""
    start = templates._stop
    templates.push(ecg)
    (peak,) = templates.weigh(candidates([start + at], p, start + len(ecg)))
    return peak.probability


BEATS = np.arange(100, 100 + 12 * 100, 100)
HEARD = complexes(1400, BEATS)


def test_what_looks_like_the_patients_beats_gains_and_all_else_loses():
    assert weighed(watched(HEARD, BEATS), complexes(200, [100]), 100) > 0.7
    assert weighed(watched(HEARD, BEATS), complexes(200, [100], shape=1), 100) < 0.3
    assert weighed(watched(HEARD, BEATS), complexes(200, [100], shape=2), 100) < 0.4


@pytest.mark.parametrize("height", [0.25, 4.0])
def test_height_counts_too(height):
    assert weighed(watched(HEARD, BEATS), complexes(200, [100], height=height), 100) < 0.45


def test_no_candidate_is_left_in_white_noise_as_tall_as_the_beats():
    for height, left in ((0.2, 3), (1.5, 0)):
        templates = watched(HEARD, BEATS)
        start = templates._stop
        ecg = complexes(1000, [300, 500, 700]) + height * np.random.default_rng(5).standard_normal(1000)
        templates.push(ecg.astype(np.float32))
        at = [start + 300, start + 500, start + 700]
        assert len(templates.weigh(candidates(at, 0.98, start + 1000))) == left


@pytest.mark.parametrize(("height", "shape", "left"), [(0.2, 1, 0), (0.4, 1, 1), (0.2, 0, 1), (0.02, 0, 1)])
def test_a_wave_much_lower_than_the_beats_is_none_but_if_it_has_their_form(height, shape, left):
    templates = watched(HEARD, BEATS)
    start = templates._stop
    templates.push(height * complexes(600, [300], shape))
    assert len(templates.weigh(candidates([start + 300], 0.98, start + 600))) == left


def test_what_is_next_to_impossible_then_is_left_out():
    templates = watched(HEARD, BEATS)
    templates.push(complexes(600, [100, 300], shape=1))
    left = templates.weigh(candidates([1500], 0.13, 2000) + candidates([1700], 0.5, 2000))
    assert [peak.at for peak in left] == [1700.0]


def test_drift_and_unit_do_not_matter():
    drift = 3 * np.sin(np.arange(1600) / 200).astype(np.float32)
    for scale in (1e-6, 1.0, 1e6):
        heard = scale * (HEARD + drift[:1400])
        assert weighed(watched(heard, BEATS), scale * (complexes(200, [100]) + drift[1400:]), 100) > 0.7


def test_a_doubtful_r_peak_may_lie_a_little_off():
    assert weighed(watched(HEARD, BEATS), complexes(200, [100]), 106) > 0.7


def test_little_is_known_from_few_beats():
    few = BEATS[: ENOUGH - 1]
    assert weighed(watched(HEARD, few), complexes(200, [100], shape=1), 100) == 0.5


def test_nothing_is_learnt_from_doubtful_beats():
    templates = watched(HEARD, BEATS, p=SURE - 0.01)
    assert weighed(templates, complexes(200, [100], shape=1), 100) == 0.5


def test_beats_of_two_shapes_are_both_known():
    ectopic = BEATS + 50
    heard = HEARD + complexes(1400, ectopic, shape=2)
    templates = watched(heard, np.sort(np.concatenate((BEATS, ectopic))))
    for shape in (0, 2):
        ahead = complexes(200, [100], shape)
        assert weighed(watched(heard, np.sort(np.concatenate((BEATS, ectopic)))), ahead, 100) > 0.7
    assert weighed(templates, complexes(200, [100], shape=1), 100) < 0.4


def test_a_changed_lead_is_learnt_anew():
    templates = watched(HEARD, BEATS)
    start = templates._stop
    templates.push(complexes(1400, BEATS, shape=2))
    for beat in candidates(start + BEATS[:LOST], 0.99, start + 1400):
        templates.learn(templates.weigh([beat]))
    assert weighed(templates, complexes(200, [100]), 100) < 0.35  # the old shape is forgotten
    assert weighed(templates, complexes(200, [100], shape=2), 100) > 0.7


def test_a_shape_that_comes_between_others_forgets_none():
    templates = watched(HEARD, BEATS)
    start = templates._stop
    at = np.arange(100, 1400, 100)
    templates.push(complexes(1400, at[::3]) + complexes(1400, np.delete(at, np.s_[::3]), shape=2))
    for beat in candidates(start + at, 0.99, start + 1400):
        templates.learn(templates.weigh([beat]))
    assert weighed(templates, complexes(200, [100]), 100) > 0.7


def test_with_no_weight_nothing_changes():
    assert weighed(watched(HEARD, BEATS, weight=0.0), complexes(200, [100], shape=1), 100) == 0.5


def test_reset_forgets():
    templates = watched(HEARD, BEATS)
    templates.reset()
    templates.push(complexes(200, [100], shape=1))
    (peak,) = templates.weigh(candidates([100], 0.5, 200))
    assert peak.probability == 0.5


def test_what_is_heard_in_pieces_is_the_same():
    whole, pieces = watched(HEARD, BEATS), Templates(1.0)
    rng = np.random.default_rng(0)
    for part in np.split(HEARD, np.sort(rng.integers(0, len(HEARD), 60))):
        pieces.push(part)
    pieces.learn(pieces.weigh(candidates(BEATS, 0.99, len(HEARD))))
    ahead = complexes(200, [100]) + rng.normal(0, 0.1, 200).astype(np.float32)
    assert weighed(whole, ahead, 100) == weighed(pieces, ahead, 100)


def test_samples_after_known_do_not_count():
    for known in (1500, 1520, 1600):
        first, second = watched(HEARD, BEATS), watched(HEARD, BEATS)
        ahead = complexes(200, [100])
        first.push(ahead)
        second.push(np.concatenate((ahead[: known - 1400], np.full(1600 - known, 9, np.float32))))
        assert first.weigh(candidates([1500], 0.5, known)) == second.weigh(candidates([1500], 0.5, known))


def test_in_noise_the_confirmed_beats_are_the_patients():
    """Waves of another shape, as probable as the beats, come at the same rate: with likeness none of them is a beat."""
    rng = np.random.default_rng(2)
    n = 15_000
    beats = np.arange(100, n - 100, 200)
    strange = beats[40:] + 90 + rng.integers(-20, 20, len(beats) - 40)
    ecg = complexes(n, beats) + complexes(n, strange, shape=1) + rng.normal(0, 0.05, n).astype(np.float32)
    p = np.zeros(n, np.float32)
    for at in beats:
        p[at - 12 : at + 13] = 0.99 if at < 40 * 200 else 0.7
    for at in strange:
        p[at - 12 : at + 13] = 0.7

    def found(likeness):
        stage = Confirmation(Settings(likeness=likeness, rhythm=0.0, sure=0.0))
        peaks = []
        stage.hear(ecg[:36])
        for at in range(0, n, 144):
            stop = min(at + 144, n)
            stage.hear(ecg[at + 36 : stop + 36])
            peaks += stage.push(Probabilities(p[at:stop], at, min(stop + 36, n)), min(stop + 36, n))
        return np.array([one.at for one in peaks + stage.flush(n)])

    assert len(found(0.0)) > 1.3 * len(beats)
    likely = found(1.5)
    assert len(likely) == len(beats)
    assert np.abs(likely - beats).max() < 2
