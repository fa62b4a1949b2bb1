"""Source ``lsl[:TARGET]``: one channel of a stream of the lab streaming layer.

One thread does all that blocks: it finds the stream, measures the clock offset, and waits for samples. A sample is on
its way to the engine some 0.2 ms after liblsl has it; from 1000 Hz on, after `GATHER_S` at most. A stream that goes
away is waited for as long as the source is open; the thread looks for it itself rather than leave that to liblsl,
because then a stream that comes back with another rate, channel order or source id is heard aright.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamqrs.adapters.lsl_search import Query, Search, find
from streamqrs.adapters.lsl_stamps import StampTrack
from streamqrs.adapters.lsl_streams import Stream, lead, load
from streamqrs.adapters.pump import Pump
from streamqrs.errors import SourceError, SourceLost, SourceNotFound, StreamqrsError
from streamqrs.types import Chunk, Problem, Samples, SourceInfo

T = TypeVar("T")

PULL_S = 0.2
"""Longest wait inside liblsl, in s: how late the thread may hear that it shall end."""
GATHER_S = 0.002
"""Signal that a pull waits for, in s, or one sample: a wake-up per sample costs a fifth of a core at 1 kHz."""
CORRECT_S = 5.0
"""Time between two looks at the clock offset, in s; and the longest wait for the first one."""
SILENT_S = 2.0
"""A stream that sends nothing for this long is called lost, in s."""
REOPEN_S = 15.0
"""A connection that is silent for this long is made anew, in s: its other end may have gone unsaid."""
BUFFER_S = 5
"""Signal that liblsl keeps for a slow reader, in s."""
MEASURE_S = 2.0
"""Stamps that the rate of a stream without a nominal one is taken from, in s."""
USUAL_HZ = (100, 125, 128, 130, 200, 250, 256, 300, 360, 400, 500, 512, 600, 1000, 1024, 2000, 2048, 2500, 4096, 5000)
"""A measured rate within 1 % of one of these is that one."""


def open_source(target: str, *, channel: str | int | None = None, timeout: float = 10.0) -> LslSource:
    """Make the source ``lsl[:TARGET]``.

    Parameters
    ----------
    target : str
        Empty: the one ECG there is, a stream of type ECG or a channel labelled ECG or EKG. Otherwise the stream's
        name, or ``key=value[,key=value]`` with the keys name, type, source_id, hostname.
    channel : str or int, optional
        Label, type or index (from 0) of the channel. Not needed if there is one only, or one is labelled ECG.
    timeout : float
        How long to look for the stream, in s.
    """
    return LslSource(Query.parse(target), channel, float(timeout))


class LslSource:
    """A channel of an LSL stream; see `open_source`.

    Attributes
    ----------
    rate : float
        Sampling rate in Hz when the stream was found; chunks carry the one they have.
    info : SourceInfo
        Name, channel and unit; the clock is LSL's on this machine.
    counts : collections.Counter
        ``reconnects``: times that the stream was back after it had been lost.
    """

    def __init__(self, query: Query, channel: str | int | None, timeout_s: float) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout is {timeout_s:g} s: allowed is more than 0")
        self._reader = _Reader(query, channel, timeout_s)
        self._pump = Pump("streamqrs-lsl", self._reader.run)
        self.rate = 0.0
        self.info = SourceInfo(name=query.name, clock="lsl")
        self.counts = self._reader.counts

    async def __aenter__(self) -> Self:
        await self._pump.open()
        self.rate, self.info = self._reader.track.rate, self._reader.info
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self._pump.close()

    def __aiter__(self) -> AsyncIterator[Chunk | Problem]:
        return self._pump.items()


class _Reader:
    """What talks to liblsl, in the pump's thread; the pump's `stop` ends it within about `PULL_S`."""

    def __init__(self, query: Query, channel: str | int | None, timeout_s: float) -> None:
        self.info = SourceInfo(clock="lsl")
        self.counts: Counter[str] = Counter()
        self.track = StampTrack(0.0)
        self._query, self._channel, self._timeout_s = query, channel, timeout_s
        self._opened = self._lost = False

    def run(self, pump: Pump) -> None:
        """Find the stream and read it until it is to stop."""
        self._pump, self._stop = pump, pump.stop
        try:
            stream, index = find(self._query, self._channel, self._timeout_s, self._stop)
            while True:
                with suppress(load().util.LostError):
                    self._listen(stream, index)
                self._say_lost(stream)
                stream, index = self._find_again(stream, index)
        except InterruptedError:
            pass
        except StreamqrsError:
            raise
        except RuntimeError as error:  # what pylsl raises
            raise SourceError(f"LSL: {error}") from error

    def _listen(self, stream: Stream, index: int) -> None:
        """Read a stream until it is lost."""
        inlet = load().StreamInlet(stream.handle, max_buflen=BUFFER_S, recover=False)
        # the first look at the clock takes 0.6 s: after an outage samples are gathered meanwhile
        again = self._opened
        correction = None if again else self._correct(inlet)
        if self._wait(lambda: inlet.open_stream(PULL_S) or True, CORRECT_S) is None:
            raise load().util.LostError
        if again:
            correction = self._correct(inlet)
        else:
            inlet.flush()
        offset_s = correction or 0.0
        least, most = max(1, int(stream.rate * GATHER_S)), min(max(round(stream.rate / 20), 32), 1024)

        def pull() -> tuple[Samples, NDArray[np.float64]]:
            values, stamps = inlet.pull_chunk(PULL_S, most, min_samples=least, as_numpy=True)
            return values[:, index].astype(np.float32), stamps

        rate = stream.rate or self._measure(stream, pull)
        self._open(stream, index, rate)
        if correction is None:
            self._complain(f"comes without clock offset from {stream.hostname}: times are as stamped there")
        heard = corrected = time.monotonic()
        search: Search | None = None
        while not self._stop.is_set():
            samples, stamps = pull()
            now = time.monotonic()
            if now - corrected > CORRECT_S:
                corrected = now
                with suppress(load().util.TimeoutError):
                    correction = inlet.time_correction(0.0)
            if len(samples):
                if self._lost:
                    self._lost, search = False, None
                    self.counts["reconnects"] += 1
                    self._complain("is back")
                heard = now
                # a step of the offset moves times, and is no loss of samples
                moved_s = (correction or 0.0) - offset_s
                for piece in self.track.push(samples, stamps + offset_s, now):
                    self._pump.tell(Chunk(piece.samples, piece.start, rate, piece.time + moved_s, now))
            elif now - heard > SILENT_S:
                self._say_lost(stream)
                search = search or Search()
                if now - heard > REOPEN_S or self._is_elsewhere(stream, search):
                    return
        raise InterruptedError

    def _correct(self, inlet: Any) -> float | None:
        """Ask for the first clock offset in s; None if there is no answer."""
        return self._wait(lambda: float(inlet.time_correction(PULL_S)), CORRECT_S)

    def _open(self, stream: Stream, index: int, rate: float) -> None:
        if self._opened:
            self.track.resume(rate)
            return
        self._opened = True
        channel = stream.channels[index]
        label = channel.label or (str(index) if len(stream.channels) > 1 else "")
        self.info = SourceInfo(stream.name, label, channel.unit, "lsl", live=True)
        self.track = StampTrack(rate)
        self._pump.ready()

    def _measure(self, stream: Stream, pull: Callable[[], tuple[Samples, NDArray[np.float64]]]) -> float:
        """Rate in Hz of a stream that does not say; the samples that it is taken from are passed over."""
        stamps = np.empty(0)
        until = time.monotonic() + MEASURE_S + self._timeout_s
        while len(stamps) < 2 or stamps[-1] - stamps[0] < MEASURE_S:
            if self._stop.is_set():
                raise InterruptedError
            if time.monotonic() > until:
                raise SourceNotFound(f"LSL stream {stream.name!r} has no nominal rate, and sends too little to tell it")
            news = pull()[1]
            stamps = np.concatenate((stamps, news[np.isfinite(news)]))
        measured = float(1 / np.polyfit(np.arange(len(stamps)), stamps - stamps[0], 1)[0])
        usual = min(USUAL_HZ, key=lambda rate: abs(rate / measured - 1))
        return float(usual) if abs(usual / measured - 1) < 0.01 else measured

    def _find_again(self, old: Stream, index: int) -> tuple[Stream, int]:
        """Wait for a lost stream; by the same source id if there are several."""
        query = self._query or Query(name=old.name, type=old.type)
        channel = self._channel
        if channel is None and len(old.channels) > 1:
            channel = old.channels[index].label or index
        search = Search()
        while not self._stop.wait(0.05):
            if not self._opened and search.elapsed_s > self._timeout_s:
                raise SourceLost(f"LSL stream {old.name!r} went away before it was heard")
            if found := search.streams(query):
                newest = max(found, key=lambda stream: (stream.source_id == old.source_id, stream.created))
                try:
                    index = lead(newest, channel)
                except StreamqrsError as error:
                    raise SourceLost(f"LSL stream {old.name!r} came back changed: {error}") from error
                if (newest.source_id, newest.hostname) != (old.source_id, old.hostname):
                    now, before = (f"source id {s.source_id!r} on {s.hostname}" for s in (newest, old))
                    self._complain(f"is another device now: {now}, not {before}")
                return newest, index
        raise InterruptedError

    def _is_elsewhere(self, old: Stream, search: Search) -> bool:
        """Whether a silent stream has been made anew."""
        if not old.source_id:
            return False
        found = search.streams(Query(name=old.name, source_id=old.source_id), describe=False)
        return any(stream.uid != old.uid for stream in found)

    def _say_lost(self, stream: Stream) -> None:
        if not self._lost and not self._stop.is_set():
            self._lost = True
            self._complain("lost, waiting", stream.name)

    def _complain(self, message: str, name: str = "") -> None:
        self._pump.tell(Problem("lsl", f"LSL stream {name or self.info.name!r} {message}"))

    def _wait(self, ask: Callable[[], T], limit_s: float) -> T | None:
        """Ask again until there is an answer, `stop`, or so many seconds have passed: then None."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            if self._stop.is_set():
                raise InterruptedError
            with suppress(load().util.TimeoutError):
                return ask()
        return None
