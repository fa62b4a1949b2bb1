"""Soak: a long run through the engine under random faults, to see if anything is lost, left over, or growing.

Two ways: hours of signal as fast as they can be worked on, and minutes live, in which the machine stalls and a sink
hangs as well.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs import model as models
from streamqrs.benchmarks.faults import SETTLE_S, Fault, FaultyPatient
from streamqrs.benchmarks.soak_parts import RATE, HangingSink, Memory, SoakSink, SoakSource
from streamqrs.detector import Detector
from streamqrs.engine import run
from streamqrs.metrics import match
from streamqrs.ports import Sink
from streamqrs.summary import Summary
from streamqrs.types import Gap

WARM_S = 600.0
"""Signal after which memory must not grow any more, in s; live it is a third of the run, if that is less."""
TOLERANCE_S = 0.075


@dataclass(frozen=True, slots=True)
class Soak:
    """What a soak did, and what was left of it.

    Attributes
    ----------
    seed : int
        Of patient and faults.
    live, gate : bool
        In real time, or as fast as possible; with triggers or without.
    signal_s, wall_s : float
        Length of the signal, and what it took, in s.
    unaccounted : int
        Source samples that were neither worked on nor in an announced gap: 0 is right.
    samples, gaps, beats, triggers, withdrawn, late, dropped : int
        Counters of the run.
    clean_beats, missed, false : int
        True beats outside faults and the `SETTLE_S` after them, those of them not found, and beats found there that
        are none.
    disorder : int
        Beats out of order, said twice, with an RR interval of 0 or below, or a trigger that was neither confirmed nor
        withdrawn: 0 is right.
    rss_warm_mb, rss_end_mb, growth_mb : float
        Memory of the process after warming up, at the end, and the difference, in MB.
    tasks_left, threads_left : list of str
        Names of what was there after the run, and not before.
    faults : list of dict
        Each fault with ``kind``, ``at_s``, ``duration_s`` and what the run said meanwhile (``said``: counts by name),
        and ``back_s`` (from its end to the first true beat that was found).
    """

    seed: int
    live: bool
    gate: bool
    signal_s: float
    wall_s: float
    unaccounted: int
    samples: int
    gaps: int
    beats: int
    triggers: int
    withdrawn: int
    late: int
    dropped: int
    clean_beats: int
    missed: int
    false: int
    disorder: int
    rss_warm_mb: float
    rss_end_mb: float
    growth_mb: float
    tasks_left: list[str]
    threads_left: list[str]
    faults: list[dict[str, Any]] = field(repr=False)

    @property
    def sound(self) -> bool:
        """Whether nothing was lost unsaid, left over, out of order or growing by 5 MB."""
        left = self.unaccounted or self.disorder or self.tasks_left or self.threads_left
        return not left and self.growth_mb < 5.0


def soak(
    seed: int = 0, *, length_s: float, live: bool = False, gate: bool = False, every_s: float = 60.0, model: str = "mri"
) -> Soak:
    """Run the engine under random faults.

    Parameters
    ----------
    seed : int
        Same seed, same patient and faults.
    length_s : float
        Length of the signal in s, at least 60.
    live : bool
        Play it in real time; then the machine stalls and a sink hangs now and then, too.
    gate : bool
        Give triggers.
    every_s : float
        Mean distance of two faults, in s.
    model : str
        Model to run.
    """
    if not length_s >= 60:
        raise ValueError(f"soak of {length_s:g} s: allowed is 60 s or more")
    models.load(model)  # its threads and memory are no leak
    threads = {thread.ident for thread in threading.enumerate()}
    source = SoakSource(FaultyPatient(seed, length_s, every_s=every_s, rate=RATE, chunk_s=0.02 if live else 1.0), live)
    keeper, summary = SoakSink(length_s), Summary()
    memory = Memory(summary, min(WARM_S, length_s / 3))

    async def go() -> list[str]:
        before = asyncio.all_tasks()
        sinks: list[Sink] = [keeper, HangingSink(seed)] if live else [keeper]
        watching = asyncio.create_task(memory.watch())
        await run(source, Detector(RATE, model, gate), sinks, summary=summary)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await asyncio.sleep(0)
        return sorted(task.get_name() for task in asyncio.all_tasks() - before)

    began = time.monotonic()
    tasks = asyncio.run(go())
    wall_s = time.monotonic() - began
    memory.close()
    left = sorted(thread.name for thread in threading.enumerate() if thread.ident not in threads)
    return _judge(seed, source, keeper, summary, memory, gate=gate, wall_s=wall_s, tasks=tasks, threads=left)


def _judge(
    seed: int,
    source: SoakSource,
    keeper: SoakSink,
    summary: Summary,
    memory: Memory,
    *,
    gate: bool,
    wall_s: float,
    tasks: list[str],
    threads: list[str],
) -> Soak:
    faults, truth = source.patient.faults, source.patient.truth.values
    found = keeper.indices.values / RATE
    said = keeper.said
    pairs = match(truth, found, TOLERANCE_S)
    spans = [(fault.at_s - 1, fault.at_s + fault.duration_s + SETTLE_S) for fault in faults]
    spans += [(at - 1, at + duration_s + SETTLE_S) for what, at, duration_s in said if what.startswith("gap")]
    spans += [(-1.0, 4.0), (source.patient.length_s - 1, source.patient.length_s + 1)]
    hit = np.zeros(len(truth), bool)
    hit[pairs.reference] = True
    true = np.zeros(len(found), bool)
    true[pairs.detected] = True
    clean, clean_found = _outside(truth, spans), _outside(found, spans)
    ids = keeper.ids.values
    return Soak(
        seed=seed,
        live=source.info.live,
        gate=gate,
        signal_s=source.patient.length_s,
        wall_s=round(wall_s, 1),
        unaccounted=source.end - summary.samples - _lost(keeper.gaps, faults),
        samples=summary.samples,
        gaps=summary.gaps,
        beats=summary.beats,
        triggers=summary.triggers,
        withdrawn=summary.withdrawn,
        late=summary.late,
        dropped=summary.dropped,
        clean_beats=int(clean.sum()),
        missed=int((clean & ~hit).sum()),
        false=int((clean_found & ~true).sum()),
        disorder=keeper.disorder + len(ids) - len(np.unique(ids)) + len(keeper.open),
        rss_warm_mb=round(memory.warm_mb, 1),
        rss_end_mb=round(memory.end_mb, 1),
        growth_mb=round(memory.end_mb - memory.warm_mb, 1),
        tasks_left=tasks,
        threads_left=threads,
        faults=[_became(fault, said, truth[hit]) for fault in faults],
    )


def _lost(gaps: list[Gap], faults: list[Fault]) -> int:
    """Samples of announced gaps that never came: not those of a silence, which may come yet, nor NaN, which came."""
    nan = [(fault.at_s - 0.5, fault.at_s + fault.duration_s + 0.5) for fault in faults if fault.kind == "nan"]
    return sum(
        gap.stop - gap.start
        for gap in gaps
        if gap.reason != "silent" and not any(a <= gap.start / RATE and gap.stop / RATE <= b for a, b in nan)
    )


def _outside(times: NDArray[np.float64], spans: list[tuple[float, float]]) -> NDArray[np.bool_]:
    """Which times lie outside all spans."""
    outside = np.ones(len(times), bool)
    for low, high in spans:
        outside[np.searchsorted(times, low) : np.searchsorted(times, high)] = False
    return outside


def _became(fault: Fault, said: list[tuple[str, float, float]], hits: NDArray[np.float64]) -> dict[str, Any]:
    """List a fault with what the run said about it."""
    end_s = fault.at_s + fault.duration_s
    around = Counter(what for what, at, _ in said if fault.at_s - 1 <= at <= end_s + SETTLE_S)
    after = np.searchsorted(hits, end_s)
    back_s = round(float(hits[after]) - end_s, 2) if after < len(hits) else None
    return asdict(fault) | {"said": dict(around), "back_s": back_s}
