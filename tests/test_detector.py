import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamqrs
from streamqrs import Beat, Chunk, Detector, Gap
from streamqrs.errors import BadModel, BadSignal
from streamqrs.scanner import VirtualPatient


def heart(seconds=30, rate=250.0, seed=3):
    """ECG of the virtual patient, and the true R peaks in s."""
    patient = VirtualPatient(rate=rate, seed=seed)
    ecg = patient.read(int(seconds * rate))
    return ecg, np.array([index for index, _ in patient.take_beats()]) / rate


def stream(ecg, sizes, rate=250.0, **options):
    detector = Detector(rate, **options)
    found, at = [], 0
    for size in sizes:
        found += detector.push(ecg[at : at + size])
        at += size
    return found + detector.push(ecg[at:]) + detector.flush()


def same(one, other):
    assert [(b.kind, b.index, b.rr_s, b.time, b.known) for b in one] == [
        (b.kind, b.index, b.rr_s, b.time, b.known) for b in other
    ]
    np.testing.assert_allclose([b.probability for b in one], [b.probability for b in other], atol=1e-6)


def near(beats, truth, within_s=0.02, skip_s=0.0):
    """Every true beat has one detected R within so many seconds, and none is left over."""
    times = np.array([b.time for b in beats])
    assert len(times) == len(truth), (times, truth)
    assert np.abs(times - truth).max() <= within_s


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
@pytest.mark.parametrize("rate", [250.0, 360.0])
def test_pieces_give_the_same_beats_as_the_whole(size, rate):
    ecg, _ = heart(20, rate)
    whole = stream(ecg, [], rate)
    same(stream(ecg, [size] * (len(ecg) // size), rate), whole)
    assert len(whole) > 15


@given(st.lists(st.integers(0, 800), max_size=30), st.integers(0, 4000), st.booleans())
@settings(deadline=None, max_examples=25)
def test_random_pieces_give_the_same_beats(sizes, length, gate):
    ecg = heart()[0][:length]
    same(stream(ecg, sizes, gate=gate), stream(ecg, [], gate=gate))


def test_offline_and_streamed_are_one():
    ecg, _ = heart(40)
    same(streamqrs.detect(ecg, 250), stream(ecg, [33] * 500))


@pytest.mark.parametrize("rate", [128, 250, 360, 500, 1000, 2048, 5000])
def test_r_peaks_are_where_they_are_at_any_rate(rate):
    ecg, truth = heart(20, rate)
    beats = streamqrs.detect(ecg, rate)
    near(beats, truth)
    assert [b.id for b in beats] == list(range(len(beats)))
    np.testing.assert_allclose([b.index / 250 for b in beats], [b.time for b in beats], atol=0.00201)
    np.testing.assert_allclose([b.rr_s for b in beats[1:]], np.diff([b.time for b in beats]), atol=1e-6)
    assert beats[0].rr_s is None


@pytest.mark.parametrize("length", [0, 1, 100, 124])
def test_half_a_second_is_too_short_for_a_beat(length):
    assert streamqrs.detect(heart()[0][:length], 250) == []


def test_a_recording_shorter_than_a_window_is_worked_on():
    ecg, truth = heart(2.5, seed=5)
    near(streamqrs.detect(ecg, 250), truth)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e6])
def test_no_beat_is_invented_in_a_flat_line(value):
    assert streamqrs.detect(np.full(20_000, value), 250) == []


def test_gain_offset_and_unit_do_not_matter():
    ecg, _ = heart()
    expected = [b.index for b in streamqrs.detect(ecg, 250)]
    for scaled in (ecg * 1e-6, ecg * 1e5 + 1e6, (ecg * 200).astype(np.int16), ecg.astype(np.float64).tolist()):
        assert [b.index for b in streamqrs.detect(scaled, 250)] == pytest.approx(expected, abs=1)


def test_gate_on_or_off_confirmed_beats_are_the_same():
    ecg, _ = heart(60)
    gated = stream(ecg, [40] * 300, gate=True)
    same([b for b in gated if b.kind == "beat"], stream(ecg, [40] * 300))
    assert [b for b in gated if b.kind == "trigger"]


def test_every_trigger_is_confirmed_or_withdrawn_once_and_within_a_second():
    ecg, _ = heart(60)
    events = stream(ecg, [10] * 1400, gate=True)
    triggers = {b.id: b for b in events if b.kind == "trigger"}
    ends = [b for b in events if b.kind != "trigger" and b.id in triggers]
    assert sorted(b.id for b in ends) == sorted(triggers)
    assert all(b.known - triggers[b.id].known <= 1 for b in ends)
    confirmed = [b for b in events if b.kind == "beat"]
    assert len({b.id for b in confirmed}) == len(confirmed)
    assert sum(b.id in triggers for b in confirmed) > 0.9 * len(confirmed[4:])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_heart_at_215_is_found_and_triggered(seed):
    """No cap on the heart rate below 220: a patient of 200 beats per minute, played faster."""
    patient = VirtualPatient(500, seed, heart_rate=200)
    ecg = patient.read(25 * 500)
    rate = 500 * 215 / 200
    truth = np.array([index for index, _ in patient.take_beats()]) / rate
    truth = truth[(truth > 3.5) & (truth < truth[-1] - 1)]
    assert 60 / np.median(np.diff(truth)) > 210
    events = stream(ecg, [100] * 124, rate, gate=True)
    for kind in ("trigger", "beat"):
        times = np.array([b.time for b in events if b.kind == kind and truth[0] - 0.1 < b.time < truth[-1] + 0.1])
        off = np.abs(times[:, None] - truth)
        assert off.min(axis=1).max() < 0.06  # none is false
        assert off.min(axis=0).max() < 0.06
        assert len(times) == len(truth)
    assert np.median([b.heart_rate for b in events if b.kind == "beat" and b.heart_rate]) > 205


@pytest.mark.parametrize("rate", [250.0, 1000.0])
def test_known_never_lies(rate):
    """Samples up to `known`, and no more, lead to the same event; one sample less does not."""
    ecg, _ = heart(9, rate)
    events = [b for b in stream(ecg, [9] * 5000, rate, gate=True) if b.known < 8]
    assert {b.kind for b in events} >= {"trigger", "beat"}
    for event in events[-6:]:
        needed = round(event.known * rate) + 1
        assert event in Detector(rate, gate=True).push(ecg[:needed])
        assert event not in Detector(rate, gate=True).push(ecg[: needed - 1])


def test_confirmed_beats_come_within_the_delay_that_is_said():
    ecg, _ = heart(60)
    detector = Detector(250)
    for k in range(0, len(ecg), 5):
        for beat in detector.push(ecg[k : k + 5]):
            if beat.time > 3:
                assert beat.delay_ms <= detector.delay_ms
    assert detector.delay_ms < 1000


def test_chunks_bring_the_source_clock():
    ecg, truth = heart(20, 500.0)
    detector = Detector(500)
    found = []
    for k in range(0, len(ecg), 25):
        found += detector.push(Chunk(ecg[k : k + 25], k, 500.0, 7000 + k / 500))
    near(found + detector.flush(), truth + 7000)


def test_a_jump_of_the_count_is_a_gap():
    ecg, truth = heart(40)
    detector = Detector(250)
    lost = slice(4000, 4500)
    events = detector.events(Chunk(ecg[: lost.start], 0, 250.0)) + detector.events(
        Chunk(ecg[lost.stop :], lost.stop, 250.0)
    )
    events += detector.flush()
    (gap,) = [e for e in events if isinstance(e, Gap)]
    assert (gap.start, gap.stop, gap.time, gap.duration_s) == (4000, 4500, 16.0, 2.0)
    beats = [e for e in events if not isinstance(e, Gap)]
    near(beats, truth[(truth < 15.98) | (truth > 18.02)], 0.03)
    after = [b for b in beats if b.time > 18]
    assert after[0].rr_s is None
    assert after[1].rr_s is not None
    assert [b.id for b in beats] == list(range(len(beats)))


def test_short_runs_of_missing_samples_are_bridged_and_long_ones_are_gaps():
    ecg, truth = heart(40)
    short = ecg.copy()
    short[3000:3010] = np.nan
    short[5000] = np.inf
    detector = Detector(250)
    beats = detector.push(short) + detector.flush()
    assert len(beats) == len(truth)
    assert detector.held == 11
    long = ecg.copy()
    long[3000:3500] = np.nan
    for sizes in ([], [7] * 2000):
        detector = Detector(250)
        events = [e for part in np.split(long, np.cumsum(sizes)[:-1].astype(int)) for e in detector.events(part)]
        (gap,) = [e for e in events if isinstance(e, Gap)]
        assert (gap.start, gap.stop) == (3000, 3500)


@pytest.mark.parametrize("rate", [250.0, 1000.0])
def test_a_few_lost_samples_are_told_and_cost_no_trigger(rate):
    ecg, truth = heart(24, rate)
    hole = round(12 * rate), round(12.1 * rate)
    chunks = [Chunk(ecg[: hole[0]], 0, rate, 0.0), Chunk(ecg[hole[1] :], hole[1], rate, hole[1] / rate)]
    detector = Detector(rate, gate=True)
    events = [event for chunk in chunks for event in detector.events(chunk)] + detector.flush()
    (gap,) = [e for e in events if isinstance(e, Gap)]
    assert (gap.start, gap.stop, gap.reason) == (*hole, "bridged")
    for kind, begin_s in (("beat", 0), ("trigger", 3.2)):
        found = np.array([e.time for e in events if isinstance(e, Beat) and e.kind == kind])
        whole = truth[(truth > begin_s) & ((truth < 11.9) | (truth > 12.2))]
        assert all(np.abs(found - t).min() < 0.05 for t in whole), kind
    beats = [e for e in events if isinstance(e, Beat) and e.kind == "beat"]
    over = [b for before, b in itertools.pairwise(beats) if before.time < 12 < b.time]
    assert [b.rr_s for b in over] == [None]  # 0.1 s may hide a QRS complex
    assert sum(b.rr_s is None for b in beats) == 2


def test_a_stream_that_begins_with_missing_samples():
    ecg, truth = heart(20)
    led = np.concatenate((np.full(500, np.nan), ecg))
    near(streamqrs.detect(led, 250), truth + 2)


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("rate", [250.0, 1000.0])
def test_a_qrs_complex_that_is_cut_by_a_restart_is_one_beat(gate, rate):
    ecg, truth = heart(12, rate)
    for after_s in np.arange(-0.04, 0.09, 0.01):
        detector = Detector(rate, gate=gate)
        cut = round((truth[6] + after_s) * rate)
        found = [*detector.push(ecg[:cut]), *detector.restart(cut), *detector.push(ecg[cut:]), *detector.flush()]
        for kind in ("beat", "trigger") if gate else ("beat",):
            times = np.array([b.time for b in found if isinstance(b, Beat) and b.kind == kind])
            assert len(times) > (11 if kind == "beat" else 5)
            assert np.diff(times).min() > 0.2


def test_reset_begins_anew():
    ecg, _ = heart(20)
    detector = Detector(250)
    first = detector.push(ecg)
    detector.reset()
    assert [b.index for b in detector.push(ecg)] == [b.index for b in first]


@pytest.mark.parametrize(
    ("ecg", "rate", "error", "text"),
    [
        (np.zeros((2, 100)), 250, ValueError, r"shape \(2, 100\)"),
        (np.full(5000, np.nan), 250, BadSignal, "none of the 5000 samples is finite"),
        (np.zeros(1000), 0, ValueError, "0 Hz"),
        (np.zeros(1000), -250, ValueError, "-250 Hz"),
    ],
)
def test_bad_input_is_refused_in_one_line(ecg, rate, error, text):
    with pytest.raises(error, match=text) as caught:
        streamqrs.detect(ecg, rate)
    assert "\n" not in str(caught.value)


def test_chunks_that_do_not_fit_are_refused():
    detector = Detector(250)
    detector.push(Chunk(np.zeros(100, np.float32), 0, 250.0))
    with pytest.raises(ValueError, match="allowed are 100 and after"):
        detector.push(Chunk(np.zeros(100, np.float32), 50, 250.0))
    with pytest.raises(ValueError, match="runs at 250 Hz"):
        detector.push(Chunk(np.zeros(100, np.float32), 100, 500.0))


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"hop": 0}, "hop is 0"),
        ({"hop": 1.5}, "hop is 1.5"),
        ({"margin": 700}, "margin is 700"),
        ({"threshold": 1.0}, "threshold"),
        ({"low": 0.9}, "low"),
        ({"gate_hop": 7}, "multiples of gate_hop"),
        ({"treshold": 0.5}, "no setting treshold: allowed are hop"),
    ],
)
def test_settings_are_checked(setting, text):
    with pytest.raises(ValueError, match=text):
        Detector(250, **setting)


def test_an_unknown_model_is_named():
    with pytest.raises(BadModel, match=r"no model 'nope': allowed are .*base"):
        Detector(250, model="nope")
