"""Pulses on a real pseudo-terminal; it has no modem lines, so of those the spec and the refusal are tested."""

import asyncio
import os
import select
import threading
import tty

import pytest

from streamqrs.adapters.ttl import STALE_S, TtlSettings, TtlSink
from streamqrs.errors import BadSpec, SinkError
from streamqrs.ports import open_sink
from streamqrs.types import Beat, Problem, Started

TRIGGER = Beat(0, "trigger", 100, 0.4, 0.9, None, 0.41)
BEAT = Beat(0, "beat", 100, 0.4, 0.9, None, 0.9)


class Box:
    """The other end of the port: a trigger box."""

    def __init__(self):
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave

    def read(self, count, timeout_s=10.0):
        got = b""
        while len(got) < count:
            ready, _, _ = select.select([self.master], [], [], timeout_s)
            if not ready:
                break
            got += os.read(self.master, count - len(got))
        return got

    def silent(self):
        return not select.select([self.master], [], [], 0.2)[0]

    def close(self):
        os.close(self._slave)
        os.close(self.master)


@pytest.fixture
def box():
    box = Box()
    yield box
    box.close()


def use(spec, play):
    """Open a sink, attach a list for its problems, and let `play(sink, problems)` use it."""

    async def scenario():
        sink, problems = open_sink(spec), []
        sink.attach(problems.append)
        async with sink:
            await play(sink, problems)
        return sink, problems

    return asyncio.run(scenario())


def test_a_trigger_is_a_byte_and_the_end_of_the_pulse_a_zero(box):
    async def play(sink, problems):
        for _ in range(3):
            sink.fire(TRIGGER)
            assert await asyncio.to_thread(box.read, 2) == b"\x05\0"
        await sink.send(BEAT)

    sink, problems = use(f"serial:{box.path},byte=0x05,pulse=2ms", play)
    assert box.silent()
    assert sink.counts["pulses"] == 3
    assert not problems


def test_it_can_fire_on_confirmed_beats_instead(box):
    async def play(sink, problems):
        sink.fire(TRIGGER)
        await sink.send(Started)
        await sink.send(BEAT)
        assert await asyncio.to_thread(box.read, 1) == b"\x01"

    sink, _ = use(f"serial:{box.path},on=beat,pulse=0", play)
    assert box.silent()
    assert sink.counts["pulses"] == 1


def test_it_fires_from_any_thread_and_never_waits(box):
    async def play(sink, problems):
        together = threading.Barrier(100)  # a busy machine takes longer than a pulse to start so many threads

        def fire():
            together.wait()
            sink.fire(TRIGGER)

        threads = [threading.Thread(target=fire) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    # pulses of 0.2 s: those that would come after `STALE_S` are given up
    sink, _ = use(f"serial:{box.path},pulse=200ms", play)
    assert STALE_S < 0.2
    assert box.read(2) == b"\x01\0"
    assert sink.counts["pulses"] == 1
    assert sink.counts["dropped"] >= 80


def test_a_port_that_vanishes_is_told_and_opened_again(tmp_path):
    first, second, link = Box(), Box(), tmp_path / "port"
    link.symlink_to(first.path)

    async def play(sink, problems):
        sink.fire(TRIGGER)
        assert await asyncio.to_thread(first.read, 2) == b"\x01\0"
        first.close()
        link.unlink()
        sink.fire(TRIGGER)
        while not problems:
            await asyncio.sleep(0.01)
        sink.fire(TRIGGER)  # nowhere to go, and never sent later
        link.symlink_to(second.path)
        while len(problems) < 2:
            await asyncio.sleep(0.01)
        assert second.silent()
        sink.fire(TRIGGER)
        assert await asyncio.to_thread(second.read, 2) == b"\x01\0"

    try:
        sink, problems = use(f"serial:{link},pulse=1ms", play)
    finally:
        second.close()
    assert all(isinstance(problem, Problem) for problem in problems)
    assert "port lost" in problems[0].message
    assert "open again" in problems[1].message
    assert sink.counts["reconnects"] == 1
    assert sink.counts["dropped"] == 2


def test_a_port_without_modem_lines_is_refused(box):
    with pytest.raises(SinkError, match=r"has no line dtr: allowed is byte=0x01$"):
        use(f"serial:{box.path},line=dtr", None)


def test_a_port_that_is_not_there_is_one_line():
    with pytest.raises(SinkError, match=r"^serial:/dev/nowhere cannot be opened: No such file or directory$"):
        use("serial:/dev/nowhere", None)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "has no port"),
        ("COM3,byte", "byte is ''"),
        ("COM3,byte=0", "byte is 0: allowed are 0x01 to 0xff"),
        ("COM3,byte=256", "byte is 256"),
        ("COM3,line=cts", "line is 'cts': allowed are dtr, rts"),
        ("COM3,line=dtr,byte=1", "allowed is one of them"),
        ("COM3,line=dtr,pulse=0", "pulse is 0 ms: allowed are 1 to 200"),
        ("COM3,pulse=1s", "pulse is 1000 ms: allowed are 0 to 200"),
        ("COM3,pulse=10m", "allowed is a length such as 10ms"),
        ("COM3,baud=fast", "baud is 'fast'"),
        ("COM3,baud=3", "baud is 3"),
        ("COM3,on=gap", "on is 'gap': allowed are trigger, beat"),
        ("COM3,colour=red", "takes no 'colour'"),
        ("COM3,pulse=1,pulse=2", "pulse is given twice"),
    ],
)
def test_a_bad_spec_is_refused(spec, text):
    with pytest.raises(BadSpec, match=text):
        open_sink(f"serial:{spec}")


def test_a_spec_with_a_line():
    sink = open_sink("serial:COM3,line=DTR,pulse=5")
    assert isinstance(sink, TtlSink)
    assert sink._settings == TtlSettings(byte=None, line="dtr", pulse_ms=5.0)
