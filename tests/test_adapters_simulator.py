"""Source ``sim``: specs, chunks, pace, the end, and the same samples as the virtual patient itself."""

import asyncio
import math
import time

import numpy as np
import pytest

from streamqrs.errors import BadSpec
from streamqrs.ports import Source, open_source
from streamqrs.scanner import VirtualPatient


async def collect(spec, **options):
    async with open_source(spec, **options) as source:
        return source, [chunk async for chunk in source]


def test_as_fast_as_it_is_read_it_gives_the_patients_samples():
    source, chunks = asyncio.run(collect("sim:preset=3T,seed=7,heart_rate=90,rate=500,seconds=20", speed="max"))
    assert source.rate == 500
    assert not source.info.live
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert np.array_equal(samples, VirtualPatient(500.0, 7, "3T", heart_rate=90).read(10_000))
    assert [chunk.start for chunk in chunks] == list(range(0, 10_000, 100))
    assert [chunk.time for chunk in chunks] == pytest.approx([chunk.start / 500 for chunk in chunks])
    assert len(source.patient.take_beats()) == pytest.approx(30, abs=2)


def test_live_chunks_are_short_in_order_and_complete_and_never_early():
    async def listen():
        async with open_source("sim:1.5T,seconds=1") as source:
            assert isinstance(source, Source)
            assert source.info.live
            began = time.monotonic()
            return [(chunk, time.monotonic() - began) async for chunk in source]

    got = asyncio.run(listen())
    assert [chunk.start for chunk, _ in got] == list(range(0, 250, 2))
    assert all(at >= (chunk.start + 2) / 250 - 1e-3 for chunk, at in got)
    assert all(math.isfinite(chunk.received) for chunk, _ in got)


def test_what_is_overdue_after_a_delay_follows_and_nothing_is_lost():
    async def listen():
        starts = []
        async with open_source("sim:seconds=0.6", chunk=5) as source:
            async for chunk in source:
                starts.append(chunk.start)
                if chunk.start == 20:
                    time.sleep(0.3)  # noqa: ASYNC251 - a loop that is busy
        return starts

    assert asyncio.run(listen()) == list(range(0, 150, 5))


def test_a_faster_clock_and_a_last_short_chunk():
    _, chunks = asyncio.run(collect("sim:seconds=2.02", speed=50.0, chunk=100))
    assert [len(chunk.samples) for chunk in chunks] == [100] * 5 + [5]


def test_entering_again_begins_again():
    async def twice():
        source = open_source("sim:seconds=1", speed="max")
        async with source:
            first = [chunk.samples async for chunk in source]
        async with source:
            return first, [chunk.samples async for chunk in source]

    first, second = asyncio.run(twice())
    assert np.array_equal(np.concatenate(first), np.concatenate(second))


def test_options_win_over_the_target():
    assert open_source("sim:rate=500,seed=1", rate=1000.0).rate == 1000
    assert open_source("sim", seed=3).settings.seed == 3
    assert open_source("sim:speed=max").settings.speed == math.inf


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sim:colour=red", "allowed are preset, seed, heart_rate"),
        ("sim:9T", "1.5T, 3T, 7T"),
        ("sim:rate=50", "100 to 10000"),
        ("sim:rate=fast", "not a number"),
        ("sim:seed=-1", "0 and more"),
        ("sim:heart_rate=500", "35 to 200"),
        ("sim:chunk=0", "1 and more"),
        ("sim:speed=0", "above 0"),
        ("sim:seconds=-2", "above 0"),
        ("sim:severity=-2", "0 to 100"),
    ],
)
def test_bad_specs_say_what_is_allowed(spec, message):
    with pytest.raises(BadSpec, match=message):
        open_source(spec)
