"""Beat marks of a recording, written as WFDB annotations, as a table, or as the events of a run."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from streamqrs.errors import SinkError
from streamqrs.events import EventEncoder
from streamqrs.types import Beat, Event
from streamqrs.wfdb_files import encode_marks, load_wfdb

ENDINGS = (".atr", ".csv", ".jsonl")


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
        Its ending says what is written: ``.atr``, WFDB annotations of code ``N`` at the recording's own rate; ``.csv``,
        a table; ``.jsonl``, the events that `streamqrs run` writes.
    beats : sequence of Beat
        Confirmed beats, times in s since the recording's first sample.
    rate : float
        Rate of the recording in Hz: what its samples count.
    events : sequence of Event
        What a ``.jsonl`` file has ahead of the beats (`Started`).
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    SinkError
        If the file is there already, or cannot be written.
    ValueError
        If the ending is another one.
    """
    target = check_target(path, overwrite=overwrite)
    if target.suffix == ".atr":
        content = encode_marks([round(beat.time * rate) for beat in beats], rate)
    elif target.suffix == ".csv":
        content = beats_to_csv(beats, rate).encode()
    else:
        encoder = EventEncoder()
        content = "".join(json.dumps(encoder.encode(event)) + "\n" for event in (*events, *beats)).encode()
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


def check_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Raise what `write_beats` would raise, before there are beats; return the path."""
    target = Path(path).expanduser()
    if target.suffix not in ENDINGS:
        raise ValueError(f"{target.name} ends in {target.suffix!r}: allowed are {', '.join(ENDINGS)}")
    if not target.parent.is_dir():
        raise SinkError(f"no folder {target.parent}")
    if target.exists() and not overwrite:
        raise SinkError(f"{target} is there already: give another name, or --force to replace it")
    if target.suffix == ".atr":
        load_wfdb()
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
