"""Events for people: the sink ``console``, coloured on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from streamqrs.adapters.writer import LineWriter, standard_output
from streamqrs.errors import BadSpec, SinkError
from streamqrs.types import Beat, Event, Gap, Marker, Problem, Quality, Started, Stopped

LIMIT = 200
"""Lines that wait for a slow terminal; the oldest make way."""
CLOSING_S = 1.0
"""Time that the terminal has to take the last lines, in s."""

Spans = list[tuple[str, str]]
"""A line in pieces: text, and the style that it has on a terminal."""


def open_sink(target: str) -> ConsoleSink:
    """Make the sink ``console``.

    Parameters
    ----------
    target : str
        Empty: the console takes none.

    Returns
    -------
    ConsoleSink
        Not yet open.
    """
    if target:
        raise BadSpec(f"console sink has the target {target[:40]!r}: allowed is console alone")
    return ConsoleSink()


class ConsoleSink:
    """One line on standard output for each event; a slow terminal loses the oldest ones and is told how many."""

    name = "console"

    def __init__(self) -> None:
        self._clock = "stream"
        self._writer: LineWriter[Spans] = LineWriter(_output, limit=LIMIT, dropped=_dropped)

    async def __aenter__(self) -> Self:
        """Open standard output."""
        try:
            await self._writer.open()
        except OSError as exc:
            raise SinkError(f"standard output cannot be opened: {exc.strerror or exc}") from exc
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Write the last lines."""
        await self._writer.close(CLOSING_S)

    async def send(self, event: Event, /) -> None:
        """Hand over one event; never waits."""
        if isinstance(event, Started):
            self._clock = event.source.clock
        try:
            self._writer.offer(describe(event, self._clock))
        except OSError as exc:
            raise SinkError(f"standard output cannot be written: {exc.strerror or exc}") from exc


def describe(event: Event, clock: str = "stream") -> Spans:
    """Put one event into words.

    Parameters
    ----------
    event : Started, Beat, Gap, Quality, Marker, Problem or Stopped
        The event.
    clock : str, optional
        What its times count, as in `SourceInfo`; Unix time is shown as the time of day in UTC.

    Returns
    -------
    list of (str, str)
        Text and style of each piece; the texts in a row are the line, without any control characters.
    """
    return [(_printable(text), style) for text, style in _spans(event, clock)]


def _spans(event: Event, clock: str) -> Spans:
    match event:
        case Beat():
            style = {"beat": "", "trigger": "cyan", "withdrawn": "yellow"}[event.kind]
            rate = f"{event.heart_rate:5.1f}" if event.heart_rate is not None else "    –"
            rr = f"{event.rr_s:5.3f}" if event.rr_s is not None else "    –"
            return [
                (f"{event.kind:<9}  ", style or "green"),
                (f"{_time(event.time, clock)}  ", ""),
                (f"{rate} bpm", "bold" if event.kind == "beat" else "dim"),
                (f"  RR {rr} s  after {event.delay_ms:5.1f} ms  p {event.probability:.3f}", "dim"),
            ]
        case Gap():
            text = f"{event.duration_s:.3f} s of signal missing ({event.reason})"
            return [("gap        ", "bold yellow"), (f"{_time(event.time, clock)}  ", ""), (text, "yellow")]
        case Quality():
            text = "signal is usable again" if event.usable else f"signal is unusable ({event.reason}): no triggers"
            style = "green" if event.usable else "yellow"
            return [("quality    ", f"bold {style}"), (f"{_time(event.time, clock)}  ", ""), (text, style)]
        case Marker():
            return [("marker     ", ""), (f"{_time(event.time, clock)}  ", ""), (event.name, "dim")]
        case Problem():
            return [("problem    ", "bold red"), (f"{event.where}: {event.message}", "red")]
        case Started():
            source = " ".join(part for part in (event.source.name, event.source.channel) if part)
            text = f"{source or 'source'}, {event.rate:g} Hz, model {event.model} ({event.model_sha256[:8]})"
            return [("started    ", "bold"), (f"{text}, beats known within {event.delay_ms:.0f} ms", "")]
        case Stopped():
            counts = ", ".join(f"{count} {name}" for name, count in event.counts.items())
            return [("stopped    ", "bold"), (f"{event.reason}{': ' if counts else ''}{counts}", "")]


def _dropped(lines: int) -> Spans:
    return [("problem    ", "bold red"), (f"console: too slow: {lines} lines left out", "red")]


def _time(time: float, clock: str) -> str:
    """Right-aligned s, or the time of day for Unix time."""
    if clock == "unix" and 0 <= time < 2**33:
        return f"{datetime.fromtimestamp(time, UTC):%H:%M:%S.%f}"[:-3].rjust(12)
    return f"{time:10.3f} s"


def _printable(text: str) -> str:
    """Keep what a stranger's message says from steering the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


@contextmanager
def _output() -> Iterator[Callable[[Spans], object]]:
    with standard_output() as stream:
        if stream.isatty():
            from rich.console import Console
            from rich.text import Text

            console = Console(file=stream, highlight=False, soft_wrap=True)
            yield lambda spans: console.print(Text.assemble(*spans))
        else:

            def write(spans: Spans) -> None:
                stream.write("".join(text for text, _ in spans).rstrip() + "\n")
                stream.flush()

            yield write
