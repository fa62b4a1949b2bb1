"""Journey: from an R peak in the virtual scanner to the trigger's arrival at a subscriber, through everything.

::

    streamqrs simulate ──LSL or MQTT──▶ streamqrs run --gate ──MQTT──▶ broker ──▶ subscriber

Each box is a process of its own, and all of them read one clock, that of the machine. The truth comes from the
simulator; the arrival is what the subscriber saw. Source time splits the way up to the sample that decided, the run's
own counters the way through the engine, a probe the last leg; the rest is the way in.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs import model as models
from streamqrs.benchmarks.broker import own_broker
from streamqrs.benchmarks.programs import PATIENCE_S, Hearing, Line, cpu_s, finish, lsl_session, probe, started
from streamqrs.errors import StreamqrsError
from streamqrs.metrics import Score, match, score
from streamqrs.resample import Resampler
from streamqrs.settings import Settings
from streamqrs.types import RATE

STREAMQRS = [sys.executable, "-c", "from streamqrs.cli.app import main; main()"]
DEADLINE_MS = 1000.0
"""The run sends triggers up to this age in ms: one that is late is part of what is measured."""
LEAD_IN_S = 5.0
"""Beats before this are not counted, in s: the first window takes 3 s, and everybody has just come."""
TRUE_S = (0.060, 0.400)
"""A trigger belongs to an R peak from this long before it to this long after it, by its arrival, in s."""
ENGINE = {
    "engine: waiting for the detector": "trigger_waiting_ms",
    "engine: detector": "trigger_network_ms",
    "engine: hand-over to the sink": "trigger_handover_ms",
}
"""Legs that ``streamqrs run`` measures itself, and their names in its summary."""


@dataclass(frozen=True, slots=True, eq=False)
class Journey:
    """Where the time between an R peak and its trigger went.

    Attributes
    ----------
    transport : str
        ``lsl`` or ``mqtt``, on the way in; the way out is MQTT.
    rate : float
        Rate of the source in Hz.
    chunk : int
        Samples in a chunk of the sender.
    seconds : float
        Length of the signal in s.
    arrivals : Score
        Triggers; offsets are arrival − R peak in ms.
    ahead_ms : numpy.ndarray
        Shape (n,): newest sample that was needed − R peak, in ms of source time, of each trigger that arrived.
    legs_ms : dict of str to float
        Mean time of each leg in ms; they add up to the mean of the arrivals.
    spreads_ms : dict of str to dict
        Quantiles of the legs that were measured one by one, in ms.
    run_cpu : float
        Share of one core that the whole ``streamqrs run`` took, 0 to 1; NaN where the system cannot say.
    lag_max_s : float
        Most signal that ever waited for the detector, in s: above 0.1, the machine was too busy to measure anything.
    dropped : int
        Samples that the run gave up to catch up.
    """

    transport: str
    rate: float
    chunk: int
    seconds: float
    arrivals: Score
    ahead_ms: NDArray[np.float64]
    legs_ms: dict[str, float]
    spreads_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    run_cpu: float = math.nan
    lag_max_s: float = 0.0
    dropped: int = 0


def travel(
    transport: str = "lsl",
    *,
    seconds: float = 60.0,
    model: str = "mri",
    rate: float = 1000.0,
    chunk: int = 1,
    preset: str = "none",
    seed: int = 4,
    broker: tuple[str, int] | None = None,
) -> Journey:
    """Measure the way from R to a subscriber.

    Parameters
    ----------
    transport : {"lsl", "mqtt"}
        The way in.
    seconds : float
        Length of the signal in s, at least 15.
    model : str
        Name or package of a model.
    rate : float
        Rate of the source in Hz.
    chunk : int
        Samples in a chunk of the sender.
    preset : str
        Room of the virtual patient.
    seed : int
        Which patient.
    broker : tuple of str and int, optional
        Host and port of a broker. Default: a mosquitto of our own.

    Raises
    ------
    StreamqrsError
        If a program on the way ends before its time; its own last line is the message.
    """
    if transport not in {"lsl", "mqtt"}:
        raise ValueError(f"transport is {transport!r}: allowed are lsl, mqtt")
    if not 15 <= seconds <= 3600:
        raise ValueError(f"seconds are {seconds:g}: allowed are 15 to 3600")
    settings, network = Settings(), models.load(model)
    settings = Settings.of(network.settings)
    name = f"bench{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        host, port = broker or stack.enter_context(own_broker())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamqrs-bench-")))
        environment = os.environ | {"LSLAPICFG": str(lsl_session(folder))}
        link = f"mqtt://{host}:{port}/{name}"
        source = f"lsl:{name}" if transport == "lsl" else f"{link}-ecg"
        wanted = [f"{name}-truth"] if transport == "lsl" else []
        python = [sys.executable, "-m", "streamqrs.benchmarks.listener"]
        listener = stack.enter_context(started([*python, host, str(port), "#", *wanted], environment))
        heard = Hearing(listener)
        heard.wait("listener", "ready")
        run = [*STREAMQRS, "run", "--source", source, "--sink", link, "--gate", "--model", model, "--json",
               "--deadline", f"{DEADLINE_MS:g}"]  # fmt: skip
        if transport == "lsl":
            run += ["--timeout", f"{PATIENCE_S:g}"]
        runner = stack.enter_context(started(run, environment))
        if transport == "mqtt":  # a broker cannot say who listens: give it the time that a start takes
            time.sleep(5.0)
        device = [*STREAMQRS, "simulate", "--to", source, "--rate", f"{rate:g}", "--chunk", str(chunk), "--seed",
                  str(seed), "--preset", preset, "--duration", f"{seconds:g}"]  # fmt: skip
        simulator = stack.enter_context(started(device + ["--wait"] * (transport == "lsl"), environment))
        if transport == "lsl":
            heard.wait("lsl", "ready")
        heard.wait("mqtt", f"{name}/trigger", (runner, simulator))
        before, begun = cpu_s(runner.pid), time.monotonic()
        finish(simulator, seconds + PATIENCE_S, "streamqrs simulate")
        run_cpu = (cpu_s(runner.pid) - before) / (time.monotonic() - begun)
        time.sleep(1.0)
        probe(host, port, f"{name}-probe")
        runner.send_signal(2)
        summary = json.loads(finish(runner, PATIENCE_S, "streamqrs run").splitlines()[-1])
        time.sleep(0.3)
        lines = heard.end()
    return _account(lines, name, summary, settings, Journey(
        transport, rate, chunk, seconds, Score(0, 0, 0), np.empty(0), {}, run_cpu=run_cpu
    ))  # fmt: skip


def _account(lines: list[Line], name: str, summary: dict[str, Any], settings: Settings, journey: Journey) -> Journey:
    """Put together what the listener heard, what the run counted, and what is known beforehand."""
    clock = "monotonic" if journey.transport == "lsl" else "unix"
    if journey.transport == "lsl":
        truth = [line["stamp"] for line in lines if line["name"] == f"{name}-truth"]
    else:
        truth = [json.loads(line["said"])["time"] for line in lines if line["name"] == f"{name}-ecg/truth"]
    triggers = [(line[clock], json.loads(line["said"])) for line in lines if line["name"] == f"{name}/trigger"]
    probes = [(line["monotonic"] - float(line["said"])) * 1000 for line in lines if line["name"] == f"{name}-probe"]
    if not truth or not triggers:
        raise StreamqrsError(f"{len(truth)} true beats and {len(triggers)} triggers were heard: nothing to compare")
    peaks = np.array(sorted(truth))
    arrived = np.array([at for at, _ in triggers])
    known = np.array([said["known"] for _, said in triggers])
    span = [(peaks[0] + LEAD_IN_S, peaks[-1] - 0.5)]
    arrivals = score(peaks, arrived, TRUE_S, spans=span, lead_in_s=-math.inf)
    pairs = match(peaks, arrived, TRUE_S)
    inside = (peaks[pairs.reference] >= span[0][0]) & (peaks[pairs.reference] <= span[0][1])
    ahead = (known[pairs.detected] - peaks[pairs.reference])[inside] * 1000
    way_in_and_out = (arrived[pairs.detected] - known[pairs.detected])[inside] * 1000
    fixed = {
        "resampler": Resampler(journey.rate).delay_s * 1000,
        "look-ahead": settings.gate_depth / RATE * 1000,
    }
    engine = {leg: (summary.get(key) or {}).get("mean", math.nan) for leg, key in ENGINE.items()}
    out = {"MQTT, engine to subscriber": float(np.mean(probes)) if probes else math.nan}
    sure = {"network ahead of R (below 0), hop, wait for the peak": float(ahead.mean()) - sum(fixed.values())}
    way_in = {"sender and way in": float(way_in_and_out.mean()) - math.fsum([*engine.values(), *out.values()])}
    spreads = {
        "R to newest sample needed (source time)": _quantiles(ahead),
        "that sample to arrival at the subscriber": _quantiles(way_in_and_out),
        "MQTT alone (probe)": _quantiles(np.array(probes)),
    }
    spreads |= {leg: summary[key] for leg, key in ENGINE.items() if summary.get(key)}
    return replace(
        journey,
        arrivals=arrivals,
        ahead_ms=ahead,
        legs_ms=fixed | sure | way_in | engine | out,
        spreads_ms=spreads,
        lag_max_s=float(summary.get("lag_max_s") or 0.0),
        dropped=int(summary.get("dropped") or 0),
    )


def _quantiles(values_ms: NDArray[np.float64]) -> dict[str, float]:
    names, at = ("p5", "p50", "p95", "p99"), [0.05, 0.5, 0.95, 0.99]
    if not len(values_ms):
        return {}
    quantiles = dict(zip(names, np.quantile(values_ms, at).tolist(), strict=True))
    return {"count": len(values_ms), "mean": float(values_ms.mean()), "sd": float(values_ms.std())} | quantiles | {
        "max": float(values_ms.max())
    }  # fmt: skip
