"""Peers: other detectors that pip can install, each as its package runs it by default, and one recipe for live use.

All hear the same records in one run, and all are matched in the same way, so that ratios mean something. The others are
offline: they see the whole record before they say anything.
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs.benchmarks.live_peer import sliding_find_peaks
from streamqrs.benchmarks.machine import installed
from streamqrs.benchmarks.subjects import Subject
from streamqrs.evaluation import run_detector
from streamqrs.metrics import Score, pooled, score
from streamqrs.model import Model
from streamqrs.records import Record

Times = NDArray[np.float64]
TOLERANCES_MS = (75.0, 150.0)
WARM_UP_S = 20.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A detector.

    Attributes
    ----------
    name, package, licence : str
        Of the method, of what pip installs (empty for ours), and its licence.
    find : callable
        Takes a `Record` without missing samples, and returns the R peaks in s since the first sample.
    """

    name: str
    package: str
    licence: str
    find: Callable[[Record], Times]

    @property
    def version(self) -> str:
        """Version that is installed; empty if it is not."""
        return installed(self.package or "streamqrs")


@dataclass(frozen=True, slots=True)
class Result:
    """How a detector did.

    Attributes
    ----------
    peer : Peer
        Which one.
    scores : dict of str to dict of float to Score
        By group of records (level of noise, room; empty if there are none), then by tolerance in ms. Empty if it is
        not installed.
    signal_s, cpu_s : float
        Signal that it heard and CPU time that it took, in s.
    failed : dict of str to str
        Records that it raised an error on, and what it said; their beats count as missed.
    """

    peer: Peer
    scores: dict[str, dict[float, Score]]
    signal_s: float
    cpu_s: float
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def times_per_core(self) -> float:
        """Length of the signal over CPU time; NaN if nothing was heard."""
        return self.signal_s / self.cpu_s if self.cpu_s else float("nan")


def peers(model: Model) -> list[Peer]:
    """Our model and the others, whether installed or not."""
    return [
        Peer(f"streamqrs {model.name}", "", "MIT", lambda record: _ours(record, model)),
        Peer("neurokit2", "neurokit2", "MIT", _neurokit),
        Peer("wfdb xqrs", "wfdb", "MIT", _xqrs),
        Peer("wfdb gqrs", "wfdb", "MIT", _gqrs),
        Peer("sleepecg", "sleepecg", "BSD-3-Clause", _sleepecg),
        Peer("biosppy hamilton", "biosppy", "BSD-3-Clause", _biosppy),
        Peer("py-ecg-detectors swt", "py-ecg-detectors", "GPL-3.0", _swt),
        Peer("py-ecg-detectors pan-tompkins", "py-ecg-detectors", "GPL-3.0", _pan_tompkins),
        Peer("band-pass + find_peaks, live", "", "ours", _live),
    ]


def compare(
    heard: Iterable[Subject], among: Sequence[Peer], *, progress: Callable[[str], None] | None = None
) -> list[Result]:
    """Let detectors hear the same records.

    Parameters
    ----------
    heard : iterable of Subject
        The records.
    among : sequence of Peer
        The detectors; see `peers`.
    progress : callable, optional
        Called with the name of each record that is done.

    Returns
    -------
    list of Result
        One for each detector.
    """
    ready = [peer for peer in among if peer.version]
    scores: dict[str, dict[str, dict[float, list[Score]]]] = {peer.name: {} for peer in ready}
    cpu = dict.fromkeys(scores, 0.0)
    failed: dict[str, dict[str, str]] = {name: {} for name in scores}
    signal_s = 0.0
    for number, subject in enumerate(heard):
        for peer in ready:
            if not number:
                _warm_up(peer, subject.record)
            begun = time.process_time()
            try:
                found = _quietly(peer.find, subject.record)
            except Exception as error:  # whatever a foreign library raises on a record is its result there
                found = np.empty(0)
                failed[peer.name][subject.record.name] = f"{type(error).__name__}: {error}"
            cpu[peer.name] += time.process_time() - begun
            by_tolerance = scores[peer.name].setdefault(subject.group, {t: [] for t in TOLERANCES_MS})
            for t in TOLERANCES_MS:
                by_tolerance[t].append(
                    score(subject.marks_s, found, t / 1000, peaks_s=subject.peaks_s, spans=subject.spans)
                )
        signal_s += subject.record.duration_s
        if progress:
            progress(subject.record.name)
    results = []
    for peer in among:
        if not peer.version:
            results.append(Result(peer, {}, 0.0, 0.0))
            continue
        done = {group: {t: pooled(s) for t, s in by.items()} for group, by in scores[peer.name].items()}
        results.append(Result(peer, done, signal_s, cpu[peer.name], failed[peer.name]))
    return results


def _warm_up(peer: Peer, record: Record) -> None:
    """Let it import what it needs, and compile: not what is measured."""
    first = replace(record, samples=record.samples[: round(WARM_UP_S * record.rate)])
    with contextlib.suppress(Exception):
        _quietly(peer.find, first)


def _quietly(find: Callable[[Record], Times], record: Record) -> Times:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        found = np.asarray(find(record), np.float64).reshape(-1)
    return found[np.isfinite(found)]


def _ours(record: Record, model: Model) -> Times:
    return np.array([event.time for event in run_detector(record, model) if event.kind == "beat"])


def _samples(record: Record) -> NDArray[np.float64]:
    return record.samples.astype(np.float64)


def _neurokit(record: Record) -> Times:
    import neurokit2

    clean = neurokit2.ecg_clean(_samples(record), sampling_rate=round(record.rate))
    _, found = neurokit2.ecg_peaks(clean, sampling_rate=round(record.rate))
    return _in_s(found["ECG_R_Peaks"], record)


def _xqrs(record: Record) -> Times:
    from wfdb import processing

    return _in_s(processing.xqrs_detect(_samples(record), record.rate, verbose=False), record)


def _gqrs(record: Record) -> Times:
    from wfdb import processing

    per_mv = 1000.0 if record.unit.lower() in {"uv", "µv"} else 1.0
    digital = np.round(_samples(record) / per_mv * 200).astype(np.int64)  # it wants digital units, 200 to the mV
    return _in_s(processing.gqrs_detect(d_sig=digital, fs=record.rate, adc_gain=200, adc_zero=0), record)


def _sleepecg(record: Record) -> Times:
    import sleepecg

    return _in_s(sleepecg.detect_heartbeats(_samples(record), record.rate), record)


def _biosppy(record: Record) -> Times:
    from biosppy.signals import ecg

    return _in_s(ecg.ecg(_samples(record), record.rate, show=False)["rpeaks"], record)


def _swt(record: Record) -> Times:
    from ecgdetectors import Detectors

    return _in_s(Detectors(record.rate).swt_detector(_samples(record)), record)


def _pan_tompkins(record: Record) -> Times:
    from ecgdetectors import Detectors

    return _in_s(Detectors(record.rate).pan_tompkins_detector(_samples(record)), record)


def _live(record: Record) -> Times:
    return np.array([beat.time_s for beat in sliding_find_peaks(_samples(record), record.rate)])


def _in_s(found: Any, record: Record) -> Times:
    samples: Times = np.asarray(found, np.float64).reshape(-1)
    return samples / record.rate
