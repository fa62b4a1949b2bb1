"""XDF, the format of LabRecorder, through the `pyxdf` package: one channel of one stream, on its own clock.

The raw stamps are held against a regular series. liblsl's and pyxdf's own dejittering would hide lost samples, as both
take every stamp for the next one of such a series; here, samples that are missing become NaN.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamqrs.errors import BadRecord, MissingExtra, SourceNotFound
from streamqrs.readers import LONGEST, Marks, Raw, beat_code, one_line, to_float32

STALL_S = 5.0
"""A source that stalls for this long and then catches up has lost nothing, in s."""
LEAST_S, MOST_S = 0.02, 0.1
"""Bounds of the lateness that is a loss, in s; between them, six times the usual one."""
FLOOR_S = 0.5
"""The least lateness ahead of a loss is looked for in so much signal, in s."""
END_S = 0.3
"""Stamps so near the end cannot be told from late ones, in s."""
USUAL_HZ = (100, 125, 128, 130, 200, 250, 256, 300, 360, 400, 500, 512, 600, 1000, 1024, 2000, 2048, 2500, 4096, 5000)
"""A measured rate within 1 % of one of these is that one."""
LATEST_S = 1e11
"""A stamp beyond this (the year 5138) is no time, in s."""
HIGHEST_HZ = 1e6
"""What stamps may say at most; whether a detector takes it is asked later."""

_ECG = re.compile("ecg|ekg", re.IGNORECASE)


class Lead(NamedTuple):
    """A channel of a stream: names, unit, and where it is."""

    stream: str
    kind: str
    label: str
    unit: str
    place: int
    column: int


def read_xdf(path: Path, lead: str | int | None) -> Raw:
    """Read a channel of an XDF file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    lead : str, int or None
        Label, ``stream/label``, or index from 0 over the channels of all numeric streams. None: the first channel
        labelled ECG or EKG, or the first of a stream of type ECG, or the only one.

    Returns
    -------
    Raw
        With the clock of the recording. A text stream whose texts name beats (``R``, ``QRS``, ``N`` …) gives the
        marks: one that is called after the ECG's stream with ``-truth`` behind it, or the only one.

    Raises
    ------
    BadRecord, SourceNotFound, MissingExtra
        If it cannot be read, has no such channel, or pyxdf is not installed.
    """
    try:
        import pyxdf
    except ImportError as error:
        raise MissingExtra.of("pyxdf", "files") from error
    logging.getLogger("pyxdf").setLevel(logging.CRITICAL)  # stamps are looked at here; of damage, our error tells
    try:
        with path.open("rb") as file:
            streams, _ = pyxdf.load_xdf(file, dejitter_timestamps=False)
    except Exception as error:  # pyxdf lets through what its parsing stumbles on
        raise BadRecord(f"{path.name} cannot be read as XDF: {one_line(error)}") from error
    leads = _leads(streams)
    chosen = _pick(path.name, leads, lead)
    stream = streams[chosen.place]
    stamps = np.asarray(stream["time_stamps"], np.float64)
    samples = to_float32(np.asarray(stream["time_series"])[:, chosen.column])
    if len(stamps) < 2 or not (np.abs(stamps) < LATEST_S).all():  # not of NaN either
        raise BadRecord(f"{path.name}: stream {chosen.stream!r} has {len(stamps)} samples, or stamps that are no time")
    rate = _rate(path.name, float(_text(stream, "nominal_srate") or 0), stamps)
    place = place_samples(stamps, rate)
    if place[-1] >= LONGEST:
        raise BadRecord(f"{path.name}: stamps run over {stamps[-1] - stamps[0]:g} s: that is {place[-1]} samples")
    full = np.full(int(place[-1]) + 1, np.nan, np.float32)
    full[place] = samples
    knots = _knots(place, stamps)
    return Raw(full, rate, chosen.label, chosen.unit, _marks(streams, chosen.stream, knots), knots, "lsl")


def place_samples(stamps: NDArray[np.float64], rate: float) -> NDArray[np.int64]:
    """Count of each sample since the first one, lost ones counted too.

    A stamp may be late and the next ones catch up; only where all stamps of the next `STALL_S` stay late, samples are
    missing.

    Parameters
    ----------
    stamps : numpy.ndarray
        Shape (n,), in s, as the sender gave them.
    rate : float
        Sampling rate in Hz.

    Returns
    -------
    numpy.ndarray
        Shape (n,), int64, strictly rising from 0.
    """
    from scipy.ndimage import minimum_filter1d

    n = len(stamps)
    late = stamps - stamps[0] - np.arange(n) / rate
    ahead = max(1, min(round(STALL_S * rate), n))
    floor = minimum_filter1d(late, ahead, mode="nearest", origin=-(ahead // 2))  # of each sample and the next ones
    limit = min(max(6 * float(np.median(late - floor)), LEAST_S), MOST_S) + 1.5 / rate
    losses = np.flatnonzero(np.diff(floor) > limit) + 1
    lost = np.zeros(n, np.int64)
    for before, at in pairwise([0, *losses[losses < n - END_S * rate].tolist()]):
        # just ahead of a loss the floor is that of a few samples: take it from further back
        level = floor[max(before, at - round(FLOOR_S * rate))]
        lost[at] = round((floor[at] - level) * rate)
    place: NDArray[np.int64] = np.arange(n) + np.cumsum(lost)
    return place


def _leads(streams: Sequence[dict[str, Any]]) -> list[Lead]:
    leads = []
    for place, stream in enumerate(streams):
        if _text(stream, "channel_format") == "string" or not len(stream["time_stamps"]):
            continue
        labels = _channels(stream)
        for column in range(np.asarray(stream["time_series"]).shape[1]):
            label, unit = labels[column] if column < len(labels) else ("", "")
            leads.append(Lead(_text(stream, "name"), _text(stream, "type"), label, unit, place, column))
    return leads


def _channels(stream: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and unit of each channel that the description names."""
    try:
        listed = stream["info"]["desc"][0]["channels"][0]["channel"]
    except (KeyError, IndexError, TypeError):
        return []
    return [tuple(str((each.get(key) or [""])[0] or "") for key in ("label", "unit")) for each in listed]  # type: ignore[misc]


def _pick(name: str, leads: list[Lead], lead: str | int | None) -> Lead:
    if not leads:
        raise BadRecord(f"{name} holds no stream of numbers")
    if lead is None:
        labelled = [each for each in leads if _ECG.search(each.label)] or [
            each for each in leads if _ECG.search(each.kind) or _ECG.search(each.stream)
        ]
        if labelled or len(leads) == 1:
            return (labelled or leads)[0]
    else:
        wanted = str(lead).strip().casefold()
        for each in leads:
            if wanted in (each.label.casefold() or None, f"{each.stream}/{each.label or each.column}".casefold()):
                return each
        if wanted.isdecimal() and int(wanted) < len(leads):
            return leads[int(wanted)]
    allowed = ", ".join(f"{each.stream}/{each.label or each.column}" for each in leads[:40])
    if lead is None:
        raise SourceNotFound(
            f"{name} has {len(leads)} channels and none is an ECG by its label: choose one of {allowed}"
        )
    raise SourceNotFound(f"{name} has no lead {str(lead)!r}: it has {allowed}")


def _rate(name: str, nominal: float, stamps: NDArray[np.float64]) -> float:
    """Rate in Hz: the nominal one, unless the stamps say otherwise."""
    span = max(1, min(len(stamps) // 2, 2000))
    usual_s = float(np.median(stamps[span:] - stamps[:-span]))
    if not usual_s > 0:
        raise BadRecord(f"{name}: time stamps do not rise")
    measured = span / usual_s
    if measured > HIGHEST_HZ:
        raise BadRecord(f"{name}: time stamps say {measured:g} Hz: allowed are up to {HIGHEST_HZ:g}")
    for rate in (nominal, *USUAL_HZ):
        if rate and abs(rate / measured - 1) < 0.01:
            return float(rate)
    return measured


def _knots(place: NDArray[np.int64], stamps: NDArray[np.float64]) -> tuple[tuple[int, float], ...]:
    """Ends of a straight line through the stamps of each stretch without loss."""
    edges = [0, *(np.flatnonzero(np.diff(place) > 1) + 1).tolist(), len(place)]
    knots = []
    for first, stop in pairwise(edges):
        x, t = place[first:stop] - place[first], stamps[first:stop]
        sound = np.ones(len(x), bool)
        for _ in range(3):  # stamps that are late by a stall do not move the line
            slope, level = np.polyfit(x[sound], t[sound] - t[0], 1) if sound.sum() > 1 else (0.0, 0.0)
            error = np.abs(t - t[0] - level - slope * x)
            sound = error <= 4 * np.median(error) + 1e-6
        ends = sorted({int(x[0]), int(x[-1])})
        knots += [(int(place[first]) + end, float(t[0] + level + slope * end)) for end in ends]
    return tuple(knots)


def _marks(streams: Sequence[dict[str, Any]], name: str, knots: tuple[tuple[int, float], ...]) -> Marks | None:
    found: dict[str, tuple[NDArray[np.float64], tuple[str, ...]]] = {}
    for stream in streams:
        if _text(stream, "channel_format") != "string":
            continue
        codes = [beat_code(str(row[0]).strip()) for row in stream["time_series"]]
        times = np.asarray(stream["time_stamps"], np.float64)
        beats = [(time, code) for time, code in zip(times, codes, strict=True) if code]
        if beats:
            beats.sort()
            found[_text(stream, "name")] = np.array([time for time, _ in beats]), tuple(code for _, code in beats)
    chosen = found.get(f"{name}-truth") or (next(iter(found.values())) if len(found) == 1 else None)
    if chosen is None:
        return None
    places, knot_times = np.array(knots).T
    inside = (chosen[0] >= knot_times[0]) & (chosen[0] <= knot_times[-1])
    at = np.round(np.interp(chosen[0][inside], knot_times, places)).astype(np.int64)
    return Marks(at, tuple(code for code, good in zip(chosen[1], inside, strict=True) if good))


def _text(stream: dict[str, Any], key: str) -> str:
    values = stream["info"].get(key) or [""]
    return str(values[0] or "")
