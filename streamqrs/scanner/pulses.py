"""Pulse sequences that the project makes itself, out of trapezoids.

References
----------
Bernstein, King, Zhou, "Handbook of MRI Pulse Sequences", 2004, ch. 14–17.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamqrs.scanner.sequences import NOTHING, Line, Sequence
from streamqrs.scanner.settings import loguniform, uniform

Floats = NDArray[np.float64]

SLEW = 150.0
"""Slew rate in mT/m/ms (= T/m/s)."""


class _Shot:
    """Writes trapezoids one after the other onto three axes."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self._points: list[list[tuple[float, float]]] = [[], [], []]

    def add(self, axis: int, height: float, flat_s: float, *, at_s: float | None = None) -> float:
        """Add a trapezoid, and say how long it is; without a time it moves the writing point on."""
        ramp = max(abs(height) / (SLEW * 1000), 1e-5)
        start = self.at_s if at_s is None else at_s
        self._points[axis] += [(start, 0), (start + ramp, height), (start + ramp + flat_s, height)]
        self._points[axis] += [(start + 2 * ramp + flat_s, 0)]
        if at_s is None:
            self.at_s = start + 2 * ramp + flat_s
        return 2 * ramp + flat_s

    def together(self, heights: tuple[float, float, float], flat_s: float) -> None:
        """Add a trapezoid on each axis whose height is not zero, all at once."""
        start = self.at_s
        long = [self.add(axis, height, flat_s, at_s=start) for axis, height in enumerate(heights) if height]
        self.at_s = start + max(long)

    def points(self, axis: int, t: Floats, height: Floats) -> None:
        """Add corners of a free waveform."""
        self._points[axis] += list(zip(t.tolist(), height.tolist(), strict=True))

    def lines(self) -> tuple[Line, Line, Line]:
        made = []
        for points in self._points:
            array = np.array(sorted(points, key=lambda point: point[0]), float).reshape(-1, 2)
            made.append((array[:, 0], array[:, 1]))
        return made[0], made[1], made[2]


def _excite(shot: _Shot, rng: np.random.Generator) -> None:
    """Slice selection and its rephaser."""
    height, flat = uniform(rng, (5, 25)), uniform(rng, (0.8e-3, 3e-3))
    shot.add(2, height, flat)
    shot.add(2, -height, flat / 2)


def _readout_train(shot: _Shot, rng: np.random.Generator) -> None:
    """Alternating readout with blips between the echoes."""
    height, flat = uniform(rng, (12, 35)), uniform(rng, (0.25e-3, 0.8e-3))
    shot.together((-height, -uniform(rng, (5, 20)), 0), flat / 2)
    sign, blip = 1.0, uniform(rng, (1, 5))
    for _ in range(int(rng.integers(24, 97))):
        shot.add(0, sign * height, flat)
        shot.add(1, blip, 2e-5, at_s=shot.at_s - blip / (SLEW * 1000))
        sign = -sign


def _spoil(shot: _Shot, rng: np.random.Generator) -> None:
    height, flat = uniform(rng, (10, 30)), uniform(rng, (0.5e-3, 4e-3))
    on = rng.random(2) < 0.6
    shot.together((0.7 * height * on[0], height * on[1], height), flat)


def _epi(rng: np.random.Generator, *, diffusion: bool = False) -> Sequence:
    shot = _Shot()
    if rng.random() < 0.8:  # fat saturation ends with a spoiler
        shot.at_s = 5e-3
        _spoil(shot, rng)
    _excite(shot, rng)
    if diffusion:
        direction = rng.standard_normal(3)
        direction *= uniform(rng, (25, 40)) / np.linalg.norm(direction)
        flat = uniform(rng, (10e-3, 22e-3))
        for sign in (1.0, 1.0) if rng.random() < 0.5 else (1.0, -1.0):
            x, y, z = (sign * float(part) for part in direction)
            shot.together((x, y, z), flat)
            shot.at_s += uniform(rng, (4e-3, 9e-3))  # room for the refocusing pulse
    else:
        shot.at_s += uniform(rng, (1e-3, 25e-3))  # until the echo time
    _readout_train(shot, rng)
    _spoil(shot, rng)
    period = max(uniform(rng, (0.03, 0.15)), shot.at_s + 1e-3)
    shots = int(rng.integers(8, 46))
    pause = 0.0 if rng.random() < 0.5 else loguniform(rng, (0.02, 1.0))
    return Sequence("dwi" if diffusion else "epi", shot.lines(), NOTHING, period, shots, pause)


def _dwi(rng: np.random.Generator) -> Sequence:
    return _epi(rng, diffusion=True)


def _spiral(rng: np.random.Generator) -> Sequence:
    shot = _Shot()
    _excite(shot, rng)
    long, turns, height = uniform(rng, (8e-3, 35e-3)), uniform(rng, (8, 24)), uniform(rng, (10, 25))
    t = np.arange(0, long, 2e-5)
    angle = 2 * np.pi * turns * np.sqrt(t / long + 0.01)
    growth = np.minimum(1, t / (0.15 * long)) * np.minimum(1, (long - t) / 5e-4)
    shot.points(0, shot.at_s + t, height * growth * np.cos(angle))
    shot.points(1, shot.at_s + t, height * growth * np.sin(angle))
    shot.at_s += long + 5e-4
    _spoil(shot, rng)
    period = max(uniform(rng, (0.03, 0.12)), shot.at_s + 1e-3)
    return Sequence("spiral", shot.lines(), NOTHING, period, int(rng.integers(4, 33)), uniform(rng, (0, 0.5)))


def _gre(rng: np.random.Generator) -> Sequence:
    shot, encode = _Shot(), _Shot()
    _excite(shot, rng)
    height, flat = uniform(rng, (5, 20)), loguniform(rng, (0.8e-3, 8e-3))
    encode.add(1, uniform(rng, (3, 15)), 1e-3, at_s=shot.at_s)
    shot.add(0, -height, flat / 2)
    shot.add(0, height, flat)
    encode.add(1, -encode.lines()[1][1].max(), 1e-3, at_s=shot.at_s)
    _spoil(shot, rng)
    period = shot.at_s * uniform(rng, (1.1, 2)) if rng.random() < 0.5 else uniform(rng, (0.02, 0.15))
    period = max(period, shot.at_s + 1.5e-3)
    shots = int(rng.integers(16, 257))
    pause = 0.0 if rng.random() < 0.6 else uniform(rng, (0.05, 0.6))
    return Sequence("gre", shot.lines(), encode.lines()[1], period, shots, pause)


def _bssfp(rng: np.random.Generator) -> Sequence:
    shot, encode = _Shot(), _Shot()
    _excite(shot, rng)
    height, flat = uniform(rng, (10, 25)), uniform(rng, (0.6e-3, 1.5e-3))
    encode.add(1, uniform(rng, (4, 15)), 3e-4, at_s=shot.at_s)
    shot.add(0, -height, flat / 2)
    shot.add(0, height, flat)
    encode.add(1, -encode.lines()[1][1].max(), 3e-4, at_s=shot.at_s)
    shot.add(0, -height, flat / 2)
    shot.add(2, -uniform(rng, (5, 25)), uniform(rng, (3e-4, 8e-4)))
    return Sequence("bssfp", shot.lines(), encode.lines()[1], shot.at_s + 2e-4, int(rng.integers(8, 129)), 0.0)


def _tse(rng: np.random.Generator) -> Sequence:
    shot = _Shot()
    _excite(shot, rng)
    crush, read = uniform(rng, (8, 25)), uniform(rng, (4, 15))
    flat, crush_s = uniform(rng, (3e-3, 8e-3)), uniform(rng, (0.7e-3, 1.5e-3))
    for _ in range(int(rng.integers(4, 33))):
        shot.add(2, crush, crush_s)
        shot.add(2, crush / 3, 2e-3)
        shot.add(2, crush, crush_s)
        shot.add(1, uniform(rng, (-8, 8)), 6e-4)
        shot.add(0, read, flat)
    _spoil(shot, rng)
    period = shot.at_s * uniform(rng, (1.05, 2))
    return Sequence("tse", shot.lines(), NOTHING, period, int(rng.integers(3, 25)), uniform(rng, (0, 1.0)))


def _mprage(rng: np.random.Generator) -> Sequence:
    train = _gre(rng)
    period = uniform(rng, (0.0065, 0.012))
    scale = period / (1.02 * max(line[0][-1] for line in train.shot if len(line[0])))
    short = min(1.0, scale)

    def shorten(line: Line) -> Line:
        return line[0] * short, line[1]

    x, y, z = (shorten(line) for line in train.shot)
    steps = shorten(train.steps)
    return Sequence("mprage", (x, y, z), steps, period, int(rng.integers(96, 193)), uniform(rng, (0.6, 1.6)))


_MAKERS: dict[str, Callable[[np.random.Generator], Sequence]] = {
    "epi": _epi,
    "dwi": _dwi,
    "spiral": _spiral,
    "gre": _gre,
    "bssfp": _bssfp,
    "tse": _tse,
    "mprage": _mprage,
}


def make_sequence(kind: str, rng: np.random.Generator) -> Sequence:
    """Make a sequence of some kind, with timing and heights drawn from what scanners do.

    Parameters
    ----------
    kind : {"epi", "dwi", "spiral", "gre", "bssfp", "tse", "mprage"}
        What sort of sequence.
    rng : numpy.random.Generator
        Draws its parameters.

    Returns
    -------
    Sequence
        Another one at every call.
    """
    if kind not in _MAKERS:
        raise ValueError(f"sequence is {kind!r}: allowed are {', '.join(_MAKERS)}")
    return _MAKERS[kind](rng)
