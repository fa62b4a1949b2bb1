"""EventEncoder: the events of a run as JSON-ready dicts, the form in which they leave the program.

``docs/event.schema.json`` says what each field means. Every sink that speaks JSON encodes through this module, so
that one schema holds for all of them.
"""

from __future__ import annotations

import math
from typing import Any

from streamqrs.types import Beat, Event, Gap, Marker, Problem, Quality, Started, Stopped

VERSION = 1
"""Version of the event format: raised when a field changes its meaning or goes, not when one is added."""

Encoded = dict[str, Any]


class EventEncoder:
    """Events of one run as dicts of plain Python values, numbered in the order in which they are encoded.

    It remembers the `Started` event, whose model and clock go into every beat: a beat can be judged by itself.
    """

    def __init__(self) -> None:
        self._seq = 0
        self._started: Started | None = None

    def encode(self, event: Event) -> Encoded:
        """Encode one event.

        Parameters
        ----------
        event : Started, Beat, Gap, Quality, Marker, Problem or Stopped
            Times in s on the source's clock.

        Returns
        -------
        dict
            Ready for `json.dumps`: NaN and infinity have become None. Seconds are rounded to 1 µs.

        Raises
        ------
        TypeError
            If it is none of the seven.
        """
        if isinstance(event, Started):
            self._started = event
        name, body = self._body(event)
        head = {"version": VERSION, "event": name, "seq": self._seq}
        self._seq += 1
        return head | body

    def _body(self, event: Event) -> tuple[str, Encoded]:
        match event:
            case Beat():
                return "beat", self._beat(event)
            case Gap():
                return "gap", {
                    "start": int(event.start),
                    "stop": int(event.stop),
                    "time": _rounded(event.time, 6),
                    "duration_s": _rounded(event.duration_s, 6),
                    "reason": event.reason,
                    "clock": self._clock,
                }
            case Quality():
                return "quality", {
                    "usable": bool(event.usable),
                    "reason": event.reason,
                    "index": int(event.index),
                    "time": _rounded(event.time, 6),
                    "known": _rounded(event.known, 6),
                    "value": _rounded(event.value, 3),
                    "clock": self._clock,
                }
            case Marker():
                return "marker", {
                    "name": " ".join(event.name.split()),
                    "sample": int(event.sample),
                    "time": _rounded(event.time, 6),
                    "clock": self._clock,
                }
            case Problem():
                return "problem", {"where": event.where, "message": " ".join(event.message.split())}
            case Started():
                source = event.source
                return "started", {
                    "source": source.name,
                    "channel": source.channel,
                    "unit": source.unit,
                    "clock": source.clock,
                    "live": bool(source.live),
                    "rate": _rounded(event.rate, 6),
                    "model": event.model,
                    "model_sha256": event.model_sha256,
                    "delay_ms": _rounded(event.delay_ms, 3),
                }
            case Stopped():
                return "stopped", {
                    "reason": " ".join(event.reason.split()),
                    "counts": {name: int(count) for name, count in event.counts.items()},
                }
        raise TypeError(
            f"event is a {type(event).__name__}: allowed are Started, Beat, Gap, Quality, Marker, Problem, Stopped"
        )

    def _beat(self, beat: Beat) -> Encoded:
        return {
            "kind": beat.kind,
            "id": int(beat.id),
            "index": int(beat.index),
            "time": _rounded(beat.time, 6),
            "known": _rounded(beat.known, 6),
            "delay_ms": _rounded(beat.delay_ms, 3),
            "probability": _rounded(beat.probability, 6),
            "rr_s": _rounded(beat.rr_s, 6),
            "heart_rate": _rounded(beat.heart_rate, 3),
            "quality": _rounded(beat.quality, 3),
            "clock": self._clock,
            "model": self._started.model if self._started else None,
            "model_sha256": self._started.model_sha256 if self._started else None,
        }

    @property
    def _clock(self) -> str:
        return self._started.source.clock if self._started else "stream"


def _rounded(value: float | None, digits: int) -> float | None:
    """Plain float for JSON; None for what JSON has no number for."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)
