"""Source ``polar:``: notifications made here byte by byte, and a strap that behaves as Polar's documents say.

There is no Bluetooth where the tests run; what stands in for bleak is no more than the calls that the source makes.
"""

import asyncio
import contextlib
import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.adapters import polar
from streamqrs.adapters.polar_frames import (
    CONTROL,
    DATA,
    RATE,
    START,
    STOP,
    Frame,
    lost_between,
    read_answer,
    read_frame,
)
from streamqrs.detector import Detector
from streamqrs.errors import BadSignal, SourceError, SourceNotFound
from streamqrs.ports import Source, open_source
from streamqrs.scanner import VirtualPatient
from streamqrs.types import Beat, Chunk, Problem

SIZE = 73


def notification(microvolts, time_ns, measurement=0, form=0):
    head = bytes([measurement]) + struct.pack("<Q", time_ns) + bytes([form])
    return head + b"".join(int(value).to_bytes(3, "little", signed=True) for value in microvolts)


def at(sample):
    """The strap's clock at a sample, in ns since 2000, as of a strap whose clock was never set."""
    return 600_000_000_000_000_000 + round(sample / RATE * 1e9)


# the protocol


@given(st.lists(st.integers(-(1 << 23), (1 << 23) - 1), max_size=80), st.integers(0, (1 << 64) - 1))
def test_a_notification(values, time_ns):
    frame = read_frame(notification(values, time_ns))
    assert frame.samples.tolist() == np.array(values, np.float32).tolist()
    assert frame.samples.dtype == np.float32
    assert frame.time_ns == time_ns


def test_a_notification_byte_by_byte():
    data = bytes.fromhex("00 38 6d b1 2b 2e 00 00 00 00 0a 00 00 f6 ff ff 00 00 80")
    assert read_frame(data) == (pytest.approx([10, -10, -8388608]), 0x2E2BB16D38)


def test_another_measurement_is_passed_over():
    assert read_frame(notification([1], 0, measurement=2)) is None


@pytest.mark.parametrize("data", [b"", b"\0" * 9, notification([1], 0)[:-1], notification([1], 0, form=1)])
def test_what_is_no_ecg(data):
    with pytest.raises(BadSignal, match="allowed"):
        read_frame(data)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_bad_signal(data):
    with contextlib.suppress(BadSignal):
        read_frame(data)
    read_answer(data)


def test_the_commands_are_those_of_the_specification():
    assert START.hex(" ") == "02 00 00 01 82 00 01 01 0e 00"  # rate 130 = 0x0082, resolution 14 = 0x000e
    assert STOP.hex(" ") == "03 00"
    assert read_answer(bytes.fromhex("f0 02 00 00 00")) == (0, "error 0")
    assert read_answer(bytes.fromhex("f0 02 00 06")) == (6, "already in this state")
    assert read_answer(bytes.fromhex("f0 02 02 05")) is None  # of the accelerometer
    assert read_answer(bytes.fromhex("0f 05")) is None  # the features that it has


@pytest.mark.parametrize("off", [-0.004, 0.0, 0.004])
@pytest.mark.parametrize("lost", [0, 1, 5])
def test_lost_notifications_are_told_from_a_clock_that_is_off(off, lost):
    frames = [Frame(np.zeros(SIZE, np.float32), round(k * SIZE / RATE * (1 + off) * 1e9)) for k in (1, 2 + lost)]
    assert lost_between(*frames) == pytest.approx(lost * SIZE, abs=3)


# the source


class BleakError(Exception):
    pass


class Strap:
    """A strap, and the radio it is heard with: what the source calls of bleak."""

    BleakError = BleakError
    mtu_size = 247

    def __init__(self, name="Polar H10 7E3F1A2B", answer="f0 02 00 00 00", there=True):
        self.name, self.address, self.there = name, "A0:9E:1A:7E:3F:1A", there
        self._answer = bytes.fromhex(answer)
        self._take = {}
        self.commands = []
        self.connections = 0
        self.sending = asyncio.Event()
        self.BleakScanner = self
        self.BleakClient = lambda device, timeout: device

    async def find_device_by_filter(self, wanted, timeout):  # noqa: ASYNC109
        return self if self.there and wanted(self, self) else None

    @property
    def local_name(self):
        return self.name

    async def connect(self):
        self.connections += 1

    async def disconnect(self):
        self._take.clear()
        self.sending.clear()

    async def start_notify(self, characteristic, take):
        self._take[characteristic] = take

    async def write_gatt_char(self, characteristic, command, response):
        assert (characteristic, response) == (CONTROL, True)
        self.commands.append(command)
        self._take[CONTROL](None, bytearray(self._answer))
        if command == START and self._answer[3] == 0:
            self.sending.set()

    def notify(self, microvolts, first):
        """Send samples, the first of which has this count."""
        if DATA in self._take:
            self._take[DATA](None, bytearray(notification(microvolts, at(first + len(microvolts) - 1))))


async def take(source, n):
    items = []
    async with asyncio.timeout(30):
        async for item in source:
            items.append(item)
            if len(items) == n:
                return items
    return items


def opened(strap, wanted=""):
    return polar.PolarSource(wanted, 1.0, bluetooth=strap)


def test_it_is_found_by_its_scheme():
    assert isinstance(open_source("polar"), Source)
    with pytest.raises(ValueError, match="timeout is 0"):
        open_source("polar", timeout=0)


def test_notifications_become_chunks_on_the_straps_clock():
    size = 26  # 0.2 s; in life they hold some 73

    async def main():
        strap = Strap()
        async with opened(strap) as source:
            heard = asyncio.create_task(take(source, 4))
            begun = time.monotonic()
            for k, late_s in ((0, 0.0), (1, 0.15), (2, 0.0), (5, 0.1)):
                await asyncio.sleep(max(0.0, begun + k * size / RATE + late_s - time.monotonic()))
                strap.notify(np.full(size, 100 * k - 200), k * size)
            return strap, source, await heard

    strap, source, items = asyncio.run(main())
    assert strap.commands == [START, STOP]
    assert (source.rate, source.info.unit, source.info.clock) == (130, "µV", "unix")
    assert [item.start for item in items] == [0, 26, 52, 130]
    assert [item.samples[0] for item in items] == [-200, -100, 0, 300]
    steps = np.diff([item.time for item in items])  # as the strap says, however late they come
    assert steps == pytest.approx(np.array([1, 1, 3]) * size / RATE, abs=0.02)
    assert items[0].time == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("wanted", ["", "7e3f1a2b", "Polar H10 7E3F1A2B", "a0:9e:1a:7e:3f:1a"])
def test_the_strap_that_was_meant(wanted):
    async def main():
        async with opened(Strap(), wanted):
            pass

    asyncio.run(main())


@pytest.mark.parametrize(
    ("strap", "error", "wanted"),
    [
        ({"name": "Polar Sense 1234"}, SourceNotFound, "no Polar strap found within 1 s"),
        ({"there": False}, SourceNotFound, "is it worn"),
        ({"answer": "f0 02 00 0d"}, SourceError, "the strap is charging"),
        ({"answer": "f0 02 00 63"}, SourceError, "error 99"),
    ],
)
def test_what_keeps_it_from_sending_is_told(strap, error, wanted):
    async def main():
        async with opened(Strap(**strap)):
            pass

    with pytest.raises(error) as raised:
        asyncio.run(main())
    assert wanted in str(raised.value)


def test_a_strap_out_of_reach_is_looked_for(monkeypatch):
    monkeypatch.setattr(polar, "SILENT_S", 0.3)

    async def main():
        strap = Strap()
        async with opened(strap) as source:
            heard = asyncio.create_task(take(source, 4))
            strap.notify(np.zeros(SIZE), 0)
            strap.notify(b"", 0)  # nothing in it
            strap.there = False
            strap.sending.clear()
            await asyncio.sleep(0.5)
            strap.there = True
            await strap.sending.wait()
            strap.notify(np.zeros(SIZE), 10_000)
            return strap, await heard

    strap, items = asyncio.run(main())
    assert strap.connections == 2
    assert [type(item) for item in items] == [Chunk, Problem, Problem, Chunk]
    assert "out of reach" in items[1].message
    assert items[2].message == "connected again"
    assert items[3].start > SIZE


def test_beats_of_a_strap():
    """What the strap would send of the virtual patient: every beat, at its time."""
    patient = VirtualPatient(rate=RATE, seed=5)
    ecg = patient.read(round(RATE * 40)) * 1000
    truth = np.array([index for index, _ in patient.take_beats()]) / RATE

    async def main():
        strap = Strap()
        async with opened(strap) as source:
            for first in range(0, len(ecg) - SIZE, SIZE):
                strap.notify(np.round(ecg[first : first + SIZE]), first)
            return await take(source, (len(ecg) - 1) // SIZE)

    detector = Detector(RATE, "mri")
    found = [beat for chunk in asyncio.run(main()) for beat in detector.events(chunk)] + detector.flush()
    times = np.array([beat.index for beat in found if isinstance(beat, Beat)]) / 250
    wanted = truth[(truth > 0.3) & (truth < 39)]
    assert max(np.abs(times - beat).min() for beat in wanted) < 0.02
    assert len(times) <= len(truth)


def test_where_there_is_no_bluetooth_it_is_said_in_one_line(monkeypatch):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")

    async def main():
        async with open_source("polar", timeout=1):
            pass

    with pytest.raises(SourceNotFound) as error:
        asyncio.run(main())
    assert "\n" not in str(error.value)
