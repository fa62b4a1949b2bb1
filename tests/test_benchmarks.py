"""What ``streamqrs bench`` measures: curve, stages, journey, throughput, peers."""

import math
from dataclasses import replace

import numpy as np
import pytest

from streamqrs.benchmarks.accuracy import measure_accuracy
from streamqrs.benchmarks.live_peer import compare_live, sliding_find_peaks
from streamqrs.benchmarks.lookahead import SharedModel, lookahead_curve, triggers_at
from streamqrs.benchmarks.machine import installed, this_machine
from streamqrs.benchmarks.peers import Peer, compare, peers
from streamqrs.benchmarks.stages import STAGES, Spread, measure_stages
from streamqrs.benchmarks.subjects import END_S, simulated, subjects
from streamqrs.benchmarks.throughput import (
    TASKS,
    Live,
    Offline,
    make_signal,
    measure_live,
    measure_memory,
    measure_offline,
)
from streamqrs.detector import Detector
from streamqrs.metrics import match
from streamqrs.model import load


@pytest.fixture(scope="module")
def model():
    return load("mri")


@pytest.fixture(scope="module")
def subject():
    return simulated("p", "none", 101, 0.25)


def test_a_simulated_subject_knows_its_peaks(subject):
    record = subject.record
    assert record.duration_s == 15
    assert len(subject.peaks_s) == len(record.beats) == len(record.labels) == len(subject.normal) > 12
    assert subject.spans == [(0.0, 15 - END_S)]
    at = record.samples[record.beats]
    assert (at > np.median(record.samples) + 0.3).all()  # each mark lies on a tall wave, in mV


def test_subjects_by_name_and_length():
    (one,) = subjects("sim", minutes=0.25, records=["3T-102"])
    assert (one.record.name, one.group, one.record.duration_s) == ("3T-102", "3T", 15)
    with pytest.raises(ValueError, match="no record nobody in sim: allowed are none-101"):
        next(subjects("sim", minutes=0.25, records=["nobody"]))
    with pytest.raises(ValueError, match="minutes are"):
        next(subjects("sim", minutes=0.1))


def test_all_depths_share_one_run_of_the_network_and_say_what_they_would_alone(model, subject):
    depths = [0, 10, 30]
    together = triggers_at(model, subject, depths)
    for depth, found in zip(depths, together, strict=True):
        alone = Detector(subject.record.rate, model, True, gate_depth=depth)
        events = alone.push(subject.record.samples)
        assert found == [event.known for event in events if event.kind == "trigger"]
        assert len(found) > 10


def test_the_shared_network_answers_each_window_once(model):
    shared = SharedModel(model)
    windows = np.random.default_rng(0).normal(size=(3, 750)).astype(np.float32)
    first = shared(windows)
    first[:] = 2.0  # whoever asks may write into the answer
    assert np.array_equal(shared(windows), model(windows))
    assert (shared.asked, shared.answered) == (6, 3)
    shared.forget()
    shared(windows[:1])
    assert shared.answered == 4


def test_the_curve_counts_delays_from_the_newest_sample(model, subject):
    heard, points = lookahead_curve(model, [subject], (40, 120, 500))
    near, far, farthest = points
    assert heard.records == 1
    assert heard.beats == near.triggers.beats > 10
    assert heard.minutes == pytest.approx(0.25)
    for point in points:
        assert (point.triggers.fp, point.triggers.fn) == (0, 0)
        assert point.records == {"p": point.triggers}
        assert point.normal.beats <= point.triggers.beats
    assert -10 < near.triggers.bias_ms < 40
    assert far.triggers.bias_ms == pytest.approx(120 - 48 + 5, abs=15)  # less half a mask, more by the resampler
    _, (moved,) = lookahead_curve(model, [replace(subject, peaks_s=subject.peaks_s + 0.2)], (40,))
    assert (moved.triggers.tp, moved.marked) == (0, near.marked)
    assert farthest.triggers.bias_ms - far.triggers.bias_ms == pytest.approx(380, abs=8)


def test_a_lookahead_is_a_whole_number_of_samples(model, subject):
    with pytest.raises(ValueError, match="look-ahead is 10 ms: allowed are multiples of 4 ms"):
        lookahead_curve(model, [subject], (10,))


def test_stages_add_up_to_a_push(model):
    walls = measure_stages(model, seconds=4.2, rate=500, paced=False)
    decisions = (4.2 - 3.5) * 125
    assert len(walls.push_ms) == pytest.approx(decisions, abs=2)
    assert len(walls.trigger_ms)
    assert (walls.trigger_ms > 0).all()
    assert len(walls.idle_ms) == pytest.approx(3 * decisions, abs=3)
    assert set(walls.stages_ms) == {*STAGES, "between"}
    for name, ms in walls.stages_ms.items():
        assert len(ms) == len(walls.push_ms)
        assert (ms >= 0).all(), name
    for name in ("resampler", "windows, normalise", "network", "gate"):
        assert (walls.stages_ms[name] > 0).all(), name
    with pytest.raises(ValueError, match="seconds are 3: allowed are 4"):
        measure_stages(model, seconds=3)


def test_spread():
    spread = Spread.of(np.arange(1, 1002) / 1000)
    assert (spread.count, spread.p50, spread.max) == (1001, 0.501, 1.001)
    assert spread.p99 == pytest.approx(0.991)
    assert spread.p99_9 == pytest.approx(1.0)


def test_speed_is_length_over_time():
    offline = Offline(hours=2, threads=2, wall_s=4, cpu_s=8)
    assert (offline.times_real_time, offline.times_per_core) == (1800, 900)
    live = Live(rate=1000, gate=True, hop_ms=8, seconds=10, cpu_s=0.8)
    assert (live.share, live.streams) == (pytest.approx(0.08), 12)


def test_throughput_is_measured():
    offline = measure_offline("mri", hours=0.01, threads=2)
    assert offline.wall_s > 0
    assert offline.cpu_s > 0
    live = measure_live("mri", seconds=1, rate=500)
    assert live.hop_ms == 8
    assert live.cpu_s > 0
    assert len(make_signal(250, 700)) == 700 * 250
    with pytest.raises(ValueError, match="hours are 100"):
        measure_offline("mri", hours=100, threads=1)


def test_memory_is_that_of_the_program_alone(monkeypatch):
    ours = np.ones(50_000_000)  # 400 MB here must not show there
    monkeypatch.setattr("streamqrs.benchmarks.throughput.TASKS", {"import": TASKS["import streamqrs"], "bad": "1 / 0"})
    found = measure_memory("mri")
    assert found.keys() == {"import"}
    assert 5 < found["import"] < ours.nbytes / 1e6


def test_peers_are_matched_alike(model, subject):
    late = Peer("late", "", "ours", lambda record: subject.peaks_s + 0.1)
    broken = Peer("broken", "", "ours", lambda record: 1 / 0)
    absent = Peer("absent", "no-such-package", "none", lambda record: subject.peaks_s)
    ours = peers(model)[0]
    found = {result.peer.name: result for result in compare([subject], [ours, late, broken, absent])}
    assert found[ours.name].scores[subject.group][75.0].f1 == 100
    assert found["late"].scores[subject.group][75.0].f1 < 50
    assert found["late"].scores[subject.group][150.0].f1 == 100
    assert found["late"].scores[subject.group][150.0].bias_ms == pytest.approx(100)
    assert found["broken"].failed == {"p": "ZeroDivisionError: division by zero"}
    assert found["broken"].scores[subject.group][75.0].se == 0
    assert found["absent"].scores == {}
    assert math.isnan(found["absent"].times_per_core)
    assert all(peer.licence for peer in peers(model))


@pytest.mark.parametrize("peer", [peer for peer in peers(load("mri")) if peer.package], ids=lambda peer: peer.name)
def test_a_peer_that_is_installed_finds_clean_beats(peer):
    if not installed(peer.package):
        pytest.skip(f"{peer.package} is not installed")
    clean = simulated("p", "none", 101, 0.5)
    (result,) = compare([clean], [peer])
    assert result.failed == {}
    assert result.scores[clean.group][150.0].f1 > 90


def test_the_live_recipe_never_knows_before_the_sample_is_there(subject):
    ecg, rate = subject.record.samples, subject.record.rate
    told = sliding_find_peaks(ecg, rate)
    assert len(told) > 10
    assert all(peak.time_s < peak.known_s for peak in told)
    stop = round(told[-1].known_s * rate) + 1
    assert sliding_find_peaks(ecg[:stop], rate) == told
    assert sliding_find_peaks(ecg[: stop - 1], rate) == told[:-1]
    pairs = match(subject.peaks_s, [peak.time_s for peak in told], 0.1)
    assert len(pairs.detected) > 0.8 * len(told)


def test_live_triggers_are_compared(model, subject):
    ours, recipe = compare_live(model, [subject]).values()
    assert ours.f1 == 100
    assert recipe.beats == ours.beats
    assert recipe.bias_ms > ours.bias_ms


def test_the_machine_says_what_it_is():
    machine = this_machine()
    assert machine.cores >= 1
    assert {"numpy", "onnxruntime", "streamqrs"} <= set(machine.versions)
    assert installed("no-such-package") == ""


@pytest.mark.data
def test_accuracy_of_some_records(data_dir, monkeypatch):
    monkeypatch.setenv("STREAMQRS_DATA", str(data_dir))
    (row,) = measure_accuracy("mri", ["ludb:test"], records=["176", "177"])
    assert (row.data, row.records, row.tolerance_ms, row.group) == ("ludb:test", 2, 75, "")
    assert row.worst in {"176", "177"}
    assert row.score.f1 >= row.worst_f1 > 90
    with pytest.raises(ValueError, match="no record 999 in ludb:test"):
        next(measure_accuracy("mri", ["ludb:test"], records=["999"]))


@pytest.mark.data
def test_noise_that_comes_late_is_heard_for_as_long(data_dir, monkeypatch):
    monkeypatch.setenv("STREAMQRS_DATA", str(data_dir))
    (subject,) = subjects("nstdb", minutes=1, records=["118e06"])
    assert subject.record.duration_s == 360
    assert subject.spans == [(300.0, 360 - END_S)]
    assert subject.group == "6 dB"
