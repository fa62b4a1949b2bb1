"""What a stranger could want: secrets from the process list or the logs, files by way of a model, a port from afar."""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamqrs.adapters.metrics import MetricsServer
from streamqrs.adapters.payload import LIMIT, parse
from streamqrs.cli.secrets import warn_of_passwords
from streamqrs.errors import BadModel, BadSignal
from streamqrs.model import MAX_NETWORK_BYTES, MAX_SIDECAR_BYTES, load
from streamqrs.ports import open_sink, open_source
from streamqrs.summary import Summary

STREAMQRS = [sys.executable, "-c", "from streamqrs.cli.app import main; main()"]
SECRET = "hush-hush-4711"


def require_login(broker, folder):
    """Let in ann with the secret, and nobody else."""
    salt = os.urandom(12)
    hashed = hashlib.pbkdf2_hmac("sha512", SECRET.encode(), salt, 101, 64)
    entry = f"ann:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}\n"
    (folder / "users").write_text(entry)
    (folder / "users").chmod(0o700)
    broker.kill()
    broker.start("allow_anonymous false", f"password_file {folder / 'users'}")


@pytest.mark.broker
@pytest.mark.parametrize("way", ["environment", "file"])
def test_a_secret_is_in_no_process_list_log_status_or_output(broker, tmp_path, way):
    require_login(broker, tmp_path)
    command = [
        *STREAMQRS,
        "run",
        "--sink",
        f"mqtt://ann@127.0.0.1:{broker.port}/base",
        "--log-json",
        "--sink",
        "jsonl:-",
    ]
    environment = os.environ.copy()
    if way == "file":
        (tmp_path / "secret").write_text(SECRET + "\n")
        command += ["--password-file", str(tmp_path / "secret")]
    else:
        environment["STREAMQRS_MQTT_PASSWORD"] = SECRET
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        broker.wait_for_log(r"PUBLISH from streamqrs-\w+ .*base/beat")
        listed = Path(f"/proc/{process.pid}/cmdline")
        shown = listed.read_bytes().decode() if listed.exists() else ""
        program = shutil.which("mosquitto_sub") or pytest.skip("mosquitto_sub is not installed")
        status = subprocess.run(
            [program, "-p", str(broker.port), "-u", "ann", "-P", SECRET, "-t", "base/#", "-C", "2", "-W", "30"],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
    finally:
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert '"state":"online"' in status
    for text in (shown, status, out, err):
        assert SECRET not in text


@pytest.mark.broker
def test_errors_and_reprs_do_not_repeat_a_password(broker, tmp_path, capsys):
    require_login(broker, tmp_path)
    spec = f"mqtt://ann:wrong-{SECRET}@127.0.0.1:{broker.port}/base"
    done = subprocess.run([*STREAMQRS, "run", "--sink", spec], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "refused the login" in done.stderr
    assert "process list" in done.stderr
    for part in (open_source(spec), open_sink(spec)):
        assert SECRET not in f"{part!r} {part.name} {vars(part)}"
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("spec", "warned"),
    [
        ("mqtt://ann:pw@host/x", True),
        ("mqtts://ann:pw@host/x", True),
        ("mqtt://ann@host/x", False),
        ("lsl:a:b@c", False),
    ],
)
def test_a_password_in_the_command_is_warned_of(capsys, spec, warned):
    warn_of_passwords(None, spec)
    said = capsys.readouterr().err
    assert bool(said) == warned
    assert "pw" not in said.replace("password", "")


def package(folder, network, **changes):
    (folder / "m.onnx").write_bytes(network)
    digest = hashlib.sha256(network).hexdigest()
    sidecar = {"format": 1, "name": "m", "version": "1", "onnx": "m.onnx", "sha256": digest} | changes
    (folder / "m.json").write_text(json.dumps(sidecar))
    return folder


@pytest.mark.parametrize("key", ["onnx", "weights"])
@pytest.mark.parametrize(
    "path", ["../m.onnx", "/etc/passwd", "a/b.onnx", "..", ".", "", "a\\..\\b", "file:x", "m.onnx\0x", "-rf", 7, None]
)
def test_a_sidecar_names_files_of_its_own_folder_only(tmp_path, key, path):
    with pytest.raises(BadModel):
        load(package(tmp_path, b"x", **{key: path}))


def test_an_alias_cannot_leave_the_folder_either(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps({"format": 1, "name": "m", "alias": "../../m"}))
    with pytest.raises(BadModel, match="plain name"):
        load(tmp_path)


@pytest.mark.parametrize("place", ["/etc/passwd", "../../../../../../../../etc/passwd", "beside.bin"])
def test_a_network_cannot_bring_in_other_files(tmp_path, monkeypatch, capfd, place):
    onnx = pytest.importorskip("onnx")
    weights = onnx.TensorProto(name="w", data_type=1, dims=[2, 1, 1], data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", place), ("length", "8")):
        weights.external_data.add(key=key, value=value)
    ends = [onnx.helper.make_tensor_value_info(name, 1, ["b", n, 750]) for name, n in (("x", 1), ("y", 2))]
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weights])
    network = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "beside.bin").write_bytes(bytes(8))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadModel, match="not a network"):
        load(package(tmp_path, network.SerializeToString()))


def test_a_pickle_is_no_model(tmp_path):
    """A file that would run a command if it were unpickled."""
    trap = tmp_path / "trapped"
    pickle = b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR."
    with pytest.raises(BadModel):
        load(package(tmp_path, pickle))
    np.savez(tmp_path / "ok.npz", ecg=np.zeros(3000), rate=250.0)
    (tmp_path / "bad.npz").write_bytes(pickle)
    from streamqrs.errors import StreamqrsError
    from streamqrs.records import read_record

    with pytest.raises(StreamqrsError):
        read_record(tmp_path / "bad.npz")
    assert not trap.exists()


def test_what_is_too_large_is_not_read(tmp_path):
    with pytest.raises(BadSignal, match=f"allowed are up to {LIMIT}"):
        parse(bytes(LIMIT + 1), "auto")
    package(tmp_path, b"x")
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(MAX_NETWORK_BYTES + 1)  # a hole: no disk is used
    with pytest.raises(BadModel, match=f"allowed are {MAX_NETWORK_BYTES}"):
        load(tmp_path)
    with (tmp_path / "m.json").open("wb") as file:
        file.truncate(MAX_SIDECAR_BYTES + 1)
    with pytest.raises(BadModel, match=f"allowed are {MAX_SIDECAR_BYTES}"):
        load(tmp_path)


def test_a_listener_is_heard_on_this_machine_only():
    async def go():
        async with MetricsServer(Summary(), "0") as server:
            return await asyncio.to_thread(listening, int(server.url.rsplit(":", 1)[1].split("/")[0]))

    def listening(port):
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return [line.split()[1] for line in lines if int(line.split()[1].split(":")[1], 16) == port]

    if not Path("/proc/net/tcp").exists():
        pytest.skip("no /proc/net/tcp")
    assert {address.split(":")[0] for address in asyncio.run(go())} == {"0100007F"}
