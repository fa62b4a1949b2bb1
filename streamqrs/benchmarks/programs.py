"""Programs: processes that a benchmark starts, what they say, and what they cost."""

from __future__ import annotations

import json
import math
import os
import queue
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamqrs.errors import StreamqrsError

PATIENCE_S = 40.0
PROBES, PROBE_S = 200, 0.01

Line = dict[str, Any]


class Hearing:
    """Lines of the listener, collected as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._lines = process, list[Line]()
        self._new: queue.Queue[Line] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for text in self._process.stdout or ():
            line = json.loads(text)
            self._lines.append(line)
            self._new.put(line)

    def wait(self, origin: str, name: str, needed: tuple[subprocess.Popen[str], ...] = ()) -> None:
        """Wait until something is heard, as long as the programs that are needed for it run."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for process in (self._process, *needed):
                if process.poll() is not None:
                    raise StreamqrsError(f"nothing was heard of {name} before a program ended: {last_words(process)}")
            try:
                line = self._new.get(timeout=0.2)
            except queue.Empty:
                continue
            if (line["from"], line["name"]) == (origin, name):
                return
        raise StreamqrsError(f"nothing was heard of {name} within {PATIENCE_S:g} s")

    def end(self) -> list[Line]:
        """End the listener, and return all that it heard."""
        if self._process.stdin:
            self._process.stdin.close()
        self._reader.join(PATIENCE_S)
        return self._lines


@contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a program; it is ended on the way out, if it has not ended by then."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[str], timeout_s: float, what: str) -> str:
    """Wait for the end of a program, and return what it printed."""
    try:
        said, complained = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise StreamqrsError(f"{what} did not end within {timeout_s:g} s") from error
    if process.returncode != 0:
        raise StreamqrsError(f"{what}: {(complained.strip() or 'ended').splitlines()[-1]}")
    return said


def last_words(process: subprocess.Popen[str]) -> str:
    """Last line that a program complained with."""
    said = process.stderr.read().strip().splitlines() if process.stderr else []
    return said[-1] if said else f"a program ended with code {process.returncode}"


def lsl_session(folder: Path) -> Path:
    """A session of its own: no stream of the lab is seen, and none of ours is seen there."""
    file = folder / "lsl_api.cfg"
    file.write_text(f"[lab]\nSessionID={uuid.uuid4().hex}\nKnownPeers={{127.0.0.1}}\n[log]\nlevel=-3\n")
    return file


def probe(host: str, port: int, topic: str) -> None:
    """Publish messages that hold the time of their leaving."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(host, port)
    connection: Any = client.socket()
    if connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.loop_start()
    time.sleep(0.3)
    for _ in range(PROBES):
        client.publish(topic, repr(time.monotonic()), qos=0)
        time.sleep(PROBE_S)
    client.loop_stop()
    client.disconnect()


def cpu_s(pid: int) -> float:
    """CPU time of a process so far in s; NaN where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
