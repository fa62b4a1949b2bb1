"""What an MQTT broker and the way to it can do to a run: a real mosquitto, and a proxy that cuts, stalls and slows."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from streamqrs.ports import open_sink, open_source
from streamqrs.types import Beat, Chunk, Problem, SourceInfo, Started

pytestmark = pytest.mark.broker

PATIENCE_S = 60.0
STREAMQRS = [sys.executable, "-c", "from streamqrs.cli.app import main; main()"]
STARTED = Started(SourceInfo("sim", "II", "mV", "unix"), 250.0, "base", "ab" * 32, 500.0)


class Proxy:
    """`proxy.py` in another process, in front of a broker."""

    def __init__(self, broker):
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("proxy.py"), str(broker.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = f"mqtt://127.0.0.1:{int(self._process.stdout.readline())}"

    def __call__(self, words):
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "set\n"

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def proxy(broker):
    made = Proxy(broker)
    yield made
    made.close()


class Listener:
    """mosquitto_sub, straight at the broker: (topic, message) as they came."""

    def __init__(self, broker, topic):
        program = shutil.which("mosquitto_sub") or pytest.skip("mosquitto_sub is not installed")
        name = f"listener-{uuid.uuid4().hex[:8]}"
        self._process = subprocess.Popen(
            [program, "-p", str(broker.port), "-t", topic, "-F", "%t\t%p", "-q", "1", "-i", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.heard = []
        self._changed = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()
        broker.wait_for_log(rf"{name} \d ")

    def _listen(self):
        for line in self._process.stdout:
            topic, payload = line.rstrip("\n").split("\t", 1)
            with self._changed:
                self.heard.append((topic, json.loads(payload)))
                self._changed.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def on(self, topic):
        return [message for at, message in list(self.heard) if at == topic]

    async def until(self, condition):
        """Wait until a condition holds."""

        def wait():
            with self._changed:
                assert self._changed.wait_for(condition, PATIENCE_S), f"heard only {self.heard[-5:]}"

        await asyncio.to_thread(wait)


def beat(i, kind="beat"):
    return Beat(i, kind, 200 * i, 1.79e9 + 0.8 * i, 0.9, 0.8, 1.79e9 + 0.8 * i + 0.4)


def once(messages):
    """Pass over what does not raise `seq`: the rule for a receiver."""
    kept = []
    for message in messages:
        if not kept or message["seq"] > kept[-1]["seq"]:
            kept.append(message)
    return kept


async def heartbeat(sink, beats, pause_s=0.1):
    """Send so many beats, each after its trigger."""
    for i in beats:
        await sink.send(beat(i, "trigger"))
        await sink.send(beat(i))
        await asyncio.sleep(pause_s)


async def reached(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


def ids(messages):
    return [message["id"] for message in messages]


@pytest.mark.slow
def test_a_half_open_link_is_found_and_its_beats_follow_once_and_in_order(broker, proxy, measured):
    """Nothing passes and nothing is closed; later the old connection is gone for good."""

    async def go():
        async with open_sink(f"{proxy.url}/base") as sink:
            await sink.send(STARTED)
            await heartbeat(sink, range(5))
            await listener.until(lambda: len(listener.on("base/beat")) == 5)
            proxy("hold")
            began = time.monotonic()
            done, i = asyncio.create_task(reached(lambda: sink.counts["lost"])), 5
            while not done.done():
                await heartbeat(sink, [i])
                i += 1
            await done
            measured("half-open link found after, s", round(time.monotonic() - began, 1))
            proxy("cut")
            proxy("pass")
            await listener.until(lambda: len(listener.on("base/beat")) >= i)
            await heartbeat(sink, [i])
            await listener.until(lambda: ids(listener.on("base/beat"))[-1] == i)
            return i, dict(sink.counts)

    with Listener(broker, "base/#") as listener:
        last, counts = asyncio.run(go())
        assert ids(listener.on("base/beat")) == list(range(last + 1))
        # whatever was fired into the dead link is lost with it
        assert ids(listener.on("base/trigger")) == [0, 1, 2, 3, 4, last]
        assert counts["lost"] == 1
        assert counts["triggers_dropped"] >= last - 5 - 10


def test_a_stall_delays_beats_and_lets_through_none_but_the_first_triggers(broker, proxy, measured):
    async def go():
        async with open_sink(f"{proxy.url}/base") as sink:
            await heartbeat(sink, range(5))
            await listener.until(lambda: len(listener.on("base/beat")) == 5)
            proxy("hold")
            await heartbeat(sink, range(5, 25))
            proxy("pass")
            await listener.until(lambda: len(listener.on("base/beat")) == 25)
            await reached(lambda: not sink._is_jammed() or sink.counts["lost"])
            await heartbeat(sink, range(25, 35))
            await listener.until(lambda: len(listener.on("base/beat")) == 35)
            return dict(sink.counts)

    with Listener(broker, "base/#") as listener:
        counts = asyncio.run(go())
        assert ids(listener.on("base/beat")) == list(range(35))
        fired = ids(listener.on("base/trigger"))
        late = [i for i in fired if 5 <= i < 25]
        measured("triggers sent into a stall of 2 s, of 20", len(late))
        assert late == list(range(5, 5 + len(late)))
        assert len(late) <= 8  # within 0.5 s, at one in 0.1 s, and the beat that shows it
        assert counts["triggers_dropped"] + len(fired) == 35
        assert counts.get("lost", 0) == 0


def test_a_slow_broker_gets_every_beat_in_order_and_no_late_trigger(broker, proxy, measured):
    async def go():
        async with open_sink(f"{proxy.url}/base") as sink:
            proxy("slow 0.5")
            await sink.send(STARTED)
            await reached(lambda: sink._is_jammed())
            began = time.monotonic()
            await heartbeat(sink, range(30))
            await listener.until(lambda: len(listener.on("base/beat")) == 30)
            measured("30 beats in 3 s past a proxy of 500 ms a packet took, s", round(time.monotonic() - began, 1))
            proxy("pass")
            return dict(sink.counts)

    with Listener(broker, "base/#") as listener:
        counts = asyncio.run(go())
        assert ids(listener.on("base/beat")) == list(range(30))
        assert listener.on("base/trigger") == []
        assert counts == {"beats": 30, "triggers": 30, "triggers_dropped": 30}


def test_a_beat_whose_receipt_is_lost_comes_twice_and_the_rule_makes_it_once(broker, proxy):
    async def go():
        async with open_sink(f"{proxy.url}/base") as sink:
            await heartbeat(sink, range(3))
            await listener.until(lambda: len(listener.on("base/beat")) == 3)
            proxy("mute")
            await heartbeat(sink, range(3, 6))
            await listener.until(lambda: ids(listener.on("base/beat"))[-1] >= 3)
            proxy("cut")
            await reached(lambda: sink.counts["lost"])
            proxy("pass")
            await listener.until(lambda: ids(listener.on("base/beat"))[-1] == 5)

    with Listener(broker, "base/beat") as listener:
        asyncio.run(go())
        beats = listener.on("base/beat")
        assert ids(once(beats)) == list(range(6))
        assert len(beats) > 6
        by_seq = {message["seq"]: message for message in beats}
        assert all(message == by_seq[message["seq"]] for message in beats)


def test_the_store_is_bounded_by_its_setting_and_overflow_is_counted(broker, proxy):
    async def go():
        async with open_sink(f"{proxy.url}/base", store=10) as sink:
            proxy("cut")
            await reached(lambda: sink.counts["lost"])
            await heartbeat(sink, range(25), pause_s=0)
            proxy("pass")
            await listener.until(lambda: len(listener.on("base/beat")) == 10)
            return dict(sink.counts)

    with Listener(broker, "base/beat") as listener:
        counts = asyncio.run(go())
        assert ids(listener.on("base/beat")) == list(range(15, 25))
        assert counts["overflow"] == 15


def test_the_status_comes_regularly_and_carries_the_counts(broker, monkeypatch):
    monkeypatch.setattr("streamqrs.adapters.mqtt_sink.TELL_S", 0.1)

    async def go():
        async with open_sink(f"{broker.url}/base") as sink:
            await heartbeat(sink, range(2))
            await listener.until(lambda: [m for m in states() if m["counts"] == {"beats": 2, "triggers": 2}][2:])

    def states():
        return [message for message in listener.on("base/status") if "counts" in message]

    with Listener(broker, "base/status") as listener:
        asyncio.run(go())
        asyncio.run(listener.until(lambda: states()[-1]["state"] == "offline"))  # it may be on its way still


def test_a_source_behind_a_cut_says_so_and_goes_on_with_a_jump(broker, proxy):
    """Packets with a running number: what the cut swallowed is a jump of the count, to the sample."""
    program = shutil.which("mosquitto_pub") or pytest.skip("mosquitto_pub is not installed")

    def publish(i):
        message = json.dumps({"samples": [i] * 10, "seq": i, "fs": 250})
        subprocess.run([program, "-p", str(broker.port), "-t", "ecg", "-m", message], check=True)

    async def go():
        chunks, problems = [], []

        async def listen():
            async for item in source:
                (chunks if isinstance(item, Chunk) else problems).append(item)

        async def send_first():
            await asyncio.to_thread(broker.wait_for_log, r"streamqrs-\w+ 0 ecg")
            await asyncio.to_thread(publish, 0)

        first = asyncio.create_task(send_first())
        async with open_source(f"{proxy.url}/ecg") as source:
            await first
            listening = asyncio.create_task(listen())
            await reached(lambda: chunks)
            proxy("cut")
            await reached(lambda: problems)
            await asyncio.to_thread(publish, 1)
            proxy("pass")
            await asyncio.to_thread(broker.wait_for_log, r"streamqrs-\w+ 0 ecg", 2)
            for i in range(2, 7):  # a few more: the missing one might only be late
                await asyncio.to_thread(publish, i)
            await reached(lambda: len(chunks) == 6)
            listening.cancel()
            return chunks, problems, source.counts

    chunks, problems, counts = asyncio.run(go())
    assert [(chunk.start, int(chunk.samples[0])) for chunk in chunks] == [(0, 0), *((10 * i, i) for i in range(2, 7))]
    assert all(isinstance(problem, Problem) for problem in problems)
    assert "connection lost" in problems[0].message
    assert counts["reconnects"] == 1
    assert counts["lost"] == 10


def test_a_run_goes_on_through_a_cut_and_says_what_it_cost(broker, proxy, tmp_path, measured):
    """The whole program: what its file holds is what the broker got, but for the triggers of the outage."""
    path = tmp_path / "run.jsonl"
    sinks = ["--sink", f"{proxy.url}/base", "--sink", f"jsonl:{path}"]

    def events(what):
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [e for e in map(json.loads, [line for line in lines if line.endswith("\n")]) if e["event"] == what]

    def triggers():
        return [event for event in events("beat") if event["kind"] == "trigger"]

    async def go():
        await listener.until(lambda: listener.on("base/trigger"))
        proxy("cut")
        await reached(lambda: events("problem"))
        during = len(triggers())
        await reached(lambda: len(triggers()) > during + 3)
        proxy("pass")
        await reached(lambda: len(events("problem")) == 2)
        last = events("beat")[-1]["id"]
        await listener.until(lambda: listener.on("base/trigger")[-1]["id"] > last)

    with Listener(broker, "base/#") as listener:
        process = subprocess.Popen(
            # a deadline that a busy machine keeps, too
            [*STREAMQRS, "run", "--gate", "--deadline", "5000", "--json", *sinks],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            asyncio.run(go())
            process.terminate()
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, err
        asyncio.run(listener.until(lambda: listener.on("base/status")[-1]["state"] == "offline"))
    lost, back = (event["message"] for event in events("problem"))
    assert "connection lost" in lost
    assert "connected again after" in back
    said = [(e["id"], e["kind"]) for e in events("beat") if e["kind"] != "trigger"]
    assert [(m["id"], m["kind"]) for m in listener.on("base/beat")] == said
    everything = [json.loads(line) for line in path.read_text().splitlines()]
    cut, mended = (k for k, e in enumerate(everything) if e["event"] == "problem")
    fired = {e["id"] for e in everything[cut:mended] if e.get("kind") == "trigger"}
    assert len(fired) >= 2
    late = fired & set(ids(listener.on("base/trigger")))
    assert len(late) <= 1  # at most one that was just fired when the cut was mended
    dropped = listener.on("base/status")[-2]["counts"]["triggers_dropped"]
    measured("triggers of an outage of the broker that were dropped", dropped)
    assert dropped >= len(fired - late)
    assert f"{dropped} triggers were dropped" in back
    assert json.loads(out)["undelivered"] >= dropped


def test_a_run_that_cannot_deliver_its_beats_at_the_end_is_no_success(broker, proxy, tmp_path):
    path = tmp_path / "run.jsonl"
    command = [*STREAMQRS, "run", "--sink", f"{proxy.url}/base", "--sink", f"jsonl:{path}", "--json"]

    def is_beat_after_the_cut():
        text = path.read_text() if path.exists() else ""
        return '"event": "beat"' in text.partition('"event": "problem"')[2]

    with Listener(broker, "base/#") as listener:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            asyncio.run(listener.until(lambda: listener.on("base/beat")))
            proxy("cut")
            asyncio.run(reached(is_beat_after_the_cut))
            process.terminate()
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
    summary = json.loads(out)
    assert process.returncode == 1, err
    assert summary["undelivered"] >= 1
    assert "no connection at the end" in summary["failed"][0]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"])
def test_a_process_that_ends_flushes_its_beats_and_says_offline(broker, name):
    with Listener(broker, "base/#") as listener:
        command = [*STREAMQRS, "run", "--sink", f"{broker.url}/base", "--sink", "jsonl:-"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        asyncio.run(listener.until(lambda: listener.on("base/beat")))
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=60)
        asyncio.run(listener.until(lambda: listener.on("base/status")[-1]["state"] == "offline"))
        killed = name == "SIGKILL"
        assert process.returncode == (-signal.SIGKILL if killed else 0), err
        if not killed:
            events = [json.loads(line) for line in out.splitlines()]
            confirmed = [event["id"] for event in events if event["event"] == "beat" and event["kind"] != "trigger"]
            assert ids(listener.on("base/beat")) == confirmed
            assert events[-1]["event"] == "stopped"
