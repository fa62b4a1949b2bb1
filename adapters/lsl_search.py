"""LSL streams on the network: what is there, and the one that is meant.

A target such as ``""``, ``"BrainAmp"`` or ``"type=ECG,hostname=bay2"`` is a `Query`; `find` waits for the one stream
that it describes. All this blocks: it runs in a thread, and gives up as soon as its event is set.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, fields
from typing import Any

from streamqrs.adapters.lsl_streams import Stream, candidates, lead, load, read_info
from streamqrs.errors import BadSpec, SourceNotFound

SETTLE_S = 1.0
"""Answers from the network arrive for about half a second: no choice is made before this time."""
DESCRIBE_S = 0.4
"""Time that a stream has to send its full description, in s."""
FORGET_S = 3.0
"""A stream that stops answering is listed for so long, in s."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a stream; a text that is empty is not asked."""

    name: str = ""
    type: str = ""
    source_id: str = ""
    hostname: str = ""

    @classmethod
    def parse(cls, target: str) -> Query:
        """Read ``NAME`` or ``key=value[,key=value]``.

        Raises
        ------
        BadSpec
            If a key is unknown, given twice, or has no value.
        """
        keys = [each.name for each in fields(cls)]
        head = re.match(r"(\w+)=", target)
        if not head:
            return cls(name=target)
        if head[1] not in keys:
            raise BadSpec(f"lsl:{target}: unknown key {head[1]!r}: allowed are {', '.join(keys)}, or the name alone")
        pairs = [part.split("=", 1) for part in re.split(rf",(?=(?:{'|'.join(keys)})=)", target)]
        if len(dict(pairs)) < len(pairs) or not all(value for _, value in pairs):
            raise BadSpec(f"lsl:{target}: allowed is each of {', '.join(keys)} once, with a value")
        return cls(**dict(pairs))

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in fields(self))

    def __str__(self) -> str:
        return ", ".join(f"{each.name} {value!r}" for each in fields(self) if (value := getattr(self, each.name)))

    def matches(self, info: Any) -> bool:
        """Whether a `Stream` or ``pylsl.StreamInfo`` is meant; the case of `type` and `hostname` does not matter."""
        for each in fields(self):
            wanted, got = getattr(self, each.name), getattr(info, each.name)
            got = got() if callable(got) else got
            exact = each.name in {"name", "source_id"}
            if wanted and (wanted != got if exact else wanted.lower() != got.lower()):
                return False
        return True


class Search:
    """Streams that are there now, looked for in the background for as long as this object lives."""

    def __init__(self) -> None:
        self._pylsl = load()
        self._resolver = self._pylsl.ContinuousResolver(forget_after=FORGET_S)
        self._known: dict[str, Stream] = {}
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Time since the search began, in s."""
        return time.monotonic() - self._began

    def streams(self, query: Query | None = None, *, describe: bool = True) -> list[Stream]:
        """Return the streams that are meant, by name; those that no longer answer are left out.

        Parameters
        ----------
        query : Query, optional
            Which streams; all, if not given.
        describe : bool
            Ask each new stream for its channels; otherwise their labels and units stay empty.

        Returns
        -------
        list of Stream
            Sorted by name.
        """
        infos = [info for info in self._resolver.results() if query is None or query.matches(info)]
        found = (self._describe(info) if describe else read_info(info) for info in infos)
        return sorted((stream for stream in found if stream), key=lambda stream: (stream.name, stream.uid))

    def _describe(self, info: Any) -> Stream | None:
        uid = info.uid()
        if uid not in self._known:
            try:
                full = self._pylsl.StreamInlet(info, recover=False).info(DESCRIBE_S)
            except RuntimeError:  # gone since, or behind a firewall
                return None
            self._known[uid] = read_info(full, info)
        return self._known[uid]


def find(query: Query, channel: str | int | None, timeout_s: float, stop: threading.Event) -> tuple[Stream, int]:
    """Wait for the one stream and channel that are meant.

    Parameters
    ----------
    query : Query
        Which stream; an empty one means the one ECG there is.
    channel : str or int or None
        Label, type or index of the channel; None for the only one, or the one labelled ECG.
    timeout_s : float
        How long to wait, in s.
    stop : threading.Event
        Give up as soon as it is set.

    Returns
    -------
    stream : Stream
        Where it is.
    index : int
        Index of the channel.

    Raises
    ------
    SourceNotFound
        If there is none, or more than one, or no such channel; the message lists what there is.
    BadSignal
        If the stream cannot hold an ECG.
    InterruptedError
        If `stop` was set.
    """
    search = Search()
    while not stop.wait(0.05):
        streams = search.streams(query)
        # a source_id is unique: no other answer need be waited for
        if streams and (query.source_id or search.elapsed_s >= min(SETTLE_S, timeout_s)):
            chosen = _choose(query, streams, channel)
            if chosen:
                return chosen
        if search.elapsed_s > timeout_s:
            if query and (silent := search.streams(query, describe=False)):
                raise SourceNotFound(
                    f"LSL stream {silent[0]} is announced but does not answer: allow it in the firewall"
                )
            wanted = f"LSL stream with {query}" if query else "LSL stream of type ECG, nor a channel labelled ECG,"
            there = "; ".join(str(stream) for stream in search.streams(describe=False)) or "no stream at all"
            raise SourceNotFound(f"no {wanted} within {timeout_s:g} s: there is {there}")
    raise InterruptedError


def _choose(query: Query, streams: list[Stream], channel: str | int | None) -> tuple[Stream, int] | None:
    if not query and channel is None:
        leads = candidates(streams)
        if len(leads) > 1:
            listed = "; ".join(f"lsl:{stream.name} --channel {stream.channels[k].label or k}" for stream, k in leads)
            raise SourceNotFound(f"plain lsl is not clear, there are {len(leads)} ECG channels: allowed are {listed}")
        return leads[0] if leads else None
    if not query:
        streams = [stream for stream in streams if stream.numeric and stream.leads()]
    if len(streams) > 1:
        listed = "; ".join(f"source_id={stream.source_id} on {stream.hostname}, {stream}" for stream in streams)
        raise SourceNotFound(f"lsl is not clear, {len(streams)} streams match {query or 'ECG'}: there are {listed}")
    return (streams[0], lead(streams[0], channel)) if streams else None
