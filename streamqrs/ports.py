"""The two ports of the engine, and how adapters are found.

A source is an async context manager with a `rate` that yields `Chunk`; a sink is an async context manager with
``async send(event)``. There is nothing to inherit. Adapters are found through the entry-point groups
``streamqrs.sources`` and ``streamqrs.sinks``, so that another package can add its own: the name of an entry
point is the scheme of a spec (the part before the first colon), and it leads to a factory
``factory(target, **options)``, where `target` is the part after the colon.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from importlib.metadata import EntryPoint, entry_points
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from streamqrs.errors import BadSpec
from streamqrs.types import Chunk, Event, Marker, Problem, Signal

LONGEST = 2000
"""Characters of a spec, at most: errors repeat parts of it."""


@runtime_checkable
class Source(Protocol):
    """Where samples come from.

    Inside ``async with``, `rate` is the sampling rate in Hz and iterating yields chunks until the stream ends.
    Two things may be there besides: ``info`` (a `SourceInfo`), and the `Problem` and `Marker` records that an iteration
    may yield between chunks.
    """

    @property
    def rate(self) -> float:
        """Sampling rate in Hz; known inside ``async with``."""

    async def __aenter__(self) -> Self:
        """Open the source, and find out its rate."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Close the source."""

    def __aiter__(self) -> AsyncIterator[Chunk | Marker | Problem]:
        """Yield chunks as they arrive."""


@runtime_checkable
class Sink(Protocol):
    """Where events go.

    Some things may be there besides: ``fire(trigger)``, which takes a trigger in any thread, past the event loop, and
    must neither wait nor fail but with a `StreamqrsError` or `OSError` (`send` then gets all other events, in time
    after `Started`); ``attach(tell)``, called once before the first event with a function that shows a `Problem` and
    may be called in any thread; ``counts``, a mapping, of which the run reads ``reconnects``; and ``undelivered``, how
    many events it took and had to give up, and ``failure``, a line if that is no success at the end.
    """

    async def __aenter__(self) -> Self:
        """Open the sink."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Flush and close the sink."""

    async def send(self, event: Event, /) -> None:
        """Take one event."""


@runtime_checkable
class View(Sink, Protocol):
    """A sink that shows the signal, too: the run goes on without it, and does not go on for it alone."""

    def watch(self, signal: Signal, /) -> None:
        """Take what was heard last. Called between samples and triggers: it never waits."""


def sources() -> dict[str, EntryPoint]:
    """Entry points of all installed sources, by scheme."""
    return {point.name: point for point in entry_points(group="streamqrs.sources")}


def sinks() -> dict[str, EntryPoint]:
    """Entry points of all installed sinks, by scheme."""
    return {point.name: point for point in entry_points(group="streamqrs.sinks")}


def open_source(spec: str, **options: Any) -> Source:
    """Make a source from a spec such as ``sim``, ``lsl:ECG``, ``file:ecg.csv`` or ``mqtt://host:1883/topic``.

    Parameters
    ----------
    spec : str
        ``scheme`` or ``scheme:target``.
    **options
        What the source takes besides, for example ``channel="ECG"``. None means the source's own default.

    Returns
    -------
    Source
        Not yet open: enter it with ``async with``.

    Raises
    ------
    BadSpec
        If there is no such scheme, or the source does not take one of the options.
    """
    source: Source = _make("source", sources(), spec, options)
    return source


def open_sink(spec: str, **options: Any) -> Sink:
    """Make a sink from a spec such as ``console``, ``jsonl:-``, ``lsl:Beats`` or ``mqtt://host:1883/base``.

    Parameters
    ----------
    spec : str
        ``scheme`` or ``scheme:target``.
    **options
        What the sink takes besides. None means the sink's own default.

    Returns
    -------
    Sink
        Not yet open: enter it with ``async with``.

    Raises
    ------
    BadSpec
        If there is no such scheme, or the sink does not take one of the options.
    """
    sink: Sink = _make("sink", sinks(), spec, options)
    return sink


def _make(kind: str, found: dict[str, EntryPoint], spec: str, options: dict[str, Any]) -> Any:
    if len(spec) > LONGEST:
        raise BadSpec(f"{kind} of {len(spec)} characters: allowed are up to {LONGEST}")
    scheme, _, target = spec.partition(":")
    if scheme not in found:
        raise BadSpec(f"unknown {kind} {scheme[:60]!r}: allowed are {', '.join(sorted(found))}")
    factory: Callable[..., Any] = found[scheme].load()
    given = {name: value for name, value in options.items() if value is not None}
    parameters = inspect.signature(factory).parameters.values()
    allowed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = sorted(set(given) - set(allowed))
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        takes = ", ".join(allowed) if allowed else "none"
        raise BadSpec(f"{kind} {scheme!r} takes no option {', '.join(unknown)}: allowed are {takes}")
    return factory(target, **given)
