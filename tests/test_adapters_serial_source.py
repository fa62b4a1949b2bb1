"""Source ``serial:``, on a pseudo-terminal: the kernel's own serial line, with a sketch of ours at its other end."""

import asyncio
import contextlib
import itertools
import math
import os
import pty
import termios
import threading
import time
import tty

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.adapters.serial_lines import LONGEST, LineParser
from streamqrs.detector import Detector
from streamqrs.engine import run
from streamqrs.errors import BadSignal, BadSpec, SourceNotFound
from streamqrs.ports import Source, open_source
from streamqrs.scanner import VirtualPatient
from streamqrs.types import Beat, Chunk, Problem

RATE = 250


def parse(text, column=None):
    """Samples of lines, the first of which is passed over as it may have begun before."""
    parser = LineParser(column)
    return parser.push(b"...\n" + text.encode(errors="surrogateescape")), parser


# lines


@pytest.mark.parametrize(
    ("text", "column", "wanted"),
    [
        ("512\n513\r\n514\n", None, [512, 513, 514]),
        ("1.5\n-2e-3\n", None, [1.5, -2e-3]),
        ("10,512\n20,513\n", 1, [512, 513]),
        ("10; 512\n20; 513\n", "1", [512, 513]),
        ("10\t512\n", 1, [512]),
        ("10 512 7\n", 1, [512]),
        ("time,ecg,resp\n1,512,3\n2,513,4\n", None, [512, 513]),
        ("time,ecg,resp\n1,512,3\n", "resp", [3]),
        ("lead:3,ecg: 512\nlead:3,ecg:513\n", None, [512, 513]),
        ("AD8232 ready\n\n512\n\n513\n", None, [512, 513]),
    ],
)
def test_what_sketches_print(text, column, wanted):
    samples, parser = parse(text, column)
    assert samples == wanted
    assert parser.counts == {"lines": len(wanted)}


def test_a_line_without_a_value_still_counts_as_a_sample():
    samples, parser = parse("512\n!\n!\n51x\n1,2\nnan\n513\n")
    assert [math.isnan(sample) for sample in samples] == [False, True, True, True, True, True, False]
    assert parser.counts == {"lines": 7, "leads_off": 2, "bad": 3}
    assert parser.last_bad == "nan"


TEXT = b"512\r\n-3\n!\nnonsense\n\xff\xfe\n7.25\n"


@given(st.lists(st.integers(0, len(TEXT)), max_size=20))
def test_however_the_bytes_are_cut_the_samples_are_the_same(cuts):
    parser = LineParser()
    edges = [0, *sorted(cuts), len(TEXT)]
    samples = parser.push(b"\n")
    for a, b in itertools.pairwise(edges):
        samples += parser.push(TEXT[a:b])
    np.testing.assert_array_equal(samples, [512, -3, math.nan, math.nan, math.nan, 7.25])


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_bad_signal(data):
    parser = LineParser()
    assert all(isinstance(sample, float) for sample in parser.push(data))


def test_a_line_without_end_is_refused():
    with pytest.raises(BadSignal, match="is the baud rate right"):
        LineParser().push(bytes(LONGEST + 1))


def test_a_column_that_is_not_there():
    with pytest.raises(SourceNotFound, match="no channel '5': allowed are 0, 1"):
        parse("1,2\n", 5)


# the source


class Line:
    """A pseudo-terminal under a path of its own: what is unplugged can be plugged in again."""

    def __init__(self, path):
        self.path = path
        self.plug_in()

    def plug_in(self):
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        self._slave = slave
        self._speed = termios.tcgetattr(slave)[4]

    def send(self, text):
        os.write(self._master, text.encode() if isinstance(text, str) else text)

    async def answer(self, text):
        """Send once somebody has opened the port, set its speed, and thrown away what was there."""
        async with asyncio.timeout(30):
            while termios.tcgetattr(self._slave)[4] == self._speed:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        self.send(text)

    def unplug(self):
        self.path.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)


@pytest.fixture
def line(tmp_path):
    line = Line(tmp_path / "ttyECG0")
    yield line
    line.unplug()


@contextlib.asynccontextmanager
async def opened(line, options, text, **others):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(line.answer(text))
        async with open_source(f"serial:{line.path}{options}", **others) as source:
            yield source


async def take(source, samples=math.inf, also=lambda item: False):
    items = []
    async with asyncio.timeout(30):
        async for item in source:
            items.append(item)
            if sum(len(i.samples) for i in items if isinstance(i, Chunk)) >= samples or also(item):
                return items
    return items


def samples_of(items):
    return np.concatenate([item.samples for item in items if isinstance(item, Chunk)])


def told(items):
    return [item.message for item in items if isinstance(item, Problem)]


def test_numbers_become_chunks(line):
    async def main():
        text = "...\n" + "".join(f"{value}\n" for value in range(100))
        async with opened(line, f",baud=9600,rate={RATE}", text) as source:
            assert isinstance(source, Source)
            return source.rate, source.info, await take(source, 100)

    rate, info, items = asyncio.run(main())
    assert (rate, info.clock, info.live) == (RATE, "unix", True)
    assert samples_of(items).tolist() == [*range(100)]
    assert items[0].start == 0
    assert abs(items[-1].time + (len(items[-1].samples) - 1) / RATE - time.time()) < 60


def test_electrodes_that_are_off_are_missing_samples_and_told(line):
    async def main():
        async with opened(line, "", "...\n1\n!\n!\nx\n2\n", rate=RATE) as source:
            items = await take(source, 5)
            items += await take(source, also=lambda item: isinstance(item, Problem))
            return items, source.counts

    items, counts = asyncio.run(main())
    np.testing.assert_array_equal(samples_of(items), [1, math.nan, math.nan, math.nan, 2])
    assert told(items) == ["electrodes off in 2 lines; 1 lines that cannot be read, such as 'x'"]
    assert counts == {"lines": 5, "leads_off": 2, "bad": 1}


def test_the_rate_is_measured_where_none_is_given(line):
    stop = threading.Event()

    def sketch():
        begun = time.monotonic()
        for i in itertools.count(1):
            if stop.wait(max(0.0, begun + i * 0.02 - time.monotonic())):
                return
            line.send("512\n" * 5)  # 250 Hz

    thread = threading.Thread(target=sketch)
    thread.start()

    async def main():
        async with open_source(f"serial:{line.path}") as source:
            return source.rate, told(await take(source, 1))

    try:
        rate, problems = asyncio.run(main())
    finally:
        stop.set()
        thread.join()
    assert rate == RATE
    assert problems == ["rate measured as 250 Hz: give rate= if it is another one"]


def test_a_port_that_is_unplugged_is_waited_for(line):
    async def main():
        async with opened(line, f",rate={RATE}", "...\n" + "1\n" * 10) as source:
            items = await take(source, 10)
            line.unplug()
            items += await take(source, also=lambda item: isinstance(item, Problem))
            await asyncio.sleep(2.5)
            line.plug_in()
            await line.answer("...\n" + "2\n" * 10)
            return items + await take(source, 10)

    items = asyncio.run(main())
    assert told(items)[0].startswith("lost: ")
    assert told(items)[-1] == "lines come again"
    after = next(item for item in items if isinstance(item, Chunk) and item.samples[0] == 2)
    assert after.start >= 10 + 2 * RATE


def test_it_is_left_while_the_port_is_away(line):
    async def main():
        async with opened(line, f",rate={RATE}", "...\n" + "1\n" * 10) as source:
            await take(source, 10)
            line.unplug()
            await take(source, also=lambda item: isinstance(item, Problem))
        line.plug_in()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("content", "options", "error", "wanted"),
    [
        ("", {"rate": 250, "timeout": 0.3}, SourceNotFound, "no line within 0.3 s"),
        ("hello\n" * 50, {"rate": 250, "timeout": 0.3}, BadSignal, "no numbers within 0.3 s, but 'hello'"),
        (b"\xfe" * 3000, {"rate": 250}, BadSignal, "no line break"),
        ("...\n1,2\n", {"rate": 250, "channel": 4}, SourceNotFound, "no channel '4'"),
        ("...\n1\n2\n", {"timeout": 0.5}, SourceNotFound, "only 2 lines"),
    ],
)
def test_what_cannot_be_an_ecg_is_told_in_one_line(line, content, options, error, wanted):
    async def main():
        sender = asyncio.create_task(line.answer(content))
        try:
            async with open_source(f"serial:{line.path}", **options):
                pass
        finally:
            await sender

    with pytest.raises(error) as raised:
        asyncio.run(main())
    assert wanted in str(raised.value)
    assert "\n" not in str(raised.value)


def test_too_few_lines_a_second(line):
    stop = threading.Event()

    def sketch():
        while not stop.wait(0.1):
            line.send("512\n")

    thread = threading.Thread(target=sketch)
    thread.start()

    async def main():
        async with open_source(f"serial:{line.path}"):
            pass

    try:
        with pytest.raises(BadSignal, match=r"\b\d\d? lines a second: allowed are 100 to 10000"):
            asyncio.run(main())
    finally:
        stop.set()
        thread.join()


def test_a_port_that_is_not_there(tmp_path):
    async def main():
        async with open_source(f"serial:{tmp_path / 'none'},rate=250"):
            pass

    with pytest.raises(SourceNotFound, match="none: No such file or directory"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("spec", "options", "wanted"),
    [
        ("serial:", {}, "needs a port"),
        ("serial:,rate=250", {}, "needs a port"),
        ("serial:/dev/x,rate=fast", {}, "rate is 'fast'"),
        ("serial:/dev/x,rate=10", {}, "allowed are 100 to 10000 Hz"),
        ("serial:/dev/x,rate=nan", {}, "allowed are 100 to 10000 Hz"),
        ("serial:/dev/x,baud=0", {}, "baud is 0"),
        ("serial:/dev/x,baud=inf", {}, "baud is 'inf'"),
        ("serial:/dev/x,rate=250", {"rate": 500.0}, "rate is given twice"),
        ("serial:/dev/x", {"payload": "json"}, "takes no option payload"),
    ],
)
def test_a_bad_spec(spec, options, wanted):
    with pytest.raises(BadSpec) as error:
        open_source(spec, **options)
    assert wanted in str(error.value)
    assert "\n" not in str(error.value)


def test_beats_of_a_sketch_through_the_engine(line):
    """An AD8232 at 250 Hz: values of 10 bits, and a second without electrodes, which costs its own beats only."""
    patient = VirtualPatient(rate=RATE, seed=4)
    ecg = patient.read(RATE * 40)
    truth = np.array([index for index, _ in patient.take_beats()]) / RATE
    lines = [f"{round(400 + 150 * value)}" for value in ecg]
    lines[15 * RATE : 16 * RATE] = ["!"] * RATE
    events = []

    class Keep:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            pass

        async def send(self, event):
            events.append(event)

    async def main():
        stop = asyncio.Event()
        source = open_source(f"serial:{line.path},rate={RATE}")
        task = asyncio.create_task(run(source, Detector(RATE, "base"), [Keep()], stop=stop))
        await line.answer("...\n")
        for at in range(0, len(lines), 50):  # faster than life, but no faster than it is read
            await asyncio.to_thread(line.send, "\n".join(lines[at : at + 50]) + "\n")
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        stop.set()
        return await task

    summary = asyncio.run(main())
    found = np.array([event.index for event in events if isinstance(event, Beat) and event.kind == "beat"]) / RATE
    assert summary.samples == len(lines)
    wanted = truth[((truth > 0.3) & (truth < 14.7)) | ((truth > 16.3) & (truth < 39.7))]
    assert max(np.abs(found - beat).min() for beat in wanted) < 0.02
    assert len(found) <= len(truth)
