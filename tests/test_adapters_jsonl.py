"""The jsonl sink, written to real files, pipes and a full disk."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from streamqrs.errors import BadSpec, SinkError
from streamqrs.ports import Sink, open_sink
from streamqrs.types import Beat, Gap, Problem, SourceInfo, Started, Stopped

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "event.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
EVENTS = [
    Started(SourceInfo("sim"), 250.0, "base", "ab" * 32, 500.0),
    Beat(0, "trigger", 100, 0.4, 0.9, None, 0.41),
    Beat(0, "beat", 100, 0.4, 0.9, None, 0.9),
    Gap(100, 200, 0.4, 0.4),
    Problem("somewhere", "flat line: 10 µV"),
    Stopped("end of source", {"beats": 1}),
]


async def send(spec, events=EVENTS):
    sink = open_sink(spec)
    assert isinstance(sink, Sink)
    async with sink:
        for event in events:
            await sink.send(event)


def test_a_line_for_each_event_by_the_schema(tmp_path):
    path = tmp_path / "beats.jsonl"
    asyncio.run(send(f"jsonl:{path}"))
    messages = [json.loads(line) for line in path.read_text().splitlines()]
    for message in messages:
        VALIDATOR.validate(message)
    assert [m["event"] for m in messages] == ["started", "beat", "beat", "gap", "problem", "stopped"]
    assert [m["seq"] for m in messages] == list(range(6))
    assert messages[2]["model"] == "base"


def test_a_line_is_there_when_send_returns(tmp_path):
    path = tmp_path / "beats.jsonl"

    async def go():
        async with open_sink(f"jsonl:{path}") as sink:
            await sink.send(EVENTS[1])
            return path.read_text()

    assert asyncio.run(go()).endswith("}\n")


def test_a_second_run_is_appended(tmp_path):
    path = tmp_path / "beats.jsonl"
    for _ in range(2):
        asyncio.run(send(f"jsonl:{path}"))
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [*range(6), *range(6)]


def test_standard_output(capfd):
    asyncio.run(send("jsonl:-"))
    out, err = capfd.readouterr()
    assert [json.loads(line)["event"] for line in out.splitlines()][-1] == "stopped"
    assert err == ""


def test_standard_output_that_something_has_put_in_its_place(capsys):
    asyncio.run(send("jsonl:-"))
    assert len(capsys.readouterr().out.splitlines()) == len(EVENTS)


@pytest.mark.parametrize(
    ("path", "message"),
    [("no/such/folder/beats.jsonl", "cannot be opened: No such file"), (".", "cannot be opened: Is a directory")],
)
def test_what_cannot_be_opened(tmp_path, path, message):
    with pytest.raises(SinkError, match=message) as caught:
        asyncio.run(send(f"jsonl:{tmp_path / path}"))
    assert str(caught.value).startswith(f"jsonl:{tmp_path}")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk():
    with pytest.raises(SinkError, match="jsonl:/dev/full cannot be written: No space left on device"):
        asyncio.run(send("jsonl:/dev/full"))


def test_no_target():
    with pytest.raises(BadSpec, match="allowed are jsonl:PATH and jsonl:-"):
        open_sink("jsonl")


SENDER = """
import asyncio, sys
from streamqrs.errors import SinkError
from streamqrs.ports import open_sink
from streamqrs.types import Problem
async def go():
    async with open_sink(sys.argv[1]) as sink:
        beats = 0
        async def tick():
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.01)
        ticking = asyncio.create_task(tick())
        try:
            async with asyncio.timeout(float(sys.argv[2])):
                for i in range(10_000):
                    await sink.send(Problem("here", "x" * 1000))
        except TimeoutError:
            print("blocked", beats > 3, file=sys.stderr, flush=True)
        except SinkError as error:
            print(error, file=sys.stderr)
        ticking.cancel()
asyncio.run(go())
"""


def test_a_reader_that_goes_away_is_one_line():
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, "jsonl:-", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.stdout.close()
    with process:
        assert process.stderr.read() == "jsonl:- cannot be written: Broken pipe\n"
    assert process.returncode == 0


@pytest.mark.parametrize("spec", ["jsonl:-", "console"])
def test_a_reader_that_does_not_read_neither_stops_the_event_loop_nor_the_end(spec):
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, spec, "0.5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.wait(60) == 0
        assert process.stderr.read() == ("blocked True\n" if spec != "console" else "")
        assert len(process.stdout.read()) > 1000
