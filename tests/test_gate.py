"""The gate: decisions at the newest edge, and the wait for the R peak."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.followers import Followers
from streamqrs.gate import Gate
from streamqrs.lock import ALIKE, PeakLock
from streamqrs.types import HALF_MASK, Peak, Probabilities

RR = 200
HOP = 2


def bell(at, width, n):
    return np.exp(-0.5 * ((np.arange(n) - at) / width) ** 2).astype(np.float32)


def heart(beats, height=1.0, n=None):
    """ECG, shape (n,), of QRS complexes alone, and the probability of QRS that a perfect network gives."""
    n = n or beats[-1] + 200
    ecg = sum(height * bell(at, 3, n) for at in beats).astype(np.float32)
    probability = np.zeros(n, np.float32)
    for at in beats:
        probability[max(at - HALF_MASK, 0) : at + HALF_MASK + 1] = 1.0
    return ecg, probability


def triggers(gate, ecg, probability, *, hop=HOP, window=150, beats=()):
    """Run a gate over a curve as if each window's row were this piece of it; beats are confirmed 200 samples later."""
    found, seen, beats = [], 0, list(beats)
    for stop in range(window, len(ecg) + 1, hop):
        while beats and beats[0] + 200 < stop:
            gate.confirm([Peak(float(beats.pop(0)), 1.0, stop)])
        row = Probabilities(probability[stop - window : stop], stop - window, stop)
        peaks = [gate.watch(ecg[seen:stop]), gate.push(row)]
        found += [peak for peak in peaks if peak]
        seen = stop
    return found


def test_each_beat_gives_one_trigger_at_the_look_ahead():
    beats = list(range(300, 3000, RR))
    found = triggers(Gate(0.6, 0.3, 10, 50), *heart(beats))
    assert len(found) == len(beats)
    for peak, r in zip(found, beats, strict=True):
        assert peak.at == r
        # the onset lies 12 samples before R; decided 10 samples after it, at the next hop
        assert r - HALF_MASK + 10 < peak.known <= r - HALF_MASK + 11 + HOP


@pytest.mark.parametrize("depth", [0, 4, 20, 60])
def test_a_deeper_look_says_the_same_later(depth):
    beats = list(range(400, 3000, RR))
    shallow = triggers(Gate(0.6, 0.3, 0, 50), *heart(beats))
    deep = triggers(Gate(0.6, 0.3, depth, 50), *heart(beats))
    assert [peak.at for peak in deep] == [peak.at for peak in shallow]
    assert all(abs(d.known - s.known - depth) < HOP for d, s in zip(deep, shallow, strict=True))


def test_hysteresis_one_trigger_for_a_curve_that_flickers():
    ecg, p = heart([400])
    p[400:404] = 0.5  # below the threshold, above low
    assert len(triggers(Gate(0.6, 0.3, 10, 1), ecg, p)) == 1


def test_a_t_wave_needs_more_probability_than_a_premature_beat():
    beats = list(range(400, 4000, RR))
    ecg, p = heart(beats)
    t_wave, premature = beats[9] + 75, beats[13] + 85
    p[t_wave - 12 : t_wave + 13] = 0.65
    p[premature - 12 : premature + 13] = 0.99
    at = [peak.at for peak in triggers(Gate(0.6, 0.3, 10, 50), ecg, p)]
    assert np.abs(np.array(at) - premature).min() < 0.1
    assert np.abs(np.array(at) - t_wave).min() > 10


def test_220_beats_per_minute_are_all_triggered():
    beats = list(range(400, 4000, 68))
    assert len(triggers(Gate(0.6, 0.3, 10, 50, 5), *heart(beats))) == len(beats)


def test_nothing_closer_than_the_refractory_time():
    beats = [400, 440]
    assert [peak.at for peak in triggers(Gate(0.6, 0.3, 10, 50), *heart(beats))] == [400]


@pytest.mark.parametrize("height", [1.0, -0.4, 25.0])
def test_the_lock_waits_for_the_peak_whatever_its_polarity_and_height(height):
    beats = list(range(400, 4000, RR))
    ecg, p = heart(beats, height)
    p = np.roll(p, -4)  # the network is 4 samples early
    found = triggers(Gate(0.6, 0.3, 10, 50, 8), ecg, p)
    assert len(found) == len(beats)
    for peak, r in list(zip(found, beats, strict=True))[ALIKE + 1 :]:
        assert peak.at == pytest.approx(r - 4, abs=1)  # in noise the signal's peak may be anything: R is the network's
        assert r <= peak.known <= r + 3


def test_without_a_peak_the_trigger_leaves_when_patience_ends():
    beats = list(range(400, 4000, RR))
    ecg, p = heart(beats)
    ecg[beats[10] - 50 : beats[10] + 50] = 0.0
    found = triggers(Gate(0.6, 0.3, 10, 50, 6), ecg, p)
    assert found[10].at == beats[10]
    assert found[10].known == beats[10] + 6


def test_of_two_tall_waves_the_one_that_the_network_means_is_waited_for():
    """At the newest edge the network sees the first one only; a moment later it knows that R is the second."""
    beats, apart = list(range(400, 400 + 12 * RR, RR)), 8
    ecg, probability = heart(beats)
    early = np.roll(probability, -apart)
    ecg += np.roll(ecg, -apart)
    gate, found, seen = Gate(0.6, 0.3, 11, 50, patience=2), [], 0
    for stop in range(150, len(ecg) + 1, HOP):
        row = probability[stop - 150 : stop].copy()
        row[-15:] = np.maximum(row[-15:], early[stop - 15 : stop])
        peaks = [gate.watch(ecg[seen:stop]), gate.push(Probabilities(row, stop - 150, stop))]
        found += [peak for peak in peaks if peak]
        seen = stop
    late = np.array([peak.known - 1 for peak in found]) - beats
    assert np.all(late[:ALIKE] < -3)
    assert np.all((late[ALIKE:] >= 0) & (late[ALIKE:] <= 2))
    assert np.all(np.abs([peak.at - at for peak, at in zip(found, beats, strict=True)])[ALIKE:] <= 1)


def test_a_reset_forgets_the_heights():
    gate = Gate(0.6, 0.3, 10, 50, 6)
    ecg, p = heart(list(range(400, 3000, RR)))
    first = triggers(gate, ecg, p)
    gate.reset()
    assert triggers(gate, ecg, p) == first


@given(st.lists(st.integers(1, 400), max_size=20), st.integers(1, 12))
def test_the_lock_gives_the_same_in_pieces_of_any_size(sizes, patience):
    rng = np.random.default_rng(3)
    beats = list(range(300, 2400, 150))
    ecg = heart(beats)[0] + 0.02 * rng.standard_normal(beats[-1] + 200).astype(np.float32)
    whole, pieces = PeakLock(patience), PeakLock(patience)

    def run(lock, cuts):
        # a piece ends wherever a decision comes, as the detector has it
        out, at = [], 0
        for stop in sorted({*cuts, *(r - 2 for r in beats), len(ecg)}):
            if (peak := lock.push(ecg[at:stop])) is not None:
                out.append(peak)
            if stop + 2 in beats and (peak := lock.open(Peak(float(stop + 2), 0.9, stop))) is not None:
                out.append(peak)
            at = stop
        return out

    cuts = np.cumsum(sizes)
    found = run(pieces, [int(cut) for cut in cuts if cut < len(ecg)])
    assert found == run(whole, [])
    assert len(found) == len(beats)


def test_less_probability_is_asked_where_a_beat_is_due():
    beats = list(range(400, 4000, RR))
    ecg, p = heart(beats)
    doubtful, between = beats[9], beats[13] + 130
    p[doubtful - 12 : doubtful + 13] = 0.65
    p[between - 12 : between + 13] = 0.65
    for rhythm, wanted in ((0.5, beats), (0.0, [at for at in beats if at != doubtful])):
        found = triggers(Gate(0.8, 0.3, 10, 50, 0, rhythm), ecg, p, beats=beats)
        assert [round(peak.at) for peak in found] == wanted


def test_the_premature_beats_of_bigeminy_need_less_probability_than_the_first():
    beats = np.cumsum([400, *([120, 280] * 12)]).tolist()
    ecg, p = heart(beats)
    for at in beats[13::2]:
        p[at - 12 : at + 13] = 0.65
    found = [round(peak.at) for peak in triggers(Gate(0.8, 0.3, 10, 50, 0, 0.7), ecg, p, beats=beats)]
    assert found == beats


def test_each_kind_of_beat_has_its_own_r_peak():
    """Every third beat is wide, upside down, and has its R peak 8 samples later than the network says at first."""
    beats, late = list(range(400, 400 + 45 * RR, RR)), 8
    n = beats[-1] + 200
    ecg, p = np.zeros(n, np.float32), np.zeros(n, np.float32)
    peaks = np.array([at + late * (k % 3 == 2) for k, at in enumerate(beats)])
    for k, at in enumerate(beats):
        if k % 3 == 2:
            ecg += 0.3 * bell(at - 12, 4, n) - 1.5 * bell(at + late, 7, n)
        else:
            ecg += bell(at, 3, n)
    for at in peaks:
        p[at - 12 : at + 13] = 1.0
    gate, found, seen = Gate(0.6, 0.3, 10, 50, 3), [], 0
    early = np.zeros(n, np.float32)
    for at in beats:
        early[at - 12 : at + 13] = 1.0
    for stop in range(150, n + 1, HOP):
        row = p[stop - 150 : stop].copy()
        row[-25:] = np.maximum(row[-25:], early[stop - 25 : stop])
        given = [gate.watch(ecg[seen:stop]), gate.push(Probabilities(row, stop - 150, stop))]
        found += [peak for peak in given if peak]
        seen = stop
    assert len(found) == len(beats)
    off = np.array([peak.known - 1 for peak in found]) - peaks
    assert np.all((off[15:] >= 0) & (off[15:] <= 3))
    np.testing.assert_allclose([peak.at for peak in found[15:]], peaks[15:], atol=1.6)


def familiar(beats, odd, n, *, probability, nothing=()):
    """Beats of one shape, but for one at `odd` of another; the network says `probability` there, and at `nothing`."""
    ecg, p = heart(beats, n=n)
    ecg += 0.01 * np.random.default_rng(1).standard_normal(n).astype(np.float32)
    for at in nothing:  # the network hesitates, and knows better once it has seen more
        ecg += 0.8 * bell(at, 8, n)
        p[at - HALF_MASK : at + HALF_MASK + 1] = 0.6
    p[odd - HALF_MASK : odd + HALF_MASK + 1] = probability
    return ecg, p


def seen_later(gate, ecg, p, nothing, beats, window=150):
    """Run a gate; what came to nothing is none in windows that see it whole."""
    found, seen, beats = [], 0, list(beats)
    for stop in range(window, len(ecg) + 1, HOP):
        while beats and beats[0] + 200 < stop:
            gate.confirm([Peak(float(beats.pop(0)), 1.0, stop)])
        row = p[stop - window : stop].copy()
        for at in nothing:
            if stop > at + 20:
                row[max(at - HALF_MASK - stop + window, 0) : max(at + HALF_MASK + 1 - stop + window, 0)] = 0.0
        peaks = [gate.watch(ecg[seen:stop]), gate.push(Probabilities(row, stop - window, stop))]
        found += [peak for peak in peaks if peak]
        seen = stop
    return [round(peak.at) for peak in found]


LIKELY = {"threshold": 0.9, "low": 0.3, "depth": 10, "distance": 50}


def test_a_doubtful_onset_of_a_known_shape_is_a_beat():
    beats = list(range(300, 3000, RR))
    odd = beats[-3] + 90  # where nothing is due
    ecg, p = familiar(sorted([*beats, odd]), odd, 3200, probability=0.75)
    assert odd not in seen_later(Gate(**LIKELY), ecg, p, [], beats)
    assert odd in seen_later(Gate(**LIKELY, likeness=4.0), ecg, p, [], beats)


@pytest.mark.parametrize("likeness", [0.0, 4.0])
def test_an_onset_of_an_unknown_shape_counts_less_where_onsets_came_to_nothing(likeness):
    beats = list(range(300, 5000, RR))
    odd = beats[-3] + 90
    ecg, p = familiar(beats, odd, 5200, probability=0.93)
    ecg += 0.8 * bell(odd, 8, len(ecg))
    assert odd in seen_later(Gate(**LIKELY, likeness=likeness), ecg, p, [], beats)
    nothing = [r + 90 for r in beats[2:-4]]
    ecg, p = familiar(beats, odd, 5200, probability=0.93, nothing=nothing)
    ecg += 0.8 * bell(odd, 8, len(ecg))
    found = seen_later(Gate(**LIKELY, likeness=likeness), ecg, p, nothing, beats)
    assert set(beats) <= set(found)
    assert not set(found) & set(nothing)
    assert (odd in found) == (not likeness)


def followed(gap, beats=12):
    """Followers that have heard a wave so many samples after each beat."""
    known = Followers()
    known.push([Peak(float(RR * k + d), p, 0) for k in range(beats) for d, p in ((0, 0.95), (gap, 0.9))])
    return known


def test_a_wave_that_follows_each_beat_gives_no_trigger():
    gap, beats = 65, list(range(400, 4000, RR))
    waves = [at + gap for at in beats]
    ecg, p = heart(sorted(beats + waves))
    for at in waves:
        p[at - HALF_MASK : at + HALF_MASK + 1] = 0.95

    def found(followers):
        return [round(peak.at) for peak in triggers(Gate(0.6, 0.3, 10, 50, followers=followers), ecg, p)]

    assert found(None) == found(followed(gap - 15)) == sorted(beats + waves)
    assert found(followed(gap)) == found(followed(gap + 5)) == beats


def test_a_heart_that_has_become_as_fast_is_not_taken_for_its_follower():
    beats = list(range(400, 4000, 65))
    ecg, p = heart(beats)
    found = [round(peak.at) for peak in triggers(Gate(0.6, 0.3, 10, 50, followers=followed(65)), ecg, 0.95 * p)]
    assert found == [beats[0], *beats[2:]]  # of the second one nobody can tell


def test_nor_is_a_beat_of_a_fast_heart_after_one_that_the_network_missed():
    known, beats = Followers(), list(range(400, 4000, 70))
    known.push([Peak(float(70 * k), 0.95, 0) for k in range(30)])
    ecg, p = heart(beats)
    missed = beats[20]
    p[missed - HALF_MASK : missed + HALF_MASK + 1] = 0.1
    found = [round(peak.at) for peak in triggers(Gate(0.6, 0.3, 10, 50, followers=known), ecg, 0.95 * p)]
    assert found == [at for at in beats if at != missed]
