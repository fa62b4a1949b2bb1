"""`streamqrs simulate` as a user types it, with those who listen to it."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import uuid

import numpy as np
import pytest

from streamqrs.cli.app import main
from streamqrs.cli.player import Replay, play
from streamqrs.records import read_record
from streamqrs.scanner import VirtualPatient

COMMAND = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", "simulate"]


def simulate(*args):
    return subprocess.run([*COMMAND, *map(str, args)], capture_output=True, text=True, timeout=120, check=False)


def truth(seconds, rate, **options):
    patient = VirtualPatient(rate, **options)
    return patient.read(round(seconds * rate)), patient.take_beats()


class Tape:
    """A device that keeps what it is given."""

    name, chunk_s = "tape", 0.01

    def __init__(self):
        self.parts, self.beats = [], []

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        pass

    async def begin(self, *, wait):
        pass

    async def play(self, start, samples):
        assert start == sum(map(len, self.parts))
        self.parts.append(samples)

    async def tell(self, index, label):
        assert index < sum(map(len, self.parts)), "told before it was played"
        self.beats.append((index, label))


@pytest.mark.parametrize("chunk", [1, 7, 250, 1000])
def test_cutting_into_chunks_changes_nothing(chunk):
    tape = Tape()
    played = asyncio.run(play(VirtualPatient(250.0, 3), tape, duration_s=8, chunk=chunk, speed=1e6))
    samples, beats = truth(8, 250.0, seed=3)
    assert {len(part) for part in tape.parts[:-1]} == {chunk}
    np.testing.assert_array_equal(np.concatenate(tape.parts), samples)
    assert tape.beats == beats
    assert (played.reason, played.samples, played.beats) == ("duration", 2000, len(beats))


def test_a_recording_is_played_to_its_end(tmp_path):
    samples, beats = truth(6, 360.0)
    at = np.array([index for index, _ in beats])
    np.savez(tmp_path / "a.npz", ecg=samples, rate=360.0, beats=at)
    tape = Tape()
    played = asyncio.run(play(Replay(read_record(tmp_path / "a.npz")), tape, speed=1e6))
    np.testing.assert_array_equal(np.concatenate(tape.parts), samples)
    assert tape.beats == [(index, "N") for index in at]
    assert (played.reason, played.signal_s) == ("end of recording", 6.0)


def test_it_stops_when_told():
    async def go():
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, stop.set)
        return await play(VirtualPatient(250.0), Tape(), stop=stop)

    assert asyncio.run(go()).reason == "interrupted"


@pytest.mark.parametrize("name", ["a.hea", "a.csv", "a.npz"])
def test_a_file_holds_the_signal_and_the_truth(tmp_path, name):
    done = simulate(
        "--to", tmp_path / name, "--preset", "3T", "--seed", "5", "--rate", "500", "--duration", "20", "--json"
    )
    assert done.returncode == 0, done.stderr
    samples, beats = truth(20, 500.0, seed=5, preset="3T")
    record = read_record(tmp_path / name)
    assert (record.rate, record.unit) == (500, "mV")
    step = np.ptp(samples) / 60_000  # 16 bits in a WFDB record
    np.testing.assert_allclose(record.samples, samples, rtol=1e-5, atol=2 * step)
    assert record.beats.tolist() == [index for index, _ in beats]
    if name == "a.hea":
        assert list(record.labels) == [label for _, label in beats]
    summary = json.loads(done.stdout)
    assert (summary["samples"], summary["beats"]) == (10_000, len(beats))
    assert {path.suffix for path in tmp_path.iterdir()} <= {".hea", ".dat", ".atr", ".csv", ".npz"}


def test_a_recording_becomes_another_file(tmp_path):
    first = simulate("--to", tmp_path / "a.hea", "--duration", "10")
    assert first.returncode == 0, first.stderr
    second = simulate("--replay", tmp_path / "a.hea", "--to", tmp_path / "b.csv")
    assert second.returncode == 0, second.stderr
    a, b = read_record(tmp_path / "a.hea"), read_record(tmp_path / "b.csv")
    np.testing.assert_allclose(a.samples, b.samples, rtol=1e-4, atol=1e-6)
    assert a.beats.tolist() == b.beats.tolist()


def test_a_file_is_not_replaced_unless_asked(tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    refused = simulate("--to", tmp_path / "a.csv", "--duration", "5")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "--force" in refused.stderr
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert simulate("--to", tmp_path / "a.csv", "--duration", "5", "--force").returncode == 0
    assert len(read_record(tmp_path / "a.csv").samples) == 1250


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--to", "tape:x"], 2, "lsl[:NAME]"),
        (["--to", "ecg.txt"], 2, ".hea"),
        (["--to", "mqtt://localhost"], 2, "topic"),
        (["--to", "no/such/folder/a.csv"], 1, "no folder"),
        (["--to", "a b.hea"], 2, "letters"),
        (["--duration", "0"], 2, "duration"),
        (["--duration", "nan"], 2, "duration"),
        (["--chunk", "-1"], 2, "chunk"),
        (["--speed", "0"], 2, "speed"),
        (["--rate", "0"], 2, "100"),
        (["--rate", "-250"], 2, "100"),
        (["--heart-rate", "500"], 2, "200"),
        (["--preset", "9T"], 2, "7T"),
        (["--seed", "-1"], 2, "seed"),
        (["--lead", "II"], 2, "--replay"),
        (["--replay", "missing.hea"], 1, "missing.hea"),
        (["--replay", "missing.hea", "--preset", "3T"], 2, "--preset"),
    ],
)
def test_bad_input_is_one_line(args, code, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *args])
    message = capsys.readouterr().err
    assert ended.value.code == code
    assert message.count("\n") == 1
    assert said in message


@pytest.mark.parametrize("to", ["mqtt://127.0.0.1:9/ecg", "mqtt://no-such-host.invalid/ecg"])
def test_a_missing_broker_is_one_line(to, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--to", to])
    assert ended.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.lsl
@pytest.mark.parametrize("rate", [250, 1000])
def test_lsl_device_with_its_truth(rate):
    import pylsl

    name = f"device-{uuid.uuid4().hex[:8]}"
    command = [*COMMAND, "--to", f"lsl:{name}", "--wait", "--rate", rate, "--seed", "2", "--duration", "4", "--json"]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as process:
        inlets = []
        for stream in (f"{name}-truth", name):  # the signal begins when it is listened to
            (info,) = pylsl.resolve_byprop("name", stream, timeout=30)
            inlets.append(pylsl.StreamInlet(info, recover=False))
            inlets[-1].open_stream(timeout=30)
        labels, stamps, rows, times = [], [], [], []
        while len(rows) < 4 * rate:
            row, time = inlets[1].pull_sample(timeout=30)
            assert row, f"{len(rows)} samples only"
            rows.append(row[0])
            times.append(time)
        while len(stamps) < len(truth(4, rate, seed=2)[1]):
            label, time = inlets[0].pull_sample(timeout=30)
            assert label, f"{len(stamps)} beats only"
            labels.append(label[0])
            stamps.append(time)
        said = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    samples, beats = truth(4, rate, seed=2)
    np.testing.assert_array_equal(np.float32(rows), samples)
    np.testing.assert_allclose(np.diff(times), 1 / rate, atol=1e-6)
    assert labels == [label for _, label in beats]
    np.testing.assert_allclose(stamps, [times[0] + index / rate for index, _ in beats], atol=1e-6)
    assert (said["reason"], said["samples"], said["beats"]) == ("duration", 4 * rate, len(beats))


@pytest.mark.lsl
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_with_a_summary(name):
    import pylsl

    stream = f"device-{uuid.uuid4().hex[:8]}"
    with subprocess.Popen([*COMMAND, "--to", f"lsl:{stream}"], stderr=subprocess.PIPE, text=True) as process:
        assert pylsl.resolve_byprop("name", stream, timeout=30)
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said.startswith("ended: interrupted")
    assert said.count("\n") == 1


@pytest.mark.broker
def test_mqtt_device_with_its_truth(broker):
    listener = shutil.which("mosquitto_sub") or pytest.skip("mosquitto_sub is not installed")
    listen = [listener, "-h", "127.0.0.1", "-p", str(broker.port), "-v", "-t", "ward/bed1/#"]
    with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as subscriber:
        broker.wait_for_log("Sending SUBACK")
        done = simulate("--to", f"{broker.url}/ward/bed1", "--seed", "2", "--duration", "4")
        assert done.returncode == 0, done.stderr
        done = simulate("--to", f"{broker.url}/ward/bed1/end", "--duration", "0.01")
        lines = []
        for line in subscriber.stdout:
            if line.startswith("ward/bed1/end"):
                break
            lines.append(line.split(" ", 1))
        subscriber.terminate()
    packets = [json.loads(text) for topic, text in lines if topic == "ward/bed1"]
    told = [json.loads(text) for topic, text in lines if topic == "ward/bed1/truth"]
    samples, beats = truth(4, 250.0, seed=2)
    assert [packet["seq"] for packet in packets] == list(range(len(packets)))
    np.testing.assert_array_equal(np.float32([v for packet in packets for v in packet["samples"]]), samples)
    began = packets[0]["t"]
    counts = np.cumsum([0, *(len(packet["samples"]) for packet in packets[:-1])])
    np.testing.assert_allclose([packet["t"] for packet in packets], began + counts / 250, atol=2e-6)
    assert [(one["index"], one["label"]) for one in told] == beats
    np.testing.assert_allclose([one["time"] for one in told], began + np.array([i for i, _ in beats]) / 250, atol=2e-6)
