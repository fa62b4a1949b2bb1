"""Detector: the stages in order, synchronous. What is scored, tested and run live is this one object."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamqrs import model as models
from streamqrs.clock import ClockMap
from streamqrs.confirm import Confirmation
from streamqrs.errors import BadModel
from streamqrs.gate import Gate
from streamqrs.inference import infer, infer_last
from streamqrs.life import Life, Step
from streamqrs.merge import OverlapMerger
from streamqrs.quality import QualityMeter, Turn
from streamqrs.resample import Resampler
from streamqrs.settings import Settings
from streamqrs.types import RATE, Beat, Chunk, Gap, Peak, Probabilities, Quality, Samples
from streamqrs.window import Windower

Found = Beat | Gap | Quality

BLOCK_WINDOWS = 16384
"""A long recording is worked through in blocks of so many windows."""
HIDES_S = 0.04
"""No QRS complex disappears in a shorter hole, in s."""


class Detector:
    """Find the heartbeats in one ECG lead, as it comes.

    However the samples are cut into pieces, the beats are the same.

    Parameters
    ----------
    rate : float
        Sampling rate in Hz, 100 to 10,000.
    model : str, path or Model
        Name of a shipped model, a model package, or one that is loaded.
    gate : bool
        Give triggers at the newest edge, too. Confirmed beats are the same with and without it, but for their ids.
    **settings
        See `Settings`; what is not given comes from the model.

    Attributes
    ----------
    rate : float
        As given.
    model : Model
        The network.
    settings : Settings
        All settings.
    held : int
        Missing samples that were bridged so far.
    curves : collections.deque of Probabilities or None
        If somebody puts a deque here, it gets the finished curve, piece by piece; `start` counts as `Beat.index` does.
    """

    def __init__(
        self,
        rate: float = RATE,
        model: str | os.PathLike[str] | models.Model = "mri",
        gate: bool = False,
        **settings: Any,
    ) -> None:
        self._given = settings
        self._resampler = Resampler(rate)
        self.rate = self._resampler.rate
        self.model = model if isinstance(model, models.Model) else models.load(model)
        try:
            chosen = Settings.of(self.model.settings)
        except (ValueError, TypeError) as error:
            raise BadModel(f"model {self.model.name}: {error}") from error
        self.settings = Settings.of(self.model.settings, settings) if settings else chosen
        s = self.settings
        self._windower = Windower(s.gate_hop if gate else s.hop, s.hop)
        self._merger = OverlapMerger(s.hop, s.margin)
        self._confirmation = Confirmation(s)
        self._gate = Gate.of(s, self._confirmation.followers) if gate else None
        self._quality = QualityMeter(s.quality_low, s.quality_high)
        self._clock = ClockMap(self.rate)
        self._longest = s.hold * self.rate / RATE
        self._life = Life()
        self.held = 0
        self.curves: deque[Probabilities] | None = None
        self.reset()

    @property
    def delay_ms(self) -> float:
        """Longest time from an R peak to its confirmed beat, in ms of source time."""
        samples = self._merger.delay + self._confirmation.delay + 1
        return samples / RATE * 1000 + self._resampler.delay_s * 1000

    def at_rate(self, rate: float) -> Detector:
        """Make a detector of the same model and settings for another sampling rate, in Hz."""
        other = Detector(rate, self.model, self._gate is not None, **self._given)
        other._life.ids = self._life.ids
        other.curves = self.curves
        return other

    def reset(self, start: int = 0) -> None:
        """Begin anew, as after a gap; ids go on.

        Parameters
        ----------
        start : int
            Count of the next source sample.
        """
        self._begin(start, None)
        if start == 0:
            self._clock.reset()

    def _begin(self, start: int, last: float | None) -> None:
        """Make all stages new; a beat at `last` (250 Hz samples, up to 0) still has its refractory time."""
        for stage in (self._resampler, self._windower, self._merger, self._quality, self._life):
            stage.reset()
        self._confirmation.reset(last)
        if self._gate:
            self._gate.reset(last)
        self._origin = self._next = start  # source samples
        self._last_value = 0.0
        self._missing = 0  # length of the run of missing samples that is open
        self._holes: deque[int] = deque(maxlen=16)  # the last ones that were bridged and are long, 250 Hz samples

    def push(self, samples: ArrayLike | Chunk) -> list[Beat]:
        """Take the next samples, and return the beats that are certain now; `events` gives gaps and quality, too.

        Parameters
        ----------
        samples : array_like or Chunk
            Shape (n,), any unit. The `start` and `time` of a chunk are heeded: a start beyond the next sample is a
            gap, which ends what was open and begins anew, or is bridged if it is short (`Settings.hold`); the time is
            taken for the source clock.

        Returns
        -------
        list of Beat
            In the order of their R peaks.

        Raises
        ------
        ValueError
            If the shape, rate or start of the samples is wrong.
        """
        return [event for event in self.events(samples) if isinstance(event, Beat)]

    def events(self, samples: ArrayLike | Chunk) -> list[Found]:
        """Do what `push` does, and say which gaps there were, and when the signal was not usable, too."""
        return list(self.stream(samples))

    def stream(self, samples: ArrayLike | Chunk) -> Iterator[Found]:
        """Do what `events` does, and give each event as soon as it is known: a trigger need not wait for the network.

        The samples are taken when all events have been.
        """
        if isinstance(samples, Chunk):
            if samples.rate != self.rate:
                raise ValueError(f"chunk of {samples.rate:g} Hz: this detector runs at {self.rate:g} Hz")
            if samples.start < self.next:
                raise ValueError(f"chunk starts at sample {samples.start}: allowed are {self.next} and after")
            if samples.start > self.next:
                yield from self._lose(samples.start)
            self._clock.push(samples.start, samples.time)
            samples = samples.samples
        x = np.asarray(samples, dtype=np.float32)
        if x.ndim != 1:
            raise ValueError(f"samples of shape {x.shape}: allowed is (n,), one lead")
        block = int(BLOCK_WINDOWS * self._windower.hop * self.rate / RATE)
        for at in range(0, len(x), block):
            yield from self._push(x[at : at + block])

    def flush(self) -> list[Beat]:
        """End the stream here, and return the beats that were still open."""
        steps: list[Step] = []
        known = self._windower.stop
        for _, newest in infer_last(self.model, self._windower):
            curve = self._merger.push(newest)
            steps += self._confirm(curve, known)
        steps += self._confirm(self._merger.flush(), known)
        steps += self._life.confirm(self._confirmation.flush(known), math.inf, known)
        return [self._beat(step) for step in steps]

    @property
    def next(self) -> int:
        """Count of the source sample that comes next."""
        return self._next + self._missing

    def time(self, sample: float) -> float:
        """Source clock in s at a source sample, or at a point between two."""
        return self._clock.time(sample)

    def restart(self, start: int) -> list[Found]:
        """End all that is open, an unusable stretch too, and begin anew at source sample `start`; return what ends."""
        found: list[Found] = [*self.flush()]
        if turn := self._quality.end(self._windower.stop):
            found.append(self._turned(turn))
        last = self._confirmation.last
        if last is not None:
            last -= (start - self._origin) * RATE / self.rate
        # else a QRS complex that was cut here would be found twice
        self._begin(start, None if last is None or last < -self.settings.distance else last)
        return found

    def _lose(self, start: int) -> list[Found]:
        """Samples are lost up to `start`: a few are bridged, for a reset would cost a window of triggers."""
        lost = start - self.next
        if self._next == self._origin or self._missing + lost > self._longest:
            return self._gap(start)
        gap = Gap(self.next, start, self._clock.time(self.next), lost / self.rate, "bridged")
        self._missing += lost
        return [gap]

    def _gap(self, start: int) -> list[Found]:
        """Samples are lost up to `start`: end what was open, and begin anew there."""
        lost = self._next
        gap = Gap(lost, start, self._clock.time(lost), (start - lost) / self.rate)
        return [*self.restart(start), gap]

    def _push(self, x: Samples) -> Iterator[Found]:
        finite = np.isfinite(x)
        whole = finite.all() and not self._missing
        return self._detect(x) if whole else self._bridge(x, finite)

    def _bridge(self, x: Samples, finite: NDArray[np.bool_]) -> Iterator[Found]:
        """Hold the last value over short runs of missing samples; a long run is a gap."""
        edges = np.flatnonzero(np.diff(finite)) + 1
        for part, good in zip(np.split(x, edges), np.split(finite, edges), strict=True):
            if not good[0]:
                self._missing += len(part)
                continue
            if self._missing > self._longest or (self._missing and self._next == self._origin):
                yield from self._gap(self.next)
            elif self._missing:
                self.held += self._missing
                bridge, self._missing = self._missing, 0
                if bridge > HIDES_S * self.rate:
                    self._holes.append(self._windower.stop)
                yield from self._detect(np.full(bridge, self._last_value, np.float32))
            yield from self._detect(part)

    def _detect(self, x: Samples) -> Iterator[Found]:
        if not len(x):
            return
        self._next += len(x)
        self._last_value = float(x[-1])
        for step in self._analyse(self._resampler.push(x)):
            yield self._turned(step) if isinstance(step, Turn) else self._beat(step)

    def _analyse(self, y: Samples) -> Iterator[Step | Turn]:
        """Run the network once over each window; its newest edge serves the gate, all of it the merger."""
        seen = self._windower.stop
        watched = min(self._windower.due - seen, len(y))
        heard = 0
        if self._gate:  # ahead of the network, which takes as long as all the rest
            yield from self._trigger(self._gate.watch(y[:watched]))
        for window, newest in infer(self.model, self._windower, y):
            at = window.stop - seen
            if self._gate:
                new, watched = y[watched:at], max(watched, at)
                yield from self._trigger(self._gate.watch(new))
                yield from self._trigger(self._gate.push(newest))
            if window.start % self.settings.hop == 0:
                if turn := self._quality.push(window.samples, newest):
                    yield turn
                self._confirmation.hear(y[heard:at])
                heard = at
                yield from self._confirm(self._merger.push(newest), window.stop)
        self._confirmation.hear(y[heard:])
        if self._gate and watched < len(y):
            yield from self._trigger(self._gate.watch(y[watched:]))

    def _trigger(self, peak: Peak | None) -> Iterator[Step]:
        if peak and self._quality.usable:
            yield self._life.trigger(peak)

    def _confirm(self, curve: Probabilities, known: int) -> list[Step]:
        if self.curves is not None and len(curve.values):
            start = self._when(curve.start, curve.known)[0]
            self.curves.append(Probabilities(curve.values, start, start + curve.known - curve.start))
        beats = self._confirmation.push(curve, known)
        if self._gate:
            self._gate.confirm(beats)
        return self._life.confirm(beats, self._confirmation.settled, known)

    def _beat(self, step: Step) -> Beat:
        index, time, known = self._when(step.at, step.known)
        rr = step.rr
        if rr is not None and any(step.at - rr < hole < step.at for hole in self._holes):
            rr = None  # a QRS complex may be in there
        rr_s = None if rr is None else rr / RATE
        return Beat(step.id, step.kind, index, time, step.probability, rr_s, known, self._quality.value)

    def _turned(self, turn: Turn) -> Quality:
        return Quality(turn.usable, turn.reason, *self._when(turn.at, turn.known), turn.value)

    def _when(self, sample: float, known: int) -> tuple[int, float, float]:
        """Index and source time of a 250 Hz sample since the last reset, and source time of the newest one needed."""
        at = self._origin + (sample / RATE - self._resampler.delay_s) * self.rate
        newest = self._origin + self._resampler.newest(known - 1)
        return max(0, math.floor(at / self.rate * RATE + 0.5)), self._clock.time(at), self._clock.time(newest)
