"""Curves: figures of a report, as SVG whose colours are CSS variables, so that they follow the page's light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from streamqrs.errors import MissingExtra
from streamqrs.training.appraise import Choice, PartScore
from streamqrs.training.worst import Picture
from streamqrs.types import RATE, WINDOW

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    "ink": "#010203", "soft": "#020304", "grid": "#030405", "before": "#040506", "after": "#050607", "bad": "#060708",
    "mark": "#070809",
}  # fmt: skip
"""Stand-ins while drawing; in the page each becomes ``var(--name)``."""

WIDTH = 10.0
DPI = 72


def draw_learning(history: Sequence[dict[str, float]], best_step: int) -> str:
    """Loss, and validation F1, against steps.

    Parameters
    ----------
    history : sequence of dict
        ``step``, ``loss`` in nats, ``f1``, ``edge`` and ``ordinary_f1`` in %; step 0 is before training.
    best_step : int
        Whose weights were kept.

    Returns
    -------
    str
        SVG.
    """
    figure, (left, right) = _figure(1, 2, 2.9)
    steps = [entry["step"] for entry in history]
    losses = [entry["loss"] for entry in history]
    left.plot(steps, losses, color=COLOURS["after"], lw=1.8, marker="o", ms=2.5, label="loss")
    _legend(left)
    left.set(ylabel="running mean, nats", xlabel="step")
    names = {
        "f1": ("F1", "after", "-"),
        "edge": ("newest edge", "mark", "-"),
        "ordinary_f1": ("F1, ordinary ECG", "before", "--"),
    }
    for name, (label, colour, style) in names.items():
        if name in history[0]:
            values = [entry[name] for entry in history]
            right.plot(steps, values, style, color=COLOURS[colour], lw=1.8, marker="o", ms=2.5, label=label)
    right.axvline(best_step, color=COLOURS["soft"], lw=1, ls=":")
    right.set(ylabel="%", xlabel="step")
    _legend(right)
    return _svg(figure, "learning")


def draw_records(parts: Sequence[PartScore]) -> str:
    """F1 of each recording, before and after."""
    figure, axes = _figure(
        1,
        len(parts),
        2.9,
        widths=[max(10, len(part.records), sum(len(p.records) for p in parts) // 4) for part in parts],
        sharey=True,
    )
    for axis, part in zip(axes, parts, strict=True):
        before, after = (np.array([score.f1 for score in scores]) for scores in (part.before, part.after))
        order = np.argsort(np.nan_to_num(before))
        x = np.arange(len(order))
        axis.vlines(x, before[order], after[order], color=COLOURS["grid"], lw=1.5, zorder=1)
        axis.plot(x, before[order], "o", ms=3.6, mfc="none", mec=COLOURS["before"], mew=1.3, label="before")
        axis.plot(x, after[order], "o", ms=3.8, color=COLOURS["after"], label="after")
        axis.set(
            xlabel=f"{part.name}: {len(order)} recording{'s' * (len(order) != 1)}",
            xticks=[],
            xlim=(-0.7, len(order) - 0.3),
        )
    axes[0].set(ylabel="F1 (%)", ylim=(-3, 103))
    _legend(axes[0])
    return _svg(figure, "records")


def draw_choices(choices: Sequence[Choice]) -> str:
    """Se, PPV and F1 against each threshold."""
    figure, axes = _figure(1, len(choices), 2.7)
    titles = {"threshold": "confirmed beats: threshold", "gate_threshold": "triggers: gate_threshold"}
    for axis, choice in zip(axes, choices, strict=True):
        x = [value for value, _ in choice.trials]
        for figure_name, colour, style in (("se", "before", "--"), ("ppv", "mark", "--"), ("f1", "after", "-")):
            y = [getattr(score, figure_name) for _, score in choice.trials]
            label = {"se": "Se", "ppv": "PPV", "f1": "F1"}[figure_name]
            axis.plot(x, y, style, color=COLOURS[colour], lw=1.8, marker="o", ms=3, label=label)
        if choice.ordinary:
            y = [score.f1 for _, score in choice.ordinary]
            axis.plot(x, y, ":", color=COLOURS["ink"], lw=1.5, label="F1, ordinary ECG")
        axis.axvline(choice.value, color=COLOURS["soft"], lw=1, ls=":")
        axis.set(xlabel=titles[choice.name], ylabel="%")
    _legend(axes[0])
    _legend(axes[1])
    return _svg(figure, "choices")


def draw_windows(pictures: Sequence[Picture], columns: int = 4) -> str:
    """Windows with their marks: what was found, missed, and wrong; the network's probability below."""
    rows = -(-len(pictures) // columns)
    figure, axes = _figure(rows, columns, 1.55 * rows, sharex=True)
    t = np.arange(WINDOW) / RATE
    for axis in axes[len(pictures) :]:
        axis.set_visible(False)
    for axis, picture in zip(axes, pictures, strict=False):
        ecg = picture.ecg - np.median(picture.ecg)
        ecg = np.clip(ecg / (np.percentile(np.abs(ecg), 99.5) or 1.0), -1.15, 1.15)
        axis.fill_between(t, -1.55, -1.55 + 0.4 * picture.probability, color=COLOURS["after"], alpha=0.35, lw=0)
        axis.plot(t, ecg, color=COLOURS["ink"], lw=0.7)
        for places, colour, marker in (
            (picture.found, "after", "v"),
            (picture.missed, "bad", "v"),
            (picture.false, "bad", "x"),
        ):
            style = {"mfc": "none"} if colour == "bad" and marker == "v" else {"color": COLOURS[colour]}
            axis.plot(
                places / RATE, np.full(len(places), 1.42), marker, ms=5, mec=COLOURS[colour], mew=1.3, ls="", **style
            )
        axis.set(ylim=(-1.6, 1.65), xlim=(0, 3), yticks=[], xticks=[0, 1, 2, 3])
        axis.set_title(f"{picture.name} at {picture.start_s:g} s", fontsize=8.5, loc="left", pad=3)
        axis.grid(visible=False)
        axis.spines["left"].set_visible(False)
    return _svg(figure, "windows")


def check_matplotlib() -> None:
    """Raise a `MissingExtra` unless matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra.of("matplotlib", "train") from error


def _figure(
    rows: int, columns: int, height: float, *, widths: Sequence[float] | None = None, **options: Any
) -> tuple[Figure, list[Any]]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    ink, soft, grid = COLOURS["ink"], COLOURS["soft"], COLOURS["grid"]
    style = {
        "font.family": "sans-serif", "font.size": 9.5, "text.color": ink, "axes.labelcolor": soft,
        "axes.edgecolor": grid, "axes.facecolor": "none", "axes.grid": True, "grid.color": grid, "grid.alpha": 0.5,
        "grid.linewidth": 0.7, "xtick.color": soft, "ytick.color": soft, "xtick.major.size": 0, "ytick.major.size": 0,
        "axes.spines.top": False, "axes.spines.right": False, "axes.titlecolor": soft,
    }  # fmt: skip
    with rc_context(style):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="none")
        ratios = {"width_ratios": list(widths)} if widths else {}
        axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=ratios, **options)
    return figure, list(axes.reshape(-1))


def _legend(axis: Any) -> None:
    """Put the legend above the axes, where it hides nothing."""
    axis.set_title(" ")  # holds the place, for a legend that is wider than its axes must not narrow them
    legend = axis.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, frameon=False, labelcolor=COLOURS["ink"],
        handlelength=1.6, columnspacing=1.4, borderpad=0.2,
    )  # fmt: skip
    legend.set_in_layout(False)


def _svg(figure: Figure, name: str) -> str:
    """SVG to stand within HTML: no addresses, no header, colours by name."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "path.simplify_threshold": 0.2}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"|\sversion="1.1"', "", text).replace("xlink:href", "href")
    text = re.sub(r"(?<=[ \d])(-?\d+\.\d)\d+", r"\1", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)  # names of one figure must not meet another's
    text = re.sub(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg class="{name}" role="img" viewBox="\1">', text, count=1)
    for colour, value in COLOURS.items():
        text = text.replace(value, f"var(--{colour})")
    return text.strip()
