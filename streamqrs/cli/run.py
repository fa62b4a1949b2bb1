"""``streamqrs run``: beats of a live stream, as they come."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamqrs.cli.stopping import stop_on_signals

if TYPE_CHECKING:
    from streamqrs.cli.watching import Watch
    from streamqrs.detector import Detector
    from streamqrs.ports import Sink, Source
    from streamqrs.summary import Summary

Text = str | None


def command(
    source: Annotated[
        str,
        typer.Option(
            help="sim, lsl[:NAME], mqtt://host:port/topic, rda://host, serial:PORT, brainflow:BOARD, polar, file:PATH"
        ),
    ] = "sim",
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="console, jsonl:PATH|-, lsl[:NAME], mqtt://host:port/base, serial:PORT[,byte=0x01|line=dtr]; "
            "may be repeated  [default: none in a terminal, else console]"
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a model's folder or file.")] = "mri",
    gate: Annotated[
        bool, typer.Option("--gate", help="Give a trigger at each R peak, as soon as it can be known.")
    ] = False,
    gate_depth: Annotated[
        int | None, typer.Option(help="gate: look-ahead in samples at 250 Hz; more is surer and later.")
    ] = None,
    gate_threshold: Annotated[
        float | None, typer.Option(help="gate: probability that gives a trigger.  [default: the model's]")
    ] = None,
    gate_hop: Annotated[int | None, typer.Option(help="gate: samples at 250 Hz from one decision to the next.")] = None,
    align: Annotated[
        float | None, typer.Option(help="gate: send each trigger exactly so many ms after R, or not at all.")
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(help="gate: never send a trigger later than so many ms after R.  [default: 100]")
    ] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Ask the system for real-time priority and locked memory.")
    ] = False,
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
    ha_discovery: Annotated[
        bool, typer.Option("--ha-discovery", help="mqtt sink: show the heart rate in Home Assistant.")
    ] = False,
    web: Annotated[
        Text, typer.Option(metavar="[[HOST:]PORT]", help="Show it in browsers, too.  [default: 127.0.0.1:8765]")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines, even in a terminal.")] = False,
    store: Annotated[
        int | None, typer.Option(help="mqtt sink: messages kept for after an outage.  [default: 1000]")
    ] = None,
    metrics: Annotated[
        Text, typer.Option(metavar="[HOST:]PORT", help="Serve counters and delays to Prometheus, on 127.0.0.1.")
    ] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as lines of JSON on stderr.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
) -> None:
    """Find beats in a live stream, and send them on.

    Without options: the virtual patient, live on the screen. Ends with the source, after --duration, or on Ctrl-C.
    """
    from streamqrs.cli import gating, views, watching
    from streamqrs.cli.secrets import warn_of_passwords
    from streamqrs.detector import Detector
    from streamqrs.ports import open_sink, open_source
    from streamqrs.realtime import settle_collector

    settings, triggers = gating.read(
        gate, depth=gate_depth, threshold=gate_threshold, hop=gate_hop, align=align, deadline=deadline
    )
    login = {"mqtt_version": mqtt_version, "username": username, "password_file": password_file}
    tls = {"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
    specs = views.choose(sink, web=web, plain=plain, as_json=as_json)
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
    warn_of_passwords(source, *specs)
    opened = open_source(source, **options, **link(source))
    mqtt: dict[str, Any] = {"store": store, "ha_discovery": ha_discovery or None}
    kept = {"mqtt": mqtt, "mqtts": mqtt}
    named = ", ".join("--" + name.replace("_", "-") for name, value in mqtt.items() if value is not None)
    if named and not any(_scheme(spec) in kept for spec in specs):
        raise typer.BadParameter(f"{named} given, but no sink is mqtt:// or mqtts://")
    sinks = [open_sink(spec, **link(spec), **kept.get(_scheme(spec), {})) for spec in specs]
    watched = watching.Watch(metrics, log_json, sinks)
    gating.check_sinks(gate, sinks)
    detector = Detector(model=model, gate=gate, **settings)
    if detector.model.alias:
        typer.echo(f"model {detector.model.alias!r} leads to {detector.model.name!r} for now", err=True)
    for line in gating.ask_for_realtime() if realtime else ():
        typer.echo(line, err=True)
    settle_collector()
    shown = views.furnish(sinks, opened, detector)
    for view in shown:
        if hasattr(view, "url"):
            typer.echo(f"live view: {view.url}", err=True)

    def announce(detector: Detector) -> None:
        if not gate:
            return
        line = gating.announce(detector, triggers)
        if shown and hasattr(shown[0], "notes"):
            shown[0].notes.insert(0, line)
        else:
            typer.echo(line, err=True)

    options = {"duration_s": duration, "triggers": triggers, "on_start": announce}
    summary = asyncio.run(_run(opened, detector, sinks, watched, **options))
    if as_json:
        typer.echo(json.dumps(to_json(summary)))
    else:
        typer.echo(to_text(summary), err=True)
    if summary.failed:
        sys.exit(1)


async def _run(source: Source, detector: Detector, sinks: list[Sink], watched: Watch, **options: Any) -> Summary:
    from streamqrs.engine import run
    from streamqrs.errors import StreamqrsError

    stop, begun = stop_on_signals(), asyncio.Event()
    announce = options.pop("on_start")

    def start(detector: Detector) -> None:
        begun.set()
        announce(detector)

    async def go() -> Summary:
        async with watched:
            return await run(source, detector, sinks, stop=stop, summary=watched.summary, on_start=start, **options)

    task = asyncio.create_task(go(), name="run")
    watch = asyncio.create_task(stop.wait(), name="stop")
    # a source or sink that is still being opened knows nothing of `stop`
    await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        if begun.is_set():
            await asyncio.wait((task,), timeout=10)
        task.cancel()
    watch.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        what = "ended" if begun.is_set() else "began"
        raise StreamqrsError(f"interrupted before it {what}") from None


def to_json(summary: Summary) -> dict[str, Any]:
    """Summary as JSON-ready values; delays in ms."""
    delays = ("known", "compute", "trigger_known", "trigger_waiting", "trigger_network", "trigger_handover",
              "trigger_response", "trigger_age")  # fmt: skip
    quantiles = {f"{name}_ms": getattr(summary, name).quantiles() for name in delays}
    return {
        "reason": summary.reason,
        "signal_s": round(summary.signal_s, 3),
        **summary.counts(),
        "lag_max_s": round(summary.lag_max_s, 3),
        "failed": summary.failed,
        **{name: asdict(value) if value else None for name, value in quantiles.items()},
    }


def to_text(summary: Summary) -> str:
    """Summary in a few lines."""
    from streamqrs.cli.gating import report

    lines = [
        f"ended: {summary.reason}; {summary.signal_s:.1f} s of signal, {summary.beats} beats, {summary.gaps} gaps, "
        f"{summary.problems} problems"
    ]
    if known := summary.known.quantiles():
        lines.append(f"R peak to confirmed beat, source time: {known}")
    if compute := summary.compute.quantiles():
        lines.append(f"arrival of its last sample to beat, wall clock: {compute}")
    lines += report(summary)
    if summary.dropped:
        lines.append(f"{summary.dropped} samples dropped to catch up, at most {summary.lag_max_s:.2f} s behind")
    lines += [f"{name}: {count} events not delivered" for name, count in summary.undelivered.items()]
    return "\n".join(lines + summary.failed)


def _scheme(spec: str) -> str:
    return spec.partition(":")[0]
