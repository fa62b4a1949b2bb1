"""Broker: a mosquitto of our own on a free port of this machine, for as long as it is needed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamqrs.errors import SinkError

PATIENCE_S = 10.0


@contextmanager
def own_broker() -> Iterator[tuple[str, int]]:
    """Start mosquitto and yield its host and port; it is ended on the way out.

    Raises
    ------
    SinkError
        If mosquitto is not installed, or does not listen.
    """
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if not program:
        raise SinkError("mosquitto is not installed: install it, or name a broker that runs (--broker host:port)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="streamqrs-broker-") as folder:
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true", "log_dest none"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # else it becomes another user
            lines.insert(0, "user root")
        config = Path(folder) / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        process = subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await(process, port)
            yield "127.0.0.1", port
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SinkError(f"mosquitto does not listen on port {port}")
