"""Figures of one style, drawn with matplotlib: what ``detect --plot`` and ``evaluate --plot`` write.

Colours are those of Okabe and Ito (2008), which stay apart for colour-blind readers; ink is dark grey, the ground is
white, there is no frame, and grid lines lie under the data.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streamqrs.errors import MissingExtra, SinkError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from streamqrs.metrics import Score
    from streamqrs.records import Record
    from streamqrs.scores import Evaluation
    from streamqrs.types import Beat

COLOURS = {
    "signal": "#1b3a5c",
    "beat": "#d55e00",
    "trigger": "#0072b2",
    "doubt": "#e69f00",
    "good": "#009e73",
    "other": "#56b4e9",
    "third": "#cc79a7",
    "ink": "#333333",
    "soft": "#7a7a7a",
    "grid": "#e3e3e3",
}
"""What each thing is drawn in, in every figure."""

SERIES = ("trigger", "beat", "good", "third", "doubt", "other")
"""Colours of curves that have no meaning of their own, in turn."""

ENDINGS = (".png", ".svg")

STRIP_S = 10.0
STRIPS = 8
"""Length of a strip of ECG in s, and how many there are at most."""
UNSURE = 0.7
"""Beats of a lower probability are shown as doubtful."""


@contextmanager
def use_style() -> Iterator[None]:
    """Draw in the project's style inside ``with``; text of an SVG stays text, and its ids do not change.

    Figures are made with `matplotlib.figure.Figure`, not with pyplot: no window system, no global state.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra.of("matplotlib", "plot") from error
    from cycler import cycler

    style = {
        "figure.dpi": 100,
        "savefig.dpi": 150,
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.labelsize": 9,
        "axes.labelcolor": COLOURS["ink"],
        "axes.edgecolor": COLOURS["soft"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=[COLOURS[name] for name in SERIES]),
        "grid.color": COLOURS["grid"],
        "grid.linewidth": 0.8,
        "lines.linewidth": 1.2,
        "text.color": COLOURS["ink"],
        "xtick.color": COLOURS["soft"],
        "ytick.color": COLOURS["soft"],
        "xtick.labelcolor": COLOURS["ink"],
        "ytick.labelcolor": COLOURS["ink"],
        "legend.frameon": False,
        "legend.fontsize": 8,
        "svg.fonttype": "none",
        "svg.hashsalt": "streamqrs",
    }
    with matplotlib.rc_context(style):
        yield


def check_plot(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Raise what writing a figure would raise, before there is anything to draw; return the path.

    Raises
    ------
    ValueError
        If it ends in neither ``.png`` nor ``.svg``.
    SinkError
        If the folder is not there, or the file is, and `overwrite` is not given.
    MissingExtra
        If matplotlib is not installed.
    """
    target = Path(path).expanduser()
    if target.suffix not in ENDINGS:
        raise ValueError(f"{target.name} ends in {target.suffix!r}: allowed are {', '.join(ENDINGS)}")
    if not target.parent.is_dir():
        raise SinkError(f"no folder {target.parent}")
    if target.exists() and not overwrite:
        raise SinkError(f"{target} is there already: give another name, or --force to replace it")
    with use_style():
        return target


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, without a date in it: the same data give the same file."""
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    try:
        figure.savefig(path, metadata=metadata)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror or error}") from error


def plot_detection(record: Record, beats: Sequence[Beat], path: Path, *, title: str) -> None:
    """Draw a recording's beats: RR intervals and probabilities over all of it, and strips of the ECG with R marks.

    Parameters
    ----------
    record : Record
        The recording; marks that came with it are drawn below the strips.
    beats : sequence of Beat
        Confirmed beats, times in s since the first sample.
    path : pathlib.Path
        ``.png`` or ``.svg``.
    title : str
        One line.
    """
    from matplotlib.figure import Figure

    with use_style():
        starts = strip_starts(record.duration_s, [(beat.time, beat.probability) for beat in beats])
        rows = len(starts)
        figure = Figure(figsize=(11, 3.2 + 1.35 * rows), layout="constrained")
        whole, *strips = figure.subplots(rows + 1, 1, height_ratios=(1.5, *[1] * rows))
        whole.set_title(title)
        _plot_intervals(whole, beats, record.duration_s, starts)
        for axes, start in zip(strips, starts, strict=True):
            _plot_strip(axes, record, beats, start)
        strips[-1].set_xlabel("time in s")
        figure.legend(handles=_legend(record.beats is not None), loc="outside lower right", ncols=2)
        write_figure(figure, path)


def _legend(marked: bool) -> list[Any]:
    from matplotlib.lines import Line2D

    kinds = [("v", "beat", f"beat found (p where below {UNSURE})"), ("^", "good", "mark of the recording")]
    return [
        Line2D([], [], ls="", marker=mark, ms=5, color=COLOURS[colour], label=label)
        for mark, colour, label in kinds[: 1 + marked]
    ]


def strip_starts(duration_s: float, beats: Sequence[tuple[float, float]]) -> list[float]:
    """Where strips of `STRIP_S` begin: all of a short recording, else an even choice, and the least sure beats.

    Parameters
    ----------
    duration_s : float
        Length of the recording in s.
    beats : sequence of (float, float)
        Time in s and probability of each beat.
    """
    whole = max(1, math.ceil(duration_s / STRIP_S))
    if whole <= STRIPS:
        return [k * STRIP_S for k in range(whole)]
    even = [k * (duration_s - STRIP_S) / (STRIPS - 3) for k in range(STRIPS - 2)]
    chosen: list[float] = []
    for time, _ in sorted(beats, key=lambda beat: beat[1]):
        start = min(max(0.0, time - STRIP_S / 2), duration_s - STRIP_S)
        if all(abs(start - other) >= STRIP_S for other in (*even, *chosen)):
            chosen.append(start)
        if len(chosen) == 2:
            break
    return sorted([*even, *chosen])


def _plot_intervals(axes: Axes, beats: Sequence[Beat], duration_s: float, starts: Sequence[float]) -> None:
    at = np.array([beat.time for beat in beats if beat.rr_s is not None])
    intervals = np.array([beat.rr_s * 1000 for beat in beats if beat.rr_s is not None])
    sure = np.array([beat.probability for beat in beats if beat.rr_s is not None])
    unsure = sure < UNSURE
    axes.plot(at[~unsure], intervals[~unsure], ".", ms=3.5, color=COLOURS["signal"], label="RR interval")
    if unsure.any():
        axes.plot(
            at[unsure], intervals[unsure], "o", ms=5, mfc="none", color=COLOURS["beat"], label=f"p below {UNSURE}"
        )
        axes.legend(loc="upper right", ncols=2)
    if len(intervals):
        low, high = np.quantile(intervals, (0.002, 0.998))
        axes.set_ylim(max(0, low - 120), high + 160)
    for start in starts if duration_s > STRIPS * STRIP_S else ():
        axes.axvspan(start, start + STRIP_S, color=COLOURS["grid"], zorder=0)
    axes.set(xlim=(0, duration_s), ylabel="RR in ms")


def _plot_strip(axes: Axes, record: Record, beats: Sequence[Beat], start: float) -> None:
    first, stop = (round(edge * record.rate) for edge in (start, start + STRIP_S))
    values = record.samples[first:stop]
    t = np.arange(first, first + len(values)) / record.rate
    axes.plot(t, values, color=COLOURS["signal"], lw=0.8)
    inside = [beat for beat in beats if start <= beat.time < start + STRIP_S]
    good = values[np.isfinite(values)]
    low, high = (float(good.min()), float(good.max())) if len(good) else (-1.0, 1.0)
    reach = (high - low) or 1.0
    axes.plot([b.time for b in inside], [high + 0.12 * reach] * len(inside), "v", ms=5, color=COLOURS["beat"])
    for beat in inside:
        if beat.probability < UNSURE:
            text = f"{beat.probability:.2f}"
            axes.annotate(text, (beat.time, high + 0.12 * reach), (5, -3), textcoords="offset points", fontsize=7)
    if record.beats is not None:
        marks = record.beats[(record.beats >= first) & (record.beats < stop)] / record.rate
        axes.plot(marks, [low - 0.12 * reach] * len(marks), "^", ms=4, color=COLOURS["good"])
    axes.set(xlim=(start, start + STRIP_S), ylim=(low - 0.25 * reach, high + 0.25 * reach))
    axes.set_ylabel(record.unit or "ECG")


def plot_evaluation(result: Evaluation, path: Path) -> None:
    """Draw the scores of a model: F1, Se and PPV of each record, where R was found, and the triggers' delays.

    Parameters
    ----------
    result : Evaluation
        What `streamqrs.evaluation.evaluate` returns.
    path : pathlib.Path
        ``.png`` or ``.svg``.
    """
    from matplotlib.figure import Figure

    with use_style():
        total = result.pooled()
        records = sorted(result.records, key=lambda record: np.nan_to_num(record.scores[result.main_ms].f1, nan=-1))
        figure = Figure(figsize=(11, 6.4), layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=(1.4, 1))
        above, below = halves
        axes = above.subplots()
        axes.set_title(
            f"{result.model} {result.version} on {result.data}, within {result.main_ms:g} ms: "
            f"F1 {total.f1:.2f}, Se {total.se:.2f}, PPV {total.ppv:.2f} % ({total.beats} beats)"
        )
        x = np.arange(len(records))
        for figure_of, mark, colour in (("se", "^", "trigger"), ("ppv", "v", "doubt"), ("f1", "o", "beat")):
            values = [getattr(record.scores[result.main_ms], figure_of) for record in records]
            name = {"se": "Se", "ppv": "PPV", "f1": "F1"}[figure_of]
            axes.plot(x, values, mark, ms=4.5, color=COLOURS[colour], label=name, clip_on=False)
        axes.set(ylabel="%", xlim=(-0.7, len(records) - 0.3))
        _end_at_100(axes)
        axes.set_xticks(x, [record.name for record in records], rotation=90, fontsize=7 if len(records) < 90 else 4)
        axes.legend(loc="lower right", ncols=3)
        left, right = below.subplots(1, 2)
        _plot_offsets(left, total, "R found minus R peak in ms")
        triggers = result.triggers()
        if triggers is not None:
            _plot_offsets(right, triggers, "trigger minus R peak in ms")
        else:
            _plot_tolerances(right, result)
        write_figure(figure, path)


def _plot_offsets(axes: Axes, score: Score, label: str) -> None:
    offsets = score.offsets_ms
    if len(offsets):
        low, high = np.quantile(offsets, (0.002, 0.998))
        axes.hist(np.clip(offsets, low, high), bins=60, color=COLOURS["trigger"])
        for q, style in ((0.5, "-"), (0.95, "--")):
            value = score.quantile_ms(q)
            axes.axvline(value, color=COLOURS["beat"], ls=style, label=f"p{100 * q:g} {value:.1f} ms")
        axes.legend()
    bias = f"{score.bias_ms:.1f}".replace("-", "−")
    axes.set(xlabel=f"{label} ({bias} ± {score.jitter_ms:.1f})", ylabel="beats")
    axes.locator_params(axis="y", integer=True)


def _plot_tolerances(axes: Axes, result: Evaluation) -> None:
    tolerances = result.tolerances_ms
    names = {"se": "Se", "ppv": "PPV", "f1": "F1"}
    for (figure, name), colour in zip(names.items(), ("trigger", "doubt", "beat"), strict=True):
        values = [getattr(result.pooled(t), figure) for t in tolerances]
        axes.plot(tolerances, values, "o-", color=COLOURS[colour], label=name)
    axes.set(xlabel="tolerance in ms", ylabel="%")
    _end_at_100(axes)
    axes.legend(loc="lower right", ncols=3)


def _end_at_100(axes: Axes) -> None:
    """Percentages end at 100, with room for a marker there; perfect ones still get a scale."""
    low = min(axes.get_ylim()[0], 98.0)
    axes.set_ylim(low, 100 + 0.02 * (100 - low))
