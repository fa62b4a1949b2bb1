"""What ``streamqrs doctor`` looks at: each check is a function that returns a line that says OK, or what to do."""

from __future__ import annotations

import asyncio
import math
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module, metadata
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from streamqrs.errors import MissingExtra, StreamqrsError
from streamqrs.types import RATE, WINDOW, Beat, Event

if TYPE_CHECKING:
    from streamqrs.adapters.mqtt_target import Broker
    from streamqrs.model import Model

OLDEST = (3, 11)
EXTRAS = {
    "train": "torch", "files": "wfdb", "payload": "msgpack", "serial": "serial", "brainflow": "brainflow",
    "ble": "bleak", "web": "websockets", "metrics": "prometheus_client", "plot": "matplotlib",
}  # fmt: skip
SHARE = 0.5
"""Share of a core beyond which the gate will not keep its pace beside other work."""
LATE_MS = 5.0
"""A timer that is later than this, or a broker or detector slower than this in the middle, spoils a gate."""
TEST_S = 5.0
"""Length of the self-test, in s, as long as its signal."""
TOLERANCE_S = 0.075


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check.

    Attributes
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether it is as it should be.
    said : str
        What was found, one line.
    advice : str
        What to do; empty if there is nothing to do.
    values : dict
        The figures in it, by name; their units are in the names.
    """

    name: str
    ok: bool
    said: str
    advice: str = ""
    values: dict[str, Any] = field(default_factory=dict)


def checked(name: str, check: Callable[[], Check], advice: str = "") -> Check:
    """Run a check; an error of the world outside is its result."""
    try:
        return check()
    except MissingExtra as error:
        return Check(name, False, " ".join(str(error).split()), "or do without that part")
    except (StreamqrsError, OSError, RuntimeError) as error:
        return Check(name, False, " ".join(str(error).split()), advice)


def python() -> Check:
    """Check the version of Python."""
    version = platform.python_version()
    ok = sys.version_info >= OLDEST
    wanted = ".".join(map(str, OLDEST))
    said = f"{version} on {platform.system()} {platform.machine()}"
    return Check("python", ok, said, "" if ok else f"install Python {wanted} or later", {"version": version})


def libraries() -> Check:
    """Check that the libraries of the core are there, and new enough."""
    found, wrong = {}, []
    for line in metadata.requires("streamqrs") or []:
        if "extra ==" in line:
            continue
        name = (re.match(r"[\w.-]+", line) or [""])[0]
        least = re.search(r">=\s*([\d.]+)", line)
        try:
            import_module(name)
            found[name] = metadata.version(name)
        except (ImportError, OSError, RuntimeError) as error:
            found[name] = "missing"
            wrong.append(f"{name}: {' '.join(str(error).split())}")
            continue
        if least and _numbers(found[name]) < _numbers(least[1]):
            wrong.append(f"{name} is {found[name]}: {least[1]} or later is needed")
    said = "; ".join(wrong) or ", ".join(f"{name} {version}" for name, version in found.items())
    return Check("libraries", not wrong, said, "pip install --upgrade streamqrs" if wrong else "", found)


def extras() -> Check:
    """Say which optional parts are installed; none of them has to be."""
    there = {extra: _has(library) for extra, library in EXTRAS.items()}
    have, not_have = ([name for name, is_there in there.items() if is_there is want] for want in (True, False))
    said = f"installed: {', '.join(have) or 'none'}"
    said += f'; not: {", ".join(not_have)} (pip install "streamqrs[{",".join(not_have)}]")' if not_have else ""
    return Check("extras", True, said, "", there)


def lsl() -> Check:
    """Check liblsl: an outlet of our own is found, and its samples arrive."""
    from streamqrs.adapters.lsl_sink import make_outlet
    from streamqrs.adapters.lsl_streams import load

    pylsl = load()
    version = f"{pylsl.library_version() // 100}.{pylsl.library_version() % 100}"
    name = f"streamqrs-doctor-{time.monotonic_ns()}"
    outlet = make_outlet(name, "ECG", [("ECG", "ECG", "mV")], rate=float(RATE))
    found = pylsl.resolve_byprop("name", name, timeout=5.0)
    advice = "a firewall or a missing network keeps LSL streams from being found: allow UDP 16571-16604 and multicast"
    if not found:
        return Check("liblsl", False, f"{version}: a stream on this machine is not found", advice)
    inlet = pylsl.StreamInlet(found[0], recover=False)
    inlet.open_stream(timeout=5.0)
    delays = []
    for _ in range(50):
        began = time.perf_counter()
        outlet.push_sample([0.0])
        if inlet.pull_sample(timeout=2.0)[0] is None:
            return Check("liblsl", False, f"{version}: samples do not arrive", "allow TCP 16572-16604 on this machine")
        delays.append((time.perf_counter() - began) * 1000)
    p50, p95 = np.quantile(delays, [0.5, 0.95]).tolist()
    said = f"{version}, a sample from stream to reader: p50 {p50:.2f} ms, p95 {p95:.2f} ms"
    return Check("liblsl", True, said, "", {"version": version, "p50_ms": p50, "p95_ms": p95})


def models(chosen: str) -> Iterator[Check]:
    """Check the hashes of the shipped models, and of the chosen one, by loading them."""
    from streamqrs.model import available, load

    for name in dict.fromkeys([*available(), chosen]):

        def check(name: str = name) -> Check:
            model = load(name)
            leads = f"leads to {model.name}, " if model.alias else ""
            said = f"{leads}SHA-256 {model.sha256[:12]}… is as its sidecar says"
            return Check(f"model {name}", True, said, "", {"sha256": model.sha256})

        yield checked(f"model {name}", check, "install it again, or choose another with --model")


def timer() -> Check:
    """Check that waiting 1 ms takes about 1 ms."""
    resolution_us = time.get_clock_info("monotonic").resolution * 1e6
    late = []
    for _ in range(200):
        began = time.perf_counter()
        time.sleep(0.001)
        late.append((time.perf_counter() - began) * 1000 - 1)
    p50, p95 = np.quantile(late, [0.5, 0.95]).tolist()
    ok = resolution_us <= 1000 and p50 < LATE_MS
    said = f"counts in {resolution_us:g} µs; waiting 1 ms is late by p50 {p50:.2f} ms, p95 {p95:.2f} ms"
    advice = "" if ok else "the machine is busy or its timer coarse: triggers will be as late"
    return Check("timer", ok, said, advice, {"resolution_us": resolution_us, "late_p50_ms": p50, "late_p95_ms": p95})


def headroom(model: Model, hop: int | None) -> Check:
    """Check that a core can run the gate: time for a window × windows a second, and all stages together."""
    from streamqrs.detector import Detector
    from streamqrs.scanner import VirtualPatient

    detector = Detector(RATE, model, gate=True, **({} if hop is None else {"gate_hop": hop}))
    hop = detector.settings.gate_hop
    window = np.random.default_rng(0).standard_normal((1, WINDOW)).astype(np.float32)
    times_ms = []
    for _ in range(220):
        began = time.perf_counter()
        model(window)
        times_ms.append((time.perf_counter() - began) * 1000)
    p50, p99 = np.quantile(times_ms[20:], [0.5, 0.99]).tolist()
    ecg = VirtualPatient(rate=RATE, seed=1).read(8 * RATE)
    detector.push(ecg[:WINDOW])
    began = time.process_time()
    for at in range(WINDOW, len(ecg), hop):
        detector.push(ecg[at : at + hop])
    share = (time.process_time() - began) / ((len(ecg) - WINDOW) / RATE)
    ok = share < SHARE
    said = (
        f"gate at {RATE / hop:g} windows a second: {share:.0%} of a core; a window p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    )
    between_ms = 1000 * hop / RATE
    if p99 > between_ms:
        said += f" with {between_ms:g} ms between two: other programs take the core, and will make triggers late"
    advice = "" if ok else "give it a faster core, a smaller model, or a larger --hop"
    values = {"window_p50_ms": p50, "window_p99_ms": p99, "windows_per_s": RATE / hop, "share": share}
    return Check("headroom", ok, said, advice, values)


def self_test(model: Model) -> Check:
    """Run the virtual patient live through the engine, and hold its beats against the truth."""
    from streamqrs.adapters.simulator import open_source
    from streamqrs.detector import Detector
    from streamqrs.engine import run
    from streamqrs.metrics import match

    source, kept = open_source(""), _Keeper()
    summary = asyncio.run(run(source, Detector(source.rate, model), [kept], duration_s=TEST_S))
    truth = [index / source.rate for index, _ in source.patient.take_beats()]
    truth = [t for t in truth if t < TEST_S - 0.1]  # the last complex may not be whole
    found = [beat.time for beat in kept.beats if beat.kind == "beat" and beat.time < TEST_S - 0.1]
    pairs = match(truth, found, TOLERANCE_S)
    hits = len(pairs.reference)
    ok = hits == len(truth) == len(found)
    compute = summary.compute.quantiles()
    took = f"; last sample in to beat out p50 {compute.p50:.1f} ms, max {compute.max:.1f} ms" if compute else ""
    said = f"{TEST_S:g} s of the virtual patient: {hits} of {len(truth)} beats, {len(found) - hits} false{took}"
    values = {"beats": len(truth), "found": hits, "false": len(found) - hits}
    advice = "" if ok else "the model does not find a plain ECG on this machine: install it again, or choose another"
    return Check("self-test", ok, said, advice, values)


def read_broker(spec: str, login: dict[str, Any]) -> Broker:
    """Read ``mqtt://…`` or ``mqtts://…``; without a topic the test uses ``streamqrs``."""
    from streamqrs.adapters.mqtt_target import read_target

    scheme, _, target = spec.partition(":")
    if target.startswith("//") and "/" not in target.removeprefix("//").rstrip("/"):
        target = f"{target.rstrip('/')}/streamqrs"
    return read_target(target, secure=scheme == "mqtts", **login)


def broker(target: Broker) -> Check:
    """Check a broker by an echo."""
    from streamqrs.adapters.mqtt_echo import echo

    heard = asyncio.run(echo(target))
    said = f"echo p50 {heard.p50_ms:.2f} ms, p95 {heard.p95_ms:.2f} ms, two at once p95 {heard.pair_p95_ms:.1f} ms"
    values = {"p50_ms": heard.p50_ms, "p95_ms": heard.p95_ms, "max_ms": heard.max_ms, "pair_p95_ms": heard.pair_p95_ms}
    if heard.held_back:
        advice = "the broker holds small messages back: set `set_tcp_nodelay true` in mosquitto.conf"
        return Check("broker", False, said, advice, values)
    slow = heard.p50_ms > 10 * LATE_MS
    return Check(
        "broker", not slow, said, "the broker or the way to it is slow: bring it nearer" if slow else "", values
    )


class _Keeper:
    """A sink that keeps beats."""

    def __init__(self) -> None:
        self.beats: list[Beat] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        pass

    async def send(self, event: Event, /) -> None:
        if isinstance(event, Beat) and math.isfinite(event.time):
            self.beats.append(event)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _has(library: str) -> bool:
    from importlib.util import find_spec

    return find_spec(library) is not None
