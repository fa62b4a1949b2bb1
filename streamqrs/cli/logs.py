"""What a run says on the side: log lines, as text or as JSON, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from types import TracebackType
from typing import Self

from streamqrs.events import EventEncoder
from streamqrs.types import Beat, Event, Gap, Problem

STREAMS = "streamqrs"
log = logging.getLogger(f"{STREAMS}.run")


class JsonFormatter(logging.Formatter):
    """One object a line: ``time`` (Unix, s), ``level``, ``logger``, ``message``, and ``event`` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, always as one line."""
        line: dict[str, object] = {
            "time": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": " ".join(record.getMessage().split()),
        }
        if isinstance(event := getattr(record, "event", None), dict):
            line["event"] = event
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line)


def log_as_json(level: int = logging.INFO) -> None:
    """Send all that streamqrs logs to standard error, a line of JSON each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(STREAMS)
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


class LogView:
    """A sink that logs the events of a run other than beats; the run does not go on for it alone."""

    name = "log"

    def __init__(self) -> None:
        self._encoder = EventEncoder()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        pass

    def watch(self, signal: object, /) -> None:
        """Pass over the signal."""

    async def send(self, event: Event, /) -> None:
        """Log an event."""
        if isinstance(event, Beat):
            return
        encoded = self._encoder.encode(event)
        level = logging.WARNING if isinstance(event, Problem | Gap) else logging.INFO
        said = event.message if isinstance(event, Problem) else str(encoded["event"])
        log.log(level, "%s", said, extra={"event": encoded})
