"""Sequence: gradient waveforms on three axes that repeat; `read_sequences` reads them from files.

A sequence repeats one shot (one slice, or one excitation) with the slice period, some number of times, and then
waits until the repetition time TR is over. What a shot has besides for phase encoding grows from shot to shot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamqrs.errors import BadRecord

Floats = NDArray[np.float64]
Line = tuple[Floats, Floats]
"""Corners of a piecewise linear waveform: time in s, and gradient in mT/m; zero outside."""

NOTHING: Line = (np.zeros(2), np.zeros(2))


@dataclass(frozen=True)
class Sequence:
    """Gradient waveforms that repeat.

    Attributes
    ----------
    kind : str
        What sort of sequence, see `streamqrs.scanner.presets.SEQUENCES`.
    shot : tuple of three Line
        Gx, Gy and Gz of one shot.
    steps : Line
        What is added to Gy, times a factor that goes from −1 to 1 over the shots: phase encoding.
    period_s : float
        From one shot to the next, in s: the slice period.
    shots : int
        Number of shots in a repetition.
    pause_s : float
        From the end of the last shot's period to the end of the repetition, in s.
    """

    kind: str
    shot: tuple[Line, Line, Line]
    steps: Line
    period_s: float
    shots: int
    pause_s: float

    @property
    def tr_s(self) -> float:
        """Repetition time in s."""
        return self.shots * self.period_s + self.pause_s

    def gradient(self, t: Floats, weights: Floats) -> Floats:
        """Weighted sum of the three gradients.

        Parameters
        ----------
        t : numpy.ndarray
            Shape (n,), s since the sequence began.
        weights : numpy.ndarray
            Shape (3,), any unit: how much of each axis the electrode loop catches.

        Returns
        -------
        numpy.ndarray
            Shape (n,), float64, mT/m times the unit of the weights.
        """
        since = np.mod(t, self.tr_s)
        count = np.minimum(since // self.period_s, self.shots)
        within = np.where(count < self.shots, since - count * self.period_s, 1e9)
        out = np.zeros(len(t))
        for weight, (at, height) in zip(weights, self.shot, strict=True):
            if len(at):
                out += weight * np.interp(within, at, height, left=0.0, right=0.0)
        if self.steps is not NOTHING:
            factor = 2 * count / max(1, self.shots - 1) - 1
            out += weights[1] * factor * np.interp(within, *self.steps, left=0.0, right=0.0)
        return out


def read_sequences(folder: str | Path) -> tuple[Sequence, ...]:
    """Read gradient waveforms of real sequences.

    Parameters
    ----------
    folder : str or pathlib.Path
        Holds ``.npz`` files with ``tx, gx, ty, gy, tz, gz`` (s, mT/m) and ``duration`` (s); others are passed over.

    Returns
    -------
    tuple of Sequence
        Kind ``recorded``, one for each file, by name. A long silence at the end is cut short.
    """
    found = []
    for path in sorted(Path(folder).glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as data:
                if not {"tx", "gx", "ty", "gy", "tz", "gz", "duration"} <= set(data.files):
                    continue
                x, y, z = ((np.asarray(data[f"t{a}"], float), np.asarray(data[f"g{a}"], float)) for a in "xyz")
                duration = float(data["duration"])
        except (OSError, ValueError) as exc:
            raise BadRecord(f"{path.name} is no file of gradient waveforms: {exc}") from exc
        end = max(float(line[0][-1]) for line in (x, y, z) if len(line[0]))
        period = min(duration, end + max(0.05, 0.2 * end)) if duration > end else end + 1e-4
        found.append(Sequence("recorded", (x, y, z), NOTHING, max(period, 0.01), 1, 0.0))
    if not found:
        raise BadRecord(f"no gradient waveforms in {Path(folder).name}: expected .npz files with tx, gx … duration")
    return tuple(found)
