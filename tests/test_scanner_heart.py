"""The synthetic heart: truth on the peak, rhythms that are what they say, same bits however they are read."""

from dataclasses import replace

import numpy as np
import pytest

from streamqrs.scanner import SHAPES, Heart, HeartSettings, RhythmSettings, VirtualPatient

STEADY = RhythmSettings(pvc=0.0, pac=0.0)


def play(settings, seconds=60.0, rate=250.0, seed=0):
    heart = Heart(rate, settings, np.random.default_rng(seed))
    n = int(seconds * rate)
    blocks = [heart.render(at, at + 125) for at in range(0, n, 125)]
    again = Heart(rate, settings, np.random.default_rng(seed))
    return np.concatenate(blocks), again.beats(0, n)


@pytest.mark.parametrize("rate", [250.0, 360.0, 1000.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_truth_lies_on_the_largest_deflection_within_one_sample(shape, rate):
    settings = HeartSettings(shape=shape, rhythm=replace(STEADY, pvc=0.1), t_wave=0.2, p_wave=0.05)
    ecg, beats = play(settings, rate=rate)
    reach = int(0.06 * rate)
    inside = [beat for beat in beats if reach < beat.index < len(ecg) - reach]
    assert len(inside) > 60
    for beat in inside:
        around = np.abs(ecg[beat.index - reach : beat.index + reach + 1])
        assert abs(int(around.argmax()) - reach) <= 1


@pytest.mark.parametrize("heart_rate", [35.0, 72.0, 200.0])
def test_heart_rate_is_kept(heart_rate):
    _, beats = play(HeartSettings(rhythm=replace(STEADY, heart_rate=heart_rate)), 120)
    assert len(beats) / 2 == pytest.approx(heart_rate, rel=0.05)


def test_breathing_moves_the_heart_rate():
    rhythm = RhythmSettings(pvc=0, pac=0, variability=0, arrhythmia=0.1, breathing_hz=0.2)
    _, beats = play(HeartSettings(rhythm=rhythm), 300)
    at = np.array([beat.index for beat in beats]) / 250
    rr, middle = np.diff(at), at[1:]
    power = [abs(np.sum((rr - rr.mean()) * np.exp(-2j * np.pi * f * middle))) for f in (0.1, 0.2, 0.31)]
    assert power[1] > 5 * max(power[0], power[2])


def test_a_premature_beat_is_early_wide_and_followed_by_a_compensatory_pause():
    rhythm = RhythmSettings(pvc=0.1, pac=0.0, variability=0.0, arrhythmia=0.0)
    _, beats = play(HeartSettings(rhythm=rhythm), 300)
    at = np.array([beat.index for beat in beats]) / 250
    label = "".join(beat.label for beat in beats)
    found = [k for k in range(1, len(beats) - 1) if label[k - 1 : k + 2] == "NVN"]
    assert len(found) > 10
    for k in found:
        assert at[k] - at[k - 1] < 0.8 * 60 / 72
        assert at[k + 1] - at[k - 1] == pytest.approx(2 * 60 / 72, abs=0.03)


def test_atrial_fibrillation_is_irregular_and_has_no_p_wave():
    rhythm = RhythmSettings(kind="fibrillation", pvc=0, pac=0)
    ecg, beats = play(HeartSettings(rhythm=rhythm), 120)
    at = np.array([beat.index for beat in beats])
    rr = np.diff(at) / 250
    assert rr.std() / rr.mean() > 0.12
    assert {len(beat.waves) for beat in beats} == {len(SHAPES["normal"]) + 2}
    slow = at[1:-1][np.diff(at)[:-1] > 250]  # long pauses hold f waves and nothing else
    assert max(np.ptp(ecg[k - 60 : k - 30]) for k in slow) > 0.02


def test_a_paced_heart_has_a_stimulus_before_each_beat_and_some_without_capture():
    rhythm = RhythmSettings(kind="paced", pvc=0, pac=0, no_capture=0.2, heart_rate=60)
    ecg, beats = play(HeartSettings(rhythm=rhythm, shape="paced", spike_mv=20.0, r_mv=0.5), 120, rate=1000.0)
    assert {beat.label for beat in beats} == {"/"}
    spikes = np.flatnonzero(np.diff((ecg > 3).astype(int)) == 1)
    assert len(spikes) == pytest.approx(120, abs=2)
    assert len(beats) < 0.92 * len(spikes)
    first = np.array([beat.spikes[0, 1] for beat in beats]) * 1000
    assert np.all(np.array([beat.index for beat in beats]) - first > 4)


@pytest.mark.parametrize("preset", ["none", "ward", "1.5T", "3T", "7T", "mixture"])
def test_same_seed_same_bits_however_it_is_read(preset):
    whole = VirtualPatient(360.0, 5, preset)
    ecg = whole.read(4001)
    pieces = VirtualPatient(360.0, 5, preset)
    parts, beats = [], []
    for n in (1, 0, 2, 3, 181, 1, 997, 1500, 1316):
        parts.append(pieces.read(n))
        beats += pieces.take_beats()
    assert np.array_equal(np.concatenate(parts), ecg)
    assert beats == whole.take_beats()
    assert ecg.dtype == np.float32
    assert np.isfinite(ecg).all()
    assert not np.array_equal(VirtualPatient(360.0, 6, preset).read(4001), ecg)


def test_beats_are_told_once_and_when_they_have_been_read():
    patient = VirtualPatient(seed=2)
    told = []
    for _ in range(500):
        patient.read(10)
        new = patient.take_beats()
        assert all(index < (_ + 1) * 10 for index, _label in new)
        told += new
    assert told == sorted(set(told))
    assert len(told) == pytest.approx(24, abs=2)
    assert patient.take_beats() == []


def test_truth_marks_stay_on_r_through_a_recorders_filter():
    for seed in range(12):
        patient = VirtualPatient(500.0, seed, "3T", families=("recorder",))
        ecg = patient.read(10_000)
        for index, label in patient.take_beats():
            if label == "N" and 50 < index < 9_950:
                assert abs(int(np.abs(ecg[index - 30 : index + 31]).argmax()) - 30) <= 3


def test_the_default_patient_is_believable():
    patient = VirtualPatient()
    ecg = patient.read(250 * 300)
    labels = [label for _, label in patient.take_beats()]
    assert len(labels) == pytest.approx(360, rel=0.05)
    assert 1 <= labels.count("V") <= 20
    assert 0.8 < ecg.max() < 2.5


def test_random_patients_are_all_playable_and_differ():
    hearts = [HeartSettings.draw(np.random.default_rng(seed)) for seed in range(40)]
    assert {heart.rhythm.kind for heart in hearts} == {"sinus", "fibrillation", "paced"}
    assert len({heart.shape for heart in hearts}) >= 6
    for seed, heart in enumerate(hearts):
        patient = VirtualPatient(seed=seed, heart=heart)
        assert np.isfinite(patient.read(2500)).all()
        assert patient.take_beats()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 50.0}, "100 to 10000"),
        ({"rate": float("nan")}, "100 to 10000"),
        ({"seed": -1}, "0 and more"),
        ({"preset": "9T"}, "3T"),
        ({"heart_rate": 20.0}, "35 to 200"),
        ({"severity": -1.0}, "0 to 100"),
        ({"families": ("hiss",)}, "mhd"),
        ({"without": ("hiss",)}, "epi"),
    ],
)
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        VirtualPatient(**arguments)


def test_bad_settings_say_what_is_allowed():
    with pytest.raises(ValueError, match="normal"):
        HeartSettings(shape="square")
    with pytest.raises(ValueError, match=r"RhythmSettings\.pvc is 0\.9: allowed are 0 to 0\.5"):
        RhythmSettings(pvc=0.9)
    with pytest.raises(ValueError, match="0 and more"):
        VirtualPatient().read(-1)
