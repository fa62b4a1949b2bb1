"""Packet: what a device says in one message, and how it is found in decoded JSON, msgpack or CBOR.

Nothing that a stranger's message holds may raise anything but `BadSignal`, nor be repeated at length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamqrs.errors import BadSignal
from streamqrs.types import Samples

LOWEST, HIGHEST = 100.0, 10_000.0
"""Rates that a message may name, in Hz."""

SAMPLES = ("samples", "ecg", "data", "values", "value")
RATES = ("fs", "sample_rate", "rate", "sampling_rate")
STAMPS = ("t", "timestamp", "ts")

_POLAR_EPOCH = 946_684_800.0  # 2000-01-01 in Unix time, s
_EARLIEST = 1_420_070_400.0  # 2015-01-01: below it a count of seconds is no Unix time


@dataclass(frozen=True, slots=True)
class Packet:
    """One message, read.

    Attributes
    ----------
    samples : numpy.ndarray
        Shape (n,), float32, n ≥ 1, finite, any unit.
    rate : float or None
        Sampling rate in Hz, if the message names one.
    time : float or None
        Unix time of the stamp in s.
    tick : float or None
        A stamp that is no Unix time: a device's own clock, of unknown unit.
    stamp_at_end : bool
        Whether the stamp belongs to the last sample; else to the first.
    seq : int or None
        Running number; what it counts (messages or samples) the stream shows.
    start : int or None
        Running count of the first sample.
    """

    samples: Samples
    rate: float | None = None
    time: float | None = None
    tick: float | None = None
    stamp_at_end: bool = False
    seq: int | None = None
    start: int | None = None


def short(value: object) -> str:
    """Up to 40 characters of what was given, for an error message; nothing in it can steer a terminal."""
    if isinstance(value, bytes):
        value = value[:60].decode(errors="backslashreplace")
    if isinstance(value, str):
        text = ascii(value[:60])
    elif isinstance(value, (int, float)) and abs(value) < 1e30:
        text = ascii(value)
    else:  # the repr of what a stranger nested may be endless
        text = type(value).__name__
    return text if len(text) <= 40 else text[:39] + "…"


def read_packet(value: object, channel: str | int | None = None) -> Packet:
    """Find samples, rate, stamp and numbers in a decoded message.

    Parameters
    ----------
    value : object
        A number, an array, an array of arrays, or a mapping with one of these under one of the names `SAMPLES`.
    channel : str or int, optional
        Which lead to take where there are several: its name (of any case) or its index.

    Returns
    -------
    Packet
        At least one sample, all of them finite.

    Raises
    ------
    BadSignal
        If it cannot be read.
    """
    if not isinstance(value, Mapping):
        return Packet(to_samples(_lead(value, channel, None)))
    fields = {name.lower(): item for name, item in value.items() if isinstance(name, str)}
    signal = next((fields[name] for name in SAMPLES if name in fields), None)
    if isinstance(channel, str) and signal is None:  # each lead under a name of its own
        signal = fields.get(channel.lower())
    if signal is None:
        given = _listed([*fields]) or "nothing"
        raise BadSignal(f"message has {given}: allowed names of the samples are {', '.join(SAMPLES)}")
    labels = next((fields[name] for name in ("channels", "labels") if name in fields), None)
    time, tick, at_end = _stamp(_first(fields, STAMPS))
    return Packet(
        samples=to_samples(_lead(signal, channel, labels)),
        rate=_rate(_first(fields, RATES)),
        time=time,
        tick=tick,
        stamp_at_end=at_end,
        seq=_count("seq", fields.get("seq")),
        start=_count("start_index", fields.get("start_index")),
    )


def _lead(value: object, channel: str | int | None, labels: object) -> Sequence[object]:
    """Find the one lead in a number, an array, an array of arrays or an object of arrays."""
    if isinstance(value, Mapping):
        names = _names(value)
        return _row(list(value.values())[_pick(names, channel)])
    if not isinstance(value, list):
        return [value]
    if not value or not isinstance(value[0], list):
        return value
    names = _names(labels) if isinstance(labels, list) else [str(i) for i in range(len(value))]
    if len(names) == len(value):
        return _row(value[_pick(names, channel)])
    at = _pick(names, channel)
    if not all(isinstance(row, list) and len(row) == len(names) for row in value):
        raise BadSignal(f"message has {len(names)} channel names, but arrays of other lengths")
    return [row[at] for row in value]


def _names(given: Iterable[object]) -> list[str]:
    return [name if isinstance(name, str) else short(name) for name in given]


def _row(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]


def _pick(names: list[str], channel: str | int | None) -> int:
    lower = [name.lower() for name in names]
    if channel is None:
        ecg = [i for i, name in enumerate(lower) if "ecg" in name or "ekg" in name]
        if len(names) == 1 or len(ecg) == 1:
            return 0 if len(names) == 1 else ecg[0]
        raise BadSignal(f"message has {len(names)} channels and none was chosen: allowed are {_listed(names)}")
    if isinstance(channel, str) and channel.lower() in lower:
        return lower.index(channel.lower())
    if str(channel).isdecimal() and int(channel) < len(names):
        return int(channel)
    raise BadSignal(f"message has no channel {short(channel)}: allowed are {_listed(names)}")


def _listed(names: list[str]) -> str:
    return ", ".join(short(name) for name in names[:6]) + (", …" if len(names) > 6 else "")


def to_samples(values: Sequence[object]) -> Samples:
    """Make samples, shape (n,), of n numbers; `BadSignal` unless n ≥ 1 and all are finite."""
    if not values:
        raise BadSignal("message has no samples: allowed is at least one")
    numbers = [_real(value) for value in values]
    if None in numbers:
        raise BadSignal(f"message has a sample {short(values[numbers.index(None)])}: allowed are finite numbers")
    with np.errstate(over="ignore"):
        samples = np.array(numbers, dtype=np.float64).astype(np.float32)
    if not np.isfinite(samples).all():
        raise BadSignal("message has samples too large: allowed are numbers up to 3e38")
    return samples


def _first(fields: Mapping[str, object], names: Sequence[str]) -> tuple[str, float] | None:
    """Value of the first of several fields that is there, as a finite number."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, list) and value:  # a stamp for each sample
            value = value[0]
        if value is None:
            continue
        number = _real(value)
        if number is None:
            raise BadSignal(f"message has {name} {short(value)}: allowed are finite numbers")
        return name, number
    return None


def _rate(found: tuple[str, float] | None) -> float | None:
    if found is None:
        return None
    name, rate = found
    if not LOWEST <= rate <= HIGHEST:
        raise BadSignal(f"message has {name} {rate:g} Hz: allowed are {LOWEST:g} to {HIGHEST:g} Hz")
    return rate


def _stamp(found: tuple[str, float] | None) -> tuple[float | None, float | None, bool]:
    """Unix time, or else a bare tick; and whether it belongs to the last sample."""
    if found is None:
        return None, None, False
    value = found[1]
    unit = next((unit for unit, top in ((1.0, 1e11), (1e3, 1e14), (1e6, 1e17)) if value < top), 1e9)
    time = value / unit
    if time >= _EARLIEST:
        return time, None, False
    if unit == 1e9:  # ns, yet before 2015: since 2000, and Polar stamps the last sample of a frame
        return time + _POLAR_EPOCH, None, True
    return None, value, False


def _count(name: str, value: object) -> int | None:
    if value is None:
        return None
    number = _real(value)
    if number is None or not number.is_integer() or not 0 <= number < 1 << 63:
        raise BadSignal(f"message has {name} {short(value)}: allowed are whole numbers from 0")
    return value if isinstance(value, int) else int(number)


def _real(value: object) -> float | None:
    """Finite number as a float; None for all else, booleans too."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
