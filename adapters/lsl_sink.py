"""Sink ``lsl[:NAME]``: beats as markers, and their figures beside them.

Two streams are announced as soon as the sink is open.

``NAME``, type ``Markers``: one text channel, irregular, each stamped with the time of the R peak.
    ``R``: a beat is confirmed; ``trigger``: a beat is seen at the newest edge; ``withdrawn``: the trigger with this
    time was no beat; ``gap``: samples are missing from here, so beats may be; ``unusable`` and ``usable``: the signal
    is from here on.
``NAME-beats``, type ``HeartBeat``: a row per confirmed beat, with the same stamp.
    ``delay_ms`` (from R peak to the newest sample that was needed), ``rr_s``, ``heart_rate`` (1/min), ``probability``
    (0 to 1), ``id``. What is not known is NaN.

The stamps are on the LSL clock. If the source's times are on it, they are taken as they are; otherwise a stamp is the
time of sending minus the delay of the beat.
"""

from __future__ import annotations

import asyncio
import math
import socket
from types import TracebackType
from typing import Any, Self

from streamqrs import __version__
from streamqrs.adapters.lsl_streams import load
from streamqrs.errors import SinkError
from streamqrs.types import Beat, Event, Gap, Marker, Quality, Started

MARKERS = {"beat": "R", "trigger": "trigger", "withdrawn": "withdrawn"}
"""Marker of each kind of beat."""
FIGURES = (("delay_ms", "ms"), ("rr_s", "s"), ("heart_rate", "1/min"), ("probability", "none"), ("id", "none"))
"""Channels of the numeric stream, and their units."""
RECENT_S = 600.0
"""Times on the LSL clock that are further from now are those of a recording that is played again, in s."""
LINGER_S = 0.2
"""Time that the last markers have to leave, in s."""


def open_sink(target: str) -> LslSink:
    """Make the sink ``lsl[:NAME]``; the name is ``streamqrs`` if none is given."""
    return LslSink(target or "streamqrs")


class LslSink:
    """Markers and figures of beats as two LSL streams; see the module.

    Parameters
    ----------
    name : str
        Name of the marker stream; the numeric one has ``-beats`` behind it.
    """

    def __init__(self, name: str) -> None:
        self.name = f"lsl:{name}"
        self._stream = name
        self._on_lsl_clock = False

    async def __aenter__(self) -> Self:
        pylsl = load()
        self._clock = pylsl.local_clock
        self._markers = make_outlet(self._stream, "Markers", [("marker", "none", "")], text=True)
        self._figures = make_outlet(f"{self._stream}-beats", "HeartBeat", [(n, "HeartBeat", u) for n, u in FIGURES])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        try:
            if self._markers.have_consumers() or self._figures.have_consumers():
                await asyncio.sleep(LINGER_S)
        finally:
            del self._markers, self._figures

    def fire(self, trigger: Beat) -> None:
        """Push the marker of a trigger; called in any thread, which liblsl allows."""
        self._markers.push_sample([MARKERS["trigger"]], self._stamp(trigger.time, trigger.delay_ms / 1000))

    async def send(self, event: Event, /) -> None:
        """Push what concerns beats; pushing does not block."""
        match event:
            case Started():
                self._on_lsl_clock = event.source.clock == "lsl"
            case Beat():
                stamp = self._stamp(event.time, event.delay_ms / 1000)
                self._markers.push_sample([MARKERS[event.kind]], stamp)
                if event.kind == "beat":
                    self._figures.push_sample(_figures(event), stamp)
            case Gap():
                self._markers.push_sample(["gap"], self._stamp(event.time, event.duration_s))
            case Quality():
                ago_s = event.known - event.time
                self._markers.push_sample(["usable" if event.usable else "unusable"], self._stamp(event.time, ago_s))
            case Marker():
                self._markers.push_sample([event.name], self._stamp(event.time, event.known - event.time))
            case _:
                pass

    def _stamp(self, time: float, ago_s: float) -> float:
        """Time on the LSL clock of something that a source without that clock says was so long ago, in s."""
        now: float = self._clock()
        if self._on_lsl_clock and abs(time - now) < RECENT_S:
            return time
        return now - ago_s if math.isfinite(ago_s) else now


def make_outlet(
    name: str,
    kind: str,
    channels: list[tuple[str, str, str]],
    *,
    rate: float = 0.0,
    text: bool = False,
) -> Any:
    """Announce a stream.

    Parameters
    ----------
    name, kind : str
        Name and type of the stream.
    channels : list of (str, str, str)
        Label, type and unit of each channel.
    rate : float
        Nominal sampling rate in Hz; 0 for irregular.
    text : bool
        Whether the values are text; otherwise they are float32.

    Returns
    -------
    pylsl.StreamOutlet
        It is announced for as long as it is referred to. Its source id is the same each time, so that who listens
        finds it again after a restart.

    Raises
    ------
    SinkError
        If liblsl refuses.
    """
    pylsl = load()
    kinds = pylsl.cf_string if text else pylsl.cf_float32
    source_id = f"streamqrs-{socket.gethostname()}-{name}"
    try:
        info = pylsl.StreamInfo(name, kind, len(channels), rate, kinds, source_id)
        description = info.desc()
        description.append_child_value("manufacturer", "streamqrs")
        description.append_child("acquisition").append_child_value("version", __version__)
        listed = description.append_child("channels")
        for label, type_, unit in channels:
            channel = listed.append_child("channel")
            for key, value in (("label", label), ("type", type_), ("unit", unit)):
                if value:
                    channel.append_child_value(key, value)
        return pylsl.StreamOutlet(info)
    except (RuntimeError, ValueError) as error:
        raise SinkError(f"LSL stream {name!r} cannot be announced: {error}") from error


def _figures(beat: Beat) -> list[float]:
    values = (beat.delay_ms, beat.rr_s, beat.heart_rate, beat.probability, beat.id)
    return [math.nan if value is None else float(value) for value in values]
