"""The JSON form of events, against its schema."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.events import EventEncoder
from streamqrs.types import Beat, Gap, Marker, Problem, Quality, SourceInfo, Started, Stopped

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "event.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

STARTED = Started(SourceInfo("sim", "II", "mV", "unix"), 360.0, "base", "ab" * 32, 512.0)
BEAT = Beat(3, "beat", 700, 1234.5, 0.97, 0.8, 1234.912)
EVENTS = [
    STARTED,
    BEAT,
    Beat(4, "trigger", 900, 1235.3, 0.6, None, 1235.31),
    Beat(4, "withdrawn", 900, 1235.3, 0.2, None, 1235.8),
    Gap(100, 200, 1240.0, 0.4, "overload"),
    Quality(False, "flat", 9000, 1241.0, 1241.2, 0.0),
    Marker("Response R128", 4321, 1241.5, 1241.52),
    Problem("mqtt://host/ecg", "message is not JSON:\n'{'"),
    Stopped("duration", {"beats": 3, "dropped": 0}),
]


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_event_keeps_to_the_schema_and_is_numbered():
    encoder = EventEncoder()
    encoded = [encoder.encode(event) for event in EVENTS]
    for message in encoded:
        VALIDATOR.validate(json.loads(json.dumps(message, allow_nan=False)))
    assert [message["seq"] for message in encoded] == list(range(len(EVENTS)))
    assert [message["event"] for message in encoded] == [
        "started", "beat", "beat", "beat", "gap", "quality", "marker", "problem", "stopped",
    ]  # fmt: skip


def test_a_beat_says_when_it_was_and_when_it_was_known_and_by_which_model():
    encoder = EventEncoder()
    encoder.encode(STARTED)
    assert encoder.encode(BEAT) == {
        "version": 1,
        "event": "beat",
        "seq": 1,
        "kind": "beat",
        "id": 3,
        "index": 700,
        "time": 1234.5,
        "known": 1234.912,
        "delay_ms": 412.0,
        "probability": 0.97,
        "rr_s": 0.8,
        "heart_rate": 75.0,
        "quality": 1.0,
        "clock": "unix",
        "model": "base",
        "model_sha256": "ab" * 32,
    }


def test_without_a_start_the_model_is_not_known():
    message = EventEncoder().encode(BEAT)
    assert message["model"] is None
    assert message["clock"] == "stream"
    VALIDATOR.validate(message)


def test_what_is_not_a_number_becomes_null():
    nan = float("nan")
    encoder = EventEncoder()
    for event in (Beat(0, "beat", 0, nan, nan, nan, nan), Gap(0, 5, nan, nan)):
        message = encoder.encode(event)
        assert message["time"] is None
        VALIDATOR.validate(json.loads(json.dumps(message, allow_nan=False)))


def test_numpy_numbers_become_plain_ones():
    beat = Beat(np.int64(1), "beat", np.int64(5), np.float64(2.0), np.float32(0.5), np.float64(0.8), np.float64(2.4))
    message = json.loads(json.dumps(EventEncoder().encode(beat)))
    assert message["probability"] == 0.5
    VALIDATOR.validate(message)


def test_a_message_of_several_lines_becomes_one():
    assert EventEncoder().encode(EVENTS[7])["message"] == "message is not JSON: '{'"


def test_other_things_are_refused():
    with pytest.raises(TypeError, match="allowed are Started, Beat"):
        EventEncoder().encode("beat")


@pytest.mark.parametrize("change", [{"kind": "maybe"}, {"extra": 1}, {"version": 2}, {"id": -1}, {"time": "now"}])
def test_the_schema_refuses_what_is_no_beat(change):
    message = EventEncoder().encode(BEAT) | change
    assert not VALIDATOR.is_valid(message)


@given(
    time=st.floats(),
    known=st.floats(),
    probability=st.floats(0, 1, width=32),
    rr=st.none() | st.floats(0.01, 10) | st.just(float("nan")),
    index=st.integers(-1000, 2**40),
    kind=st.sampled_from(["trigger", "beat", "withdrawn"]),
)
def test_any_beat_keeps_to_the_schema(time, known, probability, rr, index, kind):
    message = EventEncoder().encode(Beat(0, kind, index, time, probability, rr, known))
    VALIDATOR.validate(json.loads(json.dumps(message, allow_nan=False)))
