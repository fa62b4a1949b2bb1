"""Beat marks of a recording, written as WFDB or EDF+ annotations, as a table, or as the events of a run."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamqrs.errors import MissingExtra, SinkError
from streamqrs.events import EventEncoder
from streamqrs.types import Beat, Event, Started
from streamqrs.wfdb_files import encode_marks, load_wfdb

ENDINGS = (".atr", ".csv", ".edf", ".jsonl", ".tsv")

BIDS_COLUMNS: dict[str, dict[str, Any]] = {
    "onset": {"Description": "Time of the R peak since the first sample of the recording.", "Units": "s"},
    "duration": {"Description": "Always 0: an R peak is a point in time.", "Units": "s"},
    "trial_type": {"Description": "Kind of event.", "Levels": {"qrs": "A QRS complex, at its R peak."}},
    "sample": {"Description": "The same as a sample of the recording, counted from 0."},
    "probability": {"Description": "How sure the detector is, 0 to 1."},
    "rr": {"Description": "Time since the R peak before; n/a for the first one and after a gap.", "Units": "s"},
}
"""What BIDS calls the sidecar of a table of events."""


def write_beats(
    path: str | os.PathLike[str],
    beats: Sequence[Beat],
    rate: float,
    *,
    events: Sequence[Event] = (),
    overwrite: bool = False,
) -> None:
    """Write beats to a file, whole or not at all.

    Parameters
    ----------
    path : str or path
        Its ending says what is written: ``.atr``, WFDB annotations of code ``N`` at the recording's own rate; ``.edf``,
        EDF+ annotations ``QRS`` without signals; ``.csv``, a table; ``.tsv``, a BIDS table of events, with its sidecar
        ``.json``; ``.jsonl``, the events that `streamqrs run` writes.
    beats : sequence of Beat
        Confirmed beats, times in s since the recording's first sample.
    rate : float
        Rate of the recording in Hz: what its samples count.
    events : sequence of Event
        What a ``.jsonl`` file has ahead of the beats; its `Started` names the model in a BIDS sidecar, too.
    overwrite : bool
        Whether files that are there may be replaced.

    Raises
    ------
    SinkError
        If a file is there already, or cannot be written.
    MissingExtra
        If the library that writes it is not installed.
    ValueError
        If the ending is another one.
    """
    target = check_target(path, overwrite=overwrite)
    match target.suffix:
        case ".atr":
            content = encode_marks([round(beat.time * rate) for beat in beats], rate)
        case ".edf":
            content = beats_to_edf(beats)
        case ".csv":
            content = beats_to_csv(beats, rate).encode()
        case ".tsv":
            content = beats_to_bids(beats, rate).encode()
            started = next((event for event in events if isinstance(event, Started)), None)
            replace_file(target.with_suffix(".json"), bids_sidecar(started).encode())
        case _:
            encoder = EventEncoder()
            content = "".join(json.dumps(encoder.encode(event)) + "\n" for event in (*events, *beats)).encode()
    replace_file(target, content)


def check_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Raise what `write_beats` would raise, before there are beats; return the path."""
    target = Path(path).expanduser()
    if target.suffix not in ENDINGS:
        raise ValueError(f"{target.name} ends in {target.suffix!r}: allowed are {', '.join(ENDINGS)}")
    if not target.parent.is_dir():
        raise SinkError(f"no folder {target.parent}")
    for file in (target, target.with_suffix(".json")) if target.suffix == ".tsv" else (target,):
        if file.exists() and not overwrite:
            raise SinkError(f"{file} is there already: give another name, or --force to replace it")
    if target.suffix == ".atr":
        load_wfdb()
    if target.suffix == ".edf":
        _load_edfio()
    return target


def beats_to_csv(beats: Sequence[Beat], rate: float) -> str:
    """Table of beats: time of R and RR interval in s, sample of the recording, heart rate, probability."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["time_s", "sample", "rr_s", "heart_rate", "probability"])
    for beat in beats:
        pulse = "" if beat.heart_rate is None else f"{beat.heart_rate:.2f}"
        interval = "" if beat.rr_s is None else f"{beat.rr_s:.4f}"
        table.writerow([f"{beat.time:.4f}", round(beat.time * rate), interval, pulse, f"{beat.probability:.4f}"])
    return text.getvalue()


def beats_to_bids(beats: Sequence[Beat], rate: float) -> str:
    """Table of beats as BIDS wants events, for a file whose name ends in ``_events.tsv``."""
    lines = ["\t".join(BIDS_COLUMNS)]
    for beat in beats:
        interval = "n/a" if beat.rr_s is None else f"{beat.rr_s:.4f}"
        sample = str(round(beat.time * rate))
        lines.append("\t".join([f"{beat.time:.4f}", "0", "qrs", sample, f"{beat.probability:.4f}", interval]))
    return "\n".join(lines) + "\n"


def bids_sidecar(started: Started | None = None) -> str:
    """Sidecar of such a table; with `Started` it says by which model the beats were found."""
    columns = {name: dict(column) for name, column in BIDS_COLUMNS.items()}
    if started:
        columns["trial_type"]["Description"] += (
            f" Found by streamqrs, model {started.model} (sha256 {started.model_sha256}), in lead "
            f"{started.source.channel or 'without a label'} of {started.source.name}."
        )
    return json.dumps(columns, indent=2, ensure_ascii=False) + "\n"


def beats_to_edf(beats: Sequence[Beat]) -> bytes:
    """EDF+ file without signals, with an annotation ``QRS`` at each R peak; EDF+ wants one, so none is said, too."""
    edfio = _load_edfio()
    notes = [edfio.EdfAnnotation(round(max(0.0, beat.time), 6), None, "QRS") for beat in beats]
    content: bytes = edfio.Edf([], annotations=notes or [edfio.EdfAnnotation(0, None, "no QRS found")]).to_bytes()
    return content


def _load_edfio() -> Any:
    try:
        import edfio
    except ImportError as error:
        raise MissingExtra.of("edfio", "files") from error
    return edfio


def replace_file(target: Path, content: bytes) -> None:
    """Write a file, whole or not at all; raise a `SinkError` if it cannot be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            try:
                file.write(content)
                file.close()
                os.chmod(file.name, 0o644)
                os.replace(file.name, target)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise SinkError(f"{target} cannot be written: {error.strerror}") from error
