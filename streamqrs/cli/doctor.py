"""``streamqrs doctor``: is everything here that a run needs, and is it fast enough? Each line says OK or what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamqrs.adapters.mqtt_target import Broker
    from streamqrs.cli.checks import Check
    from streamqrs.ports import Source

Text = str | None


def command(
    broker: Annotated[Text, typer.Option(help="mqtt[s]://host:port[/base]: echo test of this broker.")] = None,
    source: Annotated[Text, typer.Option(help="Listen to this source for 3 s; specs as in `run`.")] = None,
    channel: Annotated[Text, typer.Option(help="Channel of the source, by label or index.")] = None,
    rate: Annotated[float | None, typer.Option(help="Sampling rate in Hz, for a source that does not say.")] = None,
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a model's folder or file.")] = "mri",
    hop: Annotated[
        int | None, typer.Option(help="Samples (at 250 Hz) between two decisions of the gate.  [default: the model's]")
    ] = None,
    mqtt_version: Annotated[Text, typer.Option(help="mqtt: 3.1.1 or 5.")] = None,
    username: Annotated[Text, typer.Option(help="mqtt: user; the password is in a file or the environment.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="mqtt: file with the password.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="mqtts: certificate authority to trust.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="mqtts: client certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="mqtts: key of the client certificate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all results as JSON on stdout.")] = False,
) -> None:
    """Check this machine, and on demand a broker and a source. Exit code 1 if something is wrong.

    Ends with the virtual patient, live for 5 s, its beats held against the truth.
    """
    from streamqrs.cli.checks import read_broker
    from streamqrs.cli.secrets import warn_of_passwords
    from streamqrs.ports import open_source
    from streamqrs.settings import Settings

    login = {"mqtt_version": mqtt_version, "username": username, "password_file": password_file}
    tls = {"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
    scheme = (broker or "").partition(":")[0]
    if broker is not None and scheme not in ("mqtt", "mqtts"):
        shown = f" {scheme}:" if scheme.isalnum() and ":" in broker else ""
        raise typer.BadParameter(f"--broker is no{shown} address of that kind: allowed are mqtt://… and mqtts://…")
    if any(tls.values()) and scheme != "mqtts":
        raise typer.BadParameter("--tls-ca, --tls-cert and --tls-key go with --broker mqtts://… only")
    if any(login.values()) and broker is None:
        raise typer.BadParameter("--mqtt-version, --username and --password-file go with --broker only")
    given = {name: value for name, value in (login | tls).items() if value is not None}
    options = {name: value for name, value in (("channel", channel), ("rate", rate)) if value is not None}
    if options and source is None:
        raise typer.BadParameter("--channel and --rate go with --source only")
    if hop is not None:
        Settings(gate_hop=hop)  # says what is allowed
    warn_of_passwords(broker, source)
    address = read_broker(broker, given) if broker is not None else None
    heard = open_source(source, **options) if source is not None else None
    results: list[Check] = []
    for result in examine(broker=address, source=heard, model=model, hop=hop):
        results.append(result)
        if not as_json:
            typer.echo(to_text(result))
    wrong = [result.name for result in results if not result.ok]
    if as_json:
        typer.echo(json.dumps({"ok": not wrong, "checks": [asdict(result) for result in results]}))
    else:
        typer.echo(f"{len(wrong)} wrong: {', '.join(wrong)}" if wrong else "all is well", err=True)
    if wrong:
        sys.exit(1)


def examine(
    *, broker: Broker | None = None, source: Source | None = None, model: str = "mri", hop: int | None = None
) -> Iterator[Check]:
    """Yield the results of all checks, one by one as they are known.

    Parameters
    ----------
    broker : Broker, optional
        Broker to test.
    source : Source, optional
        Source to listen to; entered and left here.
    model : str
        Name of a shipped model, or a model package.
    hop : int, optional
        Distance between two decisions of the gate in samples at 250 Hz; by default the model's.
    """
    from streamqrs.cli import checks
    from streamqrs.cli.source_check import source_check
    from streamqrs.model import load

    yield checks.python()
    yield checks.libraries()
    yield checks.extras()
    yield checks.checked("liblsl", checks.lsl)
    sound = True
    for result in checks.models(model):
        sound = sound and (result.ok or result.name != f"model {model}")
        yield result
    yield checks.timer()
    if sound:
        yield checks.headroom(load(model), hop)
    if broker is not None:
        advice = f"start it, mend address or login, or allow this user to read and write {broker.topic}/#"
        yield checks.checked("broker", partial(checks.broker, broker), advice)
    if source is not None:
        yield checks.checked("source", partial(source_check, source), "start the device, or mend the spec")
    if sound:
        yield checks.checked("self-test", lambda: checks.self_test(load(model)))


def to_text(result: Check) -> str:
    """One line: OK or WRONG, what was looked at, what was found, and what to do."""
    head = f"{'OK' if result.ok else 'WRONG':5}  {result.name:12} {result.said}"
    return f"{head}: {result.advice}" if result.advice else head
