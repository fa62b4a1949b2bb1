"""What a gate hears of a lead, kept."""

import numpy as np
import pytest

from streamqrs.detector import Detector
from streamqrs.model import load
from streamqrs.scanner import VirtualPatient
from streamqrs.training.edges import find_triggers, hear
from streamqrs.types import RATE


@pytest.mark.parametrize("preset", ["1.5T", "3T"])
def test_triggers_are_those_of_the_detector(preset):
    ecg = VirtualPatient(RATE, 3, preset).read(30 * RATE)
    detector = Detector(RATE, "mri", gate=True, quality_low=0.0)
    wanted = [event.time for event in detector.push(ecg) if event.kind == "trigger"]
    found = find_triggers(hear(load("mri"), ecg, detector.settings.gate_hop), detector.settings).time
    assert len(wanted) > 20
    assert found == pytest.approx(np.array(wanted), abs=1e-6)
