"""Throughput: how fast a recording is worked through, what a live stream costs, and how much memory it takes.

Costs of a live stream are counted in CPU time, which other programs on the machine change little; × real time of a
recording is wall time, as its user feels it, with the CPU time beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from streamqrs import model as models
from streamqrs.detector import Detector
from streamqrs.types import RATE, Samples

MADE_S = 600.0
"""Signal that is made in s; longer recordings repeat it."""
CHUNK_S = 0.008
"""Live samples come in chunks of this length, in s."""
PEAK = """
import re, resource
try:  # of this program alone; ru_maxrss would begin with what its parent had
    print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024)
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""
TASKS = {
    "import streamqrs": "import sys, streamqrs",
    "live stream, gate on": (
        "import sys, numpy as np; from streamqrs import Detector; d = Detector({rate}, {model!r}, True)\n"
        "for _ in range(1500): d.push(np.random.default_rng(0).normal(size=round({rate} * 0.008)))"
    ),
    "recording of 2 h, offline": (
        "import sys, numpy as np; from streamqrs import detect\n"
        "detect(np.tile(np.random.default_rng(0).normal(size=250 * 60).astype(np.float32), 120), 250, {model!r})"
    ),
}
"""Programs whose peak memory is measured, each in a process of its own."""


@dataclass(frozen=True, slots=True)
class Offline:
    """A recording that was worked through.

    Attributes
    ----------
    hours : float
        Length of the recording in h.
    threads : int
        Windows were worked on by so many threads.
    wall_s, cpu_s : float
        Wall time and CPU time in s.
    """

    hours: float
    threads: int
    wall_s: float
    cpu_s: float

    @property
    def times_real_time(self) -> float:
        """Length of the recording over wall time."""
        return self.hours * 3600 / self.wall_s

    @property
    def times_per_core(self) -> float:
        """Length of the recording over CPU time: what one free core would do."""
        return self.hours * 3600 / self.cpu_s


@dataclass(frozen=True, slots=True)
class Live:
    """A live stream.

    Attributes
    ----------
    rate : float
        Rate of the source in Hz.
    gate : bool
        Whether triggers were given, at one window every `hop_ms`.
    hop_ms : float
        Time between two decisions in ms.
    seconds, cpu_s : float
        Length of the signal and CPU time of the detector, in s.
    """

    rate: float
    gate: bool
    hop_ms: float
    seconds: float
    cpu_s: float

    @property
    def share(self) -> float:
        """Share of one core, 0 to 1."""
        return self.cpu_s / self.seconds

    @property
    def streams(self) -> int:
        """Streams that one core could hold, were it free for them alone."""
        return int(1 / self.share)


def make_signal(rate: float, seconds: float) -> Samples:
    """ECG of a virtual patient in a 3 T scanner: shape (n,), float32; it repeats after ten minutes."""
    from streamqrs.scanner import VirtualPatient

    made = VirtualPatient(rate, 11, "3T").read(round(min(seconds, MADE_S) * rate))
    return np.resize(made, round(seconds * rate))


def measure_offline(model: str, *, hours: float, threads: int) -> Offline:
    """Work through a recording of 250 Hz, as `streamqrs.detect` does."""
    if not 0.01 <= hours <= 72:
        raise ValueError(f"hours are {hours:g}: allowed are 0.01 to 72")
    samples = make_signal(RATE, hours * 3600)
    network = models.load(model, threads=threads)
    detector = Detector(RATE, network)
    wall, cpu = time.perf_counter(), time.process_time()
    detector.push(samples)
    detector.flush()
    return Offline(hours, threads, time.perf_counter() - wall, time.process_time() - cpu)


def measure_live(model: str, *, seconds: float = 30.0, rate: float = 1000.0, gate: bool = True) -> Live:
    """Count the CPU time of a detector that is fed in chunks of 8 ms, not paced: nothing but work is counted."""
    if not 1 <= seconds <= 3600:
        raise ValueError(f"seconds are {seconds:g}: allowed are 1 to 3600")
    samples = make_signal(rate, seconds + 4)
    detector = Detector(rate, models.load(model), gate)
    begin, size = round(4 * rate), round(CHUNK_S * rate)
    detector.push(samples[:begin])  # the first window takes 3 s
    cpu = time.thread_time()
    for start in range(begin, len(samples), size):
        detector.push(samples[start : start + size])
    cpu = time.thread_time() - cpu
    hop = detector.settings.gate_hop if gate else detector.settings.hop
    return Live(rate, gate, hop / RATE * 1000, (len(samples) - begin) / rate, cpu)


def measure_memory(model: str, *, rate: float = 1000.0) -> dict[str, float]:
    """Peak resident memory of `TASKS` in MB, each in a process of its own; empty where the system cannot say."""
    found = {}
    for name, program in TASKS.items():
        code = f"{program.format(rate=rate, model=model)}\n{PEAK}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found[name] = json.loads(done.stdout) / 1e6
    return found
