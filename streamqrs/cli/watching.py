"""How a run is watched from outside: Prometheus, log lines, and the status topics of its sinks."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

import typer

from streamqrs.cli.logs import LogView, log_as_json
from streamqrs.summary import Summary


class Watch:
    """Everything that reads the summary of a run while it goes on.

    Parameters
    ----------
    metrics : str or None
        ``PORT`` or ``HOST:PORT`` for Prometheus.
    log_json : bool
        Log as lines of JSON.
    sinks : list of Sink
        Those of the run; a log is added, and the ones that tell counts are shown where to read them.

    Attributes
    ----------
    summary : Summary
        To be given to `streamqrs.run`.
    """

    def __init__(self, metrics: str | None, log_json: bool, sinks: list[Any]) -> None:
        self.summary = Summary()
        self._server = None
        if metrics is not None:
            from streamqrs.adapters.metrics import MetricsServer

            self._server = MetricsServer(self.summary, metrics)
        if log_json:
            log_as_json()
            sinks.append(LogView())
        for sink in sinks:
            if hasattr(sink, "summary"):
                sink.summary = self.summary

    async def __aenter__(self) -> Self:
        if self._server:
            await self._server.__aenter__()
            typer.echo(f"metrics: {self._server.url}", file=sys.stderr)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._server:
            await self._server.__aexit__(kind, error, trace)
