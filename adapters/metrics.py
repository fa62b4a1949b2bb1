"""Counters and delays of a run for Prometheus, on a port of this machine.

What is shown is the `Summary` of the run at the moment of the question: nothing is measured for it, and a trigger never
waits for it. Delays are histograms in seconds, as Prometheus wants them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from importlib import metadata
from types import TracebackType
from typing import Any, Self

from streamqrs.errors import BadSpec, MissingExtra, SinkError
from streamqrs.latency import Delays
from streamqrs.summary import Summary

HOST = "127.0.0.1"
"""Who does not say otherwise listens to this machine only."""

COUNTERS = {
    "samples": "Source samples worked on.",
    "beats": "Confirmed beats.",
    "triggers": "Triggers sent.",
    "withdrawn": "Triggers that turned out to be no beat.",
    "late": "Triggers that were not sent, for they would have been late.",
    "gaps": "Gaps in the signal.",
    "problems": "Problems shown.",
    "dropped": "Source samples given up to catch up.",
    "unusable": "Times that the signal became unusable.",
    "reconnects": "Connections made anew.",
}
DELAYS = {
    "known": "From R peak to the newest sample that its confirmed beat needed, source time.",
    "compute": "From the arrival of that sample to the beat's leaving the detector, wall clock.",
    "trigger_known": "From R peak to the newest sample that its trigger needed, source time.",
    "trigger_waiting": "From the arrival of a trigger's last sample to the detector's taking it.",
    "trigger_network": "From there to the trigger's leaving the detector.",
    "trigger_handover": "From there to the call of a sink.",
    "trigger_response": "From the arrival of a trigger's last sample to the call of a sink.",
    "trigger_age": "From R peak to the call of a sink, wall clock.",
}
LIMITS_MS = (0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 200, 350, 500, 750, 1000, 2000)
"""Upper ends of the histograms' buckets, in ms."""


def read_address(text: str) -> tuple[str, int]:
    """Read ``PORT`` or ``HOST:PORT``; port 0 takes any that is free.

    Raises
    ------
    BadSpec
        If it is neither.
    """
    found = re.fullmatch(r"(?:\[?([\w.:-]+?)\]?:)?(\d{1,5})", text.strip())
    if not found or int(found[2]) > 65535:
        raise BadSpec(f"metrics address is {text[:60]!r}: allowed are PORT (up to 65535) and HOST:PORT")
    return found[1] or HOST, int(found[2])


class MetricsServer:
    """Serve a summary as Prometheus text.

    Parameters
    ----------
    summary : Summary
        Of the run; it is read when somebody asks.
    address : str
        ``PORT``, which listens on 127.0.0.1, or ``HOST:PORT``.

    Attributes
    ----------
    url : str
        Where to ask; the port is known inside ``async with``.
    """

    def __init__(self, summary: Summary, address: str) -> None:
        self._summary = summary
        self._host, self._port = read_address(address)
        try:
            import prometheus_client
        except ImportError as error:
            raise MissingExtra.of("prometheus-client", "metrics") from error
        self._library = prometheus_client

    @property
    def url(self) -> str:
        """Where to ask."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/metrics"

    async def __aenter__(self) -> Self:
        """Listen, in a thread of its own.

        Raises
        ------
        SinkError
            If the port is taken or the address is not ours.
        """
        registry = self._library.CollectorRegistry()
        registry.register(_Collector(self._summary))
        try:
            self._server, self._thread = self._library.start_http_server(self._port, self._host, registry)
        except OSError as error:
            raise SinkError(f"metrics on {self.url}: {error.strerror or error}: give another --metrics PORT") from error
        self._port = self._server.server_port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Listen no more."""
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()
        await asyncio.to_thread(self._thread.join)


class _Collector:
    """What prometheus_client asks for its figures."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary

    def collect(self) -> Iterator[Any]:
        """Yield all families of figures."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        summary = self._summary
        yield InfoMetricFamily("streamqrs", "The program.", {"version": metadata.version("streamqrs")})
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"streamqrs_{name}", text, float(getattr(summary, name)))
        yield CounterMetricFamily("streamqrs_signal_seconds", "Signal worked on.", summary.signal_s)
        undelivered = CounterMetricFamily("streamqrs_undelivered", "Events that a sink did not get.", labels=["sink"])
        for sink, count in list(summary.undelivered.items()):
            undelivered.add_metric([sink], count)
        yield undelivered
        yield GaugeMetricFamily("streamqrs_lag_seconds", "Signal that waits for the detector.", summary.lag_s)
        yield GaugeMetricFamily("streamqrs_lag_max_seconds", "The most that ever waited.", summary.lag_max_s)
        yield GaugeMetricFamily("streamqrs_signal_usable", "1 if the signal is usable.", float(summary.usable))
        rate = float("nan") if summary.heart_rate is None else summary.heart_rate
        yield GaugeMetricFamily("streamqrs_heart_rate_bpm", "Of the newest confirmed beat.", rate)
        for name, text in DELAYS.items():
            yield _histogram(f"streamqrs_{name}_delay_seconds", text, getattr(summary, name))


def _histogram(name: str, text: str, delays: Delays) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    counts = delays.cumulative(LIMITS_MS)
    buckets = [(str(limit / 1000), count) for limit, count in zip(LIMITS_MS, counts, strict=True)]
    # all of it is read after the parts: a count that grows meanwhile must not be below them
    buckets.append(("+Inf", max(len(delays), counts[-1])))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=delays.total_ms / 1000)
