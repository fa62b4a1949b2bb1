"""What flows between the stages: small frozen records, numpy only.

Integers count samples and are the truth; seconds are a view of them. ``index`` and the ``start`` of everything
after the resampler count 250 Hz samples since the stream began; the ``start`` of a `Chunk` counts source samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE = 250
"""The rate every stage after the resampler runs at, in Hz."""
WINDOW = 750
"""Length of a window in samples at 250 Hz (3 s)."""
HALF_MASK = 12
"""Networks are trained on masks that reach this many samples to both sides of R: R follows their onset by as many."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive samples of one lead, as a source delivers them.

    Attributes
    ----------
    samples : numpy.ndarray
        Shape (n,), float32, any unit.
    start : int
        Count of the first sample since the stream began. A jump forward means lost samples.
    rate : float
        Sampling rate in Hz.
    time : float
        Source clock at the first sample, in s; NaN if the source has no clock.
    received : float
        Local monotonic clock at arrival, in s; for delays only, NaN if unknown.
    """

    samples: Samples
    start: int
    rate: float
    time: float = float("nan")
    received: float = float("nan")


@dataclass(frozen=True, slots=True)
class Window:
    """3 s of signal at 250 Hz.

    Attributes
    ----------
    samples : numpy.ndarray
        Shape (750,), float32, normalised.
    start : int
        Count of the first 250 Hz sample.
    """

    samples: Samples
    start: int

    @property
    def stop(self) -> int:
        """Count of the 250 Hz sample after the last one."""
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Probability of QRS for each 250 Hz sample.

    Before the merge these overlap; after it they are disjoint and contiguous.

    Attributes
    ----------
    values : numpy.ndarray
        Shape (n,), float32, 0 to 1.
    start : int
        Count of the first 250 Hz sample.
    known : int
        Count of the 250 Hz sample after the newest one that was needed to compute them.
    """

    values: Samples
    start: int
    known: int


@dataclass(frozen=True, slots=True)
class Peak:
    """A QRS complex in the finished curve, still in samples.

    Attributes
    ----------
    at : float
        The R peak in 250 Hz samples, between two of them (before the resampler's delay is taken off).
    probability : float
        How sure the network is, 0 to 1.
    known, stop : int
        Count of the 250 Hz sample after the newest one that was needed, and after the last one of its hill.
    likeness : float or None
        To this patient's sure beats, 0 to 1; None: too few are known, or the network has no doubt.
    """

    at: float
    probability: float
    known: int
    stop: int = 0
    likeness: float | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat, or a step in its life.

    Attributes
    ----------
    id : int
        The same for all events of one beat; grows by one from 0.
    kind : {"trigger", "beat", "withdrawn"}
        ``trigger``: provisional, at the newest edge; ``beat``: confirmed; ``withdrawn``: a trigger that was no beat.
    index : int
        The R peak in 250 Hz samples since the stream began.
    time : float
        The R peak on the source clock in s (s since the first sample where the source has no clock).
    probability : float
        How sure it is, 0 to 1: what the network says; of a confirmed beat that, weighed by its likeness to others.
    rr_s : float or None
        Time since the previous beat in s; None for the first one after a start or a gap.
    known : float
        Source time in s of the newest sample that was needed to say this.
    quality : float
        How usable the signal around it is, 0 (not at all) to 1; see `streamqrs.quality`.
    """

    id: int
    kind: Literal["trigger", "beat", "withdrawn"]
    index: int
    time: float
    probability: float
    rr_s: float | None
    known: float
    quality: float = 1.0

    @property
    def delay_ms(self) -> float:
        """How long after the R peak this could be known, in ms of source time."""
        return (self.known - self.time) * 1000

    @property
    def heart_rate(self) -> float | None:
        """Instantaneous heart rate in beats per minute; None without an RR interval."""
        return 60.0 / self.rr_s if self.rr_s else None


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples were lost or the stream started anew: every stage was reset, or the hole was bridged.

    Attributes
    ----------
    start, stop : int
        First sample lost and first sample after it, in source samples since the stream began.
    time : float
        Source clock at `start`, in s.
    duration_s : float
        Length of what is missing, in s.
    reason : str
        ``lost`` (at the source or on the way), ``overload`` (dropped here to catch up), ``restart``; ``bridged``: lost,
        but so few (0.2 s at most) that nothing was reset; ``silent``: a live source has stopped sending. Nothing is
        reset yet, and `stop` is as far as time has passed; if samples turn out to be missing, a second gap with the
        same `start` says how many.
    """

    start: int
    stop: int
    time: float
    duration_s: float
    reason: str = "lost"


@dataclass(frozen=True, slots=True)
class Quality:
    """The signal became unusable, or usable again. In between no trigger is given.

    Attributes
    ----------
    usable : bool
        Which of the two.
    reason : str
        What is wrong, or was: ``flat``, ``rails``, ``noise``.
    index, time : int, float
        From here on, in 250 Hz samples since the stream began, and on the source clock in s.
    known : float
        Source time in s of the newest sample that was needed to say this.
    value : float
        Quality now, 0 to 1.
    """

    usable: bool
    reason: str
    index: int
    time: float
    known: float
    value: float


@dataclass(frozen=True, slots=True)
class Signal:
    """What was heard and what the network made of it, for those who show it: not an event.

    Attributes
    ----------
    chunk : Chunk
        Source samples, as they went into the detector.
    curve : tuple of Probabilities
        What has been finished of the curve by now; `start` counts 250 Hz samples since the stream began.
    """

    chunk: Chunk
    curve: tuple[Probabilities, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says about itself.

    Attributes
    ----------
    name, channel, unit : str
        Name of the stream, file or topic, label of the lead, unit of the samples; empty if unknown.
    clock : str
        What `Chunk.time` counts: ``stream`` (s since the first sample), ``lsl``, ``unix``.
    live : bool
        Whether it goes on whether we keep up or not. A live source that outruns the network is cut, a file waits.
    """

    name: str = ""
    channel: str = ""
    unit: str = ""
    clock: str = "stream"
    live: bool = True


@dataclass(frozen=True, slots=True)
class Started:
    """First event of a run: what is being heard, and with which model.

    Attributes
    ----------
    source, rate : SourceInfo, float
        The source, and its sampling rate in Hz.
    model, model_sha256 : str
        Name of the model, and hash of the network's weights.
    delay_ms : float
        Longest delay from R peak to confirmed beat, in ms of source time.
    """

    source: SourceInfo
    rate: float
    model: str
    model_sha256: str
    delay_ms: float


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a user should see, though the run goes on: a bad message, a flat line, a lost connection.

    Attributes
    ----------
    where : str
        Spec of the source or sink, or name of the stage.
    message : str
        One line.
    """

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker of the source, such as the volume trigger of a scanner: passed on as it came, no event of the heart.

    Attributes
    ----------
    name : str
        What the source calls it: ``Response R128``, for example.
    sample, time, known : int, float, float
        Where it is, in source samples since the stream began, and on the source clock in s; that of the newest sample.
    """

    name: str
    sample: int
    time: float
    known: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """Last event of a run.

    Attributes
    ----------
    reason : str
        Why it ended: ``end of source``, ``duration``, ``interrupted``, or the line of an error.
    counts : dict of str to int
        Samples, beats, gaps and problems seen, samples dropped.
    """

    reason: str
    counts: dict[str, int] = field(default_factory=dict)


Event = Started | Beat | Gap | Quality | Marker | Problem | Stopped
"""What sinks are sent."""
