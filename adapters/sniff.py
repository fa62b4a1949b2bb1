"""Which form a device's messages have, judged by the first of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamqrs.adapters.packet import SAMPLES

ENOUGH = 64
"""Bytes of raw samples that it takes to tell int16 from float32."""

_NUMBER = re.compile(rb"[+-]?[\d.]+([eE][+-]?\d+)?")
_KEYS = tuple(name.encode() for name in (*SAMPLES, "Samples"))


def sniff(payloads: Sequence[bytes]) -> str | None:
    """Find out the form of a stream of messages.

    Text shows itself; so do msgpack and CBOR when they carry a map with a known name (a bare array of theirs has to be
    named by the user). What is left is raw, and int16 unless it makes a signal as float32.

    Parameters
    ----------
    payloads : sequence of bytes
        The first messages; bad ones may be among them.

    Returns
    -------
    str or None
        ``number``, ``json``, ``int16``, ``float32``, ``msgpack`` or ``cbor``; None if they do not tell yet.
    """
    votes = Counter(form for payload in payloads if (form := _kind(payload)))
    if not votes:
        return None
    winner = votes.most_common(1)[0][0]
    if winner != "raw":
        return winner
    return _raw([payload for payload in payloads if _kind(payload) == "raw"])


def _kind(payload: bytes) -> str | None:
    text = payload.strip()
    if _is_text(text):
        if text[:1] in (b"{", b"["):
            return "json"
        return "number" if _NUMBER.fullmatch(text) else None
    head, start = payload[0], payload[:256]
    if (0x81 <= head <= 0x8F or head in (0xDE, 0xDF)) and _has_key(start, 0xA0):
        return "msgpack"
    if (0xA1 <= head <= 0xB9 or head == 0xBF) and _has_key(start, 0x60):
        return "cbor"
    return None if len(payload) % 2 else "raw"


def _has_key(start: bytes, string: int) -> bool:
    """Whether a known name stands there as a short string, whose header is `string` + its length."""
    return any(bytes([string + len(key)]) + key in start for key in _KEYS)


def _is_text(payload: bytes) -> bool:
    try:
        return payload.decode().replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable()
    except UnicodeDecodeError:
        return False


def _raw(payloads: Sequence[bytes]) -> str | None:
    if any(len(payload) % 4 for payload in payloads):
        return "int16"
    joined = b"".join(payloads)
    if len(joined) < ENOUGH:
        return None
    int16 = np.frombuffer(joined, "<i2").astype(np.float64)
    if not int16.any():
        return None
    with np.errstate(invalid="ignore"):  # a signalling NaN
        float32 = np.frombuffer(joined, "<f4").astype(np.float64)
    size = np.abs(float32[float32 != 0])
    if (
        not len(size) or np.mean((size > 1e-9) & (size < 1e7)) < 0.5
    ):  # false for NaN: pairs of small int16 are denormal or NaN
        return "int16"
    if np.ptp(int16) == 0:
        return None
    return "int16" if _roughness(int16) < _roughness(float32[np.isfinite(float32)]) else "float32"


def _roughness(x: NDArray[np.float64]) -> float:
    """Mean step between neighbours against the range: about 1/3 for noise, less for a sampled wave."""
    span = float(np.ptp(x))
    return float(np.mean(np.abs(np.diff(x)))) / span if span else 0.0
