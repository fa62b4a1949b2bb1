"""Source ``serial:PORT``: a microcontroller that prints one line of text a sample (Arduino, ESP32 with an AD8232).

There is neither clock nor running number on such a line: times are reckoned from arrival, on the Unix clock of this
machine, and lost samples can only be told where the port was away or silent.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from streamqrs.adapters.pump import Pump
from streamqrs.adapters.retry import pauses, reason
from streamqrs.adapters.serial_lines import LineParser
from streamqrs.errors import BadSignal, BadSpec, MissingExtra, SourceNotFound
from streamqrs.types import Chunk, Problem, SourceInfo

READ_S = 0.2
"""Longest wait inside pyserial, in s: how late the thread may hear that it shall end."""
MEASURE_S = 3.0
"""Lines that the rate is taken from where none is given, in s."""
SILENT_S = 2.0
"""A silence of this length means lost samples, and is told."""
TELL_S = 10.0
"""Least time between two lines about bad samples, in s."""
LOWEST, HIGHEST = 100.0, 10_000.0
"""Rates that can be worked with, in Hz."""
USUAL_HZ = (100, 125, 128, 130, 200, 250, 256, 300, 360, 400, 500, 512, 600, 800, 1000, 1024, 2000)
"""A measured rate within 2 % of one of these is that one."""

_OPTION = re.compile(r"(.*),\s*(baud|rate|column)=([^,=]*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class SerialSettings:
    """Where the lines come from, and how they are read.

    Attributes
    ----------
    port : str
        ``/dev/ttyUSB0``, ``COM3``, or a URL of pyserial such as ``socket://host:port``.
    baud : int
        Bits per second.
    rate : float or None
        Lines per second, in Hz; None: measured.
    column : str, int or None
        Index or label of the column; see `LineParser`.
    timeout_s : float
        Time in s in which the first lines must come.
    """

    port: str
    baud: int = 115200
    rate: float | None = None
    column: str | int | None = None
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if not self.port:
            raise BadSpec("serial: needs a port: serial:PORT[,baud=115200][,rate=HZ][,column=0]")
        if self.baud < 1:
            raise BadSpec(f"serial: baud is {self.baud}: allowed are 1 and more")
        if self.rate is not None and not LOWEST <= self.rate <= HIGHEST:
            raise BadSpec(f"serial: rate is {self.rate:g} Hz: allowed are {LOWEST:g} to {HIGHEST:g} Hz")
        if not self.timeout_s > 0:
            raise ValueError(f"timeout is {self.timeout_s:g} s: allowed is more than 0")


def open_source(
    target: str, *, rate: float | str | None = None, channel: str | int | None = None, timeout: float = 10.0
) -> SerialSource:
    """Make the source ``serial:PORT[,baud=115200][,rate=250][,column=0]``.

    Parameters
    ----------
    target : str
        Port, and perhaps options.
    rate : float, optional
        Lines per second, in Hz. Measured if it is given nowhere.
    channel : str or int, optional
        Another name for the column.
    timeout : float, optional
        Time in s in which the first lines must come.

    Raises
    ------
    BadSpec
        If there is no port, or an option is given twice or cannot be understood.
    MissingExtra
        If pyserial is not installed.
    """
    options: dict[str, str] = {}
    for name, value in (("rate", rate), ("column", channel)):
        if value is not None:
            options[name] = str(value)
    while found := _OPTION.fullmatch(target):
        target, name, text = found[1], found[2], found[3].strip()
        if options.setdefault(name, text) != text:
            raise BadSpec(f"serial: {name} is given twice, as {options[name]!r} and {text!r}")
    _load()
    numbers: dict[str, Any] = {}
    for name, kind in (("baud", int), ("rate", float)):
        if name in options:
            try:
                numbers[name] = kind(options[name])
            except ValueError:
                raise BadSpec(f"serial: {name} is {options[name]!r}: allowed is a number") from None
    return SerialSource(
        SerialSettings(port=target.strip(), column=options.get("column"), timeout_s=float(timeout), **numbers)
    )


class SerialSource:
    """Lines of a serial port as a source; a port that goes away is waited for as long as the source is open.

    Parameters
    ----------
    settings : SerialSettings
        Where the lines come from.

    Attributes
    ----------
    name : str
        The port as a spec.
    rate : float
        Sampling rate in Hz; NaN before the source is open, unless it is given.
    info : SourceInfo
        What is known of the source.
    """

    def __init__(self, settings: SerialSettings) -> None:
        self.settings = settings
        self.name = f"serial:{settings.port}"
        self.rate = settings.rate or math.nan
        self.info = SourceInfo(self.name, "" if settings.column is None else str(settings.column), "", "unix")
        self._lines = LineParser(settings.column)
        self._pump = Pump("streamqrs-serial", self._work)
        self._port: Any = None
        self._next = 0  # count of the next sample
        self._heard = math.nan  # arrival of the last line, monotonic
        self._away = False
        self._told = -math.inf
        self._told_counts: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """Lines so far, and those of them that were ``bad`` or said ``leads_off``."""
        return dict(self._lines.counts)

    async def __aenter__(self) -> Self:
        """Open the port, and wait for the lines that show what comes."""
        await self._pump.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close the port."""
        await self._pump.close()

    def __aiter__(self) -> AsyncIterator[Chunk | Problem]:
        """Yield chunks as the lines arrive, and problems."""
        return self._pump.items()

    def _work(self, pump: Pump) -> None:
        try:
            try:
                self._open()
                first = self._wait_for_first(pump)
            except BadSignal:
                raise
            except (OSError, ValueError) as error:
                raise SourceNotFound(f"{self.name}: {reason(error)}{_others()}") from error
            pump.ready()
            self._hand_over(pump, first)
            while not pump.stop.is_set():
                try:
                    self._hand_over(pump, self._read())
                except BadSignal as error:  # a sketch that restarts, perhaps
                    pump.tell(Problem(self.name, str(error)))
                    self._lines.restart()
                except OSError as error:
                    pump.tell(Problem(self.name, f"lost: {reason(error)}: waiting for it"))
                    self._reopen(pump)
        finally:
            self._close()

    def _open(self) -> None:
        serial = _load()
        self._port = serial.serial_for_url(self.settings.port, self.settings.baud, timeout=READ_S)
        self._lines.restart()

    def _close(self) -> None:
        if self._port is not None:
            self._port.close()
        self._port = None

    def _read(self) -> list[float]:
        """Samples that have come, after `READ_S` at most."""
        data: bytes = self._port.read(max(1, self._port.in_waiting))
        return self._lines.push(data)

    def _wait_for_first(self, pump: Pump) -> list[float]:
        """Wait until lines can be read and, if that is to be measured, until the rate is known."""
        begun = time.monotonic()
        seen, at = 0, []  # lines so far, at the time of each read
        samples: list[float] = []
        while not pump.stop.is_set():
            samples = self._read()
            now = time.monotonic()
            if samples:
                seen += len(samples)
                at.append((now, seen))
                if self.settings.rate or now - at[0][0] > MEASURE_S:
                    break
            if now - begun > self.settings.timeout_s + (MEASURE_S if seen else 0):
                raise self._nothing(seen)
        if not self.settings.rate and at:
            self.rate = self._measure(at)
            pump.tell(Problem(self.name, f"rate measured as {self.rate:g} Hz: give rate= if it is another one"))
        return samples

    def _measure(self, at: list[tuple[float, int]]) -> float:
        """Rate in Hz, from the counts of lines and their times of arrival."""
        times, counts = np.array(at, np.float64).T
        measured = float(np.polyfit(times - times[0], counts, 1)[0]) if len(at) > 2 else 0.0
        if not 0.97 * LOWEST <= measured <= 1.03 * HIGHEST:
            raise BadSignal(f"{self.name}: {measured:.0f} lines a second: allowed are {LOWEST:g} to {HIGHEST:g}")
        usual = min(USUAL_HZ, key=lambda rate: abs(rate / measured - 1))
        return float(usual) if abs(usual / measured - 1) < 0.02 else min(max(measured, LOWEST), HIGHEST)

    def _nothing(self, seen: int) -> Exception:
        limit = f"within {self.settings.timeout_s:g} s"
        if seen:
            return SourceNotFound(f"{self.name}: only {seen} lines {limit}")
        if self._lines.last_bad:
            return BadSignal(
                f"{self.name}: no numbers {limit}, but {self._lines.last_bad[:30]!r}: "
                f"is the baud rate {self.settings.baud} right?"
            )
        return SourceNotFound(f"{self.name}: no line {limit}")

    def _hand_over(self, pump: Pump, samples: list[float]) -> None:
        now = time.monotonic()
        if not samples:
            if now - self._heard > SILENT_S and not self._away:
                self._away = True
                pump.tell(Problem(self.name, f"no line for {SILENT_S:g} s"))
            return
        if now - self._heard > SILENT_S:
            self._next += max(1, round((now - self._heard) * self.rate) - len(samples))
            if self._away:
                pump.tell(Problem(self.name, "lines come again"))
        self._away, self._heard = False, now
        to_first_s = (len(samples) - 1) / self.rate
        x = np.array(samples, np.float32)
        pump.tell(Chunk(x, self._next, self.rate, time.time() - to_first_s, now))
        self._next += len(samples)
        self._complain(pump, now)

    def _complain(self, pump: Pump, now: float) -> None:
        """Tell of lines without a value, now and then."""
        counts = self._lines.counts
        off, bad = (counts[name] - self._told_counts[name] for name in ("leads_off", "bad"))
        if (off or bad) and now - self._told > TELL_S:
            self._told, self._told_counts = now, counts.copy()
            parts = [f"electrodes off in {off} lines"] * bool(off)
            parts += [f"{bad} lines that cannot be read, such as {self._lines.last_bad[:30]!r}"] * bool(bad)
            pump.tell(Problem(self.name, "; ".join(parts)))

    def _reopen(self, pump: Pump) -> None:
        """Try until the port is there again."""
        self._close()
        self._away = True
        for pause_s in pauses():
            if pump.stop.wait(pause_s):
                return
            try:
                self._open()
            except (OSError, ValueError):
                continue
            return


def _load() -> Any:
    try:
        import serial
    except ImportError as error:
        raise MissingExtra.of("pyserial", "serial") from error
    return serial


def _others() -> str:
    """The ports that are there, for an error."""
    from serial.tools.list_ports import comports

    ports = ", ".join(port.device for port in comports())
    return f"; ports here: {ports}" if ports else ""
