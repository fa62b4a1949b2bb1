"""The live screen: its pictures at any size, and on a real pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

import numpy as np
import pytest

from streamqrs.adapters.braille import draw_curve
from streamqrs.adapters.screen import open_sink
from streamqrs.adapters.screen_state import KEEP_S, Vitals
from streamqrs.adapters.screen_view import ScreenView
from streamqrs.errors import BadSpec
from streamqrs.ports import View
from streamqrs.types import Beat, Chunk, Gap, Problem, Quality, Signal, SourceInfo, Started, Stopped

STARTED = Started(SourceInfo("patient", "II", "mV"), 250.0, "mri", "abcdef0123456789", 480.0)


def dots(lines):
    """Set of (column, row) of the dots of Braille lines; row 0 is the topmost."""
    places = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
    return {
        (2 * x + dx, 4 * y + dy)
        for y, line in enumerate(lines)
        for x, char in enumerate(line)
        for bit, (dx, dy) in enumerate(places)
        if char != " " and (ord(char) - 0x2800) >> bit & 1
    }


def test_a_curve_is_drawn_dot_by_dot():
    low = np.array([0.0, 1.0, np.nan, 7.0])
    lines = draw_curve(low, low, 2, 0.0, 7.0)
    assert [len(line) for line in lines] == [2, 2]
    assert dots(lines) == {(0, 7), (1, 6), (1, 7), (3, 0)}


def test_a_step_has_no_hole_and_a_flat_line_is_drawn():
    edges = np.array([0.0, 0.0, 7.0, 7.0])
    assert {(2, y) for y in range(8)} <= dots(draw_curve(edges, edges, 2, 0.0, 7.0))
    assert len(dots(draw_curve(np.zeros(4), np.zeros(4), 1, 0.0, 0.0))) == 4


def test_values_beyond_the_edges_stay_in_the_picture():
    wild = np.array([-1e30, 1e30])
    assert dots(draw_curve(wild, wild, 1, 0.0, 1.0)) <= {(x, y) for x in range(2) for y in range(4)}


@pytest.fixture
def vitals():
    """Ten seconds with a spike and a beat every 0.8 s."""
    v = Vitals(lambda event: type(event).__name__)
    x = np.zeros(2500, np.float32)
    x[100::200] = 1
    beats = []
    for k, at in enumerate(range(100, 2500, 200)):
        beats.append(Beat(k, "trigger", at, at / 250, 0.9, None, at / 250 + 0.012))
        beats.append(Beat(k, "beat", at, at / 250, 0.9, 0.8 if k else None, at / 250 + 0.4))
    beats.append(Beat(99, "trigger", 2450, 9.8, 0.6, None, 9.82))
    beats.append(Beat(99, "withdrawn", 2450, 9.8, 0.2, None, 10))
    signals = [Signal(Chunk(x[i : i + 10], i, 250.0)) for i in range(0, 2500, 10)]
    v.hear([STARTED, *signals, *beats], 100.0)
    return v


def text(lines):
    return ["".join(part for part, _ in line) for line in lines]


def test_the_figures_are_right(vitals):
    lines = text(ScreenView(vitals).lines(140, 30, 100.2, [("mqtt://gate", True), ("mqtt://ward", False)]))
    assert lines[0].startswith("streamqrs  patient II  250 Hz  model mri")
    delays = "trigger after p50 12  p95 15 ms"
    assert f"♥  75/min   RR  800 ms   {delays}   signal good   12 beats  1 withdrawn  0 gaps" in lines
    assert "● source   ● mqtt://gate   ✗ mqtt://ward" in lines[-1]


def test_marks_stand_over_their_spikes(vitals):
    width = 100
    lines = text(ScreenView(vitals).lines(width, 30, 100.2))
    above = next(line for line in lines if "▼" in line)
    strip = lines[lines.index(above) + 1 : next(i for i, line in enumerate(lines) if "▲" in line)]
    marks = {column for column, char in enumerate(above) if char == "▼"}
    spikes = {column for column, char in enumerate(strip[0]) if char not in " │"}
    assert len(marks) >= 7
    assert marks == spikes
    assert "×" in lines[lines.index(above) + len(strip) + 1]


@pytest.mark.parametrize("width", [1, 5, 19, 20, 40, 79, 80, 300])
@pytest.mark.parametrize("height", [1, 2, 5, 8, 24, 100])
def test_a_picture_fits_any_terminal(vitals, width, height):
    vitals.hear([Problem("mqtt://x", "evil \x1b[2J\n" + 300 * "long "), Gap(2500, 2600, 10.0, 0.4)], 100.0)
    for state in (vitals, Vitals(str)):
        lines = text(ScreenView(state).lines(width, height, 101.0, [("x" * 100, None)], ["a note"]))
        assert 1 <= len(lines) <= height
        assert all(len(line) <= width for line in lines)
        assert all(char.isprintable() for line in lines for char in line)


def test_silence_quality_and_the_end_are_said(vitals):
    view = ScreenView(vitals)
    assert "✗ source silent for 5 s" in text(view.lines(120, 24, 105.0))[-1]
    vitals.hear([Quality(False, "noise", 2500, 10.0, 10.0, 0.2)], 105.0)
    assert any("signal unusable: noise" in line for line in text(view.lines(120, 24, 105.0)))
    vitals.hear([Stopped("end of source")], 105.0)
    assert "ended: end of source" in text(view.lines(120, 24, 200.0))[-1]


def test_an_old_heart_rate_is_not_shown(vitals):
    assert vitals.heart_rate() == pytest.approx(75)
    vitals.hear([Signal(Chunk(np.zeros(1000, np.float32), 2500, 250.0))], 104.0)
    assert vitals.heart_rate() is None


def test_what_is_kept_is_bounded_and_gaps_stay_empty(vitals):
    for k in range(50):
        start = 3000 + k * 5000
        vitals.hear(
            [Signal(Chunk(np.ones(2500, np.float32), start, 250.0)), Beat(200 + k, "beat", start, 0, 1, 1, 0)], 1.0
        )
    assert len(vitals._values) == KEEP_S * 250
    assert len(vitals.beats) <= 101
    low, _, _ = vitals.sweep(100, 12.0)
    assert np.isnan(low).any()
    vitals.hear([Signal(Chunk(np.ones(50, np.float32), 0, 1000.0))], 1.0)  # another rate: begin anew
    assert vitals.newest_s == 0.05


def test_a_target_is_refused():
    assert isinstance(open_sink(""), View)
    with pytest.raises(BadSpec, match="allowed is screen alone"):
        open_sink("red")


# on a real pseudo-terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """The command in a pseudo-terminal of a given size."""

    def __init__(self, *command, columns=100, rows=30, **environment):
        self.shown = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            inherited = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS", "LINES"}}
            environment = inherited | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | environment
            code = "from streamqrs.cli.app import main; main()"
            os.execve(sys.executable, [sys.executable, "-c", code, *command], environment)

    def size(self, columns, rows):
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, pattern, timeout_s=120):
        """Read until a pattern is on the screen; returns all that was shown since the last call."""
        begin, deadline = len(self.shown), time.monotonic() + timeout_s
        while not re.search(pattern, COLOUR.sub("", self.shown[begin:].decode(errors="replace"))):
            assert time.monotonic() < deadline, f"waited for {pattern!r}: {self.shown[-2000:]!r}"
            if not self._read():
                break
        return self.shown[begin:].decode(errors="replace")

    def end(self):
        """Ctrl-C, and read to the end; returns the exit code."""
        os.write(self._fd, b"\x03")
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self):
        if not select.select([self._fd], [], [], 1)[0]:
            return True
        try:
            piece = os.read(self._fd, 65536)
        except OSError:  # Linux: the other side was closed
            return False
        self.shown += piece
        return bool(piece)

    def close(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._fd)


@pytest.fixture
def terminal():
    started = []

    def make(*command, **options):
        started.append(Terminal(*command, **options))
        return started[-1]

    yield make
    for made in started:
        made.close()


def last_picture(shown):
    """Lines of the last whole picture, without colours."""
    picture = shown.split("\x1b[H")[-2]
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", picture).replace("\r", "").split("\n")


@pytest.mark.slow
def test_in_a_terminal_a_run_is_a_live_screen(terminal):
    t = terminal("run", "--model", "base", "--gate")
    t.until(r"\x1b\[\?1049h")
    assert "\x1b[?1049l" not in t.until("▼")
    lines = last_picture(t.until(r"♥ +[0-9]+(.|\n)*source(.|\n)*source"))
    assert len(lines) == 30
    assert all(len(line) <= 100 for line in lines)
    assert lines[0].startswith("streamqrs  virtual patient ECG  250 Hz  model base")
    assert any("▼" in line for line in lines)
    assert any("● source" in line for line in lines)
    t.size(50, 12)  # smaller, while it runs
    t.until(r"\x1b\[2J")
    lines = last_picture(t.until("source(.|\n)*source(.|\n)*source"))
    assert len(lines) == 12
    assert max(map(len, lines)) <= 50
    assert t.end() == 0
    told = t.shown.decode().rpartition("\x1b[?1049l")[2]
    assert "ended: interrupted" in told
    assert "\x1b[?25h" in t.shown.decode()[-len(told) - 40 :]  # the cursor is back


def test_no_color_means_none(terminal):
    t = terminal("run", "--model", "base", NO_COLOR="1")
    t.until("source(.|\n)*source")
    assert t.end() == 0
    assert not re.search(r"\x1b\[(?:\d+;)*(3[0-8]|9[0-7]|4[0-8])(;\d+)*m", t.shown.decode())


@pytest.mark.parametrize("options", [["--plain"], ["--sink", "console"]])
def test_lines_when_they_are_asked_for(terminal, options):
    t = terminal("run", "--model", "base", *options)
    t.until(r"beat  .*bpm")
    assert t.end() == 0
    assert "\x1b[?1049h" not in t.shown.decode()


def test_a_dumb_terminal_gets_lines(terminal):
    t = terminal("run", "--model", "base", "--duration", "3", TERM="dumb")
    t.until("ended: duration")
    assert "started" in t.shown.decode()
    assert "\x1b[?1049h" not in t.shown.decode()
