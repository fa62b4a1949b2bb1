"""A short soak: what it does to the engine, and that it would notice."""

import numpy as np
import pytest

from streamqrs.benchmarks import faults, soak
from streamqrs.benchmarks.faults import FaultyPatient, plan
from streamqrs.types import Gap


def test_the_same_seed_makes_the_same_faults_well_apart():
    one, other = list(plan(3, 3600, 40)), list(plan(3, 3600, 40))
    assert one == other
    assert one != list(plan(4, 3600, 40))
    assert {fault.kind for fault in one} == set(faults.KINDS)
    ends = np.array([[fault.at_s, fault.at_s + fault.duration_s] for fault in one])
    assert (ends[1:, 0] - ends[:-1, 1] > 9.99).all()
    assert ends[-1, 1] < 3600 - 10


def test_what_a_faulty_patient_sends_is_the_patient_but_for_its_faults():
    patient = FaultyPatient(2, 200, every_s=25, rate=250.0, chunk_s=0.1)
    clean = FaultyPatient(2, 200, every_s=1e9, rate=250.0, chunk_s=0.1)
    expected = np.concatenate([chunk.samples for chunk, _ in clean.chunks()])
    position = 0
    for chunk, fault in patient.chunks():
        assert chunk.start >= position
        if chunk.start > position:
            assert fault.kind == "lost"
        position = chunk.start + len(chunk.samples)
        if fault is None:
            np.testing.assert_array_equal(chunk.samples, expected[chunk.start : position])
    assert len(patient.faults) > 3
    np.testing.assert_array_equal(patient.truth.values, clean.truth.values)


@pytest.mark.parametrize("gate", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_short_soak_is_sound_and_lists_every_fault(gate):
    result = soak.soak(5, length_s=80 if gate else 160, every_s=25, gate=gate)
    assert result.sound, result
    assert result.faults
    assert all(fault["back_s"] is not None and fault["back_s"] < 4.5 for fault in result.faults)
    assert result.clean_beats > 30
    assert result.missed + result.false <= 0.02 * result.clean_beats
    assert bool(result.triggers) == gate


def test_samples_that_vanish_without_a_gap_are_noticed(monkeypatch):
    monkeypatch.setattr(soak, "_lost", lambda gaps, faults: sum(gap.stop - gap.start for gap in gaps) - 7)
    result = soak.soak(5, length_s=60, every_s=1e9)
    assert result.unaccounted == 7
    assert not result.sound


def test_a_silence_and_missing_samples_are_not_counted_as_lost():
    nan = faults.Fault("nan", 10.0, 2.0)
    said = [Gap(0, 100, 0.0, 0.4, "silent"), Gap(2500, 3000, 10.0, 2.0), Gap(5000, 5010, 20.0, 0.04, "overload")]
    assert soak._lost(said, [nan]) == 10


@pytest.mark.parametrize(("length_s", "every_s", "text"), [(10, 60, "60 s or more"), (100, 5, "more than 20 s")])
def test_bad_settings_are_refused(length_s, every_s, text):
    with pytest.raises(ValueError, match=text):
        soak.soak(0, length_s=length_s, every_s=every_s)
