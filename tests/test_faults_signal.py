"""What an electrode, a recorder or a clock can do to the samples: no beat out of nothing, and back within 4 s."""

import numpy as np
import pytest

from streamqrs import Beat, Chunk, Detector, Gap, Quality
from streamqrs.metrics import match
from streamqrs.scanner import VirtualPatient

RATE = 250
BEGIN, END, LENGTH = 12 * RATE, 20 * RATE, 32 * RATE
"""The fault lasts from 12 s to 20 s of a recording of 32 s."""
GATE = {"gate": True, "gate_hop": 12}  # a coarse hop: the tests are for what is said, not for how soon


@pytest.fixture(scope="module")
def heart():
    """Samples, and the R times in s."""
    patient = VirtualPatient(rate=RATE, seed=11)
    ecg = patient.read(LENGTH)
    return ecg, np.array([index for index, _ in patient.take_beats()]) / RATE


def play(ecg, times=None, size=250, **settings):
    """Run samples through a detector; how they are cut makes no difference."""
    detector, events = Detector(RATE, **settings), []
    stamps = np.arange(len(ecg)) / RATE if times is None else times
    for at in range(0, len(ecg), size):
        events += detector.events(Chunk(ecg[at : at + size], at, float(RATE), float(stamps[at])))
    return events + detector.flush()


def of(events, *kinds):
    return [event for event in events if isinstance(event, Beat) and event.kind in kinds]


def replaced(ecg, value):
    broken = ecg.copy()
    broken[BEGIN:END] = value
    return broken


def noise(ecg):
    return replaced(ecg, np.random.default_rng(1).normal(0, 0.3, END - BEGIN))


def hum(ecg):
    wave = 2 * np.sin(2 * np.pi * 50 * np.arange(len(ecg)) / RATE)
    return replaced(ecg, (ecg + wave)[BEGIN:END]).astype(np.float32)


def step(ecg):
    return replaced(ecg, ecg[BEGIN:END] + 20)


def gain(ecg):
    broken = ecg.copy()
    broken[BEGIN:] *= 1000
    return broken


def flipped(ecg):
    return replaced(ecg, -ecg[BEGIN:END])


SILENT = {
    "flat": lambda ecg: replaced(ecg, ecg[BEGIN]),
    "lead off, drawn to the rail": lambda ecg: replaced(ecg, 5.0),
    "at both rails": lambda ecg: replaced(ecg, np.where(np.arange(END - BEGIN) // 400 % 2, 5.0, -5.0)),
    "NaN": lambda ecg: replaced(ecg, np.nan),
    "infinite": lambda ecg: replaced(ecg, np.inf),
}
HARD = {"noise alone": noise, "50 Hz": hum, "DC steps": step, "gain × 1000": gain, "polarity": flipped}


def check_recovery(events, truth, measured, after_s, kind):
    """Beats before the fault and from 4 s after it are those of the truth; of triggers one may be missed."""
    found = [beat.time for beat in of(events, kind)]
    for low, high in ((4.0, BEGIN / RATE - 1), (after_s + 4.0, LENGTH / RATE - 1)):
        expected = truth[(truth > low) & (truth < high)]
        here = [t for t in found if low - 0.1 < t < high + 0.1]
        right = len(match(expected, here, 0.1).reference)
        assert right == len(here), (low, high)
        assert right >= len(expected) - (kind == "trigger"), (low, high)
    back = [t for t in found if t > after_s and np.abs(truth - t).min() < 0.1]
    measured(f"first {kind} after the fault, s", round(back[0] - after_s, 2))


@pytest.mark.parametrize("fault", SILENT)
def test_no_beat_is_invented_where_there_is_no_signal(heart, measured, fault):
    ecg, truth = heart
    events = play(SILENT[fault](ecg), **GATE)
    invented = [b for b in of(events, "trigger", "beat") if BEGIN / RATE + 0.1 < b.time < END / RATE - 0.1]
    triggers = [b for b in invented if b.kind == "trigger"]
    measured("invented triggers, beats", [len(triggers), len(invented) - len(triggers)])
    # a jump may look like a QRS complex; where nothing moves there is none
    jumps_s = np.arange(BEGIN, END, 400)[: None if fault == "at both rails" else 1] / RATE
    assert all((b.time - jumps_s > 0).any() and np.abs(b.time - 0.25 - jumps_s).min() < 0.3 for b in invented)
    assert len(triggers) <= 1
    if fault in ("NaN", "infinite"):
        (gap,) = [event for event in events if isinstance(event, Gap)]
        assert (gap.start, gap.stop) == (BEGIN, END)
    else:
        bad = [event for event in events if isinstance(event, Quality)]
        turns = [event.usable for event in bad]
        # between the rails a window may look usable for a moment
        assert turns == [False, True] * (len(turns) // 2) if fault == "at both rails" else turns == [False, True]
        assert turns
        measured("quality event after, s", round(bad[0].known - BEGIN / RATE, 2))
    check_recovery(events, truth, measured, END / RATE, "beat")
    check_recovery(events, truth, measured, END / RATE, "trigger")


@pytest.mark.parametrize("fault", HARD)
def test_what_is_hard_to_hear_through_ends_within_4_s(heart, measured, fault):
    ecg, truth = heart
    events = play(HARD[fault](ecg), **GATE)
    after_s = BEGIN / RATE if fault.startswith("gain") else END / RATE
    check_recovery(events, truth, measured, after_s, "beat")
    during = [b.time for b in of(events, "trigger") if BEGIN / RATE + 3 < b.time < END / RATE - 0.5]
    heard = truth[(truth > BEGIN / RATE + 3) & (truth < END / RATE - 0.5)]
    hits = 0 if fault == "noise alone" else len(match(heard, during, 0.1).reference)
    measured("triggers during the fault: true, false, missed", [hits, len(during) - hits, len(heard) - hits])
    if fault == "noise alone":
        assert any(isinstance(event, Quality) and not event.usable for event in events)
        assert len(during) <= 2
    elif fault != "polarity":
        assert hits == len(heard)


N = np.arange(LENGTH)
EVEN = N / RATE
CLOCKS = {  # stamps as they come, as they should be, and the time in s by which that is known
    "an hour forward": (EVEN + 3600 * (EVEN >= 15), EVEN + 3600 * (EVEN >= 15), 17),
    "an hour back": (EVEN - 3600 * (EVEN >= 15), EVEN - 3600 * (EVEN >= 15), 17),
    "200 ppm": (EVEN * (1 + 200e-6), EVEN * (1 + 200e-6), 10),
    "a step of 50 ms": (EVEN + 0.05 * (EVEN >= 15), EVEN + 0.05 * (EVEN >= 15), 19),
    "a step of 10 ms back": (EVEN - 0.01 * (EVEN >= 15), EVEN - 0.01 * (EVEN >= 15), 19),
    "jitter of 20 ms": (EVEN + np.random.default_rng(3).uniform(-0.02, 0.02, LENGTH), EVEN, 10),
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_r_times_follow_the_clock_of_the_source_within_5_ms(heart, measured, clock):
    ecg, _ = heart
    stamps, exact, settled_s = CLOCKS[clock]
    beats, plain = of(play(ecg, stamps, size=5), "beat"), of(play(ecg), "beat")
    assert [b.index for b in beats] == [b.index for b in plain]  # the count rules
    assert [b.rr_s for b in beats] == [b.rr_s for b in plain]
    assert all(b.rr_s is None or b.rr_s > 0 for b in beats)
    error = [abs(b.time - np.interp(p.time, EVEN, exact)) for b, p in zip(beats, plain, strict=True)]
    settled = max(e for e, p in zip(error, plain, strict=True) if p.time > settled_s)
    measured("greatest error of an R time once settled, ms", round(settled * 1000, 2))
    assert settled < 0.005
