"""``streamqrs sources``: LSL streams and channels that are there now."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamqrs.adapters.lsl_streams import Stream


def command(
    timeout: Annotated[float, typer.Option(help="Seconds to listen for streams.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the LSL streams that are there now, their channels, and what plain `lsl` would take."""
    if not 0 < timeout < float("inf"):
        raise ValueError(f"--timeout is {timeout:g} s: allowed is more than 0")
    streams = look(timeout)
    if as_json:
        typer.echo(json.dumps(to_json(streams)))
    elif sys.stdout.isatty() and streams:
        _print_table(streams)
    else:
        typer.echo(to_text(streams))


def look(timeout_s: float) -> list[Stream]:
    """Listen for LSL streams for so many s; each comes with its channels."""
    from streamqrs.adapters.lsl_search import Search

    search = Search()
    while search.elapsed_s < timeout_s:
        search.streams()  # asks those that have answered for their channels
        time.sleep(min(0.1, timeout_s))
    return search.streams()


def plain(streams: list[Stream]) -> tuple[str | None, int | None, str]:
    """What plain ``lsl`` takes: the uid of the stream and the channel's index, or None; and a line that says so."""
    from streamqrs.adapters.lsl_streams import candidates

    leads = candidates(streams)
    if len(leads) == 1:
        stream, index = leads[0]
        label = stream.channels[index].label or str(index)
        return stream.uid, index, f"plain lsl takes channel {label} of {stream.name!r}"
    if not leads:
        return None, None, "plain lsl takes none: no stream is of type ECG, and no channel is labelled ECG or EKG"
    return None, None, f"plain lsl is not clear: there are {len(leads)} ECG channels, so name the stream and channel"


def to_json(streams: list[Stream]) -> dict[str, Any]:
    """Streams, and the choice of plain ``lsl``, as JSON-ready values."""
    uid, index, reason = plain(streams)
    return {
        "streams": [
            {
                "name": stream.name,
                "type": stream.type,
                "source_id": stream.source_id,
                "hostname": stream.hostname,
                "rate": stream.rate or None,
                "numeric": stream.numeric,
                "channels": [
                    {"label": channel.label, "type": channel.type, "unit": channel.unit} for channel in stream.channels
                ],
                "plain_lsl_channel": index if stream.uid == uid else None,
            }
            for stream in streams
        ],
        "plain_lsl": reason,
    }


def to_text(streams: list[Stream]) -> str:
    """Streams in lines, one for each, tabs between name, type, rate, channels, source id and host."""
    if not streams:
        return "no LSL streams are there now"
    lines = ["\t".join(_row(stream)) for stream in streams]
    return "\n".join([*lines, plain(streams)[2]])


def _row(stream: Stream) -> tuple[str, ...]:
    rate = f"{stream.rate:g} Hz" if stream.rate else "irregular"
    channels = f"{len(stream.channels)}: {stream.labels()}" if stream.channels else "0"
    units = sorted({channel.unit for channel in stream.channels if channel.unit})
    in_units = f" ({', '.join(units)})" if units else ""
    return stream.name, stream.type, rate, channels + in_units, f"source_id={stream.source_id}", stream.hostname


def _print_table(streams: list[Stream]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    uid, _, reason = plain(streams)
    table = Table("", "name", "type", "rate", "channels", "source id", "host", box=None, header_style="bold")
    for stream in streams:
        name, kind, rate, channels, source_id, host = (Text(cell) for cell in _row(stream))
        source_id = Text(stream.source_id)
        mark = "→" if stream.uid == uid else ""
        table.add_row(mark, name, kind, rate, channels, source_id, host, style="bold" if mark else None)
    console = Console()
    console.print(table)
    console.print(Text(reason))
