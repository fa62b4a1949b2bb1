"""What a Polar H10 says about its ECG over Bluetooth LE: Polar's measurement data service (PMD), version 1.

Pure functions of bytes; `streamqrs.adapters.polar` does the talking.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from streamqrs.errors import BadSignal
from streamqrs.types import Samples

RATE = 130.0
"""The only ECG rate of the H10, in Hz."""
CONTROL = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
"""Characteristic that takes commands, and answers by indications."""
DATA = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
"""Characteristic that notifies of samples."""

ECG = 0x00
# start (2), ECG; setting 0 (rate), one value: 130 Hz; setting 1 (resolution), one value: 14 bits
START = bytes([0x02, ECG, 0x00, 0x01, 0x82, 0x00, 0x01, 0x01, 0x0E, 0x00])
STOP = bytes([0x03, ECG])

_HEADER = struct.Struct("<BQB")
_ANSWER = 0xF0
_ERRORS = {
    1: "unknown command", 2: "unknown measurement", 3: "measurement not supported", 4: "wrong length",
    5: "wrong parameter", 6: "already in this state", 7: "wrong resolution", 8: "wrong sampling rate",
    9: "wrong range", 10: "wrong MTU", 11: "wrong number of channels", 12: "wrong state", 13: "the strap is charging",
}  # fmt: skip
ALREADY = 6


class Frame(NamedTuple):
    """Samples in µV, shape (n,), float32; and the strap's clock at the last of them, in ns since 2000."""

    samples: Samples
    time_ns: int


def read_frame(data: bytes) -> Frame | None:
    """Read a notification of `DATA`.

    Parameters
    ----------
    data : bytes
        The notification: measurement (1 byte), time of the last sample in ns (8), form (1), and for each sample its
        voltage in µV, 3 bytes, signed, little-endian.

    Returns
    -------
    Frame or None
        None if it is of another measurement.

    Raises
    ------
    BadSignal
        If it is no ECG of form 0.
    """
    if len(data) < _HEADER.size:
        raise BadSignal(f"notification of {len(data)} bytes: allowed are {_HEADER.size} and more")
    measurement, time_ns, form = _HEADER.unpack_from(data)
    if measurement != ECG:
        return None
    body = data[_HEADER.size :]
    if form != 0 or len(body) % 3:
        raise BadSignal(f"ECG of form {form} in {len(body)} bytes: allowed is form 0, 3 bytes a sample")
    raw = np.frombuffer(body, np.uint8).reshape(-1, 3).astype(np.int32)
    values = raw[:, 0] | raw[:, 1] << 8 | raw[:, 2] << 16
    return Frame((values - ((values & 0x800000) << 1)).astype(np.float32), time_ns)


def read_answer(data: bytes) -> tuple[int, str] | None:
    """Read an indication of `CONTROL`.

    Returns
    -------
    (int, str) or None
        The error's number, 0 for none, and what it means; None if it is no answer to a command about ECG.
    """
    if len(data) < 4 or data[0] != _ANSWER or data[1] not in (START[0], STOP[0]) or data[2] != ECG:
        return None
    return data[3], _ERRORS.get(data[3], f"error {data[3]}")


def lost_between(before: Frame, frame: Frame) -> int:
    """Samples lost between two frames, by their times.

    The strap's own rate is a little off 130 Hz, and differs with its temperature; frames hold some 73 samples.
    """
    passed = (frame.time_ns - before.time_ns) / 1e9 * RATE
    lost = round(passed - len(frame.samples))
    return lost if lost > len(frame.samples) / 4 else 0
