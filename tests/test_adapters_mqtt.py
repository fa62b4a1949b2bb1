"""The MQTT source and sink, against a real mosquitto and clients in other processes."""

import asyncio
import base64
import itertools
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from streamqrs.adapters import mqtt_source
from streamqrs.adapters.mqtt_target import PASSWORD, read_target
from streamqrs.adapters.retry import LONGEST_S, pauses
from streamqrs.errors import BadSignal, BadSpec, SinkError, SourceError, SourceNotFound
from streamqrs.ports import Sink, Source, open_sink, open_source
from streamqrs.types import Beat, Chunk, Gap, Marker, Problem, SourceInfo, Started, Stopped

pytestmark = pytest.mark.broker

PATIENCE_S = 60.0
SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "event.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
STARTED = Started(SourceInfo("sim", "II", "mV", "unix"), 250.0, "base", "ab" * 32, 500.0)

PUBLISHER = """
import base64, json, sys
import paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.reconnect_delay_set(0.1, 0.5)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
for line in sys.stdin:
    topic, payload, retain = json.loads(line)
    client.publish(topic, base64.b64decode(payload), qos=1, retain=retain).wait_for_publish()
    print("sent", flush=True)
"""


class Publisher:
    """A device in another process."""

    def __init__(self, port, topic="ecg"):
        self._topic = topic
        self._process = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def send(self, *payloads, retain=False):
        """Publish, and return when the broker has it all."""
        for payload in payloads:
            raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            line = json.dumps([self._topic, base64.b64encode(raw).decode(), retain])
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == "sent\n"


class Subscriber:
    """mosquitto_sub in another process: what it heard, as (topic, qos, retained, payload)."""

    def __init__(self, broker, topic, *options):
        program = shutil.which("mosquitto_sub")
        if not program:
            pytest.skip("mosquitto_sub is not installed")
        name = f"listener-{uuid.uuid4().hex[:8]}"
        command = [
            program,
            "-p",
            str(broker.port),
            "-t",
            topic,
            "-F",
            "%t\t%q\t%r\t%E\t%p",
            "-V",
            "5",
            "-i",
            name,
            *options,
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.heard = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        broker.wait_for_log(rf"{name} \d ")  # subscribed

    def _listen(self):
        for line in self._process.stdout:
            topic, qos, retained, expiry, payload = line.rstrip("\n").split("\t", 4)
            with self._changed:
                self.heard.append((topic, int(qos), retained == "1", expiry, json.loads(payload)))
                self._changed.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._thread.join()  # it reads to the end of the pipe first
        self._process.stdout.close()

    def until(self, condition):
        """Wait until a condition on all that was heard holds; returns what was heard, each checked by the schema."""
        with self._changed:
            done = self._changed.wait_for(lambda: condition(self.heard), PATIENCE_S)
            assert done, f"heard only {self.heard[-5:]}"
            for *_, payload in self.heard:
                VALIDATOR.validate(payload)
            return list(self.heard)


def on(heard, topic):
    return [payload for at, *_, payload in heard if at == topic]


def beat(i, kind="beat", t0=1.79e9):
    return Beat(i, kind, 200 * i, t0 + 0.8 * i, 0.9, 0.8, t0 + 0.8 * i + 0.4)


async def listen(source, samples, problems=None):
    """Chunks of a source until so many samples have come."""
    chunks, n = [], 0
    async with asyncio.timeout(PATIENCE_S):
        async for item in source:
            if isinstance(item, Problem):
                if problems is not None:
                    problems.append(item)
                continue
            assert isinstance(item, Chunk)
            chunks.append(item)
            n += len(item.samples)
            if n >= samples:
                return chunks
    raise AssertionError("the source ended")


def hear(broker, publisher, payloads, *, samples, problems=None, **options):
    """Open a source, let the device send, return chunks and the source."""

    async def go():
        source = open_source(f"{broker.url}/ecg", **options)
        assert isinstance(source, Source)
        sending = asyncio.create_task(asyncio.to_thread(_send_when_heard, broker, publisher, payloads))
        async with source:
            chunks = await listen(source, samples, problems)
            await sending
            return chunks, source

    return asyncio.run(go())


def _send_when_heard(broker, publisher, payloads):
    broker.wait_for_log(r"streamqrs-\w+ 0 ecg")
    publisher.send(*payloads)


def rows(n=20, size=10):
    """A wave in mV, as packets."""
    return np.sin(np.arange(n * size) / 7).astype(np.float32).reshape(n, size) * 1000 // 1


FORMS = {
    "number": [str(float(x)).encode() for x in rows().ravel()],
    "array": [row.tolist() for row in rows()],
    "object": [{"samples": row.tolist()} for row in rows()],
    "numbered": [{"ecg": row.tolist(), "seq": i, "t": 1.79e9 + i * 0.04} for i, row in enumerate(rows())],
    "int16": [row.astype("<i2").tobytes() for row in rows()],
    "float32": [row.astype("<f4").tobytes() for row in rows()],
}


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_comes_through_complete_and_in_order(broker, form, version):
    with Publisher(broker.port) as publisher:
        chunks, source = hear(broker, publisher, FORMS[form], samples=200, rate=250.0, mqtt_version=version)
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), rows().ravel())
    starts = np.cumsum([0, *(len(chunk.samples) for chunk in chunks)])[:-1]
    assert [chunk.start for chunk in chunks] == starts.tolist()
    assert source.rate == 250
    assert source.info == SourceInfo(f"{broker.url}/ecg", "", "", "unix", True)
    assert all(abs(chunk.time - (1.79e9 if form == "numbered" else time.time())) < 600 for chunk in chunks)


def test_rate_and_channel_come_from_the_messages(broker):
    messages = [{"fs": 500, "data": {"I": [0] * 10, "II": row.tolist()}} for row in rows()]
    with Publisher(broker.port) as publisher:
        chunks, source = hear(broker, publisher, messages, samples=200, channel="II")
    assert source.rate == chunks[0].rate == 500
    assert source.info.channel == "II"
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), rows().ravel())


def test_doubled_lost_and_unordered_packets(broker):
    order = [0, 1, 1, 2, 4, 3, 5, 9, 10, 11, 12, 13, 14]
    messages = [{"samples": rows()[i].tolist(), "seq": i, "fs": 250} for i in order]
    with Publisher(broker.port) as publisher:
        chunks, source = hear(broker, publisher, messages, samples=120)
    assert [chunk.start for chunk in chunks] == [10 * i for i in (0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14)]
    assert all(np.array_equal(chunk.samples, rows()[chunk.start // 10]) for chunk in chunks)
    assert source.counts == {"messages": 13, "doubled": 1, "reordered": 1, "lost": 30}


def test_bad_messages_are_counted_skipped_and_shown(broker):
    good = [{"samples": row.tolist(), "fs": 250} for row in rows()]
    bad = [b"{broken", b"\x00\xff", {"samples": ["x"]}, b"[" * 10_000_000, *[{"samples": [1], "fs": -1}] * 40]
    problems = []
    with Publisher(broker.port) as publisher:
        chunks, source = hear(broker, publisher, good[:10] + bad + good[10:], samples=200, problems=problems)
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), rows().ravel())
    assert source.counts["bad"] == len(bad)
    assert problems[0].where == source.name
    assert problems[0].message == "message is not JSON: '{broken' (bad messages so far: 1, skipped)"
    assert len(problems) < len(bad)


def test_an_old_retained_message_is_no_part_of_the_stream(broker):
    with Publisher(broker.port) as publisher:
        publisher.send({"samples": [9999], "fs": 100}, retain=True)
        chunks, source = hear(broker, publisher, [{"samples": [1, 2], "fs": 250}] * 2, samples=4)
    assert np.concatenate([chunk.samples for chunk in chunks]).tolist() == [1, 2, 1, 2]
    assert source.counts["retained"] == 1


@pytest.mark.parametrize("numbers", [True, False])
def test_what_is_not_read_in_time_makes_way_and_is_a_jump(broker, monkeypatch, numbers):
    monkeypatch.setattr(mqtt_source, "QUEUE", 50)
    messages = [{"samples": [i] * 10, "fs": 250} | ({"seq": i} if numbers else {}) for i in range(100)]

    async def go():
        with Publisher(broker.port) as publisher:
            sending = asyncio.create_task(asyncio.to_thread(_send_when_heard, broker, publisher, messages))
            async with open_source(f"{broker.url}/ecg") as source:
                await sending
                async with asyncio.timeout(PATIENCE_S):
                    while source.counts["messages"] < 100:
                        await asyncio.sleep(0.02)
                return await listen(source, 500), source.counts

    chunks, counts = asyncio.run(go())
    assert counts["dropped"] == 50
    assert [chunk.samples[0] for chunk in chunks] == list(range(50, 100))
    assert [chunk.start for chunk in chunks] == [chunks[0].start + 10 * i for i in range(50)]


def test_a_silence_is_told(broker, monkeypatch):
    monkeypatch.setattr(mqtt_source, "SILENT_S", 0.2)
    problems = []

    async def go():
        with Publisher(broker.port) as publisher:
            sending = asyncio.create_task(
                asyncio.to_thread(_send_when_heard, broker, publisher, [{"samples": [1], "fs": 250}])
            )
            async with open_source(f"{broker.url}/ecg") as source:
                await sending
                more = asyncio.create_task(listen(source, 2, problems))
                async with asyncio.timeout(PATIENCE_S):
                    while not problems:
                        await asyncio.sleep(0.02)
                await asyncio.to_thread(publisher.send, {"samples": [2], "fs": 250})
                return await more

    chunks = asyncio.run(go())
    assert [chunk.samples.tolist() for chunk in chunks] == [[1], [2]]
    assert problems[0].message == "no message for 0.2 s"


def test_the_source_goes_on_when_the_broker_comes_back(broker):
    def message(i):
        return {"samples": rows()[i].tolist(), "seq": i, "fs": 250}

    async def go():
        problems = []
        with Publisher(broker.port) as publisher:
            sending = asyncio.create_task(
                asyncio.to_thread(_send_when_heard, broker, publisher, [message(i) for i in range(5)])
            )
            async with open_source(f"{broker.url}/ecg") as source:
                before = await listen(source, 50)
                await sending
                broker.kill()
                more = asyncio.create_task(listen(source, 50, problems))
                while not problems:
                    await asyncio.sleep(0.02)
                await asyncio.to_thread(broker.start)
                await asyncio.to_thread(broker.wait_for_log, r"streamqrs-\w+ 0 ecg", 2)
                await asyncio.to_thread(publisher.send, *(message(i) for i in range(8, 14)))
                return before, await more, problems, source.counts

    before, after, problems, counts = asyncio.run(go())
    assert [chunk.start for chunk in before] == [0, 10, 20, 30, 40]
    assert [chunk.start for chunk in after] == [80, 90, 100, 110, 120]
    assert problems[0].message.startswith("connection lost: ")
    assert problems[-1].message.startswith("connected again after ")
    assert counts["reconnects"] == 1


def test_a_login_from_the_spec_the_environment_or_a_file(broker, tmp_path, monkeypatch):
    _require_login(broker, tmp_path)
    (tmp_path / "secret").write_text("pa:ss@wörd\n")

    async def connects(target, **options):
        async with open_sink(f"mqtt://{target}127.0.0.1:{broker.port}/base", **options):
            pass

    asyncio.run(connects("ann:pa%3Ass%40w%C3%B6rd@"))
    asyncio.run(connects("", username="ann", password_file=tmp_path / "secret"))
    monkeypatch.setenv(PASSWORD, "pa:ss@wörd")
    asyncio.run(connects("ann@", mqtt_version="5"))


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_refused_login_is_one_line_at_once_and_keeps_the_password(broker, tmp_path, version):
    _require_login(broker, tmp_path)
    spec = f"mqtt://ann:guessed-secret@127.0.0.1:{broker.port}/ecg"

    async def enter(port):
        async with port:
            pass

    for port, kind in (
        (open_source(spec, mqtt_version=version), SourceError),
        (open_sink(spec, mqtt_version=version), SinkError),
    ):
        with pytest.raises(kind, match="the broker refused the login: ") as caught:
            asyncio.run(enter(port))
        assert "guessed-secret" not in f"{caught.value!r}{port!r}{port.name}"
        assert f"mqtt://127.0.0.1:{broker.port}/ecg" in str(caught.value)
    assert "guessed-secret" not in repr(read_target(spec.removeprefix("mqtt:")))


def _require_login(broker, tmp_path):
    program = shutil.which("mosquitto_passwd")
    if not program:
        pytest.skip("mosquitto_passwd is not installed")
    path = tmp_path / "broker" / "passwords"
    subprocess.run([program, "-b", "-c", path, "ann", "pa:ss@wörd"], check=True, capture_output=True)
    broker.kill()
    broker.start("allow_anonymous false", f"password_file {path}")


def test_tls_is_verified(broker, tmp_path):
    _make_certificates(tmp_path)
    broker.kill()
    broker.start(
        "allow_anonymous true",
        f"cafile {tmp_path}/ca.pem",
        f"certfile {tmp_path}/broker.pem",
        f"keyfile {tmp_path}/broker.key",
    )
    url = broker.url.replace("mqtt:", "mqtts:")

    async def go():
        async with open_sink(f"{url}/base", tls_ca=tmp_path / "ca.pem") as sink:
            await sink.send(STARTED)
        with pytest.raises(SinkError, match="TLS certificate was not accepted: "):
            async with open_sink(f"{url}/base"):
                pass
        with pytest.raises(SourceError, match=r"TLS certificate was not accepted: .*mismatch"):
            async with open_source(f"{url.replace('127.0.0.1', 'localhost')}/ecg", tls_ca=tmp_path / "ca.pem"):
                pass
        with pytest.raises(SinkError, match="base: "):
            async with open_sink(f"{broker.url}/base", timeout=0.5):  # plain, on the port for TLS
                pass

    asyncio.run(go())


def test_a_client_certificate_is_a_login(broker, tmp_path):
    _make_certificates(tmp_path)
    broker.kill()
    broker.start(
        "allow_anonymous true",
        f"cafile {tmp_path}/ca.pem",
        f"certfile {tmp_path}/broker.pem",
        f"keyfile {tmp_path}/broker.key",
        "require_certificate true",
        "use_identity_as_username true",
    )
    url = broker.url.replace("mqtt:", "mqtts:")
    trusted = {"tls_ca": tmp_path / "ca.pem", "timeout": 1.0}

    async def go():
        own = {"tls_cert": tmp_path / "client.pem", "tls_key": tmp_path / "client.key"}
        async with open_sink(f"{url}/base", **trusted, **own) as sink:
            await sink.send(STARTED)
        with pytest.raises(SinkError) as caught:
            async with open_sink(f"{url}/base", **trusted):
                pass
        assert "\n" not in str(caught.value)
        with pytest.raises(BadSpec, match="without a certificate"):
            open_sink(f"{url}/base", **trusted, tls_key=tmp_path / "client.key")
        with pytest.raises(BadSpec, match="TLS file cannot be used"):
            open_sink(f"{url}/base", **trusted, tls_cert=tmp_path / "client.pem", tls_key=tmp_path / "ca.key")

    asyncio.run(go())
    broker.wait_for_log(r"New client connected .* u'client'")


def test_pauses_between_attempts_grow_by_chance():
    """Many clients of a broker that comes back must not all knock at once."""
    one, other = ([*itertools.islice(pauses(), 12)] for _ in range(2))
    longest = [min(0.2 * 2**k, LONGEST_S) for k in range(12)]
    for waits in (one, other):
        assert all(0.5 * most <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert not set(one) & set(other)


def _make_certificates(folder):
    """A certificate authority, a certificate of the broker for 127.0.0.1 alone, and one of a client."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    make = "openssl req -newkey rsa:2048 -nodes -keyout {0}.key -subj /CN={0} "
    for command in (
        make.format("ca") + "-x509 -days 2 -out ca.pem",
        make.format("broker") + "-out broker.csr",
        "openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out broker.pem",
        make.format("client") + "-out client.csr",
        "openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out client.pem",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("spec", "options", "error", "message"),
    [
        ("mqtt://127.0.0.1:{dead}/ecg", {"timeout": 0.5}, SourceNotFound, "refused: tried for 0.5 s"),
        ("mqtt://no-such-host.invalid/ecg", {}, SourceError, "'no-such-host.invalid' cannot be resolved"),
        (f"mqtt://{'a' * 70}.de/ecg", {}, SourceError, "cannot be resolved"),
        ("{url}/nothing-here", {"timeout": 0.5}, SourceNotFound, "nothing-here: no message within 0.5 s"),
    ],
)
def test_a_source_that_is_not_there(broker, spec, options, error, message):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        dead = probe.getsockname()[1]

    async def go():
        async with open_source(spec.format(url=broker.url, dead=dead), **options):
            pass

    with pytest.raises(error, match=message):
        asyncio.run(go())


@pytest.mark.parametrize(
    ("messages", "options", "error", "message"),
    [
        ([[1, 2, 3]], {}, SourceError, "name no sampling rate: give it with --rate"),
        ([b"hello there"] * 64, {}, BadSignal, "do not show their form: name it with --payload"),
        ([b"{broken"] * 64, {}, BadSignal, "none of the first 64 messages can be read: message is not JSON"),
        ([{"data": {"I": [1], "II": [2]}}] * 64, {"channel": "V1"}, BadSignal, "'V1': allowed are 'I', 'II'"),
    ],
)
def test_messages_that_cannot_be_used(broker, messages, options, error, message):
    with Publisher(broker.port) as publisher, pytest.raises(error, match=message):
        hear(broker, publisher, messages, samples=1, **options)


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("mqtt:", {}, "allowed is mqtt://"),
        ("mqtt:host/topic", {}, "allowed is mqtt://"),
        ("mqtt:///topic", {}, "allowed is mqtt://"),
        ("mqtt://host:port/topic", {}, "allowed is mqtt://"),
        ("mqtt://host:99999/topic", {}, "allowed is mqtt://"),
        ("mqtt://user:secret/word@host/topic", {}, "allowed is mqtt://"),
        ("mqtt://host", {}, "topic of mqtt://host is ''"),
        ("mqtt://host/", {}, "topic of mqtt://host is ''"),
        ("mqtt://host/ward/+/ecg", {}, r"allowed is one topic without \+ and #"),
        ("mqtt://host/ward/#", {}, r"allowed is one topic without \+ and #"),
        ("mqtt://host/ecg", {"payload": "xml"}, "payload is 'xml': allowed are auto, number, json"),
        ("mqtt://host/ecg", {"rate": 0.0}, "rate is 0 Hz"),
        ("mqtt://host/ecg", {"rate": -250.0}, "rate is -250 Hz"),
        ("mqtt://host/ecg", {"rate": float("nan")}, "rate is nan Hz"),
        ("mqtt://host/ecg", {"timeout": 0.0}, "timeout is 0 s"),
        ("mqtt://host/ecg", {"mqtt_version": "3"}, "MQTT version is '3': allowed are 3.1.1, 5"),
        ("mqtt://host/ecg", {"username": "ann", "password_file": "/no/such"}, "/no/such cannot be read: No such file"),
        ("mqtt://host/ecg", {"password_file": __file__}, "a password, but no user"),
        ("mqtt://host/ecg", {"tls_ca": "ca.pem"}, "takes no option tls_ca"),
        ("mqtts://host/ecg", {"tls_ca": "/no/such"}, r"TLS file cannot be used \(/no/such\): No such file"),
        ("mqtts://host/ecg", {"tls_key": "key.pem"}, "without a certificate"),
    ],
)
def test_wrong_specs_are_refused_at_once(spec, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_source(spec, **options)
    assert isinstance(caught.value, BadSpec) or "rate" in options or "timeout" in options
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "host", "port", "topic"),
    [
        ("//host/a", "host", 1883, "a"),
        ("//user@host:99/a/b c/", "host", 99, "a/b c"),
        ("//[::1]:1884/a", "::1", 1884, "a"),
    ],
)
def test_specs_that_are_read(target, host, port, topic):
    broker = read_target(target)
    assert (broker.host, broker.port, broker.topic) == (host, port, topic)
    assert read_target(broker.name.removeprefix("mqtt:")).name == broker.name


def test_nothing_comes_after_the_word_offline(broker):
    async def go():
        async with open_sink(f"{broker.url}/lab/scanner") as sink:
            await sink.send(beat(1))  # nothing of this waits: the word `online` is still to be published

    with Subscriber(broker, "lab/scanner/#", "-q", "1") as subscriber:
        asyncio.run(go())
        heard = subscriber.until(lambda heard: any(m.get("state") == "offline" for *_, m in heard))
    assert [topic for topic, *_ in heard][-2:] == ["lab/scanner/hr", "lab/scanner/status"]


def test_everything_the_sink_says_arrives_where_it_belongs(broker):
    events = [
        STARTED,
        beat(0),
        beat(1, "trigger"),
        beat(1),
        beat(2, "trigger"),
        beat(2, "withdrawn"),
        Gap(10, 20, 1.79e9, 0.04),
        Marker("Response R128", 15, 1.79e9 + 3, 1.79e9 + 3.02),
        Problem("source", "something"),
        Beat(3, "beat", 900, 1.79e9 + 4, 0.8, None, 1.79e9 + 5),
        Stopped("duration", {"beats": 3}),
    ]

    async def go():
        sink = open_sink(f"{broker.url}/lab/scanner", mqtt_version="5")
        assert isinstance(sink, Sink)
        async with sink:
            for event in events:
                await sink.send(event)

    with Subscriber(broker, "lab/scanner/#", "-q", "1") as subscriber:
        asyncio.run(go())
        heard = subscriber.until(lambda heard: any(m.get("state") == "offline" for *_, m in heard))
    assert [(m["kind"], m["id"]) for m in on(heard, "lab/scanner/beat")] == [
        ("beat", 0), ("beat", 1), ("withdrawn", 2), ("beat", 3),
    ]  # fmt: skip
    assert [m["id"] for m in on(heard, "lab/scanner/trigger")] == [1, 2]
    assert [m["event"] for m in on(heard, "lab/scanner/event")] == ["gap", "marker", "problem"]
    assert on(heard, "lab/scanner/event")[1]["name"] == "Response R128"
    assert on(heard, "lab/scanner/hr")[-1] == {"version": 1, "heart_rate": 75.0, "time": 1.79e9 + 0.8}
    assert on(heard, "lab/scanner/beat")[0]["model"] == "base"
    assert all(qos == 1 for topic, qos, *_ in heard if topic.endswith(("/beat", "/event", "/status")))
    triggers = [entry for entry in heard if entry[0].endswith("/trigger")]
    assert all((qos, retained, expiry) == (0, False, "1") for _, qos, retained, expiry, _ in triggers)
    last = on(heard, "lab/scanner/status")[-1]
    assert last["counts"] == {"beats": 3, "triggers": 2, "withdrawn": 1, "gaps": 1, "problems": 1}
    assert (last["source"], last["model"]) == ("sim", "base")
    with Subscriber(broker, "lab/scanner/#") as newcomer:
        heard = newcomer.until(lambda heard: len(heard) >= 2)
    assert {(topic, retained) for topic, _, retained, *_ in heard} == {
        ("lab/scanner/hr", True),
        ("lab/scanner/status", True),
    }


def test_beats_of_an_outage_follow_once_and_in_order_and_triggers_do_not(broker, tmp_path):
    """The broker comes back in two steps: first for the subscriber alone, so that it misses nothing."""
    login = ["-q", "1", "-u", "ann", "-P", "pa:ss@wörd"]

    def heard_last(i):
        return lambda heard: [message["id"] for message in on(heard, "base/beat")][-1:] == [i]

    async def go():
        async with open_sink(f"{broker.url}/base", store=50) as sink:
            await sink.send(STARTED)
            with Subscriber(broker, "base/#", "-q", "1") as subscriber:
                for i in range(5):
                    await sink.send(beat(i))
                await asyncio.to_thread(subscriber.until, heard_last(4))
            broker.kill()
            async with asyncio.timeout(PATIENCE_S):
                while not sink.counts["lost"]:
                    await asyncio.sleep(0.02)
            for i in range(5, 75):
                await sink.send(beat(i, "trigger"))
                await sink.send(beat(i))
            await asyncio.to_thread(_require_login, broker, tmp_path)
            with Subscriber(broker, "base/#", *login) as subscriber:
                await asyncio.to_thread(broker.wait_for_log, "not authori[sz]ed")
                broker.change("allow_anonymous true")
                await asyncio.to_thread(subscriber.until, heard_last(74))
                await sink.send(beat(75, "trigger"))
                await sink.send(beat(75))
                heard = await asyncio.to_thread(subscriber.until, heard_last(75))
            return heard, dict(sink.counts)

    heard, counts = asyncio.run(go())
    assert [message["id"] for message in on(heard, "base/beat")] == list(range(25, 76))
    assert [message["id"] for message in on(heard, "base/trigger")] == [75]
    assert on(heard, "base/status")[-1]["counts"]["lost"] == 1
    assert counts == {"beats": 76, "triggers": 71, "triggers_dropped": 70, "overflow": 20, "lost": 1, "reconnects": 1}


VICTIM = """
import asyncio, sys
from streamqrs.ports import open_sink
async def go():
    async with open_sink(sys.argv[1]):
        print("up", flush=True)
        await asyncio.sleep(600)
asyncio.run(go())
"""


def test_the_last_will_tells_of_a_killed_process(broker):
    with Subscriber(broker, "base/status") as subscriber:
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, f"{broker.url}/base"], stdout=subprocess.PIPE, text=True
        )
        with victim:
            assert victim.stdout.readline() == "up\n"
            subscriber.until(lambda heard: [m["state"] for *_, m in heard] == ["online"])
            victim.kill()
        heard = subscriber.until(lambda heard: [m["state"] for *_, m in heard] == ["online", "offline"])
    assert heard[-1][4] == {"version": 1, "state": "offline"}
    with Subscriber(broker, "base/status") as newcomer:
        heard = newcomer.until(lambda heard: heard)
    assert heard[0][2:3] + heard[0][4:] == (True, {"version": 1, "state": "offline"})


def test_the_sink_ends_although_the_broker_is_gone(broker):
    async def go():
        async with open_sink(f"{broker.url}/base") as sink:
            await sink.send(STARTED)
            broker.kill()
            for i in range(10):
                await sink.send(beat(i))

    asyncio.run(asyncio.wait_for(go(), PATIENCE_S))


@pytest.mark.parametrize(("options", "message"), [({"store": 0}, "store is 0"), ({"timeout": -1.0}, "timeout is -1 s")])
def test_wrong_settings_of_the_sink(options, message):
    with pytest.raises(ValueError, match=message):
        open_sink("mqtt://host/base", **options)


def test_what_listens_but_is_no_broker():
    async def go():
        writers = []  # kept, or the connections would close
        async with await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0) as server:
            url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(SourceNotFound, match=r"no MQTT broker answers there: tried for 0\.5 s"):
                async with open_source(f"{url}/ecg", timeout=0.5):
                    pass
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5), open_sink(f"{url}/ecg"):
                    pass
            for writer in writers:
                writer.close()

    asyncio.run(go())


def test_opening_can_be_given_up(broker):
    async def go():
        async with open_source(f"{broker.url}/silence"):
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(go(), 0.5))
