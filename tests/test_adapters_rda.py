"""Source ``rda:``, on a recorder of the tests' own.

The recorder is written from the description of the protocol, not from the adapter: a mistake of the one is none of the
other.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamqrs.adapters.rda_protocol import LIMIT, Data, KeepAlive, RdaParser, Start, Stop
from streamqrs.errors import BadSignal, BadSpec, SourceLost, SourceNotFound
from streamqrs.ports import Source, open_source
from streamqrs.scanner import VirtualPatient
from streamqrs.types import Chunk, Marker, Problem

# the recorder

GUID = bytes([0x8E, 0x45, 0x58, 0x43, 0x96, 0xC9, 0x86, 0x4C, 0xAF, 0x4A, 0x98, 0xBB, 0xF6, 0xC9, 0x14, 0x50])


def message(kind, body=b""):
    return GUID + struct.pack("<II", 24 + len(body), kind) + body


def start(rate, labels, resolutions):
    body = struct.pack("<Id", len(labels), 1e6 / rate) + struct.pack(f"<{len(labels)}d", *resolutions)
    return message(1, body + b"".join(label.encode() + b"\0" for label in labels))


def marker(position, kind, description):
    texts = kind.encode() + b"\0" + description.encode() + b"\0"
    return struct.pack("<IIIi", 16 + len(texts), position, 1, -1) + texts


def data(block, rows, markers=(), form="f"):
    """A block of rows, one a sample, each with a value for every channel; `form` is h (int16) or f (float32)."""
    values = [value if form == "f" else int(value) for row in rows for value in row]
    body = struct.pack("<III", block, len(rows), len(markers)) + struct.pack(f"<{len(values)}{form}", *values)
    return message(4 if form == "f" else 2, body + b"".join(markers))


def stop():
    return message(3)


def keep_alive():
    return message(10_000)


class Recorder:
    """A server on 127.0.0.1; `cut` breaks the connection, `send` gives bytes to whoever is there."""

    def __init__(self, greeting, port=0):
        self.greeting = greeting  # what a new listener gets first
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = self._server.getsockname()[1]
        self._link = None
        self._lock = threading.Condition()
        self.visits = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    @property
    def url(self):
        return f"rda://127.0.0.1:{self.port}"

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._server.accept()
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.cut()
                with self._lock:
                    self._link = link
                    self.visits += 1
                    if self.greeting:
                        link.sendall(self.greeting)
                    self._lock.notify_all()

    def wait(self, visits=1):
        with self._lock:
            assert self._lock.wait_for(lambda: self.visits >= visits and self._link, 30), "nobody connected"

    def send(self, content, piece=None):
        """Send bytes, perhaps in pieces of a size of their own; they are lost if nobody is there."""
        with self._lock:
            for at in range(0, len(content), piece or len(content)):
                if self._link:
                    try:
                        self._link.sendall(content[at : at + (piece or len(content))])
                    except OSError:
                        self._link.close()
                        self._link = None

    def cut(self):
        with self._lock:
            if self._link:
                with contextlib.suppress(OSError):
                    self._link.shutdown(socket.SHUT_RDWR)
                self._link.close()
                self._link = None

    def close(self):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()
        self.cut()


def play(recorder, rows, rate, points, *, form="f", markers=lambda block: (), lose=(), cut_at=(), speed=1.0):
    """Send rows as blocks in their time; blocks in `lose` are not sent, ahead of those in `cut_at` the line is cut."""
    begun = time.monotonic()
    for block in range(len(rows) // points):
        due = begun + (block + 1) * points / rate / speed
        time.sleep(max(0.0, due - time.monotonic()))
        if block in cut_at:
            recorder.cut()
        if block not in lose:
            recorder.send(data(block, rows[block * points : (block + 1) * points], markers(block), form))


RATE = 500.0
LABELS = ("Fp1", "ECG", "EOG")
RESOLUTIONS = (0.5, 0.1, 1.0)
GREETING = start(RATE, LABELS, RESOLUTIONS)


@pytest.fixture
def recorder():
    recorder = Recorder(GREETING)
    yield recorder
    recorder.close()


def rows(ecg):
    """Rows of three channels, of which the second is the ECG."""
    return [(7.0, float(value), -3.0) for value in ecg]


def blocks(values, points, first=0):
    return [data(first + i, rows(values[i * points : (i + 1) * points])) for i in range(len(values) // points)]


async def take(source, samples, also=lambda item: False):
    """Chunks and problems until there are so many samples, or an item that is waited for."""
    items = []
    async with asyncio.timeout(30):
        async for item in source:
            items.append(item)
            if sum(len(i.samples) for i in items if isinstance(i, Chunk)) >= samples or also(item):
                return items
    return items


def chunks(items):
    return [item for item in items if isinstance(item, Chunk)]


# the protocol


def test_messages_of_the_protocol():
    parser = RdaParser()
    begin, block, alive, end = parser.push(
        start(5000, ("Cz", "ÉKG"), (0.5, 0.1))
        + data(7, [(1, 2), (3, 4)], [marker(1, "Response", "R128")], "h")
        + keep_alive()
        + stop()
    )
    assert isinstance(begin, Start)
    assert (begin.rate, begin.labels) == (5000, ("Cz", "ÉKG"))
    assert begin.resolutions.tolist() == [0.5, 0.1]
    assert isinstance(block, Data)
    assert (block.block, block.values.tolist()) == (7, [[1, 2], [3, 4]])
    assert [(m.position, m.kind, m.description) for m in block.markers] == [(1, "Response", "R128")]
    assert isinstance(alive, KeepAlive)
    assert isinstance(end, Stop)


STREAM = GREETING + b"".join(blocks(np.arange(40.0), 10)) + message(77, b"unknown") + keep_alive() + stop() + GREETING


def said(messages):
    return [(type(m).__name__, m.values.tolist() if isinstance(m, Data) else None) for m in messages]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_however_the_bytes_are_cut_the_messages_are_the_same(cuts):
    parser = RdaParser()
    edges = [0, *sorted(cuts), len(STREAM)]
    found = [m for a, b in itertools.pairwise(edges) for m in parser.push(STREAM[a:b])]
    assert said(found) == said(RdaParser().push(STREAM))
    assert len(found) == 8


def test_data_ahead_of_a_start_and_after_a_stop_is_passed_over():
    parser = RdaParser()
    (block,) = blocks(np.arange(10.0), 10)
    assert [type(m) for m in parser.push(block + GREETING + block + stop() + block)] == [Start, Data, Stop]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "GUID"),
        (GUID + struct.pack("<II", 3, 1), "3 bytes"),
        (GUID + struct.pack("<II", LIMIT + 1, 4), f"allowed are 24 to {LIMIT}"),
        (message(1, b"123"), "3 bytes"),
        (message(1, struct.pack("<Id", 0, 2000.0)), "0 channels"),
        (message(1, struct.pack("<Id", 100_000, 2000.0)), "100000 channels"),
        (message(1, struct.pack("<Id", 1, 0.0) + struct.pack("<d", 1.0) + b"a\0"), "interval of 0"),
        (message(1, struct.pack("<Id", 1, float("nan")) + struct.pack("<d", 1.0) + b"a\0"), "interval of nan"),
        (message(1, struct.pack("<Id", 3, 2000.0) + struct.pack("<3d", 1, 1, 1) + b"a\0"), "does not name them all"),
        (GREETING + message(4, b"1234"), "4 bytes"),
        (GREETING + message(4, struct.pack("<III", 0, 1000, 0) + bytes(8)), "1000 samples of 3 channels"),
    ],
)
def test_what_is_no_rda_is_refused_with_one_line(content, wanted):
    with pytest.raises(BadSignal) as error:
        RdaParser().push(content)
    assert wanted in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([1, 2, 3, 4, 10_000]), st.binary(max_size=200))
def test_no_message_raises_anything_but_bad_signal(kind, body):
    with contextlib.suppress(BadSignal):
        RdaParser().push(GREETING + message(kind, body))


def test_markers_that_cannot_be_read_cost_no_sample():
    broken = struct.pack("<IIIi", 900, 0, 1, -1) + b"x"
    _, block = RdaParser().push(GREETING + data(0, rows([1.0]), [marker(0, "Stimulus", "S  1"), broken]))
    assert [m.description for m in block.markers] == ["S  1"]
    assert len(block.values) == 1


# the source


@pytest.mark.parametrize("form", ["f", "h"])
@pytest.mark.parametrize("piece", [None, 7, 4000])
def test_samples_come_with_their_resolution_in_order(recorder, form, piece):
    values = np.arange(-500.0, 500.0)
    content = b"".join(data(i, rows(values[i * 20 : i * 20 + 20]), (), form) for i in range(50))

    async def main():
        async with open_source(recorder.url) as source:
            assert isinstance(source, Source)
            await asyncio.to_thread(recorder.send, content, piece)
            return source.rate, source.info, await take(source, 1000)

    rate, info, items = asyncio.run(main())
    assert (rate, info.channel, info.unit, info.clock, info.live) == (RATE, "ECG", "µV", "unix", True)
    assert all(isinstance(item, Chunk) for item in items)
    np.testing.assert_allclose(np.concatenate([item.samples for item in items]), values * 0.1, rtol=1e-6)
    assert [item.start for item in items] == [*range(0, 1000, 20)]


@pytest.mark.parametrize(("suffix", "options", "index"), [("?channel=eog", {}, 2), ("", {"channel": "0"}, 0)])
def test_the_channel_is_chosen_by_label_or_index(recorder, suffix, options, index):
    async def main():
        async with open_source(recorder.url + suffix, **options) as source:
            recorder.send(data(0, rows([1.0])))
            return source.info.channel, await take(source, 1)

    label, (item,) = asyncio.run(main())
    assert label == LABELS[index]
    assert item.samples.tolist() == pytest.approx([(7.0 * 0.5, 0.1, -3.0)[index]])


def test_lost_blocks_are_a_jump(recorder):
    async def main():
        async with open_source(recorder.url) as source:
            for block in (0, 1, 4, 5):
                recorder.send(data(block, rows(np.full(20, block))))
            return await take(source, 80), source.counts

    items, counts = asyncio.run(main())
    assert [(c.start, round(float(c.samples[0]) * 10)) for c in items] == [(0, 0), (20, 1), (80, 4), (100, 5)]
    assert counts["lost"] == 2


def test_a_cut_is_told_and_the_block_numbers_say_what_was_lost(recorder):
    async def main():
        async with open_source(recorder.url) as source:
            recorder.send(data(10, rows(np.zeros(20))))
            first = await take(source, 20)
            recorder.cut()
            task = asyncio.create_task(take(source, 40))
            await asyncio.to_thread(recorder.wait, 2)
            recorder.send(data(16, rows(np.ones(20))) + data(17, rows(np.ones(20))))
            return first, await task, source.counts

    first, items, counts = asyncio.run(main())
    assert [c.start for c in chunks(first + items)] == [0, 120, 140]
    told = [item.message for item in items if isinstance(item, Problem)]
    assert told[0].startswith("connection lost")
    assert told[1].startswith("connected again after")
    assert counts["reconnects"] == 1


def test_a_recorder_that_was_started_anew_is_counted_by_the_clock_on_the_wall(recorder):
    """Its numbers begin again, so that they say nothing of the time between."""

    async def main():
        async with open_source(recorder.url) as source:
            recorder.send(data(90_000, rows(np.zeros(20))) + stop())
            first = await take(source, 1000, lambda item: isinstance(item, Problem))
            await asyncio.sleep(0.5)
            recorder.send(start(250, ("ECG", "Fp1"), (1, 1)) + data(0, [(5.0, 0.0)] * 10))
            return first + await take(source, 10)

    items = asyncio.run(main())
    one, other = chunks(items)
    assert other.rate == 250
    assert other.samples.tolist() == [5.0] * 10
    assert other.start >= 20 + 0.5 * 250 - 10
    told = [item.message for item in items if isinstance(item, Problem)]
    assert "stopped" in told[0]
    assert "250 Hz" in told[1]
    assert one.rate == RATE


def test_numbers_far_ahead_are_a_new_series_too(recorder):
    async def main():
        async with open_source(recorder.url) as source:
            recorder.send(data(1, rows(np.zeros(20))))
            await take(source, 20)
            recorder.send(data(4_000_000_000, rows(np.zeros(20))))
            return (await take(source, 20))[0]

    assert asyncio.run(main()).start < 20 + 30 * RATE


def test_a_recorder_that_comes_back_without_the_channel_ends_the_source(recorder):
    async def main():
        async with open_source(recorder.url) as source:
            recorder.send(data(0, rows(np.zeros(20))) + stop() + start(RATE, ("Fp1", "Fp2"), (1, 1)))
            await take(source, 1000)

    with pytest.raises(SourceLost, match=r"came back changed.*allowed are Fp1, Fp2"):
        asyncio.run(main())


def test_markers_are_passed_on_at_their_sample_and_counted(recorder, caplog):
    caplog.set_level("INFO", "streamqrs.adapters.rda")

    async def main():
        async with open_source(recorder.url) as source:
            for block in range(5):
                recorder.send(data(block, rows(np.zeros(20)), [marker(3, "Response", "R128")] * (block % 2)))
            items = await take(source, 100)
            return items, source.counts["markers"], dict(source.markers)

    items, count, markers = asyncio.run(main())
    blocks, passed = chunks(items), [item for item in items if isinstance(item, Marker)]
    assert len(blocks) == 5
    assert [(m.sample, m.name) for m in passed] == [(23, "Response R128"), (63, "Response R128")]
    assert [m.time for m in passed] == pytest.approx([blocks[k].time + 3 / RATE for k in (1, 3)])
    assert [isinstance(item, Marker) for item in items] == [False, False, True, False, False, True, False]
    assert (count, markers) == (2, {"Response R128": 2})
    assert "2 × Response R128" in caplog.text


def test_a_recorder_that_does_not_monitor_is_told_of(recorder):
    recorder.greeting = keep_alive()
    with pytest.raises(SourceNotFound, match="is the recorder monitoring"):
        asyncio.run(_enter(open_source(recorder.url, timeout=0.5)))


def test_a_recorder_that_comes_late_is_waited_for(recorder):
    port = recorder.port
    recorder.close()

    async def main():
        opening = asyncio.create_task(_enter(open_source(f"rda://127.0.0.1:{port}", timeout=20)))
        await asyncio.sleep(0.5)
        late = Recorder(GREETING, port)
        try:
            await opening
        finally:
            late.close()

    asyncio.run(main())


async def _enter(source):
    async with source:
        pass


@pytest.mark.parametrize("content", [b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3])
def test_another_server_is_refused(recorder, content):
    recorder.greeting = content
    with pytest.raises(SourceNotFound, match="not a BrainVision RDA server"):
        asyncio.run(_enter(open_source(recorder.url)))


def test_without_an_ecg_channel_one_must_be_chosen(recorder):
    recorder.greeting = start(RATE, ("Fp1", "Fp2"), (1, 1))
    with pytest.raises(SourceNotFound, match="2 channels and none is labelled ECG: choose one of Fp1, Fp2"):
        asyncio.run(_enter(open_source(recorder.url)))
    with pytest.raises(SourceNotFound, match="no channel 'Cz': allowed are Fp1, Fp2"):
        asyncio.run(_enter(open_source(recorder.url, channel="Cz")))


def test_nobody_there():
    with pytest.raises(SourceNotFound, match=r"127\.0\.0\.1:1: Connect"):
        asyncio.run(_enter(open_source("rda://127.0.0.1:1", timeout=0.3)))


@pytest.mark.parametrize(
    ("spec", "options", "wanted"),
    [
        ("rda:", {}, "allowed is rda://host"),
        ("rda:host", {}, "allowed is rda://host"),
        ("rda://host:notaport", {}, "allowed is rda://host"),
        ("rda://host:0", {}, "allowed is rda://host"),
        ("rda://host/topic", {}, "allowed is rda://host"),
        ("rda://host?lead=ECG", {}, "allowed is rda://host"),
        ("rda://host?channel=ECG", {"channel": "EOG"}, "channel is given twice"),
        ("rda://host", {"payload": "json"}, "takes no option payload"),
        ("rda://host", {"timeout": 0}, "timeout is 0 s"),
    ],
)
def test_a_bad_spec(spec, options, wanted):
    with pytest.raises(ValueError, match=r"allowed|given twice") as error:
        open_source(spec, **options)
    assert wanted in str(error.value)
    assert isinstance(error.value, BadSpec) or "timeout" in wanted


@pytest.mark.slow
def test_run_in_a_process_through_cuts_and_lost_blocks(recorder, tmp_path):
    """Every beat outside what was lost is found at its time, and what was lost is told."""
    patient = VirtualPatient(rate=RATE, seed=6)
    rate, points, seconds = int(RATE), 20, 14
    ecg = patient.read(rate * seconds)
    beats = np.array([index for index, _ in patient.take_beats()]) / rate
    out = tmp_path / "events.jsonl"
    command = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", "run", "--source", recorder.url,
               "--sink", f"jsonl:{out}", "--model", "base"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        recorder.wait()
        lose, cut = set(range(150, 160)), {225}  # 0.4 s from 6 s on; a cut at 9 s

        def volumes(block):  # every 2 s
            return [marker(7, "Response", "R128")] if block % (2 * rate // points) == 0 else []

        player = threading.Thread(
            target=play,
            args=(recorder, rows(10 * ecg), RATE, points),
            kwargs={"lose": lose, "cut_at": cut, "markers": volumes},
        )
        player.start()
        player.join()
        recorder.send(stop())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, said
    events = [json.loads(line) for line in out.read_text().splitlines()]
    assert events[0]["event"] == "started"
    assert (events[0]["channel"], events[0]["rate"], events[0]["clock"]) == ("ECG", RATE, "unix")
    passed = [(event["sample"], event["name"]) for event in events if event["event"] == "marker"]
    assert passed[:3] == [(at * rate + 7, "Response R128") for at in (0, 2, 4)]
    assert len(passed) >= 6  # those in what was lost are lost, too
    gaps = [event for event in events if event["event"] == "gap"]
    lost = {i for gap in gaps for i in range(gap["start"], gap["stop"])}  # told at once or bit by bit
    assert {*range(3000, 3200), 4500} <= lost
    assert max(lost) < 4500 + 2 * rate
    found = np.array([event["index"] for event in events if event["event"] == "beat"]) / 250
    spans = [(0.3, 5.9), (6.5, 8.9), (max(lost) / rate + 0.1, seconds - 0.3)]
    for low, high in spans:
        wanted = beats[(beats > low) & (beats < high)]
        assert len(wanted)
        assert max(np.abs(found - beat).min() for beat in wanted) < 0.02
    assert len(found) <= len(beats)
