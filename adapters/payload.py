"""What devices send over MQTT: bytes of one message → `Packet`.

Pure functions, no state and no clock. Forms (``payload=``):

``number``
    One decimal number as text.
``json``
    A number, an array of numbers, or an object with ``samples`` (or ``ecg``, ``data``, ``values``, ``value``) and
    perhaps ``fs`` (``sample_rate``, ``rate``) in Hz, ``t`` (``timestamp``, ``ts``), ``seq`` (counts messages or
    samples) and ``start_index`` (counts samples). Several leads: an object of arrays, or an array of arrays, one for
    each lead, or one for each sample if ``channels`` lists as many names as an inner array is long.
``int16``, ``float32``
    Raw samples, little-endian.
``msgpack``, ``cbor``
    The same structures as JSON, if the library is installed.

Time stamps may be in s, ms, µs or ns since 1970, or in ns since 2000 as Polar's devices send them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from streamqrs.adapters.packet import Packet, read_packet, short, to_samples
from streamqrs.adapters.sniff import sniff
from streamqrs.errors import BadSignal, MissingExtra

FORMS = ("auto", "number", "json", "int16", "float32", "msgpack", "cbor")
LIMIT = 1 << 20
"""Largest message that is read, in bytes."""

_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def parse(payload: bytes, form: str, *, channel: str | int | None = None, limit: int = LIMIT) -> Packet:
    """Read one message.

    Parameters
    ----------
    payload : bytes
        The message.
    form : str
        One of `FORMS`; ``auto`` judges by this message alone (`streamqrs.adapters.sniff` by several).
    channel : str or int, optional
        Which lead to take where a message carries several: its name (of any case) or its index.
    limit : int, optional
        Largest message in bytes.

    Returns
    -------
    Packet
        At least one sample, all of them finite.

    Raises
    ------
    BadSignal
        If it cannot be read: one line that repeats no more than a few words of it.
    MissingExtra
        If the library for msgpack or CBOR is not installed.
    """
    if len(payload) > limit:
        raise BadSignal(f"message of {len(payload)} bytes: allowed are up to {limit}")
    if form not in FORMS:
        raise ValueError(f"payload is {form!r}: allowed are {', '.join(FORMS)}")
    if not payload:
        raise BadSignal("empty message: allowed are messages with at least one sample")
    if form == "auto" and not (form := sniff([payload]) or ""):
        raise BadSignal(f"message {short(payload)} has no form that shows: allowed are {', '.join(FORMS[1:])}")
    return _READERS[form](payload, channel)


def decoder(form: str) -> Callable[[bytes], Any]:
    """Function that decodes msgpack or CBOR, from the library for it.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    library, function = {"msgpack": ("msgpack", "unpackb"), "cbor": ("cbor2", "loads")}[form]
    try:
        decode: Callable[[bytes], Any] = getattr(import_module(library), function)
    except ImportError as exc:
        raise MissingExtra(f"payload is {form}, and {library} is not installed: pip install {library}") from exc
    return decode


def _number(payload: bytes, channel: str | int | None) -> Packet:
    text = payload.strip()
    if len(text) > 64 or not _NUMBER.fullmatch(text):
        raise BadSignal(f"message is {short(text)}: allowed is one decimal number")
    return Packet(to_samples([float(text)]))


def _json(payload: bytes, channel: str | int | None) -> Packet:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):  # ValueError: broken JSON, broken UTF-8, integers of thousands of digits
        raise BadSignal(f"message is not JSON: {short(payload)}") from None
    return read_packet(value, channel)


def _raw(dtype: str) -> Callable[[bytes, str | int | None], Packet]:
    width = np.dtype(dtype).itemsize

    def read(payload: bytes, channel: str | int | None) -> Packet:
        if len(payload) % width:
            raise BadSignal(f"message of {len(payload)} bytes: allowed are multiples of {width}")
        values = np.frombuffer(payload, dtype).astype(np.float32)
        if not np.isfinite(values).all():
            raise BadSignal("message has NaN or infinite samples: allowed are finite numbers")
        return Packet(values)

    return read


def _packed(form: str) -> Callable[[bytes, str | int | None], Packet]:
    def read(payload: bytes, channel: str | int | None) -> Packet:
        decode = decoder(form)
        try:
            value = decode(payload)
        except Exception:  # the libraries raise many kinds
            raise BadSignal(f"message is not {form}: {short(payload)}") from None
        return read_packet(value, channel)

    return read


_READERS: dict[str, Callable[[bytes, str | int | None], Packet]] = {
    "number": _number,
    "json": _json,
    "int16": _raw("<i2"),
    "float32": _raw("<f4"),
    "msgpack": _packed("msgpack"),
    "cbor": _packed("cbor"),
}
