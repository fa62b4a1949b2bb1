"""TriggerDesk: whether a trigger still comes in time, and when it is to be sent.

Nothing here reads a clock: the local monotonic clock comes in with the calls. Where the R peak lies on it, the arrival
of the samples tells: counts are exact, and the sample that was least delayed on its way over the last seconds says when
count zero was. Chunks and jitter of the transport do not move it; a delay that all samples share cannot be seen.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from streamqrs.types import Beat

TOLERANCE_MS = 1.0
"""An aligned trigger that would be later than its time by more than this is not sent, in ms."""
MEMORY_S = 4.0
"""Signal over which the least delayed sample is looked for, in s: a clock off by 200 ppm drifts 0.8 ms in it."""
PAUSE_S = 0.5
"""Longest step by which a pause in the arrivals ages the memory, in s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSettings:
    """When triggers are sent.

    Attributes
    ----------
    deadline_ms : float
        A trigger that would be sent longer than this after its R peak is not sent, in ms.
    align_ms : float or None
        Send each trigger exactly so long after its R peak, in ms, or not at all; None: as soon as it is known.
    """

    deadline_ms: float = 100.0
    align_ms: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.deadline_ms < math.inf:
            raise ValueError(f"deadline is {self.deadline_ms:g} ms: allowed is more than 0")
        if self.align_ms is not None and not 0 <= self.align_ms <= self.deadline_ms:
            raise ValueError(f"align is {self.align_ms:g} ms: allowed are 0 to the deadline, {self.deadline_ms:g} ms")


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger on its way; times in s on the local monotonic clock.

    Attributes
    ----------
    beat : Beat
        The event.
    peak : float
        Time of the R peak; NaN if the source is not live.
    due, latest : float
        Not to be sent before, and not after.
    received, decided : float
        Arrival of the newest sample, and the trigger's leaving the detector.
    held : bool
        Whether it was held on purpose.
    """

    beat: Beat
    peak: float = math.nan
    due: float = -math.inf
    latest: float = math.inf
    received: float = math.nan
    decided: float = math.nan
    held: bool = False


class ArrivalClock:
    """Local monotonic time of a source sample, from the arrivals of the last `MEMORY_S`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all arrivals, as when the count begins anew."""
        self._least: deque[tuple[float, float]] = deque()  # (age, local time of count 0), rising in both
        self._age = 0.0
        self._last = math.nan

    def push(self, newest: int, rate: float, received: float) -> None:
        """Take the arrival of a chunk.

        Parameters
        ----------
        newest : int
            Count of its last sample.
        rate : float
            Sampling rate in Hz.
        received : float
            Local monotonic clock in s.
        """
        # a pause ages nothing: what waited during it must not pass for prompt afterwards
        step = received - self._last
        self._age += min(max(step, 0.0), PAUSE_S) if math.isfinite(step) else 0.0
        self._last = received
        zero = received - newest / rate
        while self._least and self._least[-1][1] >= zero:
            self._least.pop()
        self._least.append((self._age, zero))
        while self._least[0][0] < self._age - MEMORY_S:
            self._least.popleft()

    def time(self, sample: int, rate: float) -> float:
        """Local monotonic time in s at which a sample was taken, less the least delay there is; NaN if unknown."""
        return self._least[0][1] + sample / rate if self._least else math.nan


class TriggerDesk:
    """Decide for each trigger when it is sent, if at all.

    Parameters
    ----------
    settings : TriggerSettings
        Deadline and alignment.
    live : bool
        Whether the source keeps time. If not, there is no wall clock to go by: what counts as age is then the delay
        on the source clock, and nothing is held.
    """

    def __init__(self, settings: TriggerSettings, live: bool) -> None:
        self.settings, self.live = settings, live
        self._arrivals = ArrivalClock()

    def reset(self) -> None:
        """Begin anew, as when the rate changes."""
        self._arrivals.reset()

    def hear(self, newest: int, rate: float, received: float) -> None:
        """Take the arrival of a chunk: the count of its last sample, its rate in Hz, the local clock in s."""
        if self.live:
            self._arrivals.push(newest, rate, received)
            self._newest_at = self._arrivals.time(newest, rate)
            self._received = received

    def judge(self, beat: Beat, ago_s: float, now: float) -> Trigger | None:
        """Say when a trigger is to be sent.

        Parameters
        ----------
        beat : Beat
            The trigger.
        ago_s : float
            Time from its R peak to the newest sample that was heard, in s on the source clock.
        now : float
            Local monotonic clock in s.

        Returns
        -------
        Trigger or None
            None: it is late, and must not be sent.
        """
        limit_s, align_ms = self.settings.deadline_ms / 1000, self.settings.align_ms
        if not self.live:
            limit_ms = self.settings.deadline_ms if align_ms is None else align_ms + TOLERANCE_MS
            return Trigger(beat, decided=now) if beat.delay_ms <= limit_ms else None
        peak = self._newest_at - ago_s
        due, latest = -math.inf, peak + limit_s
        if align_ms is not None:
            due = peak + align_ms / 1000
            latest = min(latest, due + TOLERANCE_MS / 1000)
        if not now <= latest:
            return None
        return Trigger(beat, peak, due, latest, self._received, now, held=now < due)
