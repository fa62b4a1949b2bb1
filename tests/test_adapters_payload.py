"""One message: whatever the bytes, a Packet or a BadSignal of one short line."""

import json
import struct
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.adapters.packet import Packet, read_packet
from streamqrs.adapters.payload import FORMS, LIMIT, parse
from streamqrs.adapters.sniff import sniff
from streamqrs.errors import BadSignal, MissingExtra

HERE = ("auto", "number", "json", "int16", "float32")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
)
CHANNELS = st.none() | st.integers(-2, 5) | st.sampled_from(["I", "ecg"])
FIELDS = st.sampled_from(
    ["samples", "ecg", "data", "Samples", "fs", "rate", "t", "ts", "timestamp", "seq", "start_index", "channels"]
)


def ecg(n=400, rate=250.0):
    """A wave with an R peak each 0.8 s, in mV."""
    t = np.arange(n) / rate
    phase = (t + 0.3) % 0.8 - 0.4
    return (np.exp(-((phase / 0.012) ** 2)) + 0.2 * np.sin(2 * np.pi * 0.3 * t)).astype(np.float32)


def check(read):
    """Whatever it reads: a packet that keeps its promises, or one short line."""
    try:
        packet = read()
    except BadSignal as error:
        line = str(error)
        assert "\n" not in line
        assert line.isprintable()
        assert len(line) < 420
        return None
    assert isinstance(packet, Packet)
    assert packet.samples.dtype == np.float32
    assert packet.samples.ndim == 1
    assert len(packet.samples) > 0
    assert np.isfinite(packet.samples).all()
    assert packet.rate is None or 100 <= packet.rate <= 10_000
    assert packet.time is None or np.isfinite(packet.time)
    assert packet.seq is None or 0 <= packet.seq < 2**63
    return packet


@given(st.binary(max_size=300), st.sampled_from(HERE))
def test_any_bytes_give_a_packet_or_a_bad_signal(payload, form):
    check(lambda: parse(payload, form))


@given(
    st.dictionaries(FIELDS, TREES, max_size=6) | TREES, st.none() | st.integers(-2, 5) | st.sampled_from(["I", "ecg"])
)
def test_any_json_gives_a_packet_or_a_bad_signal(value, channel):
    check(lambda: parse(json.dumps(value).encode(), "json", channel=channel))
    check(lambda: read_packet(value, channel))


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=20))
def test_sniffing_takes_any_bytes(payloads):
    assert sniff(payloads) in {None, *FORMS} - {"auto"}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"0.5", [0.5]),
        (b" -12\n", [-12]),
        (b"1e-3", [0.001]),
        (b"[1, 2.5, -3]", [1, 2.5, -3]),
        (b'{"samples": [1, 2]}', [1, 2]),
        (b'{"ecg": [1, 2]}', [1, 2]),
        (b'{"data": [1, 2]}', [1, 2]),
        (b'{"values": [1, 2]}', [1, 2]),
        (b'{"Samples": [1, 2]}', [1, 2]),
        (b'{"value": 7}', [7]),
        (b'{"data": {"ECG": [1, 2], "resp": [3, 4]}}', [1, 2]),
        (b'{"data": [[1, 2]]}', [1, 2]),
    ],
)
def test_text_forms_find_themselves(payload, expected):
    assert parse(payload, "auto").samples.tolist() == pytest.approx(expected)


def test_rate_stamp_and_numbers_are_read():
    packet = parse(b'{"samples":[1],"fs":500,"t":1790000000.25,"seq":7,"start_index":70}', "json")
    assert (packet.rate, packet.time, packet.seq, packet.start) == (500, 1790000000.25, 7, 70)
    assert parse(b'{"samples":[1],"sample_rate":360}', "json").rate == 360
    assert parse(b'{"samples":[1],"rate":130,"seq":3.0}', "json").seq == 3


@pytest.mark.parametrize("stamp", [1790000000, 1790000000000, 1790000000000000, 1790000000000000000])
@pytest.mark.parametrize("name", ["t", "timestamp", "ts"])
def test_stamps_since_1970_in_any_unit(stamp, name):
    packet = parse(json.dumps({"samples": [1, 2], name: stamp}).encode(), "json")
    assert packet.time == pytest.approx(1790000000, abs=1e-3)
    assert not packet.stamp_at_end


def test_a_polar_stamp_counts_from_2000_and_belongs_to_the_last_sample():
    packet = parse(b'{"ecg":[1,2,3],"timestamp":843315200000000000}', "json")
    assert packet.time == pytest.approx(1790000000)
    assert packet.stamp_at_end


def test_the_clock_of_a_device_is_kept_as_ticks():
    packet = parse(b'{"samples":[1],"t":123456}', "json")
    assert (packet.time, packet.tick) == (None, 123456)


@pytest.mark.parametrize(
    ("message", "channel", "expected"),
    [
        ({"data": {"I": [1, 2], "II": [3, 4]}}, "ii", [3, 4]),
        ({"data": {"I": [1, 2], "II": [3, 4]}}, 1, [3, 4]),
        ({"data": {"I": [1, 2], "II": [3, 4]}}, "0", [1, 2]),
        ({"data": [[1, 2, 3], [4, 5, 6]]}, 1, [4, 5, 6]),
        ({"data": [[1, 2, 3], [4, 5, 6]], "channels": ["I", "II"]}, "II", [4, 5, 6]),
        ({"data": [[1, 2], [3, 4], [5, 6]], "channels": ["I", "II"]}, "II", [2, 4, 6]),
        ({"I": [1, 2], "II": [3, 4]}, "II", [3, 4]),
        ({"samples": [1, 2]}, "II", [1, 2]),
    ],
)
def test_a_lead_is_chosen_by_name_or_index(message, channel, expected):
    assert parse(json.dumps(message).encode(), "json", channel=channel).samples.tolist() == expected


def test_raw_samples_are_little_endian():
    assert parse(struct.pack("<3h", 1, -2, 300), "int16").samples.tolist() == [1, -2, 300]
    assert parse(struct.pack("<2f", 0.5, -0.25), "float32").samples.tolist() == [0.5, -0.25]


@pytest.mark.parametrize(
    ("payload", "form", "message"),
    [
        (b"", "auto", "empty message"),
        (b"{broken", "auto", "not JSON: '{broken'"),
        (b"hello", "number", "one decimal number"),
        (b"nan", "number", "one decimal number"),
        (b"1e999", "number", "finite"),
        (b"[1, NaN]", "json", "finite numbers"),
        (b"[1, Infinity]", "json", "finite numbers"),
        (b"[1, 1e999]", "json", "finite numbers"),
        (b"[1, 1e300]", "json", "too large"),
        (b"[" + b"9" * 400 + b"]", "json", "finite numbers"),
        (b'[1, "2"]', "json", "sample '2'"),
        (b"[1, true]", "json", "sample True"),
        (b"[1, null]", "json", "allowed are finite numbers"),
        (b"[1, [2]]", "json", "sample list"),
        (b"[[[1]]]", "json", "sample list"),
        (b"[]", "json", "at least one"),
        (b"{}", "json", "allowed names of the samples are samples, ecg"),
        (b'{"pulse": [1]}', "json", "has 'pulse'"),
        (b'{"samples": [1], "fs": 0}', "json", "fs 0 Hz: allowed are 100 to 10000 Hz"),
        (b'{"samples": [1], "fs": -250}', "json", "fs -250 Hz"),
        (b'{"samples": [1], "fs": "250"}', "json", "fs '250'"),
        (b'{"samples": [1], "seq": -1}', "json", "whole numbers from 0"),
        (b'{"samples": [1], "seq": NaN}', "json", "whole numbers from 0"),
        (b'{"samples": [1], "t": "noon"}', "json", "t 'noon'"),
        (b'{"data": {"I": [1], "II": [2]}}', "json", "2 channels and none was chosen: allowed are 'I', 'II'"),
        (b"\x01\x02\x03", "int16", "multiples of 2"),
        (b"\x01\x02\x03\x04\x05\x06", "float32", "multiples of 4"),
        (struct.pack("<f", float("nan")), "float32", "NaN"),
    ],
)
def test_bad_messages_are_refused_with_what_is_allowed(payload, form, message):
    with pytest.raises(BadSignal) as caught:
        parse(payload, form)
    assert message in str(caught.value)
    assert check(lambda: parse(payload, form)) is None


def test_a_wrong_channel_lists_the_choices():
    with pytest.raises(BadSignal, match="no channel 'V1': allowed are 'I', 'II'"):
        parse(b'{"data": {"I": [1], "II": [2]}}', "json", channel="V1")


def test_a_message_of_ten_megabytes_is_refused_unread():
    with pytest.raises(BadSignal, match="message of 10000000 bytes: allowed are up to 1048576"):
        parse(b"[" * 10_000_000, "auto")


def test_a_deep_nest_is_refused():
    for bomb in (b"[" * LIMIT, b'{"samples":' * 50_000, b"[" * 5000 + b"]" * 5000, b"[" * 900 + b"1" + b"]" * 900):
        assert check(lambda bomb=bomb: parse(bomb, "json")) is None


def test_an_error_repeats_only_a_little():
    with pytest.raises(BadSignal) as caught:
        parse(b"{" + b"x\x1b[31m" * 1000, "json")
    assert len(str(caught.value)) < 80
    assert "\x1b" not in str(caught.value)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="payload is 'xml': allowed are auto, number"):
        parse(b"1", "xml")


@pytest.mark.parametrize("gain", [1, 50, 1000, 8000])
@pytest.mark.parametrize("offset", [0, -300, 16_384])
@pytest.mark.parametrize("size", [1, 2, 5, 8, 100])
def test_raw_int16_shows_itself(gain, offset, size):
    samples = np.rint(ecg() * gain + offset).astype("<i2")
    assert sniff([samples[i : i + size].tobytes() for i in range(0, 400, size)]) == "int16"


@pytest.mark.parametrize("gain", [1e-3, 1, 1000, 1e5])
@pytest.mark.parametrize("offset", [0, -0.3, 100])
@pytest.mark.parametrize("size", [1, 4, 25, 100])
def test_raw_float32_shows_itself(gain, offset, size):
    samples = (ecg() * gain + offset).astype("<f4")
    assert sniff([samples[i : i + size].tobytes() for i in range(0, 400, size)]) == "float32"


def test_whole_numbers_as_float32_are_no_int16():
    assert sniff([np.rint(ecg() * 1000 + 2048).astype("<f4").tobytes()]) == "float32"


def test_a_flat_line_and_a_short_message_do_not_tell_yet():
    assert sniff([bytes(400)]) is None
    assert sniff([np.full(4, 0.25, "<f4").tobytes()]) is None


def test_bad_messages_among_the_first_do_not_mislead():
    raw = [row.tobytes() for row in (ecg() * 1000).astype("<i2").reshape(-1, 10)]
    assert sniff([b"hello", b"\x01\x02\x03", *raw]) == "int16"
    assert sniff([b"{broken", b'{"samples": [1]}']) == "json"


@pytest.mark.parametrize("form", ["msgpack", "cbor"])
def test_packed_forms_are_known_by_their_names_and_need_their_library(form):
    key = b"samples"
    head = {"msgpack": b"\x81\xa7", "cbor": b"\xa1\x67"}[form]
    body = {"msgpack": b"\x92\x01\x02", "cbor": b"\x82\x01\x02"}[form]
    payload = head + key + body
    assert sniff([payload]) == form
    if find_spec({"msgpack": "msgpack", "cbor": "cbor2"}[form]):
        assert parse(payload, "auto").samples.tolist() == [1, 2]
    else:
        with pytest.raises(MissingExtra, match="pip install"):
            parse(payload, "auto")


@pytest.mark.parametrize(("form", "library"), [("msgpack", "msgpack"), ("cbor", "cbor2")])
@given(payload=st.binary(max_size=200))
def test_any_packed_bytes_give_a_packet_or_a_bad_signal(form, library, payload):
    pytest.importorskip(library)
    check(lambda: parse(payload, form))
