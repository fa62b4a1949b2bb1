"""A password typed into a spec: everybody on the machine can read it in the process list, so say so."""

from __future__ import annotations

import re

import typer

_PASSWORD = re.compile(r"mqtts?://[^/@]*:[^/@]+@")


def warn_of_passwords(*specs: str | None) -> None:
    """Say on standard error if one of the specs holds a password, without repeating it."""
    if any(spec and _PASSWORD.match(spec) for spec in specs):
        typer.echo(
            "the password in the command can be read in the process list: give it with --password-file, or in the "
            "environment as STREAMQRS_MQTT_PASSWORD",
            err=True,
        )
