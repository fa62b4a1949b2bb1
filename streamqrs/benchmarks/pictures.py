"""Pictures of what was measured, in the style of `streamqrs.plots`; each takes numbers as the JSON holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamqrs.plots import COLOURS, SERIES, use_style

Numbers = NDArray[np.float64]


def draw_lookahead(points: Sequence[Mapping[str, Any]], path: Path, *, title: str, chosen_ms: float) -> None:
    """Draw delay, jitter and F1 by look-ahead; `points` as the JSON of ``bench latency`` has them."""
    ms = [point["lookahead_ms"] for point in points]
    place = np.arange(len(ms))
    normal = [point["normal"] for point in points]
    with use_style():
        figure = _figure(6.5, 6.2)
        delay, jitter, f1 = figure.subplots(3, 1, sharex=True)
        delay.fill_between(
            place,
            [n["p5_ms"] for n in normal],
            [n["p95_ms"] for n in normal],
            color=COLOURS["trigger"],
            alpha=0.15,
            lw=0,
        )
        delay.plot(place, [n["p50_ms"] for n in normal], "o-", color=COLOURS["trigger"], ms=4)
        delay.axhline(0, color=COLOURS["soft"], lw=0.8)
        delay.set(ylabel="ms after R", title=title)
        delay.set_yscale("symlog", linthresh=20)
        delay.set_yticks(ticks := (-50, -20, -10, 0, 10, 20, 50, 100, 200, 500), [str(tick) for tick in ticks])
        delay.minorticks_off()
        delay.annotate("median, and p5 to p95 (normal beats)", (0.02, 0.86), xycoords="axes fraction", fontsize=8)
        jitter.plot(place, [n["sd_ms"] for n in normal], "o-", color=COLOURS["beat"], ms=4, label="normal beats")
        jitter.plot(
            place, [p["all"]["sd_ms"] for p in points], "o--", color=COLOURS["doubt"], ms=3, label="all beats"
        )  # fmt: skip
        jitter.set(ylabel="jitter, sd in ms", ylim=(0, None))
        jitter.legend()
        f1.plot(place, [p["all"]["f1"] for p in points], "o-", color=COLOURS["good"], ms=4)
        f1.set(ylabel="trigger F1 in %", xlabel="look-ahead in ms", xticks=place, xticklabels=[f"{m:g}" for m in ms])
        f1.set_ylim(min(99.0, *(p["all"]["f1"] for p in points)) - 0.2, 100.1)
        for axes in (delay, jitter, f1):
            if chosen_ms in ms:
                axes.axvline(ms.index(chosen_ms), color=COLOURS["soft"], lw=0.8, ls=":")
        figure.savefig(path)


def draw_delays(
    offsets_ms: Numbers, path: Path, *, title: str, xlabel: str = "trigger after R in ms", bin_ms: float = 1.0
) -> None:
    """Draw a histogram of delays, shape (n,), in ms."""
    low, high = np.quantile(offsets_ms, [0.002, 0.998]) / bin_ms
    edges = np.arange(np.floor(low) - 1.5, np.ceil(high) + 2.5) * bin_ms
    with use_style():
        figure = _figure(6.5, 2.8)
        axes = figure.subplots()
        axes.hist(np.clip(offsets_ms, edges[0], edges[-1]), edges, color=COLOURS["trigger"], alpha=0.85)
        digits = 1 if bin_ms >= 1 else 2
        for q in (0.05, 0.5, 0.95):
            at = float(np.quantile(offsets_ms, q))
            axes.axvline(at, color=COLOURS["beat"], lw=1, ls="-" if q == 0.5 else "--")
            axes.annotate(f"p{100 * q:g} {at:.{digits}f}", (at, 1.0), xycoords=("data", "axes fraction"), fontsize=8,
                          xytext=(2, -8), textcoords="offset points", color=COLOURS["beat"])  # fmt: skip
        axes.set(title=title, xlabel=xlabel, ylabel="triggers")
        figure.savefig(path)


def draw_stages(stages_ms: Mapping[str, Numbers], push_ms: Numbers, path: Path, *, title: str) -> None:
    """Draw wall time by stage: a bar from p50 to p99 with the median, and a histogram of the whole push."""
    with use_style():
        figure = _figure(6.5, 4.8)
        bars, whole = figure.subplots(2, 1, height_ratios=[1.2, 1])
        names = [*stages_ms, "one push, all of it"]
        values = [*stages_ms.values(), push_ms]
        for row, (name, ms) in enumerate(zip(names, values, strict=True)):
            p50, p99, p99_9 = np.maximum(np.quantile(ms, [0.5, 0.99, 0.999]), 1e-4)
            colour = COLOURS["beat"] if name == names[-1] else COLOURS["trigger"]
            bars.plot([p50, p99], [row, row], color=colour, lw=5, alpha=0.5, solid_capstyle="butt")
            bars.plot([p99, p99_9], [row, row], color=colour, lw=1.5)
            bars.plot(p50, row, "o", color=colour, ms=5)
        bars.set_xlim(1e-3, None)
        bars.set(
            xscale="log",
            yticks=range(len(names)),
            yticklabels=names,
            title=title,
            xlabel="ms (● p50, bar to p99, line to p99.9)",
        )
        bars.invert_yaxis()
        edges = np.logspace(np.log10(max(push_ms.min(), 1e-2)), np.log10(max(push_ms.max(), 2e-2)), 80)
        whole.hist(push_ms, edges, color=COLOURS["beat"], alpha=0.8)
        whole.set(xscale="log", yscale="log", xlabel="one push that ran the network, ms", ylabel="pushes")
        figure.savefig(path)


def draw_journey(legs_ms: Mapping[str, float], offsets_ms: Numbers, path: Path, *, title: str) -> None:
    """Draw where the mean time from R to arrival went, as a waterfall, and the distribution of arrivals."""
    with use_style():
        figure = _figure(7.0, 5.2)
        steps, spread = figure.subplots(2, 1, height_ratios=[1.6, 1])
        at = 0.0
        for row, ms in enumerate(legs_ms.values()):
            steps.barh(row, ms, left=at, color=COLOURS["good"] if ms < 0 else SERIES_COLOUR, height=0.6)
            steps.annotate(f"{ms:+.1f}", (max(at, at + ms), row), xytext=(3, 0), textcoords="offset points",
                           va="center", fontsize=8)  # fmt: skip
            at += ms
        steps.axvline(at, color=COLOURS["beat"], lw=1)
        steps.annotate(f"arrival {at:.1f}", (at, 1), xycoords=("data", "axes fraction"), xytext=(3, -8),
                       textcoords="offset points", color=COLOURS["beat"], fontsize=8)  # fmt: skip
        steps.set(yticks=range(len(legs_ms)), yticklabels=[*legs_ms], title=title, xlabel="mean, ms after R")
        steps.margins(x=0.12)
        steps.invert_yaxis()
        spread.hist(offsets_ms, min(60, max(10, int(np.ptp(offsets_ms)))), color=COLOURS["trigger"], alpha=0.85)
        spread.set(xlabel="arrival at the subscriber, ms after R", ylabel="triggers")
        figure.savefig(path)


def draw_peers(rows: Sequence[tuple[str, float, float]], path: Path, *, title: str) -> None:
    """Draw F1 in % and × real time of detectors; `rows` are (name, F1, × real time)."""
    rows = sorted(rows, key=lambda row: row[1])
    names, f1, speed = zip(*rows, strict=True)
    colours = [COLOURS["beat"] if name.startswith("streamqrs") else COLOURS["trigger"] for name in names]
    with use_style():
        figure = _figure(7.0, 0.6 + 0.3 * len(rows))
        left, right = figure.subplots(1, 2, sharey=True)
        left.barh(range(len(rows)), f1, color=colours, height=0.65)
        left.set(
            yticks=range(len(rows)), yticklabels=names, xlabel="F1 in %", title=title, xlim=(max(0, min(f1) - 5), 100)
        )
        for row, value in enumerate(f1):
            left.annotate(f"{value:.2f}", (value, row), xytext=(-3, 0), textcoords="offset points", ha="right",
                          va="center", fontsize=7, color="white")  # fmt: skip
        right.barh(range(len(rows)), speed, color=colours, height=0.65)
        right.set(xscale="log", xlabel="× real time on one core")
        figure.savefig(path)


SERIES_COLOUR = COLOURS[SERIES[0]]


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
