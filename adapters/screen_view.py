"""Pictures of a run in lines of text: what the live screen shows, at any size of the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap

import numpy as np

from streamqrs.adapters.braille import draw_curve
from streamqrs.adapters.console import Spans
from streamqrs.adapters.screen_state import Vitals
from streamqrs.types import RATE

SILENT_S = 1.5
"""A source that has sent nothing for so long is called silent, in s."""
LEAST_STRIP = 3
MOST_STRIP = 24
"""Fewest and most lines of the ECG."""

Links = Sequence[tuple[str, bool | None]]


class ScreenView:
    """Draw `Vitals`, with a scale that widens at once and narrows slowly.

    Parameters
    ----------
    vitals : Vitals
        What to draw.
    """

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._bottom, self._top = math.nan, math.nan

    def lines(self, width: int, height: int, now: float, links: Links = (), notes: Sequence[str] = ()) -> list[Spans]:
        """Draw one picture.

        Parameters
        ----------
        width, height : int
            Columns and lines of the terminal.
        now : float
            Monotonic clock in s.
        links : sequence of (str, bool or None)
            Name and state of the connections.
        notes : sequence of str
            Lines for the foot.

        Returns
        -------
        list of list of (str, str)
            At most `height` lines, none wider than `width`, in pieces of text and style.
        """
        v = self._vitals
        head = [self._title(width), *self._figures(width)]
        foot = [self._lamps(now, links)]
        if v.news:
            foot.append([(v.news, "yellow")])
        foot += [[(line, "dim")] for note in notes for line in wrap(note, width)]
        rows = min(height - len(head) - len(foot) - 2, MOST_STRIP)
        strip = self._strip(width, rows) if rows >= LEAST_STRIP else []
        lines = [*head, *strip, *foot][:height]
        return [_cut(line, width) for line in lines]

    def _title(self, width: int) -> Spans:
        started = self._vitals.started
        if started is None:
            return [("streamqrs", "bold"), ("  waiting for the stream", "dim")]
        source = started.source
        named = " ".join(part for part in (source.name, source.channel) if part)
        text = f"  {named or 'source'}  {started.rate:g} Hz  model {started.model}"
        return [("streamqrs", "bold"), (text, "dim")]

    def _figures(self, width: int) -> list[Spans]:
        v = self._vitals
        rate = v.heart_rate()
        beats = [beat for beat in v.beats.values() if beat.kind == "beat"]
        interval = beats[-1].rr_s if beats and rate is not None else None
        kind = "trigger" if v.delays_ms["trigger"] else "beat"
        delays = v.delays_ms[kind]
        middle, late = np.quantile(delays, (0.5, 0.95)) if delays else (math.nan, math.nan)
        pulse: Spans = [
            ("♥ ", "bold red" if rate is not None else "dim"),
            (f"{_number(rate):>3}", "bold" if rate is not None else "dim"),
            ("/min", "dim"),
            (f"   RR {_number(interval and interval * 1000):>4} ms", ""),
        ]
        delay = f"{'trigger' if kind == 'trigger' else 'known'} after p50 {_number(middle)}  p95 {_number(late)} ms"
        counted = v.counts
        counts = f"{counted['beat']} beats  {counted['withdrawn']} withdrawn  {counted['gap']} gaps"
        signal = self._signal()
        pieces: list[Spans] = [pulse, [(delay, "")], [signal], [(counts, "dim")]]
        lines: list[Spans] = [[]]
        for piece in pieces:  # as many on a line as there is room for
            used = sum(len(text) for text, _ in lines[-1])
            if used and used + 3 + sum(len(text) for text, _ in piece) > width:
                lines.append([])
            elif used:
                lines[-1].append(("   ", ""))
            lines[-1] += piece
        return lines

    def _signal(self) -> tuple[str, str]:
        quality = self._vitals.quality
        if math.isnan(self._vitals.heard):
            return "signal –", "dim"
        if quality is None or quality.usable:
            return "signal good", "green"
        return f"signal unusable: {quality.reason}", "bold yellow"

    def _strip(self, width: int, rows: int) -> list[Spans]:
        v = self._vitals
        span_s = float(min(10, max(2, round(width / 14))))
        low, high, head = v.sweep(2 * width, span_s)
        self._scale(low, high)
        lines = draw_curve(low, high, rows, self._bottom, self._top)
        above, below = [" "] * width, [" "] * width
        for beat in v.visible(span_s):
            column = int(beat.index / RATE % span_s / span_s * width) % width
            if beat.kind == "beat":
                above[column] = "▼"
            if beat.kind == "withdrawn":
                below[column] = "×"
            elif beat.id in v.triggered:
                below[column] = "▲"
        at = min(width - 1, int(head / 2))
        curve: list[Spans] = [
            [(line[:at], "green"), ("│", "dim"), (line[at + 1 :], "green")] if v.newest_s else [(line, "")]
            for line in lines
        ]
        return [[("".join(above), "bold red")], *curve, [("".join(below), "bold cyan")]]

    def _scale(self, low: np.ndarray, high: np.ndarray) -> None:
        if not np.isfinite(low).any():
            return
        bottom, top = float(np.nanmin(low)), float(np.nanmax(high))
        if not top - bottom > 0.02 * (self._top - self._bottom):
            self._bottom, self._top = bottom, top
        keep = 0.9
        self._bottom = bottom if not self._bottom <= bottom else keep * self._bottom + (1 - keep) * bottom
        self._top = top if not self._top >= top else keep * self._top + (1 - keep) * top

    def _lamps(self, now: float, links: Links) -> Spans:
        v = self._vitals
        if v.stopped:
            lamps: list[tuple[str, bool | None]] = [(f"ended: {v.stopped.reason}", None)]
        else:
            silent_s = now - v.heard
            state = "source" if silent_s <= SILENT_S else f"source silent for {silent_s:.0f} s"
            lamps = [("waiting for samples", None) if math.isnan(silent_s) else (state, silent_s <= SILENT_S)]
        spans: Spans = []
        for name, up in (*lamps, *links):
            glyph, style = {True: ("●", "green"), False: ("✗", "bold red"), None: ("○", "dim")}[up]
            spans += [(f"{glyph} ", style), (f"{name}   ", "bold red" if up is False else "")]
        return spans


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.0f}"


def _cut(line: Spans, width: int) -> Spans:
    """Cut a line to a width; all its characters are one column wide, and printable."""
    left, spans = width, []
    for text, style in line:
        shown = "".join(char if char.isprintable() else " " for char in text)[:left]
        spans.append((shown, style))
        left -= len(shown)
    return spans
