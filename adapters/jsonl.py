"""Events as lines of JSON: the sink ``jsonl:PATH``, or ``jsonl:-`` for standard output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from streamqrs.adapters.writer import LineWriter, standard_output
from streamqrs.errors import BadSpec, SinkError
from streamqrs.events import EventEncoder
from streamqrs.types import Event

CLOSING_S = 2.0
"""Time that the output has to take the last line, in s."""


def open_sink(target: str) -> JsonlSink:
    """Make the sink ``jsonl:PATH`` or ``jsonl:-``.

    Parameters
    ----------
    target : str
        Path of a file, which is made or appended to (a run begins with a ``started`` line), or ``-``.

    Returns
    -------
    JsonlSink
        Not yet open.
    """
    if not target:
        raise BadSpec("jsonl sink has no target: allowed are jsonl:PATH and jsonl:-")
    return JsonlSink(target)


class JsonlSink:
    """One line of JSON for each event, as in ``docs/event.schema.json``, flushed line by line.

    Parameters
    ----------
    target : str
        Path, or ``-`` for standard output.

    Attributes
    ----------
    name : str
        The spec.
    """

    def __init__(self, target: str) -> None:
        self.name = f"jsonl:{target}"
        self._encoder = EventEncoder()
        self._writer: LineWriter[str] = LineWriter(lambda: _output(target), limit=1)

    async def __aenter__(self) -> Self:
        """Open the file."""
        try:
            await self._writer.open()
        except OSError as exc:
            raise SinkError(f"{self.name} cannot be opened: {exc.strerror or exc}") from exc
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close the file."""
        await self._writer.close(CLOSING_S)

    async def send(self, event: Event, /) -> None:
        """Write one line, and return when it is written."""
        try:
            await self._writer.write(json.dumps(self._encoder.encode(event), allow_nan=False))
        except OSError as exc:
            raise SinkError(f"{self.name} cannot be written: {exc.strerror or exc}") from exc


@contextmanager
def _output(target: str) -> Iterator[Callable[[str], object]]:
    with standard_output() if target == "-" else open(target, "a", encoding="utf-8") as stream:

        def write(line: str) -> None:
            stream.write(line + "\n")
            stream.flush()

        yield write
