"""When the detector says that it cannot tell, and when it can again."""

import numpy as np
import pytest

from streamqrs import Beat, Detector, Gap, Quality
from streamqrs.quality import QualityMeter, standstill
from streamqrs.scanner import VirtualPatient
from streamqrs.types import WINDOW, Probabilities

RATE = 250


def row(level, count=3):
    """A window's probabilities: so many QRS complexes of this probability."""
    values = np.full(WINDOW, 0.01, np.float32)
    for at in range(100, WINDOW, WINDOW // count):
        values[at : at + 25] = level
    return Probabilities(values, 0, WINDOW)


def noise(seed=0):
    return np.random.default_rng(seed).standard_normal(WINDOW).astype(np.float32)


def ecg(seconds, seed=1):
    return VirtualPatient(rate=RATE, seed=seed, preset="none").read(int(seconds * RATE))


def test_sure_is_good_and_unsure_is_bad_with_hysteresis():
    meter = QualityMeter(0.4, 0.5)
    assert meter.push(noise(), row(0.98)) is None
    assert meter.value > 0.9
    bad = meter.push(noise(), row(0.25, 20))
    assert bad is not None
    assert (bad.usable, bad.reason) == (False, "noise")
    between = row(0.38, 20)
    assert meter.push(noise(), between) is None  # above low, below high
    assert 0.4 < meter.value < 0.5
    good = meter.push(noise(), row(0.98))
    assert good is not None
    assert (good.usable, good.reason) == (True, "noise")


def test_a_pause_of_the_heart_is_no_bad_quality():
    meter = QualityMeter(0.4, 0.5)
    assert meter.push(noise(), Probabilities(np.full(WINDOW, 0.04, np.float32), 0, WINDOW)) is None
    assert meter.push(noise(), Probabilities(np.zeros(WINDOW, np.float32), 0, WINDOW)) is None


def test_standstill_is_told_from_quiet_and_from_clipped_peaks():
    x = noise()
    assert standstill(x) is None
    flat = x.copy()
    flat[-RATE:] = 0.3
    assert standstill(flat) == "flat"
    rails = np.sign(np.sin(np.arange(WINDOW) / 20)).astype(np.float32)
    assert standstill(rails) == "rails"
    peaks = np.clip(x, -1, 1)  # clips, but not for most of the time
    assert standstill(peaks) is None
    quiet = np.zeros(WINDOW, np.float32)  # a noiseless baseline with one-sided complexes
    quiet[40::200] = 5
    assert standstill(quiet) is None


def told(events):
    return [(event.usable, event.reason) for event in events if isinstance(event, Quality)]


@pytest.mark.parametrize("gate", [False, True])
def test_a_lead_that_comes_off_is_told_and_nothing_is_found_in_it(gate):
    signal = np.concatenate((ecg(12), np.full(8 * RATE, 0.7, np.float32), ecg(12, 2)))
    detector = Detector(RATE, gate=gate)
    events = [event for start in range(0, len(signal), 50) for event in detector.events(signal[start : start + 50])]
    assert told(events) == [(False, "flat"), (True, "flat")]
    off, on = (event for event in events if isinstance(event, Quality))
    assert 12 < off.time < 14.5
    assert 20 < on.time < 22
    assert off.known >= off.time - 0.01
    assert not [beat for beat in events if isinstance(beat, Beat) and 12.2 < beat.time < 19.8]
    after = [beat for beat in events if isinstance(beat, Beat) and beat.time > 24]
    assert len(after) > 5
    if gate:
        assert not [b for b in events if isinstance(b, Beat) and b.kind == "trigger" and off.known < b.known < on.known]


def test_no_heart_is_heard_in_white_noise_as_tall_as_its_beats():
    heart = ecg(20)
    height = float(np.ptp(heart))
    found = 0
    for seed in range(6):
        noise = np.random.default_rng(seed).normal(0, height, 8 * RATE).astype(np.float32)
        events = Detector(RATE, gate=True).events(np.concatenate((heart, noise)))
        found += len([event for event in events if isinstance(event, Beat) and event.time > 21])
        assert len([event for event in events if isinstance(event, Beat) and event.time < 20]) > 30
    assert found == 0


def test_a_gap_ends_an_unusable_stretch():
    signal = np.concatenate((ecg(6), np.zeros(4 * RATE, np.float32)))
    detector = Detector(RATE)
    events = detector.events(signal) + detector.events(np.full(2 * RATE, np.nan, np.float32)) + detector.events(ecg(5))
    kinds = [type(event) for event in events if not isinstance(event, Beat)]
    assert kinds == [Quality, Quality, Gap]
    assert told(events) == [(False, "flat"), (True, "flat")]


def test_a_restart_ends_an_unusable_stretch_too():
    detector = Detector(RATE)
    detector.events(np.concatenate((ecg(6), np.zeros(4 * RATE, np.float32))))
    assert told(detector.restart(detector.next)) == [(True, "flat")]
    assert not told(detector.restart(detector.next))


def test_beats_carry_the_quality_around_them():
    beats = Detector(RATE).push(ecg(20))
    assert beats
    assert all(0.7 < beat.quality <= 1 for beat in beats)


def test_switched_off_by_zero():
    detector = Detector(RATE, quality_low=0.0, quality_high=0.0)
    rng = np.random.default_rng(0)
    events = detector.events(rng.standard_normal(20 * RATE).astype(np.float32))
    assert not told(events)
