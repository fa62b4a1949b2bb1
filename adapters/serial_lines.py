"""LineParser: lines of text from a microcontroller → samples, one a line.

What sketches print: a number; several, separated by comma, semicolon, tab or blanks; ``label:value`` as Arduino's
plotter takes it; a header line with names; ``!`` for a sample while the electrodes are off (AD8232). A line that cannot
be read still stands for one sample: it becomes NaN, so that the count of samples holds.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from streamqrs.adapters.labels import pick_channel
from streamqrs.errors import BadSignal

LONGEST = 1024
"""Longest line, in bytes: what has no line break for so long is not text."""

_SPLIT = re.compile(r"\s*[,;\t]\s*|\s+")
_LABELLED = re.compile(r"\s*:\s*")


class LineParser:
    """Take one column of lines of text.

    Parameters
    ----------
    column : str, int or None
        Index of the column from 0, or its label where the lines have labels or a header has named them. None: the one
        labelled ECG, or the first one.

    Attributes
    ----------
    counts : collections.Counter
        ``lines``, and those of them that were ``bad`` or said ``leads_off``.
    """

    def __init__(self, column: str | int | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.last_bad = ""
        self._column = column
        self._names: list[str] = []
        self._index: int | None = None
        self._width = 0
        self._rest = b""
        self._skip = True

    def restart(self) -> None:
        """Forget an unfinished line: the next one may have begun before we listened, so it is passed over."""
        self._rest, self._skip = b"", True

    def push(self, data: bytes) -> list[float]:
        """Take the next bytes.

        Parameters
        ----------
        data : bytes
            As they came from the port.

        Returns
        -------
        list of float
            A sample for each line that is whole now; NaN where the electrodes are off or the line cannot be read.

        Raises
        ------
        BadSignal
            If there are no line breaks, or no column as wanted.
        """
        *lines, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._rest) > LONGEST:
            raise BadSignal(f"no line break within {LONGEST} bytes: is the baud rate right?")
        samples: list[float] = []
        for line in lines:
            if self._skip:
                self._skip = False
            elif text := line.decode("ascii", errors="replace").strip():
                sample = self._read(text[:LONGEST])
                if sample is not None:
                    self.counts["lines"] += 1
                    samples.append(sample)
        return samples

    def _read(self, text: str) -> float | None:
        """Sample of a line; None if it is a header."""
        if text.startswith("!"):
            self.counts["leads_off"] += 1
            return math.nan
        cells = _SPLIT.split(_LABELLED.sub(":", text))
        pairs = [cell.rpartition(":") for cell in cells]
        values = [_number(value) for _, _, value in pairs]
        if all(math.isnan(value) for value in values):
            if self._index is None and all(name.isprintable() and name.isascii() for name in cells):
                self._names = cells  # of columns, perhaps
            return self._bad(text)
        if self._index is None:
            names = [label for label, _, _ in pairs]
            if not any(names):
                names = self._names if len(self._names) == len(cells) else [str(i) for i in range(len(cells))]
            labelled = any("ecg" in name.lower() or "ekg" in name.lower() for name in names)
            wanted = 0 if self._column is None and not labelled else self._column
            self._index = pick_channel("the line", names, wanted)
            self._width = len(cells)
        if len(cells) != self._width or math.isnan(values[self._index]):
            return self._bad(text)
        return values[self._index]

    def _bad(self, text: str) -> float | None:
        """NaN, once there has been a good line; before it, a line that cannot be read is talk."""
        if self._index is None:
            self.last_bad = text
            return None
        self.last_bad = text
        self.counts["bad"] += 1
        return math.nan


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
