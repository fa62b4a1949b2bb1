"""What ``streamqrs run --gate`` takes, and what it says of triggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from streamqrs.detector import Detector
    from streamqrs.ports import Sink
    from streamqrs.summary import Summary
    from streamqrs.triggers import TriggerSettings


def read(
    gate: bool,
    *,
    depth: int | None = None,
    threshold: float | None = None,
    hop: int | None = None,
    align: float | None = None,
    deadline: float | None = None,
) -> tuple[dict[str, Any], TriggerSettings]:
    """Check the options of the gate.

    Parameters
    ----------
    gate : bool
        Whether there are triggers at all.
    depth, hop : int, optional
        In samples at 250 Hz.
    threshold : float, optional
        Probability at which a trigger is given, 0 to 1.
    align, deadline : float, optional
        In ms after R.

    Returns
    -------
    dict, TriggerSettings
        Settings of the detector, and when triggers are sent.
    """
    from streamqrs.triggers import TOLERANCE_MS, TriggerSettings

    settings = {"gate_depth": depth, "gate_threshold": threshold, "gate_hop": hop}
    chosen = {name: value for name, value in settings.items() if value is not None}
    given = [f"--{name.replace('_', '-')}" for name in chosen]
    given += [name for name, value in (("--align", align), ("--deadline", deadline)) if value is not None]
    if given and not gate:
        raise typer.BadParameter(f"{', '.join(given)} given without --gate: there are no triggers")
    latest = deadline
    if latest is None:
        default = TriggerSettings().deadline_ms
        latest = default if align is None else max(default, align + TOLERANCE_MS)
    return chosen, TriggerSettings(deadline_ms=latest, align_ms=align)


def check_sinks(gate: bool, sinks: Sequence[Sink]) -> None:
    """Refuse a sink that would never do anything."""
    for sink in sinks:
        if not gate and getattr(sink, "on", "") == "trigger":
            name = getattr(sink, "name", "sink")
            raise typer.BadParameter(f"{name} waits for triggers, and without --gate there are none: or give on=beat")


def announce(detector: Detector, triggers: TriggerSettings) -> str:
    """Say what the way to a trigger costs, in one line."""
    from streamqrs.budget import GateBudget

    budget = GateBudget.of(detector.settings, detector.rate)
    line = f"gate: {budget}"
    if triggers.align_ms is not None:
        line = f"{line}; sent {triggers.align_ms:g} ms after R, or not at all"
        spare_ms = triggers.align_ms - budget.most_ms
        return f"{line} (many will be late: that leaves {spare_ms:.0f} ms for transport)" if spare_ms < 2 else line
    return f"{line}; sent at once, never later than {triggers.deadline_ms:g} ms after R"


def ask_for_realtime() -> list[str]:
    """Ask the system for real-time scheduling, and say what it granted: a line for each thing."""
    from streamqrs.realtime import request

    return [f"realtime: {grant}" for grant in request()]


def report(summary: Summary) -> list[str]:
    """Lines on the triggers of a run."""
    if not (summary.triggers or summary.late):
        return []
    lines = [f"{summary.triggers} triggers, {summary.withdrawn} of them withdrawn, {summary.late} late and not sent"]
    delays = {
        "R peak to trigger, source time": summary.trigger_known,
        "arrival of its last sample to trigger sent, wall clock": summary.trigger_response,
        "R peak to trigger sent, wall clock": summary.trigger_age,
    }
    return lines + [f"{name}: {quantiles}" for name, delay in delays.items() if (quantiles := delay.quantiles())]
