"""Source ``file:PATH``: a recording, played at its own speed or read as fast as it can be worked on."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from streamqrs.errors import BadSpec
from streamqrs.records import Record, read_record
from streamqrs.types import Chunk, SourceInfo

LIVE_CHUNK_S = 0.02
MAX_CHUNK_S = 1.0

_OPTION = re.compile(r"(.*),\s*(lead|annotator|rate|speed)=([^,=]*)", re.DOTALL)


class FileSource:
    """Samples of one lead of a recording.

    Missing samples (NaN) are passed on as they are.

    Parameters
    ----------
    path : str
        See `streamqrs.records.read_record`.
    lead : str or int, optional
        Label or index of the lead.
    rate : float, optional
        Sampling rate in Hz, for a file that does not say.
    speed : float
        Times real time; infinity for as fast as the samples are taken.

    Attributes
    ----------
    rate : float
        Sampling rate in Hz; NaN until the file is read.
    info : SourceInfo
        Live unless `speed` is infinite. Its clock counts seconds of signal since the first sample, or is the one
        that the recording was made with (XDF: LSL's).
    """

    def __init__(
        self, path: str, *, lead: str | int | None = None, rate: float | None = None, speed: float = 1.0
    ) -> None:
        self._path, self._lead, self._given_rate, self._speed = path, lead, rate, speed
        self.rate = math.nan
        self._record: Record | None = None
        self._next = 0
        self.info = SourceInfo(name=path, live=math.isfinite(speed))

    async def __aenter__(self) -> Self:
        """Read the file."""
        record = await asyncio.to_thread(read_record, self._path, lead=self._lead, rate=self._given_rate)
        self._record, self.rate, self._next = record, record.rate, 0
        self.info = SourceInfo(record.name, record.lead, record.unit, record.clock, math.isfinite(self._speed))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Let go of the samples."""
        self._record = None

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield chunks of 20 ms as their time comes, or of 1 s at once."""
        if (record := self._record) is None:
            raise RuntimeError("the source is not open: enter it with 'async with'")
        live = math.isfinite(self._speed)
        size = max(1, round((LIVE_CHUNK_S * max(1.0, self._speed) if live else MAX_CHUNK_S) * record.rate))
        begun, first = time.monotonic(), self._next
        while self._next < len(record.samples):
            start = self._next
            samples = record.samples[start : start + size]
            self._next += len(samples)
            ahead_s = begun + (self._next - first) / record.rate / self._speed - time.monotonic() if live else 0.0
            await asyncio.sleep(max(0.0, ahead_s))
            yield Chunk(samples, start, record.rate, record.time(start), time.monotonic())


def open_source(
    target: str,
    *,
    lead: str | int | None = None,
    channel: str | int | None = None,
    rate: float | str | None = None,
    speed: float | str | None = None,
) -> FileSource:
    """Make a source that plays a recording.

    Parameters
    ----------
    target : str
        Path, and perhaps options: ``rec/100.hea,lead=V5,speed=max``.
    lead, channel : str or int, optional
        Label or index of the lead; two names for one thing.
    rate : float, optional
        Sampling rate in Hz, for a file that does not say.
    speed : float or "max", optional
        Times real time; ``max``: as fast as the samples are taken. Default 1.

    Raises
    ------
    BadSpec
        If there is no path, an option is given twice or cannot be understood.
    """
    path, options = _split(target)
    given = {"lead": lead, "channel": channel, "rate": rate, "speed": speed}
    for name, value in given.items():
        if value is None:
            continue
        name = "lead" if name == "channel" else name
        if options.setdefault(name, value) != value:
            raise BadSpec(f"file: {name} is given twice, as {options[name]!r} and {value!r}")
    if not path:
        raise BadSpec("file: needs a path: file:PATH[,lead=LEAD][,rate=HZ][,speed=FACTOR|max]")
    lead_asked = options.get("lead")
    return FileSource(
        path,
        lead=lead_asked if lead_asked is None or isinstance(lead_asked, int) else str(lead_asked),
        rate=_positive("rate", options["rate"], "Hz") if "rate" in options else None,
        speed=math.inf if options.get("speed") == "max" else _positive("speed", options.get("speed", 1), "or max"),
    )


def _split(target: str) -> tuple[str, dict[str, str | int | float]]:
    """Path and options; a path may hold commas of its own."""
    options: dict[str, str | int | float] = {}
    while found := _OPTION.fullmatch(target):
        target = found[1]
        options[found[2]] = found[3].strip()
    return target.strip(), options


def _positive(name: str, value: str | float, unit: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise BadSpec(f"file: {name} is {value!r}: allowed are numbers above 0 {unit}")
    return number
