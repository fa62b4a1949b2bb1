"""A page of examples of MRI-300: what the monitor sees, with the truth above it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from streamqrs.records import read_record
from streamqrs.types import RATE

ROWS = ("finetune", "finetune", "validation", "validation", "test")
"""Which part each row of the page shows; each preset has a column."""

LONG_S = 8.0
"""Length of an example in s, from the middle of its recording."""

CLEAN, SCANNED, TRUTH = "#8a8a8a", "#1b3a5c", "#c62828"


def draw_page(folder: Path, rows: list[dict[str, Any]], to: Path) -> None:
    """Draw examples of every part and preset.

    Parameters
    ----------
    folder : pathlib.Path
        The set, as it was written.
    rows : list of dict
        Rows of its manifest.
    to : pathlib.Path
        The picture, a ``.png``.
    """
    from matplotlib.figure import Figure

    presets = sorted({row["preset"] for row in rows})
    figure = Figure(figsize=(7 * len(presets), 2.9 * len(ROWS) + 0.6), dpi=80, layout="constrained")
    figure.suptitle("MRI-300: in the scanner (blue), before (grey), R peaks (red); mV against s", fontsize=13)
    cells = figure.subfigures(len(ROWS), len(presets), squeeze=False)
    for line, part in enumerate(ROWS):
        for column, preset in enumerate(presets):
            found = [row for row in rows if (row["part"], row["preset"]) == (part, preset)]
            shown = ROWS[:line].count(part)  # the next example of this part
            if shown < len(found):
                _draw(cells[line][column], folder, found[shown])
    figure.savefig(to, metadata={"Software": None})


def _draw(cell: Any, folder: Path, row: dict[str, Any]) -> None:
    scanned = read_record(folder / row["part"] / row["name"])
    clean = read_record(folder / row["part"] / f"{row['name']}_clean")
    start = max(0, round((scanned.duration_s - LONG_S) / 2 * RATE))
    window = slice(start, start + round(LONG_S * RATE))
    t = np.arange(len(scanned.samples))[window] / RATE
    beats = np.empty(0) if scanned.beats is None else scanned.beats / RATE
    beats = beats[(beats >= t[0]) & (beats <= t[-1])]
    above, below = cell.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    above.plot(t, clean.samples[window], color=CLEAN, linewidth=0.8)
    below.plot(t, scanned.samples[window], color=SCANNED, linewidth=0.8)
    for axes in (above, below):
        for beat in beats:
            axes.axvline(beat, color=TRUTH, linewidth=0.7, alpha=0.5)
        axes.margins(x=0)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    above.set_title(
        f"{row['part']}/{row['name']}: {row['database']}/{row['record']} {row['lead']}, {row['preset']} × "
        f"{row['severity']:.2f}\n{', '.join(row['families'])}",
        fontsize=8,
        loc="left",
    )
