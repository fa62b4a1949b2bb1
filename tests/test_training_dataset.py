from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("wfdb")

import wfdb

from streamqrs.datasets import MITDB_TEST
from streamqrs.readers import BEAT_CODES
from streamqrs.scanner import Corruptor
from streamqrs.training.augment import Augment, AugmentSettings, Corrupted
from streamqrs.training.dataset import CONTEXT, LENGTH, PACED, Draw, Windows, WindowSettings, qrs_mask
from streamqrs.training.ectopy import Ectopy
from streamqrs.training.leads import Leads
from streamqrs.training.noise import LEVELS_DB, MILD_DB, noise_power
from streamqrs.training.pauses import Pauses
from streamqrs.training.recordings import (
    LUDB_TRAIN,
    LUDB_VALIDATION,
    MITDB_TRAIN,
    MITDB_VALIDATION,
    Recording,
    load_database,
    position,
)

OFF = dict.fromkeys(AugmentSettings.__slots__, 0.0)


def recording(name="test/1", *, leads=2, seconds=60, seed=0):
    """Gaussian QRS at irregular times, upright in the first lead, inverted in the others."""
    rng = np.random.default_rng(seed)
    n = seconds * 250
    r = np.cumsum(rng.uniform(150, 260, n // 150))
    r = r[r < n - 50]
    t = np.arange(n)
    ecg = sum(np.exp(-0.5 * ((t - k) / 3) ** 2) for k in r) + 0.01 * rng.standard_normal(n)
    signs = [1.0] + [-1.0] * (leads - 1)
    rows = np.stack([sign * ecg for sign in signs]).astype(np.float32)
    known = np.array([[0.0, n]])
    return Recording(name, rows, (r,) * leads, (("N",) * len(r),) * leads, (known,) * leads)


def test_the_split_keeps_patients_apart():
    train, validation, test = set(MITDB_TRAIN), set(MITDB_VALIDATION), set(MITDB_TEST.split())
    assert len(train | validation | test) == len(train) + len(validation) + len(test)
    assert not {"118", "119", "201"} & test  # patients of the noise stress test; 201 is 202
    assert not {"118", "119", "202"} & (train | validation)
    assert (len(train | validation), len(test)) == (22, 24)
    assert not set(LUDB_TRAIN) & set(LUDB_VALIDATION)


def test_mask_has_its_centre_of_mass_on_r():
    beats = [np.array([100.0, 300.3, 500.75]), np.array([])]
    mask = qrs_mask(beats, 750, 25)
    assert mask.shape == (2, 750)
    for r in beats[0]:
        near = np.arange(int(r) - 20, int(r) + 21)
        assert np.average(near, weights=mask[0, near]) == pytest.approx(r, abs=1e-3)
        assert mask[0, near].sum() == pytest.approx(25, abs=1e-3)
    assert not mask[1].any()


def test_mask_of_a_beat_outside_reaches_in():
    mask = qrs_mask([np.array([-5.0, 755.0, 2000.0, -300.0])], 750, 25)[0]
    assert mask[:8].tolist() == [1.0] * 8
    assert mask[8:742].sum() <= 1.0
    assert mask[743:].tolist() == [1.0] * 7


def test_targets_lie_on_the_peaks():
    windows = Windows({"test": [recording()]}, WindowSettings(mix=0.0))
    batch = windows.draw(np.random.default_rng(0), 64)
    assert batch.ecg.shape == batch.target.shape == batch.weight.shape == (64, 750)
    assert batch.ecg.dtype == batch.target.dtype == batch.weight.dtype == np.float32
    np.testing.assert_allclose(batch.ecg.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(batch.ecg.std(axis=1), 1, atol=1e-3)
    for ecg, target in zip(batch.ecg, batch.target, strict=True):
        edges = np.flatnonzero(np.diff(target > 0.5, prepend=False, append=False))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if start > 0 and stop < 750:
                assert abs(start + np.abs(ecg[start:stop]).argmax() - (start + stop - 1) / 2) <= 1.5


def test_many_windows_end_shortly_after_r_and_the_newest_samples_weigh_more():
    settings = WindowSettings(edge=0.5, free=0.0)
    windows = Windows({"test": [recording()]}, settings)
    pieces = windows.pieces(np.random.default_rng(0), 300)
    newest = np.array([LENGTH - 1 - r[r < LENGTH - 1].max() for r in pieces.beats])
    assert 0.5 < (newest <= 30).mean() < 0.75
    batch = windows.finish(pieces)
    flat = batch.weight[batch.target == 0].reshape(-1)
    assert set(np.unique(flat)) == {1.0, settings.edge_weight}
    assert np.all(batch.weight[:, -60:][batch.target[:, -60:] == 1] == settings.edge_weight * settings.qrs_weight)


@pytest.mark.parametrize("hurry", [0.0, 1.0])
def test_hearts_are_made_faster_and_their_qrs_complexes_are_not(hurry):
    one = recording()
    settings = WindowSettings(hurry=hurry, stretch=0.0, mix=0.0, free=0.0, edge=1.0)
    pieces = Windows({"test": [one]}, settings).pieces(np.random.default_rng(0), 200)
    rates, widths, newest = [], [], []
    for ecg, beats, known in zip(pieces.ecg, pieces.beats, pieces.known, strict=True):
        inside = beats[(beats > CONTEXT + 20) & (beats < LENGTH - 20)]
        if known[CONTEXT:].all():
            rates.append(15_000 / np.median(np.diff(beats)))
            newest.append(LENGTH - 1 - beats[beats < LENGTH].max())
        for r in np.round(inside).astype(int):
            x = np.abs(ecg[r - 15 : r + 16] - np.median(ecg[r - 60 : r + 60]))
            assert abs(x.argmax() - 15) <= 1.5
            widths.append((x > x.max() / 2).sum())
    own = 15_000 / np.median(np.diff(one.beats[0]))
    assert len(rates) > 50
    assert (np.array(newest) <= 31).mean() > 0.9  # the beat that was put at the edge stays there
    if hurry:
        assert np.quantile(rates, 0.9) > 190
        assert max(rates) < 235
        assert np.median(widths) > 0.7 * 2.355 * 3  # of a bell of 3 samples, played up to 1.3 times as fast
    else:
        assert np.median(rates) == pytest.approx(own, rel=0.1)


def test_nothing_is_learnt_where_nothing_is_known():
    r = recording(leads=1)
    known = np.array([[2000.0, 4000.0], [9000.0, 12000.0]])
    blind = Recording(r.name, r.ecg, r.beats, r.labels, (known,))
    batch = Windows({"test": [blind]}).draw(np.random.default_rng(0), 100)
    assert (batch.weight == 0).any(axis=1).mean() > 0.3
    assert (batch.weight > 0).any(axis=1).mean() > 0.2


def test_a_recording_shorter_than_a_window_is_known_only_inside():
    r = recording(leads=1, seconds=2)
    batch = Windows({"test": [r]}).draw(np.random.default_rng(0), 20)
    assert np.isfinite(batch.ecg).all()
    assert ((batch.weight > 0).sum(axis=1) <= 500 / 0.85 + 1).all()


def test_no_recordings_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        Windows({"test": []})


def test_same_generator_same_batch_whatever_was_drawn_before():
    noise = np.random.default_rng(5).standard_normal((2, 5000)).astype(np.float32)
    windows = Windows({"test": [recording()]}, changes=[Augment(noise=noise)])
    first = windows.draw(np.random.default_rng((3, 7)), 16)
    windows.draw(np.random.default_rng((3, 8)), 16)
    again = windows.draw(np.random.default_rng((3, 7)), 16)
    for name in ("ecg", "target", "weight"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.ecg, windows.draw(np.random.default_rng((3, 8)), 16).ecg)


def pieces(count=48):
    return Windows({"test": [recording()]}).pieces(np.random.default_rng(1), count)


@pytest.mark.parametrize("effect", AugmentSettings.__slots__)
def test_each_effect_alone(effect):
    noise = np.random.default_rng(5).standard_normal((2, 5000)).astype(np.float32)
    given = pieces()
    ecg, known = given.ecg.copy(), given.known.copy()
    settings = AugmentSettings(**{**OFF, effect: 1.0})
    changed = Augment(settings, noise=noise, remains=noise[0])(given, np.random.default_rng(0))
    assert changed.ecg.shape == given.ecg.shape
    assert changed.ecg.dtype == np.float32
    assert np.isfinite(changed.ecg).all()
    assert (changed.ecg != given.ecg).any(axis=1).all()
    assert [len(r) for r in changed.beats] == [len(r) for r in given.beats]
    np.testing.assert_array_equal(given.ecg, ecg)  # what was given stays as it was
    np.testing.assert_array_equal(given.known, known)
    assert (changed.known == known).all() == (effect != "dropped")


def test_no_effect_changes_nothing():
    given = pieces()
    np.testing.assert_array_equal(Augment(AugmentSettings(**OFF))(given, np.random.default_rng(0)).ecg, given.ecg)


def test_low_pass_moves_the_marks_with_the_peaks():
    settings = AugmentSettings(**{**OFF, "low_pass": 1.0})
    changed = Augment(settings)(pieces(), np.random.default_rng(0))
    off = []
    for ecg, beats in zip(changed.ecg, changed.beats, strict=True):
        for r in beats[(beats > CONTEXT) & (beats < LENGTH - 20)]:
            start = round(r) - 12
            off.append(start + np.abs(ecg[start : start + 25]).argmax() - r)
    assert abs(np.mean(off)) < 0.6
    assert np.abs(off).max() < 2.5


def test_a_p_wave_stands_ahead_of_each_beat():
    beats = np.arange(120.0, 980.0, 200.0)
    given = Draw(
        np.zeros((200, LENGTH), np.float32), (beats,) * 200, np.ones((200, LENGTH), np.bool_), np.zeros(200, np.bool_)
    )
    made = np.abs(Augment(AugmentSettings(**{**OFF, "p_waves": 1.0}))(given, np.random.default_rng(0)).ecg)
    for row in made:
        tops = [int(row[int(r) - 62 : int(r) - 18].argmax()) + int(r) - 62 for r in beats]
        ahead_ms = (beats - tops) * 4
        assert 90 < np.median(ahead_ms) < 230
        assert np.ptp(ahead_ms) < 60  # those of one window belong together
        assert 0.1 < row[tops].max() < 1.4


def test_recorded_noise_has_the_ratio_of_the_stress_test():
    noise = np.random.default_rng(5).standard_normal((2, 5000)).astype(np.float32)
    scanned = np.repeat([False, True], [400, 200])
    known = np.ones((600, LENGTH), np.bool_)
    silent = Draw(np.zeros((600, LENGTH), np.float32), (np.empty(0),) * 600, known, scanned)
    settings = AugmentSettings(**{**OFF, "recorded": 1.0})
    added = Augment(settings, noise=noise)(silent, np.random.default_rng(0)).ecg
    ratio = -10 * np.log10(8 * np.array([noise_power(row) for row in added]))
    low, high = LEVELS_DB
    for part in (ratio[~scanned], ratio[scanned]):
        assert low - 0.01 <= part.min() < low + 2
    assert high - 2 < ratio[~scanned].max() <= high + 0.01
    mild = (ratio >= MILD_DB[0]) & (ratio <= MILD_DB[1] + 0.01)
    assert 0.4 < mild[~scanned].mean() < 0.65
    assert 0.8 < mild[scanned].mean() < 0.95


@pytest.mark.parametrize("paced", ["/", "f"])
def test_patients_with_a_pacemaker_are_drawn_more_often(paced):
    plain, other = recording(leads=1), recording(leads=1)
    other = replace(other, ecg=-other.ecg, labels=tuple((paced, *codes[1:]) for codes in other.labels))
    windows = Windows({"test": [plain, other]}, WindowSettings(mix=0.0))
    peaks = windows.pieces(np.random.default_rng(0), 400).ecg
    upside_down = np.abs(peaks.min(axis=1)) > peaks.max(axis=1)
    assert abs(upside_down.mean() - PACED / (1 + PACED)) < 0.08


def test_no_teacher_is_heard_in_windows_of_a_pacemaker():
    plain, other = recording(leads=1), recording(leads=1, seed=1)
    other = replace(other, labels=tuple(("/", *codes[1:]) for codes in other.labels))
    changes = [Leads(), Pauses(), Ectopy(), Augment()]
    windows = Windows({"test": [plain, other]}, WindowSettings(), changes=changes)
    drawn = windows.draw(np.random.default_rng(0), 200)
    assert np.array_equal(drawn.taught, ~windows.pieces(np.random.default_rng(0), 200).paced)
    assert 0.1 < drawn.taught.mean() < 0.5


def test_flat_stretches_are_not_learnt():
    settings = AugmentSettings(**{**OFF, "dropped": 1.0})
    changed = Augment(settings)(pieces(), np.random.default_rng(0))
    still = np.diff(changed.ecg, axis=1) == 0
    flat = still[:, :-2] & still[:, 1:-1] & still[:, 2:]
    assert flat.any(axis=1).all()
    assert not changed.known[:, 1:-2][flat].any()


def test_bad_shares_are_refused():
    with pytest.raises(ValueError, match=r"waves is 1\.5: allowed are 0 to 1"):
        AugmentSettings(waves=1.5)


def test_a_share_of_the_windows_goes_through_the_scanner():
    scanner = Corruptor("3T", seed=1, tracks=4)
    windows = Windows({"test": [recording()]}, changes=[Corrupted(scanner, share=0.5)])
    given = windows.pieces(np.random.default_rng(1), 60)
    changed = windows.changes[0](given, np.random.default_rng(2))
    touched = (changed.ecg != given.ecg).any(axis=1)
    assert 0.25 < touched.mean() < 0.75
    first, again = (windows.draw(np.random.default_rng(3), 8) for _ in range(2))
    np.testing.assert_array_equal(first.ecg, again.ecg)
    assert np.isfinite(first.ecg).all()


def test_a_bad_share_is_refused():
    with pytest.raises(ValueError, match="share is -1: allowed are 0 to 1"):
        Corrupted(lambda ecg, beats, rng: ecg, share=-1)


def test_position_at_250_hz_is_the_sample():
    np.testing.assert_array_equal(position(np.array([0, 10, 751]), 250.0), [0, 10, 751])


@pytest.mark.data
def test_marks_of_a_real_record_lie_on_its_peaks_at_250_hz(data_dir):
    (record,) = load_database(data_dir, "mitdb", ["122"])
    ecg, beats = record.ecg[0], record.beats[0]
    near = np.round(beats[5:-5]).astype(int)[:, None] + np.arange(-15, 16)
    peak = near[np.arange(len(near)), ecg[near].argmax(axis=1)]
    off = peak - beats[5:-5]
    assert abs(np.median(off)) < 0.75
    assert np.quantile(np.abs(off), 0.99) < 2
    assert np.median(np.ptp(ecg[near], axis=1)) == pytest.approx(1, abs=0.1)


@pytest.mark.data
@pytest.mark.parametrize(("name", "lead", "moves"), [("107", 0, True), ("107", 1, False), ("102", 1, False)])
def test_a_paced_beat_is_its_stimulus_where_no_r_peak_is_near(data_dir, name, lead, moves):
    (record,) = load_database(data_dir, "mitdb", [name])
    marks = wfdb.rdann(str(data_dir / "mitdb" / name), "atr")
    paced = np.array(marks.symbol)[np.isin(marks.symbol, sorted(BEAT_CODES))] == "/"
    at = position(marks.sample[np.isin(marks.symbol, sorted(BEAT_CODES))], 360)
    off_ms = 4 * np.median(np.abs(record.beats[lead] - at)[paced])
    assert (off_ms > 4) == moves
    assert off_ms < 12
    known = np.diff(record.known[lead]).sum()
    assert known > 0.99 * record.ecg.shape[1]  # beats of a pacemaker are not left out


@pytest.mark.data
def test_flutter_of_207_is_unknown(data_dir):
    (record,) = load_database(data_dir, "mitdb", ["207"])
    seconds = np.diff(record.known[0]).sum() / 250
    assert 1500 < seconds < 1720


@pytest.mark.data
def test_ludb_is_known_between_its_first_and_last_mark(data_dir):
    (record,) = load_database(data_dir, "ludb", ["7"])
    assert record.ecg.shape == (12, 2500)
    for beats, known in zip(record.beats, record.known, strict=True):
        assert known.shape == (1, 2)
        assert 0 < known[0, 0] < beats[0] < beats[-1] < known[0, 1] < 2500
