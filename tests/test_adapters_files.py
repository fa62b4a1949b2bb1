"""Source ``file:``."""

import asyncio
import math
import time

import numpy as np
import pytest

from streamqrs.errors import BadRecord, BadSpec, SourceNotFound
from streamqrs.ports import Source, open_source

RATE = 300


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    rows = "\n".join(f"{v:.5f},{-v:.5f}" for v in rng.standard_normal(1000))
    (tmp_path / "a,b.csv").write_text(f"# rate: {RATE}\nI [mV],II [mV]\n{rows}\n")
    return tmp_path / "a,b.csv"


def signal(path):
    return np.loadtxt(path, delimiter=",", skiprows=2, dtype=np.float32)


def read(source):
    async def main():
        async with source:
            return source.rate, source.info, [chunk async for chunk in source]

    return asyncio.run(main())


def test_it_is_found_by_its_scheme_and_is_a_source(path):
    assert isinstance(open_source(f"file:{path}"), Source)


def test_at_full_speed_all_samples_come_in_chunks_of_a_second(path):
    rate, info, chunks = read(open_source(f"file:{path}", speed="max"))
    assert (rate, info.name, info.channel, info.unit, info.clock, info.live) == (
        RATE,
        "a,b",
        "I",
        "mV",
        "stream",
        False,
    )
    assert [len(chunk.samples) for chunk in chunks] == [300, 300, 300, 100]
    assert [chunk.start for chunk in chunks] == [0, 300, 600, 900]
    assert [chunk.time for chunk in chunks] == [0, 1, 2, 3]
    assert all(math.isfinite(chunk.received) and chunk.rate == RATE for chunk in chunks)
    np.testing.assert_array_equal(np.concatenate([chunk.samples for chunk in chunks]), signal(path)[:, 0])


def test_played_live_all_samples_come_and_none_before_its_time(path):
    factor = 20
    begun = time.monotonic()
    _, info, chunks = read(open_source(f"file:{path}", speed=factor))
    assert info.live
    np.testing.assert_array_equal(np.concatenate([chunk.samples for chunk in chunks]), signal(path)[:, 0])
    for chunk in chunks:
        assert chunk.received >= begun + (chunk.start + len(chunk.samples)) / RATE / factor - 0.001  # the timer's grain


def test_at_real_time_chunks_are_of_20_ms(path):
    async def main():
        async with open_source(f"file:{path}") as source:
            return [chunk async for chunk, _ in _few(source, 3)]

    assert [len(chunk.samples) for chunk in asyncio.run(main())] == [6, 6, 6]


async def _few(source, n):
    stream = aiter(source)
    for i in range(n):
        yield await anext(stream), i


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(",lead=II,speed=max", {}), (",speed=max", {"channel": "II"}), (",speed=max", {"lead": 1}),
     (", lead=ii", {"speed": "max", "rate": "300"}), (",lead=II", {"channel": "II", "speed": "max"})],
)  # fmt: skip
def test_the_lead_is_chosen_in_the_spec_or_beside_it(path, suffix, options):
    _, info, chunks = read(open_source(f"file:{path}{suffix}", **options))
    assert info.channel == "II"
    np.testing.assert_array_equal(chunks[0].samples, signal(path)[:300, 1])


def test_missing_samples_are_passed_on(tmp_path):
    x = np.sin(np.arange(2000.0))
    x[500:700] = np.nan
    np.savez(tmp_path / "a.npz", ecg=x, fs=250)
    _, _, chunks = read(open_source(f"file:{tmp_path / 'a.npz'}", speed="max"))
    found = np.concatenate([chunk.samples for chunk in chunks])
    assert np.flatnonzero(np.isnan(found)).tolist() == [*range(500, 700)]


def test_entered_again_it_begins_anew(path):
    source = open_source(f"file:{path}", speed="max")
    assert len(read(source)[2]) == len(read(source)[2]) == 4


@pytest.mark.parametrize(
    ("suffix", "options", "wanted"),
    [
        (",speed=0", {}, "speed is '0'"),
        (",speed=fast", {}, "or max"),
        ("", {"speed": math.inf}, "speed is inf"),
        ("", {"rate": -1}, "rate is -1"),
        (",rate=x", {}, "above 0 Hz"),
        (",lead=I", {"channel": "II"}, "lead is given twice"),
        ("", {"topic": 1}, "takes no option topic"),
    ],
)
def test_a_bad_option(path, suffix, options, wanted):
    with pytest.raises(BadSpec) as error:
        open_source(f"file:{path}{suffix}", **options)
    assert wanted in str(error.value)
    assert "\n" not in str(error.value)


def test_no_path():
    with pytest.raises(BadSpec, match="needs a path"):
        open_source("file:")


def test_what_cannot_be_opened(path, tmp_path):
    with pytest.raises(SourceNotFound, match="no recording"):
        read(open_source(f"file:{tmp_path / 'nothing.csv'}"))
    with pytest.raises(SourceNotFound, match="it has I, II"):
        read(open_source(f"file:{path}", lead="V5"))
    (tmp_path / "flat.csv").write_text("# rate: 300\n" + "1\n" * 1000)
    with pytest.raises(BadRecord, match="flat line"):
        read(open_source(f"file:{tmp_path / 'flat.csv'}"))
    with pytest.raises(ValueError, match="given as 500 Hz"):
        read(open_source(f"file:{path}", rate=500))


def test_before_it_is_open_there_is_nothing_to_read(path):
    source = open_source(f"file:{path}")
    assert math.isnan(source.rate)
    with pytest.raises(RuntimeError, match="not open"):
        asyncio.run(anext(aiter(source)))
