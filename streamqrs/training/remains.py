"""Remains: what is left of a noisy lead when its beats are taken out, the noise of electrodes on real patients.

The public records of electrode motion are kept for tests. But long recordings hold some of their own, in the stretches
where an electrode moved: where the signal between the beats is far above what it is elsewhere. There each beat is taken
out with the median of its neighbours of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamqrs.training.noise import noise_power
from streamqrs.training.recordings import Recording
from streamqrs.types import RATE

Rows = NDArray[np.float32]

LOUD_DB = 3.0
"""Ratio of signal to noise, as the Noise Stress Test measures it, below which a stretch counts as noise."""

BLOCK = 5 * RATE
FADE = RATE // 2
BEFORE, AFTER = 60, 160
"""Samples of a beat before and after its R peak that are taken out, after it no more than 0.65 of an RR interval."""

QRS = 30
"""Samples on either side of R that do not count for the level: what is left of QRS complexes there is no noise."""

MOST = 1.3
"""Standard deviation of what is left near QRS complexes at most, over that elsewhere: else beats were left there."""

COMES = 0.2
"""Share of a lead that is loud at most: what is always there belongs to the heart."""

NEIGHBOURS = 10
"""Beats of the same kind, on either side, that a beat is compared with."""

SHORTEST_S = 60.0
"""Recordings that are shorter have too few beats."""


def remains(recordings: Iterable[Recording]) -> Rows:
    """Collect the noise of recordings.

    Parameters
    ----------
    recordings : iterable of Recording
        Those of less than a minute are passed over.

    Returns
    -------
    numpy.ndarray
        Shape (n,), float32, 250 Hz, in heights of the QRS: loud stretches of 5 s, faded into each other; perhaps empty.
    """
    blocks = [
        block
        for recording in recordings
        if recording.ecg.shape[1] >= SHORTEST_S * RATE
        for lead in range(len(recording.ecg))
        for block in _loud(recording, lead)
    ]
    if not blocks:
        return np.empty(0, np.float32)
    fade = np.minimum(1, (np.arange(BLOCK) + 0.5) / FADE).astype(np.float32)
    fade = np.minimum(fade, fade[::-1])
    track = np.zeros(len(blocks) * (BLOCK - FADE) + FADE, np.float32)
    for number, block in enumerate(blocks):
        track[number * (BLOCK - FADE) :][:BLOCK] += fade * block
    return track


def _loud(recording: Recording, lead: int) -> list[Rows]:
    """Stretches of 5 s of a lead without its beats that are loud, all of it known."""
    ecg, r = recording.ecg[lead], np.round(recording.beats[lead]).astype(np.int64)
    high_pass = signal.butter(2, 0.4, "highpass", fs=RATE, output="sos")
    x = signal.sosfiltfilt(high_pass, ecg)
    near = np.zeros(len(x), np.bool_)
    near[np.clip(r[:, None] + np.arange(-QRS, QRS + 1), 0, len(x) - 1)] = True
    count = len(x) // BLOCK
    seconds = np.ma.MaskedArray(x[: count * BLOCK], near[: count * BLOCK]).reshape(-1, RATE)
    power = seconds.var(axis=1).filled(0.0).reshape(count, -1).mean(axis=1)
    least = 10 ** (-LOUD_DB / 10) / 8
    loud = np.flatnonzero(power > least)
    if not 0 < len(loud) <= COMES * count:
        return []
    left = _without_beats(x, r, recording.labels[lead])
    blocks = []
    for start in (loud * BLOCK).tolist():
        block, beat = left[start : start + BLOCK].astype(np.float32), near[start : start + BLOCK]
        clean = not beat.any() or block[beat].std() <= MOST * block[~beat].std()
        if noise_power(block) > least and clean and _is_known(recording.known[lead], start):
            blocks.append(block)
    return blocks


def _is_known(spans: NDArray[np.float64], start: int) -> bool:
    return bool(np.any((spans[:, 0] <= start) & (spans[:, 1] >= start + BLOCK)))


def _without_beats(x: NDArray[np.float64], r: NDArray[np.int64], labels: tuple[str, ...]) -> NDArray[np.float64]:
    """Take each beat out: the median of its neighbours of the same kind, as tall as it fits best."""
    after = min(AFTER, int(0.65 * np.median(np.diff(r)))) if len(r) > 1 else AFTER
    inside = (r >= BEFORE) & (r < len(x) - after)
    cut = x[np.clip(r[:, None] + np.arange(-BEFORE, after), 0, len(x) - 1)]
    fade = np.minimum(1, (np.arange(BEFORE + after) + 0.5) / 20)
    fade = np.minimum(fade, fade[::-1])
    left, kinds = x.copy(), np.array(labels)
    for kind in np.unique(kinds):
        same = np.flatnonzero((kinds == kind) & inside)
        for place, beat in enumerate(same.tolist()):
            mean = np.median(cut[same[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]], axis=0)
            mean -= np.median(mean)
            own = cut[beat] - np.median(cut[beat])
            height = np.clip(own @ mean / max(float(mean @ mean), 1e-9), 0.6, 1.5)
            left[r[beat] - BEFORE : r[beat] + after] -= height * mean * fade
    return left
