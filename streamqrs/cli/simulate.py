"""``streamqrs simulate``: the virtual patient, or a recording, as a live device with the truth beside it."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from streamqrs.cli.devices import Device, open_device
from streamqrs.cli.player import Patient, Played, Replay, play
from streamqrs.cli.stopping import stop_on_signals

FILE_S = 60.0
"""Length of a recording of the virtual patient in s, unless given."""


def command(
    to: Annotated[
        str, typer.Option(help="lsl[:NAME], mqtt://host:port/topic, or a file: .hea (WFDB), .csv, .npz")
    ] = "lsl",
    replay: Annotated[Path | None, typer.Option(help="Play this recording, not the virtual patient.")] = None,
    lead: Annotated[str | None, typer.Option(help="Lead of the recording, by label or index.")] = None,
    preset: Annotated[str | None, typer.Option(help="The room: none, ward, 1.5T, 3T, 7T.  [default: none]")] = None,
    rate: Annotated[float | None, typer.Option(help="Sampling rate in Hz.  [default: 250, or the recording's]")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same patient.  [default: 0]")] = None,
    heart_rate: Annotated[float | None, typer.Option(help="Beats per minute, 35 to 200.  [default: 72]")] = None,
    duration: Annotated[float | None, typer.Option(help="End after so many seconds; a file: 60.")] = None,
    chunk: Annotated[int | None, typer.Option(help="Samples in a push: 1 ms of them for lsl, 8 ms for mqtt.")] = None,
    speed: Annotated[float, typer.Option(help="Times real time; the stamps stay those of the signal.")] = 1.0,
    wait: Annotated[bool, typer.Option("--wait", help="lsl: begin when somebody listens.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
) -> None:
    """Be an ECG device: the virtual patient in the virtual scanner, or a recording, with the true beats beside it.

    The truth: markers NAME-truth over LSL, the topic TOPIC/truth over MQTT, marks in a file.
    """
    from streamqrs.cli.recording import ENDINGS, check_recording

    live = to.partition(":")[0] in {"lsl", "mqtt", "mqtts"}
    if not live and not to.endswith(ENDINGS):
        raise ValueError(f"--to {to}: allowed are lsl[:NAME], mqtt://host:port/topic, or a file {', '.join(ENDINGS)}")
    for name, value in (("duration", duration), ("speed", speed), ("chunk", chunk)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"--{name} is {value:g}: allowed is more than 0")
    if not live:
        check_recording(to, overwrite=force)
    patient: Patient
    label, marked = "ECG", True
    if replay is not None:
        from streamqrs.records import read_record

        made_up = {"--preset": preset, "--seed": seed, "--heart-rate": heart_rate}
        if given := [name for name, value in made_up.items() if value is not None]:
            raise ValueError(f"{', '.join(given)} with --replay: allowed for the virtual patient only")
        record = read_record(replay, lead=lead, rate=rate)
        patient, label, marked = Replay(record), record.lead or "ECG", record.beats is not None
        if not marked:
            typer.echo(f"{record.name} has no beats marked: there will be no truth", err=True)
    else:
        from streamqrs.scanner import VirtualPatient

        if lead is not None:
            raise ValueError("--lead: allowed with --replay only")
        patient = VirtualPatient(250.0 if rate is None else rate, seed or 0, preset or "none", heart_rate=heart_rate)
    if live:
        device = open_device(to, patient.rate, label, patient.unit)
        played = asyncio.run(_until_signal(patient, device, duration_s=duration, chunk=chunk, speed=speed, wait=wait))
    else:
        played = write(patient, to, duration_s=duration, lead=label, marked=marked, overwrite=force)
    typer.echo(json.dumps(asdict(played)) if as_json else to_text(played), err=not as_json)


def write(
    patient: Patient, to: str, *, duration_s: float | None, lead: str, marked: bool = True, overwrite: bool = False
) -> Played:
    """Write a recording of a patient to a file.

    Parameters
    ----------
    patient : Patient
        Whose.
    to : str
        Path; see `streamqrs.cli.recording`.
    duration_s : float or None
        Length in s; by default to the end of a replay, and `FILE_S` of a virtual patient.
    lead : str
        Label of the lead.
    marked : bool
        Whether the beats are known.
    overwrite : bool
        Whether files that are there may be replaced.
    """
    from streamqrs.cli.recording import write_recording

    if duration_s is None:
        duration_s = math.inf if isinstance(patient, Replay) else FILE_S
    samples = patient.read(round(duration_s * patient.rate) if math.isfinite(duration_s) else 2**62)
    beats = patient.take_beats()
    known = beats if marked else None
    write_recording(to, samples, patient.rate, known, lead=lead, unit=patient.unit, overwrite=overwrite)
    full = len(samples) >= duration_s * patient.rate - 1
    reason = "duration" if full else "end of recording"
    return Played(to, reason, len(samples), len(beats), len(samples) / patient.rate)


def to_text(played: Played) -> str:
    """Summary in one line."""
    late = f", at most {played.late_ms:.1f} ms late" if played.late_ms else ""
    return (
        f"ended: {played.reason}; {played.signal_s:.1f} s of signal, {played.samples} samples, {played.beats} beats "
        f"to {played.to}{late}"
    )


async def _until_signal(patient: Patient, device: Device, **options: Any) -> Played:
    """Play until Ctrl-C or SIGTERM, at the latest."""
    stop = stop_on_signals()
    return await play(patient, device, stop=stop, **options)
