"""The console sink: plain lines into a file, colours on a real pseudo-terminal."""

import asyncio
import os
import re
import subprocess
import sys

import pytest

from streamqrs.adapters.console import LIMIT, describe
from streamqrs.errors import BadSpec
from streamqrs.ports import Sink, open_sink
from streamqrs.types import Beat, Gap, Problem, SourceInfo, Started, Stopped

EVENTS = [
    Started(SourceInfo("sim", "II"), 250.0, "base", "abcdef0123456789", 480.0),
    Beat(0, "trigger", 100, 0.4, 0.8, None, 0.41),
    Beat(0, "beat", 100, 0.4, 0.9876, None, 0.8125),
    Beat(1, "beat", 300, 1.2, 0.99, 0.8, 1.6),
    Beat(2, "withdrawn", 400, 1.6, 0.2, None, 2.0),
    Gap(100, 200, 12.5, 0.4, "overload"),
    Problem("mqtt://host/ecg", "message is not JSON"),
    Stopped("end of source", {"beats": 2, "gaps": 1}),
]
LINES = """\
started    sim II, 250 Hz, model base (abcdef01), beats known within 480 ms
trigger         0.400 s      – bpm  RR     – s  after  10.0 ms  p 0.800
beat            0.400 s      – bpm  RR     – s  after 412.5 ms  p 0.988
beat            1.200 s   75.0 bpm  RR 0.800 s  after 400.0 ms  p 0.990
withdrawn       1.600 s      – bpm  RR     – s  after 400.0 ms  p 0.200
gap            12.500 s  0.400 s of signal missing (overload)
problem    mqtt://host/ecg: message is not JSON
stopped    end of source: 2 beats, 1 gaps
"""

SEND = "import asyncio, test_adapters_console as t; asyncio.run(t.send())"


async def send(events=EVENTS):
    sink = open_sink("console")
    assert isinstance(sink, Sink)
    async with sink:
        for event in events:
            await sink.send(event)


def test_plain_lines_where_there_is_no_terminal(capfd):
    asyncio.run(send())
    assert capfd.readouterr().out == LINES


def test_unix_time_is_shown_as_the_time_of_day():
    line = "".join(text for text, _ in describe(Beat(0, "beat", 0, 1790000000.25, 0.9, 0.8, 1790000000.5), "unix"))
    assert line.startswith("beat       14:13:20.250  ")


def test_nothing_in_a_message_can_steer_the_terminal():
    line = "".join(text for text, _ in describe(Problem("x", "evil \x1b[2J\r\nbell\x07 \x9b2J")))
    assert line.isprintable()


def test_numbers_that_are_not_known_do_not_hurt():
    nan = float("nan")
    for clock in ("stream", "unix"):
        assert describe(Beat(0, "beat", 0, nan, nan, nan, nan), clock)
        assert describe(Gap(0, 1, nan, nan), clock)
        assert describe(Beat(0, "beat", 0, 1e300, 1, 1, 1e300), clock)


def test_a_target_is_refused():
    with pytest.raises(BadSpec, match="allowed is console alone"):
        open_sink("console:red")


def test_an_encoding_without_the_characters_is_no_error():
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run([sys.executable, "-c", SEND], env=environment, capture_output=True, check=True)
    assert done.stdout.decode("ascii") == LINES.replace("–", "?")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_colours_on_a_terminal():
    main, side = os.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "PYTHONPATH": os.path.dirname(__file__)}
    environment.pop("NO_COLOR", None)
    code = "import asyncio, test_adapters_console as t; asyncio.run(t.send())"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=side, stdin=subprocess.DEVNULL, env=environment
    ) as process:
        os.close(side)
        shown = b""
        try:
            while piece := os.read(main, 4096):
                shown += piece
        except OSError:  # Linux: the other side was closed
            pass
        assert process.wait(60) == 0
    os.close(main)
    text = shown.decode().replace("\r\n", "\n")
    assert "\x1b[1;31mproblem" in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == LINES


FLOOD = f"""
import asyncio, sys
from streamqrs.ports import open_sink
from streamqrs.types import Problem
async def go():
    async with open_sink("console") as sink:
        for i in range({LIMIT} + 5000):
            await sink.send(Problem("here", str(i) + "x" * 1000))
            await asyncio.sleep(0)
        print("done", file=sys.stderr, flush=True)
        sys.stdin.readline()
asyncio.run(go())
"""


def test_a_slow_terminal_loses_the_oldest_lines_and_is_told():
    process = subprocess.Popen(
        [sys.executable, "-c", FLOOD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr.readline() == "done\n"  # nothing was read so far, and yet it got here
        process.stdin.write("\n")
        process.stdin.flush()
        lines = process.stdout.read().splitlines()
    told = [int(match[1]) for line in lines if (match := re.search(r"too slow: (\d+) lines left out", line))]
    shown = [int(match[1]) for line in lines if (match := re.search(r"here: (\d+)x", line))]
    assert sum(told) + len(shown) == LIMIT + 5000
    assert sum(told) > 0
    assert shown == sorted(shown)
    assert shown[-1] == LIMIT + 4999
