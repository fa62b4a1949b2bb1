"""`streamqrs run` as a user types it, right and wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import streamqrs.models

COMMAND = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", "run"]


def run(*args, timeout=120, **options):
    return subprocess.run([*COMMAND, *args], capture_output=True, text=True, timeout=timeout, check=False, **options)


def test_the_default_is_the_virtual_patient_on_the_console():
    done = run("--duration", "6")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("started")
    assert lines[-1].startswith("stopped")
    assert sum(line.startswith("beat") for line in lines) >= 4
    assert "\x1b" not in done.stdout  # no colour when not a terminal
    assert "ended: duration; 6.0 s of signal" in done.stderr
    assert "model 'mri'" in done.stderr or "mri" in lines[0]


def test_beats_of_a_file_as_json_lines(tmp_path):
    from streamqrs.scanner import VirtualPatient

    patient = VirtualPatient(rate=360.0, seed=2)
    np.savez(tmp_path / "ecg.npz", ecg=patient.read(360 * 30), rate=360.0)
    truth = np.array([index for index, _ in patient.take_beats()]) / 360
    done = run(
        "--source",
        f"file:{tmp_path / 'ecg.npz'}",
        "--speed",
        "max",
        "--sink",
        "jsonl:-",
        "--sink",
        f"jsonl:{tmp_path / 'out.jsonl'}",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "out.jsonl").read_text()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    times = [e["time"] for e in events if e["event"] == "beat"]
    np.testing.assert_allclose(times, truth, atol=0.02)


def test_the_summary_as_json():
    done = run("--source", "sim", "--speed", "max", "--duration", "60", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["signal_s"] == pytest.approx(60, abs=0.1)
    assert summary["beats"] > 50
    assert summary["known_ms"]["p95"] < 1000


def test_the_gate_says_what_it_costs_and_what_it_did():
    done = run("--gate", "--realtime", "--source", "sim:rate=500,seconds=10,speed=max", "--json", "--sink", "jsonl:-")
    assert done.returncode == 0, done.stderr
    *events, summary = [json.loads(line) for line in done.stdout.splitlines()]
    lines = done.stderr.splitlines()
    assert sum(line.startswith("realtime: ") for line in lines) == 3
    (line,) = [line for line in lines if line.startswith("gate: ")]
    assert "resampler 5." in line
    assert "never later than 100 ms after R" in line
    assert summary["triggers"] == sum(e.get("kind") == "trigger" for e in events) > 4
    assert summary["trigger_known_ms"]["count"] == summary["triggers"]
    assert summary["late"] == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_it_with_a_summary(name):
    process = subprocess.Popen([*COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert lines[1].startswith("beat")
    assert out.splitlines()[-1].startswith("stopped")
    assert "ended: interrupted" in err


@pytest.mark.lsl
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
def test_a_signal_ends_it_while_it_looks_for_its_source():
    process = subprocess.Popen(
        [*COMMAND, "--source", "lsl:no-such-stream", "--timeout", "600"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def listens():
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        return int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1

    while not listens():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.strip() == "streamqrs: interrupted before it began"
    assert not out


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["--source", "nope"], 2, "unknown source 'nope': allowed are brainflow, file, lsl, mqtt"),
        (["--sink", "nope"], 2, "unknown sink 'nope'"),
        (["--source", "sim", "--payload", "json"], 2, "takes no option payload"),
        (["--source", "sim:tempo=3"], 2, "tempo"),
        (["--source", "sim", "--rate", "0"], 2, "0 Hz"),
        (["--source", "sim", "--rate", "-250"], 2, "-250 Hz"),
        (["--duration", "0"], 2, "duration is 0 s"),
        (["--duration", "soon"], 2, "valid number"),
        (["--align", "60"], 2, "--align given without --gate"),
        (["--deadline", "60", "--gate-hop", "2"], 2, "--gate-hop, --deadline given without --gate"),
        (["--gate", "--align", "-1"], 2, "align is -1 ms: allowed are 0 to the deadline"),
        (["--gate", "--align", "120", "--deadline", "100"], 2, "align is 120 ms"),
        (["--gate", "--gate-depth", "30", "--align", "60"], 2, "align is 60 ms: allowed are 72.0 ms or more"),
        (["--gate", "--deadline", "0"], 2, "deadline is 0 ms"),
        (["--gate", "--gate-depth", "999"], 2, "gate_depth is 999"),
        (["--gate", "--gate-hop", "7"], 2, "hop is 144, gate_hop 7"),
        (["--sink", "serial:/dev/nowhere"], 2, "waits for triggers, and without --gate there are none"),
        (["--sink", "serial:/dev/nowhere", "--gate"], 1, "/dev/nowhere cannot be opened"),
        (["--tls-ca", "x.pem"], 2, "neither source nor sink is mqtts://"),
        (["--tls-ca", "x.pem", "--sink", "mqtt://127.0.0.1/x"], 2, "neither source nor sink is mqtts://"),
        (["--source", "mqttx://user:secret@host/x"], 2, "unknown source 'mqttx'"),
        (["--model", "nope"], 1, "no model 'nope': allowed are base, mri"),
        (["--source", "file:/no/such/file.csv"], 1, "/no/such/file.csv"),
        (["--sink", "jsonl:/no/such/folder/out.jsonl", "--duration", "5"], 1, "/no/such/folder"),
        (["--source", "mqtt://127.0.0.1:1/ecg"], 1, "127.0.0.1:1"),
        (["--sink", "mqtt://127.0.0.1:1/base", "--duration", "5"], 1, "127.0.0.1:1"),
    ],
    ids=lambda v: "_".join(v) if isinstance(v, list) else "",
)
def test_bad_input_is_one_line_and_an_exit_code(args, code, text):
    done = run(*args, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert text in last, done.stderr
    assert "secret" not in done.stderr


def test_an_altered_model_is_refused(tmp_path):
    shipped = Path(streamqrs.models.__file__).parent
    for name in ("base.json", "base.onnx"):
        shutil.copy(shipped / name, tmp_path)
    with (tmp_path / "base.onnx").open("ab") as file:
        file.write(b"\0")
    done = run("--model", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "altered" in done.stderr


@pytest.mark.parametrize("value", ["nan", "5.0"])
def test_a_file_without_a_heart_is_not_worked_on(tmp_path, value):
    (tmp_path / "ecg.csv").write_text("# rate: 250\n" + f"{value}\n" * 5000)
    done = run("--source", f"file:{tmp_path / 'ecg.csv'}", "--speed", "max", "--sink", "jsonl:-")
    assert "Traceback" not in done.stderr
    if value == "nan":
        assert done.returncode == 1
    assert '"event": "beat"' not in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_said_and_the_other_sink_goes_on():
    done = run(
        "--source", "sim", "--speed", "max", "--duration", "20", "--sink", "jsonl:/dev/full", "--sink", "jsonl:-"
    )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert sum('"event": "beat"' in line or '"event":"beat"' in line for line in done.stdout.splitlines()) > 15
