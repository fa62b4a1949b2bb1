"""Real parts for the tests: a broker on a free port, the folder with recordings."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import hypothesis
import pytest

PATIENCE_S = 30.0

LONG = (
    "test_faults_lsl",
    "test_training_transfer",
    "test_cli_dataset",
    "test_cli_bench",
    "test_packaging",
    "test_cli_evaluate",
    "test_training_pretrain",
    "test_faults_mqtt",
    "test_cli_finetune",
    "test_end_to_end",
    "test_examples",
    "test_detector",
)
"""Files that take a minute and more, the longest first: begun last, they would be waited for by one worker alone."""


def pytest_configure(config):
    """Give LSL a session of its own, here and in the processes that tests start; and no test a time limit of its own.

    No foreign stream is seen then, and a busy machine fails no test.
    """
    hypothesis.settings.register_profile("no clock", deadline=None)
    hypothesis.settings.load_profile("no clock")
    folder = tempfile.TemporaryDirectory(prefix="streamqrs-lsl-")
    config.add_cleanup(folder.cleanup)
    file = Path(folder.name) / "lsl_api.cfg"
    file.write_text(
        f"[lab]\nSessionID={uuid.uuid4().hex}\nKnownPeers={{127.0.0.1}}\n[log]\nlevel=-3\n"
        "[tuning]\nContinuousResolveInterval=0.1\nMulticastMinRTT=0.1\nUnicastMinRTT=0.1\n"
    )
    os.environ["LSLAPICFG"] = str(file)  # liblsl reads it once, at its first call


def pytest_collection_modifyitems(items):
    """Begin with the tests that take longest."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def until(condition, what, timeout_s=PATIENCE_S):
    """Wait until `condition()` is true and return it; fail with `what` after a generous time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)
    return value


class Broker:
    """A mosquitto of our own on 127.0.0.1; it can be killed and started again on the same port."""

    def __init__(self, program, folder):
        self._program, self._folder = program, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process = None
        self._settings = ["allow_anonymous true"]

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def log(self):
        path = self._folder / "mosquitto.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, *settings):
        """Start with these lines of configuration, or those of last time."""
        self._configure(settings)
        self._process = subprocess.Popen(
            [self._program, "-c", self._folder / "mosquitto.conf"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._listens, f"mosquitto to listen: {self.log[-300:]}")
        return self

    def change(self, *settings):
        """Change lines of configuration while it runs."""
        self._configure(settings)
        self._process.send_signal(signal.SIGHUP)

    def _configure(self, settings):
        self._settings = list(settings) or self._settings
        config = self._folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "set_tcp_nodelay true",
            f"log_dest file {self._folder / 'mosquitto.log'}",
            "log_type all",
            *self._settings,
        ]
        if os.geteuid() == 0:  # else it becomes another user, who may not read the test's files
            lines.insert(0, "user root")
        config.write_text("\n".join(lines) + "\n")

    def kill(self):
        if self._process:
            self._process.kill()
            self._process.wait()

    def wait_for_log(self, pattern, times=1):
        """Wait until the log has `times` matches of a pattern."""
        until(lambda: len(re.findall(pattern, self.log)) >= times, f"{times} × {pattern!r} in the broker's log")

    def _listens(self):
        assert self._process.poll() is None, f"mosquitto ended: {self.log[-300:]}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def broker_program():
    """Path of mosquitto."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if not program:
        pytest.skip("mosquitto is not installed")
    return program


@pytest.fixture
def broker(broker_program, tmp_path):
    """A running mosquitto that lets everybody in; `broker.url` is how to reach it."""
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(broker_program, folder)
    try:
        yield broker.start()
    finally:
        broker.kill()


@pytest.fixture
def measured(request):
    """Note a figure: a line of JSON in the file that STREAMQRS_MEASURED names, if it names one."""

    def note(what, value):
        if path := os.environ.get("STREAMQRS_MEASURED"):
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"test": request.node.name, "what": what, "value": value}) + "\n")

    return note


@pytest.fixture
def data_dir():
    """Folder with the recordings: STREAMQRS_DATA, or shared/data beside the checkout."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("STREAMQRS_DATA", default))
    if not folder.is_dir():
        pytest.skip("no recordings: set STREAMQRS_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium; see `tests/browser.py`."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        pytest.skip("Chromium is not installed")
    spec = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    browser = module.Browser(program, tmp_path_factory.mktemp("browser"))
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture
def free_port():
    """A port on 127.0.0.1 that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
