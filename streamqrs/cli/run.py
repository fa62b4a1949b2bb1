"""``streamqrs run``: beats of a live stream, as they come."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamqrs.detector import Detector
    from streamqrs.engine import Summary
    from streamqrs.ports import Sink, Source

Text = str | None


def command(
    source: Annotated[str, typer.Option(help="sim, lsl[:NAME], mqtt://host:port/topic, file:PATH")] = "sim",
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="console, jsonl:PATH|-, lsl[:NAME], mqtt://host:port/base; may be repeated  [default: console]"
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a model's folder or file.")] = "mri",
    channel: Annotated[Text, typer.Option(help="Channel of the source, by label or index.")] = None,
    rate: Annotated[float | None, typer.Option(help="Sampling rate in Hz, for a source that does not say.")] = None,
    duration: Annotated[float | None, typer.Option(help="End after so many seconds.")] = None,
    speed: Annotated[Text, typer.Option(help="file and sim: times real time, or max.  [default: 1]")] = None,
    payload: Annotated[Text, typer.Option(help="mqtt: auto, number, json, int16, float32, msgpack, cbor.")] = None,
    timeout: Annotated[float | None, typer.Option(help="lsl: seconds to look for the stream.")] = None,
    mqtt_version: Annotated[Text, typer.Option(help="mqtt: 3.1.1 or 5.")] = None,
    username: Annotated[
        Text, typer.Option(help="mqtt: user; the password comes from a file or the environment.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="mqtt: file with the password.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="mqtts: certificate authority to trust.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="mqtts: client certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="mqtts: key of the client certificate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
) -> None:
    """Find beats in a live stream, and send them on.

    Without options: the virtual patient, beats on the console. Ends with the source, after --duration, or on Ctrl-C.
    """
    from streamqrs.detector import Detector
    from streamqrs.ports import open_sink, open_source

    login = {"mqtt_version": mqtt_version, "username": username, "password_file": password_file}
    tls = {"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
    specs = sink or ([] if as_json else ["console"])
    for given, schemes in ((login, ("mqtt", "mqtts")), (tls, ("mqtts",))):
        named = ", ".join("--" + name.replace("_", "-") for name, value in given.items() if value)
        if named and not any(_scheme(spec) in schemes for spec in (source, *specs)):
            allowed = " or ".join(f"{scheme}://" for scheme in schemes)
            raise typer.BadParameter(f"{named} given, but neither source nor sink is {allowed}")

    def link(spec: str) -> dict[str, Any]:
        return {"mqtt": login, "mqtts": login | tls}.get(_scheme(spec), {})

    options: dict[str, Any] = {
        "channel": channel, "rate": rate, "speed": speed, "payload": payload, "timeout": timeout,
    }  # fmt: skip
    opened = open_source(source, **options, **link(source))
    sinks = [open_sink(spec, **link(spec)) for spec in specs]
    detector = Detector(model=model)
    if detector.model.alias:
        typer.echo(f"model {detector.model.alias!r} leads to {detector.model.name!r} for now", err=True)
    summary = asyncio.run(_run(opened, detector, sinks, duration))
    if as_json:
        typer.echo(json.dumps(to_json(summary)))
    else:
        typer.echo(to_text(summary), err=True)
    if summary.failed:
        sys.exit(1)


async def _run(source: Source, detector: Detector, sinks: list[Sink], duration_s: float | None) -> Summary:
    from streamqrs.engine import run

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            try:
                loop.add_signal_handler(getattr(signal, name), stop.set)
            except NotImplementedError:  # Windows: Ctrl-C arrives as KeyboardInterrupt
                break
    task = asyncio.create_task(run(source, detector, sinks, duration_s=duration_s, stop=stop), name="run")
    watch = asyncio.create_task(stop.wait(), name="stop")
    # a source or sink that is still being opened knows nothing of `stop`
    await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        await asyncio.wait((task,), timeout=10)
        task.cancel()
    watch.cancel()
    return await task


def to_json(summary: Summary) -> dict[str, Any]:
    """Summary as JSON-ready values; delays in ms."""
    quantiles = {"known_ms": summary.known.quantiles(), "compute_ms": summary.compute.quantiles()}
    return {
        "reason": summary.reason,
        "signal_s": round(summary.signal_s, 3),
        **summary.counts(),
        "failed": summary.failed,
        **{name: asdict(value) if value else None for name, value in quantiles.items()},
    }


def to_text(summary: Summary) -> str:
    """Summary in a few lines."""
    lines = [
        f"ended: {summary.reason}; {summary.signal_s:.1f} s of signal, {summary.beats} beats, {summary.gaps} gaps, "
        f"{summary.problems} problems"
    ]
    if known := summary.known.quantiles():
        lines.append(f"R peak to confirmed beat, source time: {known}")
    if compute := summary.compute.quantiles():
        lines.append(f"arrival of its last sample to beat, wall clock: {compute}")
    if summary.dropped:
        lines.append(f"{summary.dropped} samples dropped to catch up")
    lines += [f"{name}: {count} events not delivered" for name, count in summary.undelivered.items()]
    return "\n".join(lines + summary.failed)


def _scheme(spec: str) -> str:
    return spec.partition(":")[0]
