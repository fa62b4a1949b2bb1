"""What an MQTT sink says of itself on its status topic."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from streamqrs.events import VERSION
from streamqrs.types import Started

if TYPE_CHECKING:
    from streamqrs.summary import Summary


def status(
    state: str, started: Started | None = None, counts: Counter[str] | None = None, summary: Summary | None = None
) -> dict[str, Any]:
    """Make the message.

    Parameters
    ----------
    state : {"online", "offline"}
        Whether the sink is there.
    started : Started, optional
        What is heard.
    counts : collections.Counter, optional
        Of the sink; the last will, which is written before there is anything to count, is without.
    summary : Summary, optional
        Of the run.

    Returns
    -------
    dict
        To be sent as JSON.
    """
    message: dict[str, Any] = {"version": VERSION, "state": state}
    if counts is None:
        return message
    return message | {
        "source": started.source.name if started else None,
        "rate": float(started.rate) if started else None,
        "clock": started.source.clock if started else None,
        "model": started.model if started else None,
        "model_sha256": started.model_sha256 if started else None,
        "counts": dict(counts),
        **({"run": summary.counts()} if summary else {}),
    }


def to_json(value: dict[str, Any]) -> str:
    """JSON without spaces, and without what JSON does not know."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
