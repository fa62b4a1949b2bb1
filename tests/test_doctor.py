"""`streamqrs doctor` against brokers, sources and models that are well, and that are not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streamqrs.models
from streamqrs.cli import checks
from streamqrs.cli.app import main
from streamqrs.cli.doctor import examine, to_text
from streamqrs.cli.source_check import source_check
from streamqrs.errors import MissingExtra
from streamqrs.ports import open_source

COMMAND = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", "doctor"]


def doctor(*args):
    return subprocess.run([*COMMAND, *args], capture_output=True, text=True, timeout=120, check=False)


def ask(broker, login=None, base="lab"):
    """Check a broker as the command does."""
    target = checks.read_broker(f"{broker.url}/{base}", login or {})
    return checks.checked("broker", lambda: checks.broker(target), "advice")


@pytest.mark.lsl
def test_a_machine_that_is_well_is_all_ok_and_exit_code_0():
    done = doctor("--json", "--hop", "12")
    result = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert result["ok"]
    found = {check["name"]: check for check in result["checks"]}
    for name in (
        "python",
        "libraries",
        "extras",
        "liblsl",
        "model base",
        "model mri",
        "timer",
        "headroom",
        "self-test",
    ):
        assert found[name]["ok"], found[name]
        assert not found[name]["advice"]
    assert found["self-test"]["values"]["beats"] >= 4
    assert found["headroom"]["values"]["windows_per_s"] == pytest.approx(250 / 12)
    assert set(found["libraries"]["values"]) >= {"numpy", "scipy", "onnxruntime", "pylsl", "aiomqtt"}


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--broker", "localhost"], "allowed are mqtt://… and mqtts://…"),
        (["--broker", "mqtt://ann:hush-hush@"], "mqtt spec cannot be read"),
        (["--broker", "mqtt://ann:hush-hush@host:port"], "mqtt spec cannot be read"),
        (["--source", "nope"], "unknown source 'nope'"),
        (["--source", "sim:tempo=3"], "tempo"),
        (["--hop", "7"], "gate_hop 7"),
        (["--channel", "3"], "go with --source only"),
        (["--username", "ann"], "go with --broker only"),
        (["--tls-ca", "x.pem", "--broker", "mqtt://host"], "mqtts://… only"),
    ],
    ids=lambda v: "_".join(v) if isinstance(v, list) else "",
)
def test_what_was_typed_wrong_is_one_line_and_exit_code_2(args, text, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["doctor", *args])
    out, err = capsys.readouterr()
    assert caught.value.code == 2
    assert text in " ".join(err.split())
    assert "hush" not in out + err
    assert "OK" not in out


@pytest.mark.broker
def test_a_broker_is_told_by_its_echo(broker):
    check = ask(broker)
    assert "echo p50" in check.said
    assert 0 < check.values["p50_ms"] <= check.values["p95_ms"] <= check.values["max_ms"]


@pytest.mark.broker
def test_a_broker_that_holds_messages_back_is_told_how_to_mend(broker):
    broker.kill()
    # the last line wins: without it small messages are held back by Nagle's algorithm
    broker.start("set_tcp_nodelay false", "allow_anonymous true")
    check = ask(broker)
    assert not check.ok
    assert "set_tcp_nodelay true" in check.advice


@pytest.mark.broker
@pytest.mark.parametrize("allowed", ["read", "write"])
def test_an_access_list_shows_because_the_echo_never_comes(broker, tmp_path, monkeypatch, allowed):
    monkeypatch.setattr("streamqrs.adapters.mqtt_echo.ANSWER_S", 0.5)
    rules = tmp_path / "acl"
    rules.write_text(f"topic {allowed} lab/#\n")
    rules.chmod(0o700)
    broker.kill()
    broker.start("allow_anonymous true", f"acl_file {rules}")
    check = ask(broker)
    assert not check.ok
    assert "no echo from lab/doctor/" in check.said
    assert "access list" in check.said
    rules.write_text("topic readwrite lab/#\n")
    broker.change()
    assert "echo p50" in ask(broker).said


@pytest.mark.broker
def test_a_refused_login_and_a_missing_broker_say_what_to_do(broker, tmp_path):
    (tmp_path / "users").write_text("")
    broker.kill()
    nobody = ask(broker)
    assert not nobody.ok
    assert "Connection refused" in nobody.said
    broker.start("allow_anonymous false", f"password_file {tmp_path / 'users'}")
    refused = ask(broker, {"username": "ann"})
    assert "refused the login" in refused.said
    (result,) = [c for c in examine(broker=checks.read_broker(broker.url, {}), model="nope") if c.name == "broker"]
    assert not result.ok
    assert "allow this user to read and write streamqrs/#" in to_text(result)


def test_a_source_is_told_by_its_rate_and_chunks(tmp_path):
    check = source_check(open_source("sim", speed="4"))
    assert check.ok
    assert check.values["rate"] == 250
    assert check.values["lost"] == 0
    np.savez(tmp_path / "flat.npz", ecg=np.arange(2500) // 1000, rate=250.0)
    flat = source_check(open_source(f"file:{tmp_path / 'flat.npz'}", speed="max"))
    assert not flat.ok
    assert "a flat line" in flat.said
    assert flat.advice


def test_an_altered_model_is_told_and_not_run(tmp_path):
    shipped = Path(streamqrs.models.__file__).parent
    for name in ("base.json", "base.onnx"):
        shutil.copy(shipped / name, tmp_path)
    with (tmp_path / "base.onnx").open("ab") as file:
        file.write(b"\0")
    found = {check.name: check for check in examine(model=str(tmp_path))}
    assert not found[f"model {tmp_path}"].ok
    assert "altered" in found[f"model {tmp_path}"].said
    assert found["model base"].ok
    assert "self-test" not in found


def test_a_missing_library_is_told_with_the_command_that_brings_it():
    def fails():
        raise MissingExtra.of("pyserial", "serial")

    check = checks.checked("serial", fails)
    assert not check.ok
    assert 'pip install "streamqrs[serial]"' in to_text(check)
