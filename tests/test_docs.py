"""The documents: the site builds strictly, each command shown is one that the program takes, most are run."""

import ast
import importlib.util
import inspect
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import tomllib
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import typer.main

import streamqrs
from streamqrs.cli.app import app, main
from streamqrs.cli.recording import write_recording
from streamqrs.cli.views import fill_in
from streamqrs.scanner import VirtualPatient

ROOT = Path(__file__).parents[1]
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted(ROOT.glob("docs/*.md"))]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OTHER_PROGRAMS = {"mkdir", "mosquitto_sub"}
OPTIONS_OF_OTHERS = {"--nproc-per-node"}
HAVE_TESTS = {"pretrain", "finetune", "dataset", "bench", "doctor", "review"}
"""Commands that are only read here: tests of their own run them, with minutes, a browser or a quiet machine."""


def blocks(text, language):
    return [content for kind, content in BLOCK.findall(text) if kind == language]


def commands(text):
    """Commands of the sh blocks, as lists of words, without variables set in front."""
    lines = "\n".join(blocks(text, "sh")).replace("\\\n", " ").splitlines()
    typed = [shlex.split(part, comments=True) for line in lines for part in line.split(" && ")]
    return [words for words in map(without_variables, typed) if words]


def without_variables(words):
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


def shown():
    return [(page, words) for page in PAGES for words in commands(page.read_text())]


def by_its_text(value):
    return f"{value.name}" if isinstance(value, Path) else " ".join(value)


def parse(words):
    """Read a streamqrs command as the program does, without running it."""
    command, name, rest = typer.main.get_command(app), "streamqrs", fill_in(words)
    parent = None
    while True:
        parent = command.make_context(name, list(rest), parent=parent)
        if not hasattr(command, "resolve_command"):
            return parent
        name, command, rest = command.resolve_command(parent, [*parent._protected_args, *parent.args])


def check(words):
    """Raise if there is no such command, option, make target, extra, script or test."""
    program, *rest = words
    if program == "streamqrs":
        parse(rest)
    elif program == "make":
        targets = [word for word in rest if "=" not in word]
        known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert targets, "no target"
        assert set(targets) <= set(known), f"make has no target {targets}"
        for word in rest:
            if word.startswith("ARGS="):
                parse(["run", *shlex.split(word.removeprefix("ARGS="))])
    elif program == "pip":
        assert rest[0] == "install"
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        asked = {name for word in rest for found in re.findall(r"\[(.+)\]", word) for name in found.split(",")}
        assert asked <= set(extras), f"no extra {asked - set(extras)}"
    elif program == "python":
        for pattern in [word for word in rest if "/" in word]:
            assert list(ROOT.glob(pattern)), f"there is no {pattern}"
    else:
        assert program in OTHER_PROGRAMS, f"who is {program}?"


@pytest.mark.parametrize(("page", "words"), shown(), ids=by_its_text)
def test_each_command_is_one_that_the_program_takes(page, words):
    check(words)


@pytest.mark.parametrize(
    "line",
    ["streamqrs run --no-such-option", "streamqrs walk", "streamqrs run --duration long", "streamqrs bench latency --x",
     "streamqrs detect", "make nothing", 'make run ARGS="--no-such-option"', 'pip install ".[nothing]"',
     "python bench/nothing.py", "rm -rf /", "A=1 streamqrs run --no-such-option"],
)  # fmt: skip
def test_a_wrong_command_on_a_page_is_found(line):
    ((words),) = commands(f"# Page\n\n```sh\n{line}   # a comment\n```\n")
    with pytest.raises(Exception, match=r".") as caught:
        check(words)
    assert not isinstance(caught.value, (TypeError, AttributeError, KeyError)), caught.value


def options_of(context, command):
    mine = {name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        child = command.get_command(context, name)
        mine |= options_of(type(context)(child, info_name=name, parent=context), child)
    return mine


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_running_text_exist(page):
    root = typer.main.get_command(app)
    known = options_of(root.make_context("streamqrs", [], resilient_parsing=True), root) | OPTIONS_OF_OTHERS
    text = BLOCK.sub("", page.read_text())
    named = {option for span in re.findall(r"`([^`]+)`", text) for option in re.findall(r"(?<!\S)--[a-z][\w-]*", span)}
    assert named <= known, f"no option {sorted(named - known)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_hides_from_these_tests(page):
    kinds = {kind for kind, _ in BLOCK.findall(page.read_text())}
    assert kinds <= {"sh", "python", "json", "toml", "cpp", "text", ""}
    for content in blocks(page.read_text(), "text") + blocks(page.read_text(), ""):
        assert not re.match(r"\$ |streamqrs ", content), content


# run


class World:
    """What the commands of the pages find: recordings, a model, a broker, devices."""

    def __init__(self, folder, *, port=None, recorder=""):
        self.folder, self.recorder = folder, recorder
        self.broker = f"//127.0.0.1:{port}" if port else ""

    def furnish(self):
        from streamqrs import model

        (self.folder / "my-recordings").mkdir()
        for number, name in enumerate(("recording", "my-recordings/p01_epi", "my-recordings/p02_epi")):
            patient = VirtualPatient(500, number, "none")
            samples = patient.read(500 * 12)
            write_recording(self.folder / f"{name}.hea", samples, 500, patient.take_beats())
            if name == "recording":
                write_recording(self.folder / "recording.csv", samples, 500, [])
                self.record_eeg(samples)
        (self.folder / "my-scanner").mkdir()
        for path in model.find("base").parent.glob("base.*"):
            shutil.copy(path, self.folder / "my-scanner")

    def record_eeg(self, samples):
        """Write an EDF and a BrainVision recording whose second channel is the ECG."""
        from edfio import Edf, EdfSignal

        eeg = np.random.default_rng(0).normal(size=len(samples)).astype(np.float32)
        signals = [EdfSignal(x, 500, label=label) for x, label in ((eeg, "Fp1"), (samples.astype(float), "ECG"))]
        Edf(signals).write(self.folder / "recording.edf")
        np.column_stack((eeg, samples)).astype("<f4").tofile(self.folder / "recording.eeg")
        (self.folder / "recording.vhdr").write_text(
            "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=recording.eeg\n"
            "DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=2\nSamplingInterval=2000\n"
            "[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\nCh1=Fp1,,1,mV\nCh2=ECG,,1,mV\n"
        )

    def adapted(self, words):
        """Return the command as it can be run here, or None if it cannot: for want of a device or an hour."""
        command, *rest = fill_in(words)
        if command in HAVE_TESTS or any(word.endswith(".xdf") for word in rest):
            return None
        given = list(pairwise([*rest, ""]))
        specs = [value for option, value in given if option in ("--source", "--sink", "--to")]
        if not all(self.reachable(spec) for spec in specs):
            return None
        simulated = dict(given).get("--source", "sim").startswith("sim")
        left_out = {"--realtime": 1, "--web": 2, "--web=8765": 1, "--duration": 2, "--metrics": 2}
        kept, skip = [], 0
        for word in rest:
            skip = skip or left_out.get(word, 0)
            if skip:
                skip -= 1
            else:
                kept.append(self.at_hand(word))
        if "--web" in rest or "--web=8765" in rest:
            kept += ["--web", free_port()]
        if "--metrics" in rest:
            kept += ["--metrics", free_port()]
        if command == "run":
            kept += ["--duration", "4" if simulated else "0.2"]
            kept += ["--speed", "max"] if simulated and "--speed" not in kept else []
        elif command == "simulate":
            kept += [
                "--duration",
                "0.2" if any(spec.startswith(("lsl", "mqtt")) for spec in specs) else "12",
                "--force",
            ]
        elif command == "detect":
            kept.append("--force")
        return [command, *kept]

    def at_hand(self, word):
        """Return a word of a command with our broker, recorder and stream in place of those of the page."""
        word = word.replace("mqtt://localhost", f"mqtt:{self.broker}")
        word = re.sub(r"rda://[\d.]+", self.recorder, word)
        return "lsl:ECG" if word == "lsl:BrainAmp" else word

    def reachable(self, spec):
        scheme = spec.partition(":")[0]
        if scheme == "mqtt":
            return bool(self.broker)
        ours = {"sim", "lsl", "jsonl", "console"} | ({"rda"} if self.recorder else set())
        return scheme in ours or (":" not in spec and "." in spec)  # a file


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def runnable():
    """Commands that can be run with files alone, and those that want a broker or a live device."""
    alone, live = [], []
    everything = World(Path(), port=1, recorder="rda:")
    for page, (program, *words) in shown():
        if program == "streamqrs" and everything.adapted(words):
            wants = words[0] == "sources" or any(word.startswith(("lsl", "mqtt", "rda")) for word in words)
            (live if wants else alone).append((page, words))
    return alone, live


@contextmanager
def beside(*words):
    """A streamqrs device in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from streamqrs.cli.app import main; main()", *words], stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def succeed(words, capfd, page):
    with pytest.raises(SystemExit) as end:
        main(words)
    said = capfd.readouterr()
    assert not end.value.code, f"{page.name}: streamqrs {' '.join(words)}\n{said.out[-500:]}{said.err[-1500:]}"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_commands_that_need_no_device_run(here, capfd):
    for library in ("wfdb", "edfio", "matplotlib"):
        pytest.importorskip(library)
    world = World(here)
    world.furnish()
    alone, _ = runnable()
    assert len(alone) >= 12
    for page, words in alone:
        succeed(world.adapted(words), capfd, page)
    assert (here / "sub-01_task-rest_events.tsv").read_text().count("\n") > 10
    assert (here / "beats.csv").read_text().count("\n") > 10
    assert (here / "beats.png").stat().st_size > 10_000
    events = [json.loads(line) for line in (here / "events.jsonl").read_text().splitlines()]
    assert {"started", "beat", "stopped"} <= {event["event"] for event in events}


@pytest.fixture
def recorder():
    """A BrainVision Recorder that streams: that of the tests of its source."""
    path = ROOT / "tests" / "test_adapters_rda.py"
    spec = importlib.util.spec_from_file_location("rda_parts", path)
    parts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parts)
    recorder, over = parts.Recorder(parts.GREETING), threading.Event()
    rows = parts.rows(VirtualPatient(parts.RATE, 1, "none").read(10))

    def play():
        block = 0
        while not over.wait(len(rows) / parts.RATE):
            recorder.send(parts.data(block, rows))
            block += 1

    thread = threading.Thread(target=play)
    thread.start()
    yield recorder
    over.set()
    thread.join()
    recorder.close()


@pytest.mark.slow
@pytest.mark.lsl
@pytest.mark.broker
def test_commands_that_talk_to_devices_run(broker, here, capfd):
    for library in ("pylsl", "wfdb", "edfio", "websockets", "prometheus_client"):
        pytest.importorskip(library)
    world = World(here, port=broker.port)
    _, live = runnable()
    assert len(live) >= 12
    world.furnish()
    done = []
    mqtt = f"mqtt:{world.broker}/ward/bed7/ecg"
    with beside("simulate", "--to", "lsl:ECG") as first, beside("simulate", "--to", mqtt) as second:
        for page, words in live:
            adapted = world.adapted(words)
            if adapted is None:
                continue  # of the Recorder: below
            if words[0] == "simulate":  # not a second device of the same name
                adapted = ["lsl:Another" if word == "lsl:ECG" else word for word in adapted]
            form = [word for word in adapted if not word.isdecimal()]  # but for the port of a page
            if form not in done:
                succeed(adapted, capfd, page)
                assert first.poll() is None, "the LSL device has ended"
                assert second.poll() is None, "the MQTT device has ended"
                done.append(form)


@pytest.mark.slow
@pytest.mark.lsl
@pytest.mark.broker
def test_commands_that_hear_a_brainvision_recorder_run(recorder, broker, here, capfd):
    world = World(here, port=broker.port, recorder=recorder.url)
    heard = [(page, words) for page, words in runnable()[1] if any(word.startswith("rda:") for word in words)]
    assert len(heard) >= 2
    for page, words in heard:
        succeed(world.adapted(words), capfd, page)


# examples and events


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_the_page_can_be_read(page):
    for source in blocks(page.read_text(), "python"):
        compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "first-steps.md"], ids=lambda page: page.name)
def test_python_on_the_first_pages_runs(page, capsys):
    ecg = VirtualPatient(1000, 1, "none").read(1000 * 8)
    (source,) = blocks(page.read_text(), "python")
    names = {"ecg": ecg, "stream": np.array_split(ecg, 9)}
    exec(source, names)
    assert len(names["beats"]) > 5
    assert capsys.readouterr().out


def test_events_on_the_pages_keep_to_the_schema():
    schema = json.loads((ROOT / "docs" / "event.schema.json").read_text())
    lines = [line for page in PAGES for text in blocks(page.read_text(), "json") for line in text.splitlines()]
    assert len(lines) >= 2
    for line in lines:
        jsonschema.validate(json.loads(line), schema)


# the site


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_names_every_command_and_option(hooks):
    text = hooks.commands()
    root = typer.main.get_command(app)
    context = root.make_context("streamqrs", [], resilient_parsing=True)
    for option in options_of(context, root) - {"--help"}:
        assert re.search(rf"^\| `[^`]*{option}\b", text, re.MULTILINE), option
    assert "## streamqrs run\n" in text
    assert "### streamqrs bench latency\n" in text


def test_the_schema_page_names_every_field(hooks):
    text = hooks.schema()
    for message in json.loads((ROOT / "docs" / "event.schema.json").read_text())["$defs"].values():
        for field in message.get("properties", ()):
            assert f"| `{field}` |" in text, field


def test_the_python_page_names_everything_public():
    page = (ROOT / "docs" / "api.md").read_text()
    for name in set(streamqrs.__all__) - {"__version__"}:
        home = getattr(streamqrs, name)
        where = home.__module__ if inspect.isclass(home) or inspect.isfunction(home) else "streamqrs.types"
        assert f"::: {where}.{name}\n" in page, name


@pytest.mark.slow
def test_the_site_builds_strictly_and_asks_for_nothing_from_afar(tmp_path):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {path.stem: path.read_text() for path in (tmp_path / "site").glob("*.html")}
    assert {"index", "cli", "api", "events", "card-mri", "security"} <= set(pages)
    assert not (tmp_path / "site" / "hooks.py").exists()
    for name, text in pages.items():
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]*?(?:src|href)="(?:https?:)?//[^"]*', text)
        assert not loaded, f"{name}: {loaded}"
        shown = re.findall(r'<img[^>]*? src="([^"]+)"', text)
        assert not [path for path in shown if not (tmp_path / "site" / path).is_file()], name
        assert "<!-- commands -->" not in text
        assert "<!-- schema -->" not in text
    assert "--gate-depth" in pages["cli"]
    assert "Sampling rate in Hz, 100 to 10,000." in pages["api"]
