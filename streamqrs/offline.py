"""detect(): the beats of a whole recording."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from streamqrs import model as models
from streamqrs.detector import Detector
from streamqrs.errors import BadSignal
from streamqrs.types import Beat


def detect(
    ecg: ArrayLike, rate: float, model: str | os.PathLike[str] | models.Model = "mri", **settings: Any
) -> list[Beat]:
    """Find the heartbeats in a whole recording.

    The same as a `Detector` that is fed the recording, with the windows in batches on all cores.

    Parameters
    ----------
    ecg : array_like
        Shape (n,), one lead, any unit. Missing samples may be NaN.
    rate : float
        Sampling rate in Hz, 100 to 10,000.
    model : str, path or Model
        Name of a shipped model, or a model package.
    **settings
        See `Settings`.

    Returns
    -------
    list of Beat
        Confirmed beats in order; `time` is in s since the first sample, `index` in 250 Hz samples.

    Raises
    ------
    ValueError
        If the array has another shape, holds no finite sample, or the rate is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> detect(np.zeros(2500), 250)
    []
    """
    x = np.asarray(ecg, dtype=np.float32)
    if x.ndim != 1:
        raise ValueError(f"ecg of shape {x.shape}: allowed is (n,), one lead")
    if len(x) and not np.isfinite(x).any():
        raise BadSignal(f"none of the {len(x)} samples is finite")
    if not isinstance(model, models.Model):
        model = models.load(model, threads=os.cpu_count() or 1)
    detector = Detector(rate, model, **settings)
    return detector.push(x) + detector.flush()
