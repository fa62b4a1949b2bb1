"""Sink ``serial:PORT``: a pulse for each trigger on a serial port, as a byte or on a modem line.

``serial:PORT[,byte=0x01|line=dtr|rts][,pulse=10ms][,baud=115200][,on=trigger|beat]``

With ``byte`` (the default, 0x01) that byte is written and, after the pulse, 0x00, as trigger boxes want it; ``pulse=0``
leaves the zero out. With ``line`` the modem line is set for the length of the pulse: a TTL level with no box at all.

The port belongs to a thread of its own, which a trigger reaches past the event loop. A port that vanishes is reopened
with growing pauses; triggers of that time are dropped and counted, never sent late.
"""

from __future__ import annotations

import asyncio
import math
import queue
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from streamqrs.adapters.retry import pauses, reason
from streamqrs.errors import BadSpec, MissingExtra, SinkError
from streamqrs.types import Beat, Event, Problem

STALE_S = 0.02
"""A trigger that waited longer for the port is not sent, in s."""
WRITE_S = 0.1
"""Time that the port has to take a byte, in s."""
WAITING = 16
"""Triggers that may wait for the port."""
LINES = ("dtr", "rts")
ON = ("trigger", "beat")


@dataclass(frozen=True, slots=True, kw_only=True)
class TtlSettings:
    """What a trigger does to the port.

    Attributes
    ----------
    byte : int or None
        Byte that is written, 1 to 255; None with a line.
    line : str or None
        Modem line that is set: ``dtr`` or ``rts``.
    pulse_ms : float
        Length of the pulse in ms, up to 200; 0: no byte ends it.
    baud : int
        Bits per second.
    on : str
        What makes a pulse: ``trigger``, or ``beat`` for confirmed beats.
    """

    byte: int | None = 0x01
    line: str | None = None
    pulse_ms: float = 10.0
    baud: int = 115_200
    on: str = "trigger"

    def __post_init__(self) -> None:
        if (self.byte is None) == (self.line is None):
            raise ValueError("serial: byte and line given: allowed is one of them")
        if self.byte is not None and not 1 <= self.byte <= 255:
            raise ValueError(f"serial: byte is {self.byte}: allowed are 0x01 to 0xff")
        if self.line is not None and self.line not in LINES:
            raise ValueError(f"serial: line is {self.line!r}: allowed are {', '.join(LINES)}")
        if not (1 if self.line else 0) <= self.pulse_ms <= 200:
            least = "1" if self.line else "0"
            raise ValueError(f"serial: pulse is {self.pulse_ms:g} ms: allowed are {least} to 200")
        if not 50 <= self.baud <= 4_000_000:
            raise ValueError(f"serial: baud is {self.baud}: allowed are 50 to 4000000")
        if self.on not in ON:
            raise ValueError(f"serial: on is {self.on!r}: allowed are {', '.join(ON)}")


class TtlSink:
    """Pulses on a serial port; see the module.

    Parameters
    ----------
    port : str
        Device, for example ``/dev/ttyUSB0`` or ``COM3``.
    settings : TtlSettings
        What a trigger does.

    Attributes
    ----------
    name : str
        The spec without options.
    on : str
        What makes a pulse.
    counts : collections.Counter
        ``pulses``; triggers ``dropped`` while there was no port or it was busy; ``reconnects``.
    """

    def __init__(self, port: str, settings: TtlSettings) -> None:
        self.name, self.on = f"serial:{port}", settings.on
        self.counts: Counter[str] = Counter()
        self._path, self._settings = port, settings
        self._port: Any = None
        self._orders: queue.Queue[float] = queue.Queue(WAITING)  # time of each; NaN ends the thread
        self._closing = threading.Event()
        self._tell: Callable[[Problem], object] = lambda problem: None

    def attach(self, tell: Callable[[Problem], object]) -> None:
        """Take the function that shows a problem."""
        self._tell = tell

    @property
    def undelivered(self) -> int:
        """Triggers that made no pulse."""
        return self.counts["dropped"]

    async def __aenter__(self) -> Self:
        """Open the port, with the lines down."""
        try:
            import serial  # noqa: F401
        except ImportError as error:
            raise MissingExtra.of("pyserial", "serial") from error
        try:
            self._port = await asyncio.to_thread(self._open)
        except (OSError, ValueError) as error:
            raise SinkError(f"{self.name} cannot be opened: {reason(error)}") from error
        self._thread = threading.Thread(target=self._run, name="streamqrs-ttl", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """End the last pulse and close the port."""
        self._closing.set()
        self._order(math.nan)
        await asyncio.to_thread(self._thread.join, 2 * WRITE_S + 1)

    def fire(self, trigger: Beat) -> None:
        """Make a pulse for a trigger; called in any thread, never waits."""
        if self.on == "trigger":
            self._order(time.monotonic())

    async def send(self, event: Event, /) -> None:
        """Take an event; what makes no pulse is passed over."""
        if isinstance(event, Beat) and event.kind == self.on:
            self._order(time.monotonic())

    def _order(self, now: float) -> None:
        try:
            self._orders.put_nowait(now)
        except queue.Full:
            self.counts["dropped"] += 1

    def _run(self) -> None:
        while not self._closing.is_set() and not math.isnan(ordered := self._orders.get()):
            if time.monotonic() - ordered > STALE_S:
                self.counts["dropped"] += 1
                continue
            try:
                self._pulse()
                self.counts["pulses"] += 1
            except (OSError, ValueError) as error:
                self.counts["dropped"] += 1
                self._tell(Problem(self.name, f"port lost: {reason(error)}: trying again"))
                self._reopen()
        self._close()

    def _pulse(self) -> None:
        settings, port = self._settings, self._port
        if settings.line:
            setattr(port, settings.line, True)
        else:
            port.write(bytes((settings.byte or 0,)))
        if settings.pulse_ms:
            time.sleep(settings.pulse_ms / 1000)
            if settings.line:
                setattr(port, settings.line, False)
            else:
                port.write(b"\0")

    def _open(self) -> Any:
        import serial

        settings = self._settings
        port = serial.Serial(baudrate=settings.baud, write_timeout=WRITE_S, exclusive=True)
        port.port = self._path
        if settings.line:
            port.dtr = port.rts = False  # before it is open, so that opening makes no pulse
        port.open()
        if settings.line:
            try:
                setattr(port, settings.line, False)
            except OSError as error:
                port.close()
                raise SinkError(f"{self.name} has no line {settings.line}: allowed is byte=0x01") from error
        return port

    def _reopen(self) -> None:
        since = time.monotonic()
        self._close()
        for pause_s in pauses():
            if self._closing.wait(pause_s):
                return
            try:
                self._port = self._open()
            except (OSError, ValueError, SinkError):
                continue
            break
        while not self._orders.empty():  # of the time without a port
            if not math.isnan(self._orders.get()):
                self.counts["dropped"] += 1
        self.counts["reconnects"] += 1
        self._tell(Problem(self.name, f"port open again after {time.monotonic() - since:.1f} s"))

    def _close(self) -> None:
        try:
            if self._port:
                self._port.close()
        except OSError:  # it is gone: nothing is left to close
            pass
        self._port = None


def open_sink(target: str) -> TtlSink:
    """Make the sink ``serial:PORT[,option=value…]``; see the module.

    Raises
    ------
    BadSpec
        If there is no port, or an option is unknown or cannot be read.
    """
    port, *pairs = (part.strip() for part in target.split(","))
    if not port:
        raise BadSpec("serial sink has no port: allowed is serial:PORT[,byte=0x01|line=dtr][,pulse=10ms][,baud=115200]")
    given: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = (part.strip() for part in pair.partition("="))
        key = "pulse_ms" if name == "pulse" else name
        if key not in _READ:
            raise BadSpec(f"serial sink takes no {name!r}: allowed are byte, line, pulse, baud, on")
        if key in given:
            raise BadSpec(f"serial: {name} is given twice")
        try:
            given[key] = _READ[key](text)
        except ValueError as error:
            raise BadSpec(f"serial: {name} is {text!r}: {_ALLOWED[key]}") from error
    if "line" in given:
        given.setdefault("byte", None)
    try:
        return TtlSink(port, TtlSettings(**given))
    except ValueError as error:
        raise BadSpec(str(error)) from error


def _milliseconds(text: str) -> float:
    found = re.fullmatch(r"(\d+\.?\d*)\s*(ms|s|)", text, re.ASCII)
    if not found:
        raise ValueError(text)
    return float(found[1]) * (1000 if found[2] == "s" else 1)


_READ: dict[str, Callable[[str], Any]] = {
    "byte": lambda text: int(text, 0),
    "line": str.lower,
    "pulse_ms": _milliseconds,
    "baud": int,
    "on": str.lower,
}
_ALLOWED = {
    "byte": "allowed are 0x01 to 0xff",
    "pulse_ms": "allowed is a length such as 10ms",
    "baud": "allowed are whole numbers, 50 to 4000000",
}
