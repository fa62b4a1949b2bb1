"""Summary: the counters and delays of a run, in one place that can be read while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from streamqrs.latency import Delays

COUNTS = (
    "samples", "beats", "triggers", "withdrawn", "late", "gaps", "problems", "dropped", "unusable", "reconnects",
)  # fmt: skip
"""Counters that are told in `Stopped`."""


@dataclass(slots=True)
class Summary:
    """What a run did, or has done so far.

    Give one to `streamqrs.run` and read it whenever you like, from any thread: nothing in it is ever taken back.

    Attributes
    ----------
    reason : str
        Why the run ended; empty while it goes on.
    signal_s : float
        Length of the signal that was worked on, in s.
    samples, beats, gaps, problems : int
        Source samples worked on, confirmed beats, gaps, problems shown.
    triggers : int
        Triggers that were sent.
    withdrawn : int
        Of these, the ones that turned out to be no beat.
    late : int
        Triggers that were not sent, because they would have come after their deadline.
    dropped : int
        Source samples given up to catch up.
    unusable : int
        Times that the signal became unusable.
    lag_s, lag_max_s : float
        Signal that was waiting for the detector when it last took some, in s; the most there ever was.
    heart_rate : float or None
        Of the newest confirmed beat, in beats per minute.
    usable : bool
        Whether the signal is usable now, as far as is known.
    undelivered : dict of str to int
        Events that each sink did not get, by the sink's name; only those with any.
    failed : list of str
        Lines of the errors of sinks that failed.
    known : Delays
        From R peak to the newest sample that its confirmed beat needed, in ms of source time.
    compute : Delays
        From the arrival of that sample to the beat's leaving the detector, in ms on the wall clock.
    trigger_known : Delays
        From R peak to the newest sample that its trigger needed, in ms of source time.
    trigger_waiting, trigger_network, trigger_handover, trigger_response : Delays
        Of a trigger, in ms on the wall clock: from the arrival of its last sample to the detector's taking it; from
        there to the trigger's leaving the detector; from there to the call of a sink (each sink counts); and all of
        these together. A trigger that is held on purpose (``align_ms``) does not count in the last two.
    trigger_age : Delays
        From R peak to the call of a sink, in ms on the wall clock; live sources only.
    """

    reason: str = ""
    signal_s: float = 0.0
    samples: int = 0
    beats: int = 0
    triggers: int = 0
    withdrawn: int = 0
    late: int = 0
    gaps: int = 0
    problems: int = 0
    dropped: int = 0
    unusable: int = 0
    lag_s: float = 0.0
    lag_max_s: float = 0.0
    heart_rate: float | None = None
    usable: bool = True
    undelivered: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    known: Delays = field(default_factory=Delays)
    compute: Delays = field(default_factory=Delays)
    trigger_known: Delays = field(default_factory=Delays)
    trigger_waiting: Delays = field(default_factory=Delays)
    trigger_network: Delays = field(default_factory=Delays)
    trigger_handover: Delays = field(default_factory=Delays)
    trigger_response: Delays = field(default_factory=Delays)
    trigger_age: Delays = field(default_factory=Delays)
    connections: list[Callable[[], int]] = field(default_factory=list, repr=False)

    @property
    def reconnects(self) -> int:
        """Times that the source or a sink made its connection anew, as far as they count it."""
        return sum(count() for count in self.connections)

    def counts(self) -> dict[str, int]:
        """Counters as they are told in `Stopped`."""
        return {name: int(getattr(self, name)) for name in COUNTS} | {"undelivered": sum(self.undelivered.values())}
