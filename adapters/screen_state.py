"""Vitals: what a live screen knows of a run, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from streamqrs.types import RATE, Beat, Chunk, Event, Gap, Problem, Quality, Samples, Signal, Started, Stopped

KEEP_S = 12.0
"""Signal that is kept, in s."""
STALE_S = 4.0
"""A heart rate is shown until its last beat is so long ago, in s."""


class Vitals:
    """What has been heard so far.

    Attributes
    ----------
    started, stopped, quality : Started, Stopped, Quality or None
        The newest of each.
    beats : collections.deque of Beat
        The newest event of each of the last beats.
    triggered : set of int
        Ids of those that a trigger was given for.
    delays_ms : dict of str to deque of float
        Delays of the last 500 triggers and beats, in ms.
    counts : dict of str to int
        Beats, triggers, withdrawn, gaps and problems.
    news : str
        What was said last, in one line.
    heard : float
        When the last samples came, on the monotonic clock in s; NaN if never.
    """

    def __init__(self, describe: Callable[[Event], str]) -> None:
        self._describe = describe
        self.news = ""
        self.heard = float("nan")
        self._clear()

    def _clear(self) -> None:
        self.started: Started | None = None
        self.stopped: Stopped | None = None
        self.quality: Quality | None = None
        self.beats: dict[int, Beat] = {}
        self.triggered: set[int] = set()
        self.delays_ms: dict[str, deque[float]] = {kind: deque(maxlen=500) for kind in ("trigger", "beat")}
        self.counts = dict.fromkeys(("beat", "trigger", "withdrawn", "gap", "problem"), 0)
        self._gap = -1
        self._rate = float(RATE)
        self._stop = 0
        self._values: Samples = np.empty(0, np.float32)

    def hear(self, items: Sequence[Event | Signal], now: float) -> None:
        """Take events and signal in the order in which they came; `now` is the monotonic clock, in s."""
        chunks = []
        for item in items:
            if isinstance(item, Signal):
                chunks.append(item.chunk)
            else:
                self._hear(item)
        if chunks:
            self.heard = now
            self._append(chunks)

    def _hear(self, event: Event) -> None:
        match event:
            case Started():
                self._clear()
                self.started = event
            case Beat():
                self.counts[event.kind] += 1
                self.beats[event.id] = event
                if event.kind == "trigger":
                    self.triggered.add(event.id)
                if event.kind != "withdrawn":
                    self.delays_ms[event.kind].append(event.delay_ms)
                if len(self.beats) > 100:
                    oldest = next(iter(self.beats))
                    del self.beats[oldest]
                    self.triggered.discard(oldest)
            case Gap():
                self.counts["gap"] += event.start != self._gap  # a silence that is over is told a second time
                self._gap = event.start
                self.news = self._describe(event)
            case Problem():
                self.counts["problem"] += 1
                self.news = self._describe(event)
            case Quality():
                self.quality = event
            case Stopped():
                self.stopped = event

    def _append(self, chunks: list[Chunk]) -> None:
        """Keep the newest samples; NaN where some are missing."""
        rate = chunks[-1].rate
        keep = round(KEEP_S * rate)
        if rate != self._rate:
            self._rate, self._values, self._stop = rate, np.empty(0, np.float32), 0
        parts = [self._values]
        for chunk in chunks:
            if chunk.rate != rate:
                continue
            missing = chunk.start - self._stop
            if missing < 0 or not len(self._values):
                parts = []
            elif missing:
                parts.append(np.full(min(missing, keep), np.nan, np.float32))
            parts.append(chunk.samples[-keep:])
            self._stop = chunk.start + len(chunk.samples)
            self._values = parts[-1]
        self._values = np.concatenate(parts)[-keep:]

    @property
    def newest_s(self) -> float:
        """Time of the newest sample since the stream began, in s."""
        return self._stop / self._rate

    def heart_rate(self) -> float | None:
        """Mean over the last eight confirmed beats, per minute; None when there is none, or the last is long ago."""
        beats = [beat for beat in self.beats.values() if beat.kind == "beat"][-8:]
        intervals = [beat.rr_s for beat in beats if beat.rr_s is not None]
        if not intervals or self.newest_s - beats[-1].index / RATE > STALE_S:
            return None
        return 60 * len(intervals) / sum(intervals)

    def sweep(self, columns: int, span_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Lowest and highest sample in each column of a sweep over `span_s`, and where its head is.

        Parameters
        ----------
        columns : int
            Columns across the sweep.
        span_s : float
            Length of the sweep in s.

        Returns
        -------
        low, high : numpy.ndarray
            Shape (columns,), float64, in the unit of the source; NaN where there is nothing.
        head : float
            Column of the newest sample.
        """
        low, high = np.full(columns, np.nan), np.full(columns, np.nan)
        count = min(len(self._values), round(0.96 * span_s * self._rate))
        if count:
            at = np.arange(self._stop - count, self._stop) / self._rate
            column = (at % span_s / span_s * columns).astype(np.int64) % columns
            values = self._values[-count:].astype(np.float64)
            np.fmin.at(low, column, values)
            np.fmax.at(high, column, values)
        return low, high, self.newest_s % span_s / span_s * columns

    def visible(self, span_s: float) -> list[Beat]:
        """Beats that are on a sweep of so many seconds."""
        first = self.newest_s - 0.96 * span_s
        return [beat for beat in self.beats.values() if beat.index / RATE > first]
