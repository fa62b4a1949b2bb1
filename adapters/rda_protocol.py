"""RdaParser: bytes of BrainVision's remote data access (RDA) → its messages.

The protocol is described in the manual of the BrainVision Recorder. Every message begins with a GUID, its size in
bytes (this header included) and its type; all numbers are little-endian and packed. TCP keeps no borders between
messages, so that a read may end anywhere in one, or hold several.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs.errors import BadSignal

GUID = bytes.fromhex("8e45584396c9864caf4a98bbf6c91450")
LIMIT = 16 << 20
"""Largest message in bytes; 1 s of 128 channels at 25 kHz in float32 has 13 million."""
CHANNELS = 1024
"""Most channels that a recorder may have."""
START, DATA16, STOP, DATA32, KEEP_ALIVE = 1, 2, 3, 4, 10_000

_HEADER = struct.Struct("<16sII")
_START = struct.Struct("<Id")
_DATA = struct.Struct("<III")
_MARKER = struct.Struct("<IIIi")


@dataclass(frozen=True, slots=True)
class Start:
    """The recorder begins to send.

    Attributes
    ----------
    rate : float
        Sampling rate in Hz.
    labels : tuple of str
        Of the channels.
    resolutions : numpy.ndarray
        Shape (channels,), float64: what a step of each channel is worth, in µV.
    """

    rate: float
    labels: tuple[str, ...]
    resolutions: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker of the recorder, such as a volume trigger of the scanner.

    Attributes
    ----------
    position : int
        Sample of its block.
    kind, description : str
        ``Response`` and ``R128``, for example.
    """

    position: int
    kind: str
    description: str


@dataclass(frozen=True, slots=True)
class Data:
    """A block of samples of all channels.

    Attributes
    ----------
    block : int
        Running number of the block since the recorder began to send.
    values : numpy.ndarray
        Shape (n, channels), int16 or float32, in steps of the resolutions.
    markers : tuple of Marker
        What happened in it.
    """

    block: int
    values: NDArray[Any]
    markers: tuple[Marker, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """The recorder has stopped sending; it may start again."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The recorder is still there."""


Message = Start | Data | Stop | KeepAlive


class RdaParser:
    """Cut a stream of bytes into messages, however it comes in pieces."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._channels: int | None = None

    def push(self, data: bytes) -> list[Message]:
        """Take the next bytes.

        Parameters
        ----------
        data : bytes
            As they came from the connection.

        Returns
        -------
        list of Start, Data, Stop and KeepAlive
            Messages that are whole now. Types that are not known are passed over, and data ahead of a start.

        Raises
        ------
        BadSignal
            If this is no RDA: nothing that follows can be read.
        """
        self._bytes += data
        found: list[Message] = []
        at = 0
        while len(self._bytes) - at >= _HEADER.size:
            guid, size, kind = _HEADER.unpack_from(self._bytes, at)
            if guid != GUID:
                raise BadSignal("not a BrainVision RDA server: what it sends does not begin with RDA's GUID")
            if not _HEADER.size <= size <= LIMIT:
                raise BadSignal(f"RDA message of {size} bytes: allowed are {_HEADER.size} to {LIMIT}")
            if len(self._bytes) - at < size:
                break
            body = bytes(self._bytes[at + _HEADER.size : at + size])
            at += size
            if (message := self._read(kind, body)) is not None:
                found.append(message)
        del self._bytes[:at]
        return found

    def _read(self, kind: int, body: bytes) -> Message | None:
        if kind == START:
            start = read_start(body)
            self._channels = len(start.labels)
            return start
        if kind in (DATA16, DATA32):
            return read_data(body, self._channels, "<i2" if kind == DATA16 else "<f4") if self._channels else None
        if kind == STOP:
            self._channels = None
            return Stop()
        return KeepAlive() if kind == KEEP_ALIVE else None


def read_start(body: bytes) -> Start:
    """Read what follows the header of a start message.

    Raises
    ------
    BadSignal
        If it is cut short, or says what cannot be.
    """
    if len(body) < _START.size:
        raise BadSignal(f"RDA start message of {len(body)} bytes: allowed are {_START.size} and more")
    channels, interval_us = _START.unpack_from(body)
    if not 0 < channels <= CHANNELS:
        raise BadSignal(f"RDA start message says {channels} channels: allowed are 1 to {CHANNELS}")
    if not (interval_us > 0 and math.isfinite(interval_us)):
        raise BadSignal(f"RDA start message says a sampling interval of {interval_us:g} µs: allowed is more than 0")
    names_at = _START.size + 8 * channels
    labels = [name.decode("utf-8", errors="replace") for name in body[names_at:].split(b"\0")]
    if len(body) < names_at or len(labels) < channels:
        raise BadSignal(f"RDA start message says {channels} channels, but does not name them all")
    resolutions = np.frombuffer(body, "<f8", channels, _START.size).copy()
    resolutions[~np.isfinite(resolutions) | (resolutions == 0)] = 1.0
    return Start(1e6 / interval_us, tuple(label.strip() for label in labels[:channels]), resolutions)


def read_data(body: bytes, channels: int, kind: str) -> Data:
    """Read what follows the header of a data message.

    Parameters
    ----------
    body : bytes
        Without the header.
    channels : int
        How many the start message said.
    kind : str
        numpy's name of a value, ``<i2`` or ``<f4``.

    Raises
    ------
    BadSignal
        If it is shorter than it says.
    """
    if len(body) < _DATA.size:
        raise BadSignal(f"RDA data message of {len(body)} bytes: allowed are {_DATA.size} and more")
    block, points, markers = _DATA.unpack_from(body)
    stop = _DATA.size + points * channels * np.dtype(kind).itemsize
    if stop > len(body):
        raise BadSignal(f"RDA data message says {points} samples of {channels} channels, but holds {len(body)} bytes")
    values = np.frombuffer(body, kind, points * channels, _DATA.size).reshape(points, channels)
    return Data(block, values, _read_markers(body[stop:], markers))


def _read_markers(body: bytes, count: int) -> tuple[Marker, ...]:
    """Markers of a block; one that cannot be read ends them, for no sample depends on it."""
    found = []
    at = 0
    for _ in range(count):
        if len(body) - at < _MARKER.size:
            break
        size, position, _, _ = _MARKER.unpack_from(body, at)
        if not _MARKER.size <= size <= len(body) - at:
            break
        texts = body[at + _MARKER.size : at + size].split(b"\0")
        kind, description = (text.decode("utf-8", errors="replace") for text in (*texts, b"", b"")[:2])
        found.append(Marker(position, kind, description))
        at += size
    return tuple(found)
