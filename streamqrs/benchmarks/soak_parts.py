"""What a soak is made of: its source, its sinks, and how its memory is watched."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from streamqrs.benchmarks.faults import Column, FaultyPatient
from streamqrs.summary import Summary
from streamqrs.types import Beat, Chunk, Event, Gap, Problem, Quality, SourceInfo

RATE = 250.0


class SoakSource:
    """A faulty patient as a source; live, it stalls now and then for up to 4 s and then catches up."""

    def __init__(self, patient: FaultyPatient, live: bool) -> None:
        self.patient, self.rate = patient, patient.rate
        self.info = SourceInfo("soak", "ECG", "mV", live=live)
        self.end = 0
        self._live = live
        self._rng = np.random.default_rng(5)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Chunk | Problem]:
        began, told = time.monotonic(), None
        for chunk, fault in self.patient.chunks():
            if self._live:
                due = began + (chunk.start + len(chunk.samples)) / self.rate
                if self._rng.random() < 1 / 5000:  # once in 100 s
                    due += float(self._rng.uniform(0.1, 4.0))
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                chunk = Chunk(chunk.samples, chunk.start, chunk.rate, chunk.time, time.monotonic())
            if fault and fault.kind == "bad message" and fault is not told:
                told = fault
                yield Problem("soak", "bad message, skipped")
            self.end = chunk.start + len(chunk.samples)
            yield chunk


class SoakSink:
    """A sink that keeps of each event what is needed to judge it.

    Parameters
    ----------
    length_s : float
        Length of the run in s: room for its beats is taken at the beginning, so that it does not count as growth.

    Attributes
    ----------
    ids, indices : Column
        Of the confirmed beats.
    open : set of int
        Triggers that are neither confirmed nor withdrawn.
    said : list
        Gaps, quality events and problems: what, when (s), and for how long (s).
    gaps : list of Gap
        All gaps.
    disorder : int
        Beats that do not follow on the one before.
    """

    def __init__(self, length_s: float) -> None:
        self.ids, self.indices = Column(length_s), Column(length_s)
        self.open: set[int] = set()
        self.said: list[tuple[str, float, float]] = []  # what, time, duration in s
        self.gaps: list[Gap] = []
        self.disorder = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        pass

    async def send(self, event: Event, /) -> None:
        """Keep what is needed of an event."""
        match event:
            case Beat(kind="trigger"):
                self.open.add(event.id)
            case Beat():
                self.open.discard(event.id)
                if event.kind == "beat":
                    self.disorder += event.rr_s is not None and event.rr_s <= 0
                    self.disorder += event.index <= self.indices.last
                    self.ids.append(event.id)
                    self.indices.append(event.index)
            case Gap():
                self.gaps.append(event)
                self.said.append((f"gap {event.reason}", event.start / RATE, event.duration_s))
            case Quality():
                self.said.append((f"quality {event.reason}" if not event.usable else "usable", event.index / RATE, 0.0))
            case Problem():
                self.said.append(("problem", self.indices.last / RATE, 0.0))
            case _:
                pass


class HangingSink:
    """A sink that hangs for up to 3 s now and then."""

    name = "hanging"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng((seed, 3))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        pass

    async def send(self, event: Event, /) -> None:
        """Take an event, and hang now and then."""
        if self._rng.random() < 0.01:
            await asyncio.sleep(float(self._rng.uniform(0.5, 3.0)))


class Memory:
    """Memory of this process in MB, after so many seconds of signal (`warm_s`) and at the end."""

    def __init__(self, summary: Summary, warm_s: float) -> None:
        self._summary, self._warm_s = summary, warm_s
        self.warm_mb = self.end_mb = float("nan")

    async def watch(self) -> None:
        """Wait until the run is warm, and look."""
        while self._summary.signal_s < self._warm_s:  # noqa: ASYNC110 -- the inference thread sets no event
            await asyncio.sleep(0.2)
        gc.collect()
        self.warm_mb = _rss_mb()

    def close(self) -> None:
        """Look again."""
        gc.collect()
        self.end_mb = _rss_mb()


def _rss_mb() -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return float("nan")
