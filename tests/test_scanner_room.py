"""The scanner room: spectra, silence around R, ranges, independence of the families, and `corrupt`."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import signal

from streamqrs.errors import BadRecord
from streamqrs.scanner import (
    FAMILIES,
    PRESETS,
    SEQUENCES,
    ScannerSettings,
    VirtualPatient,
    corrupt,
    make_sequence,
    read_sequences,
    settings_of,
)
from streamqrs.scanner.exam import Runs
from streamqrs.scanner.families import Exam, Family, Gradients, Lobes, Periodic, Recorder
from streamqrs.scanner.gradients import GradientNoise
from streamqrs.scanner.periodic import PeriodicNoise, pulse_table
from streamqrs.scanner.recorder import RecorderLimits
from streamqrs.scanner.sequences import NOTHING, Sequence

NONE = np.empty(0, np.int64)
ALWAYS = Exam(running=1.0, run_s=(3600, 3600), prescan=0.0, locked=0.0, clock_ppm=(120, 120))
MADE = tuple(kind for kind in SEQUENCES if kind != "recorded")


def only(name, **changes):
    """Settings with one family, always present."""
    base = settings_of("3T", families=(name,))
    return replace(base, exam=replace(ALWAYS), **{name: replace(getattr(base, name), chance=1.0, **changes)})


def flat(n=7500, every=200):
    return np.zeros(n), np.arange(every, n, every)


def runs_of(sequence, rate):
    runs = Runs(replace(ALWAYS, sequences=("recorded",)), np.random.default_rng(1), (sequence,), rate)
    return runs, runs.between(0.0, 1.0)[0]


@pytest.mark.parametrize("low_pass", [40.0, 250.0])
def test_gradient_spectrum_has_its_lines_at_slice_and_tr_harmonics(low_pass):
    t, g = np.array([0.0, 0.002, 0.012, 0.014]), np.array([0.0, 20.0, 20.0, 0.0])
    sequence = Sequence("recorded", ((t, g), (t + 0.02, -g), NOTHING), NOTHING, period_s=0.08, shots=10, pause_s=0.16)
    assert sequence.tr_s == pytest.approx(0.96)
    rate = 1000.0
    settings = Gradients(low_pass_hz=(low_pass, low_pass), drift=(0, 0), subtracted=0, filtered=0)
    runs, run = runs_of(sequence, rate)
    noise = GradientNoise(settings, rate, np.random.default_rng(0), runs)
    x = np.concatenate([noise.render(at, at + 500, NONE) for at in range(0, 64_000, 500)])
    f, power = signal.periodogram(x, rate, window="hann")
    tr_hz = run.clock / sequence.tr_s
    on_line = np.abs(f / tr_hz - np.round(f / tr_hz)) < 0.05
    assert power[on_line & (f > 0.5) & (f < 100)].sum() > 0.999 * power[(f > 0.5) & (f < 100)].sum()
    slice_hz = 1 / sequence.period_s
    for harmonic in (1, 2, 3):  # the slice's lines tower above what lies half way to the next one
        near = np.abs(f - harmonic * slice_hz) < 0.7
        between = np.abs(f - (harmonic + 0.5) * slice_hz) < 0.7
        assert power[near].max() > 10 * power[between].max()


def test_a_free_clock_drifts_and_a_locked_one_does_not():
    settings = only("spike", period_ms=(80, 80), drift=(0, 0), skip=0.0)
    x, peaks = flat(250 * 200)
    locked = replace(settings, exam=replace(settings.exam, locked=1.0))
    for chosen, ppm in ((settings, 120), (locked, 0)):
        noise = corrupt(x, peaks, 250.0, chosen, 4)[1]["spike"]
        spectrum = np.fft.rfft(noise.astype(float) * np.hanning(len(noise)), 1 << 21)
        f = np.fft.rfftfreq(1 << 21, 1 / 250)
        near = (f > 11.5) & (f < 13.5)
        peak = f[near][np.abs(spectrum[near]).argmax()]
        assert peak == pytest.approx(12.5 * (1 + 1e-6 * ppm), abs=4e-4)


def test_the_recorders_low_pass_takes_what_lies_above_it():
    rng = np.random.default_rng(3)
    sequence = make_sequence("epi", rng)
    sizes = []
    for corner in (30.0, 1000.0):
        settings = Gradients(low_pass_hz=(corner, corner), order=(2, 2), drift=(0, 0), subtracted=0, filtered=0)
        runs, _ = runs_of(sequence, 2000.0)
        x = GradientNoise(settings, 2000.0, np.random.default_rng(0), runs).render(0, 20_000, NONE)
        f, power = signal.periodogram(x, 2000.0)
        sizes.append(power[f > 200].sum() / power.sum())
    assert sizes[0] < 0.05
    assert sizes[1] > 10 * sizes[0]


@pytest.mark.parametrize("rate", [250.0, 1000.0])
@pytest.mark.parametrize("every", [0.45, 0.8])
def test_mhd_is_silent_in_the_qrs_and_not_elsewhere(rate, every):
    n = int(60 * rate)
    peaks = np.arange(int(rate), n, int(every * rate))
    for seed in range(6):
        mhd = corrupt(np.zeros(n), peaks, rate, only("mhd"), seed)[1]["mhd"]
        reach = int(0.04 * rate)
        near = mhd[peaks[peaks < n - reach][:, None] + np.arange(-reach, reach + 1)]
        assert np.abs(near).max() == 0
        assert np.abs(mhd).max() > 0.1
        assert np.abs(mhd[: int(rate)]).max() == 0  # nothing before the first beat


def test_lobes_change_from_beat_to_beat_as_much_as_they_are_told_to():
    x, peaks = flat(250 * 600)
    settings = only("mhd", count=(1, 1), delay_ms=(300, 300), variation=(0.2, 0.2), breathing=(0, 0), height=(1, 1))
    mhd = corrupt(x, peaks, 250.0, settings, 1)[1]["mhd"]
    tall = np.array([np.abs(mhd[peak : peak + 190]).max() for peak in peaks[:-1]])
    assert tall.mean() == pytest.approx(1.0, abs=0.05)
    assert tall.std() == pytest.approx(0.2, abs=0.03)


def test_lobes_are_weaker_after_a_premature_beat():
    peaks = np.cumsum(np.tile([200, 200, 200, 110], 40))
    settings = only("mhd", count=(1, 1), delay_ms=(200, 200), variation=(0, 0), breathing=(0, 0), width_ms=(60, 60))
    mhd = corrupt(np.zeros(peaks[-1] + 200), peaks, 250.0, settings, 1)[1]["mhd"]
    tall = np.array([np.abs(mhd[peak : peak + 100]).max() for peak in peaks]).reshape(-1, 4)[5:].mean(axis=0)
    assert tall[3] < 0.75 * tall[:3].min()


@pytest.mark.parametrize("name", ["gradient", "comb", "spike"])
@pytest.mark.parametrize("height", [0.5, 4.0])
def test_height_is_what_the_range_says(name, height):
    still = {"drift": (0, 0), "height": (height, height)}
    still |= {"filtered": 0.0, "subtracted": 0.0, "low_pass_hz": (70, 70)} if name == "gradient" else {"skip": 0.0}
    for seed in range(5):
        noise = corrupt(*flat(), 250.0, replace(only(name, **still)), seed)[1][name]
        assert 0.4 * height < np.quantile(np.abs(noise), 0.995) < 1.6 * height


def test_spikes_have_the_period_and_width_they_are_told():
    rate, period, width = 1000.0, 0.067, 0.020
    settings = Periodic(period_ms=(67, 67), width_ms=(20, 20), height=(1, 1), drift=(0, 0), skip=0)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        table = pulse_table(settings, period, rng)
        assert np.abs(table).max() == pytest.approx(1.0)
        runs = Runs(ALWAYS, np.random.default_rng(1), (), rate)
        x = PeriodicNoise(settings, rate, rng, runs, make=pulse_table).render(0, 20_000, NONE)
        f, power = signal.periodogram(x - x.mean(), rate, window="hann")
        line = f[power[f < 100].argmax()] * period
        assert line == pytest.approx(round(line), abs=0.02)
        assert round(line) >= 1
        wide = np.mean(np.abs(table) > 0.5) * period
        assert 0.15 * width < wide < 3 * width


@pytest.mark.parametrize("kind", MADE)
def test_made_sequences_keep_to_the_hardware(kind):
    for seed in range(25):
        sequence = make_sequence(kind, np.random.default_rng(seed))
        assert sequence.kind == kind
        assert 0.002 < sequence.period_s < 2.0
        assert sequence.tr_s >= sequence.period_s
        for t, g in sequence.shot:
            if len(t):
                assert t[0] >= 0
                assert t[-1] <= sequence.period_s
                assert np.abs(g).max() <= 45
                assert (np.diff(t) >= 0).all()
        again = make_sequence(kind, np.random.default_rng(seed))
        t = np.linspace(0, 1, 5000)
        weights = np.array([0.3, -0.5, 0.8])
        assert np.array_equal(sequence.gradient(t, weights), again.gradient(t, weights))


def test_runs_begin_and_end_within_a_recording():
    settings = replace(only("gradient"), exam=Exam(running=0.0, run_s=(3, 5), pause_s=(3, 5), prescan=0.0))
    noise = corrupt(*flat(250 * 120), 250.0, settings, 2)[1]["gradient"]
    per_second = np.abs(noise.reshape(-1, 250)).max(axis=1)
    assert 20 < np.sum(per_second < 1e-3) < 100


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_runs_at_every_sort_of_rate(preset):
    for rate in (100.0, 250.0, 496.1, 2000.0):
        for seed in range(4):
            ecg = VirtualPatient(rate, seed, preset).read(int(6 * rate))
            assert np.isfinite(ecg).all()
            assert 0.02 < ecg.std() < 50


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_can_be_had_alone_and_left_out(name):
    patient = VirtualPatient(seed=1, preset=only(name))
    assert patient.families == (name,)
    assert np.isfinite(patient.read(2500)).all()
    for seed in range(10):
        assert name not in VirtualPatient(seed=seed, preset="mixture", without=(name,)).families


def test_leaving_a_family_out_changes_no_other():
    x, peaks = flat()
    _, everything = corrupt(x, peaks, 250.0, "7T", 3)
    _, without = corrupt(x, peaks, 250.0, "7T", 3, without=("mhd", "recorder"))
    assert set(everything) - set(without) <= {"mhd", "recorder"}
    assert len(without) >= 3
    for name, part in without.items():
        assert np.array_equal(part, everything[name])


def test_sequences_can_be_left_out():
    left = settings_of("3T", without=("epi", "dwi")).exam.sequences
    assert set(SEQUENCES) - set(left) == {"epi", "dwi"}
    assert settings_of("3T", without=SEQUENCES).gradient.chance == 0


@pytest.mark.parametrize("preset", ["1.5T", "3T", "7T"])
def test_corrupt_gives_the_record_and_its_parts(preset):
    patient = VirtualPatient(seed=8)
    clean = patient.read(5000)
    peaks = np.array([index for index, _ in patient.take_beats()])
    noisy, parts = corrupt(clean, peaks, 250.0, preset, 11)
    assert noisy.shape == clean.shape
    assert noisy.dtype == np.float32
    assert np.allclose(clean + sum(parts.values()), noisy, atol=1e-4)
    again, _ = corrupt(clean, peaks, 250.0, preset, 11)
    assert np.array_equal(noisy, again)
    assert not np.array_equal(noisy, corrupt(clean, peaks, 250.0, preset, 12)[0])


def test_noise_is_scaled_by_the_height_of_r_and_by_severity():
    patient = VirtualPatient(seed=8)
    clean = patient.read(5000).astype(float)
    peaks = np.array([index for index, _ in patient.take_beats()])
    small = corrupt(clean, peaks, 250.0, "3T", 5)[1]["mhd"]
    large = corrupt(1000 * clean, peaks, 250.0, "3T", 5)[1]["mhd"]
    severe = corrupt(clean, peaks, 250.0, "3T", 5, severity=2.0)[1]["mhd"]
    assert np.allclose(large, 1000 * small, rtol=1e-3, atol=1e-3)
    assert np.allclose(severe, 2 * small, rtol=1e-4, atol=1e-6)


def test_the_field_strength_orders_the_mhd():
    x, peaks = flat()

    def tallest(preset, seed):
        return np.abs(corrupt(x, peaks, 250.0, preset, seed, families=("mhd",))[1]["mhd"]).max()

    sizes = [np.median([tallest(preset, seed) for seed in range(25)]) for preset in ("1.5T", "3T", "7T")]
    assert sizes == sorted(sizes)
    assert sizes[2] > 2 * sizes[0]


def test_a_recorder_clips_and_has_steps():
    settings = Recorder(height=(2, 2), bits=(8, 8), monitor=0.0, high_pass_s=(10, 10), blocking=0.0)
    recorder = RecorderLimits(settings, 250.0, np.random.default_rng(0))
    out = recorder(10 * np.sin(np.arange(1000) / 20), 0)
    assert np.abs(out).max() == pytest.approx(2.0)
    assert np.allclose(out * 64, np.round(out * 64), atol=1e-9)
    assert len(np.unique(out)) <= 257


def test_a_recorders_high_pass_takes_off_an_offset_in_its_time():
    settings = Recorder(height=(50, 50), bits=(24, 24), monitor=0.0, high_pass_s=(0.5, 0.5), blocking=0.0)
    recorder = RecorderLimits(settings, 250.0, np.random.default_rng(0))
    out = recorder(np.r_[np.zeros(10), np.ones(490)], 0)
    assert out[10 + 125] == pytest.approx(np.exp(-1), abs=0.01)


def test_every_range_of_every_preset_can_be_drawn():
    for preset in PRESETS.values():
        for each in fields(ScannerSettings):
            part = getattr(preset, each.name)
            assert type(part)(**{f.name: getattr(part, f.name) for f in fields(part)}) == part


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lobes(height=(0, 1)), r"Lobes\.height is \(0, 1\): allowed are 0\.001 to 50"),
        (lambda: Lobes(delay_ms=(500, 100)), "lowest, highest"),
        (lambda: Family(chance=2), "0 to 1"),
        (lambda: Gradients(low_pass_hz=(float("nan"), 50)), "15 to 2000"),
        (lambda: Exam(sequences=("fid",)), "epi"),
        (lambda: Recorder(bits=("many", 3)), "6 to 24"),
        (lambda: make_sequence("fid", np.random.default_rng(0)), "spiral"),
        (lambda: settings_of("3T", families=("epi",)), "gradient"),
        (lambda: corrupt([], [], 250.0), "n ≥ 1"),
        (lambda: corrupt([0.0, np.nan], [], 250.0), "finite"),
        (lambda: corrupt(np.zeros(100), [5, 5], 250.0), "growing"),
        (lambda: corrupt(np.zeros(100), [], 20.0), "100 to 10000"),
    ],
)
def test_bad_arguments_say_what_is_allowed(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_recorded_waveforms_are_read_and_played(tmp_path):
    t, g = np.array([0.0, 0.001, 0.01, 0.011]), np.array([0.0, 30.0, 30.0, 0.0])
    none = np.empty(0)
    np.savez(tmp_path / "b.npz", tx=t, gx=g, ty=t, gy=-g, tz=none, gz=none, duration=0.05)
    np.savez(tmp_path / "log.npz", gx=g, note="no waveform")
    found = read_sequences(tmp_path)
    assert [sequence.kind for sequence in found] == ["recorded"]
    assert found[0].period_s == pytest.approx(0.05)
    settings = only("gradient")
    settings = replace(settings, exam=replace(settings.exam, sequences=("recorded",)))
    noise = corrupt(*flat(), 250.0, settings, 1, recorded=found)[1]["gradient"]
    assert np.abs(noise).max() > 0.3


def test_a_folder_without_waveforms_is_refused(tmp_path):
    with pytest.raises(BadRecord, match="no gradient waveforms"):
        read_sequences(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"not a zip file")
    with pytest.raises(BadRecord, match=r"a\.npz"):
        read_sequences(tmp_path)
