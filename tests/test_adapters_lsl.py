import asyncio
import contextlib
import json
import math
import subprocess
import sys
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamqrs.adapters.lsl import open_sink, open_source
from streamqrs.adapters.lsl_search import Query
from streamqrs.adapters.lsl_streams import Channel, Stream, load
from streamqrs.errors import BadSignal, BadSpec, SourceNotFound
from streamqrs.types import Beat, Chunk, Gap, Marker, Problem, SourceInfo, Started

pytestmark = pytest.mark.lsl

LIMIT_S = 60
OUTLET = Path(__file__).with_name("lsl_outlet.py")


@pytest.fixture
def outlet():
    """Start devices in processes of their own; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(name, *options):
            command = [sys.executable, str(OUTLET), name, *map(str, options)]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout.readline() == "announced\n"
            return process

        yield start


@pytest.fixture
def name():
    return f"device-{uuid.uuid4().hex[:8]}"


async def take(source, samples):
    """Read until there are so many samples; return chunks and problems."""
    chunks, problems = [], []
    async for item in source:
        (chunks if isinstance(item, Chunk) else problems).append(item)
        if sum(len(chunk.samples) for chunk in chunks) >= samples:
            return chunks, problems
    raise AssertionError("the source ended")


def hear(source, samples):
    """Open a source, read so many samples; return it, the chunks and the problems."""

    async def go():
        async with asyncio.timeout(LIMIT_S), source:
            return source, *await take(source, samples)

    return asyncio.run(go())


def numbers(chunks):
    """Count and value of every sample, shape (n,) each."""
    counts = np.concatenate([chunk.start + np.arange(len(chunk.samples)) for chunk in chunks])
    return counts, np.concatenate([chunk.samples for chunk in chunks])


def refusal(source):
    with pytest.raises((SourceNotFound, BadSignal)) as caught:
        hear(source, 1)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ("", Query()),
        ("BrainAmp 1", Query(name="BrainAmp 1")),
        ("type=ECG", Query(type="ECG")),
        ("source_id=a,b=c", Query(source_id="a,b=c")),
        ("name=x=y,hostname=bay2", Query(name="x=y", hostname="bay2")),
    ],
)
def test_targets(target, query):
    assert Query.parse(target) == query


@pytest.mark.parametrize("target", ["kind=ECG", "type=", "name=a,name=b"])
def test_bad_targets(target):
    with pytest.raises(BadSpec, match="allowed"):
        open_source(target)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_bad_timeout(timeout):
    with pytest.raises(ValueError, match="timeout"):
        open_source("", timeout=timeout)


def stream(*channels):
    return Stream("amp", "EEG", "id", "host", "uid", 500.0, True, channels)


@pytest.mark.parametrize(
    ("given", "index"), [("ecg", 2), ("C3", 0), ("1", 1), (1, 1), ("trigger", 3), ("2", 2), ("TRIG", 3)]
)
def test_channel_by_label_type_or_index(given, index):
    one = stream(Channel("C3", "EEG"), Channel("C4", "EEG"), Channel("ECG", "EEG"), Channel("Trig", "trigger"))
    assert one.index(given) == index


@pytest.mark.parametrize("given", ["EEG", "4", "-1", "C", ""])
def test_channel_that_is_not_there(given):
    one = stream(Channel("C3", "EEG"), Channel("C4", "EEG"), Channel("ECG", "EEG"), Channel("Trig", "trigger"))
    with pytest.raises(SourceNotFound, match="C3, C4, ECG, Trig"):
        one.index(given)


@pytest.mark.parametrize("label", ["ECG", "EKG", "ecg1", "BIP_EKG+", "ECG II", "Left ECG"])
def test_labels_that_say_ecg(label):
    assert Channel(label).is_ecg
    assert stream(Channel("C3"), Channel(label)).leads() == [1]


@pytest.mark.parametrize("label", ["EEG", "ECoG", "spekgram", "", "EOG"])
def test_labels_that_do_not(label):
    assert not Channel(label).is_ecg
    assert stream(Channel("C3"), Channel(label)).leads() == []


def test_samples_arrive_complete_and_in_order(outlet, name):
    outlet(name, "--units", "microvolts")
    source, chunks, problems = hear(open_source(name), 700)
    assert source.rate == 250
    assert source.info == SourceInfo(name, "", "microvolts", "lsl", live=True)
    counts, values = numbers(chunks)
    assert counts[0] == 0
    assert (np.diff(counts) == 1).all()
    assert (np.diff(values) == 100).all()
    assert all(chunk.samples.dtype == np.float32 and chunk.rate == 250 for chunk in chunks)
    assert problems == []
    assert not [thread for thread in threading.enumerate() if thread.name == "streamqrs-lsl"]


def test_times_are_on_the_local_lsl_clock(outlet, name):
    outlet(name)
    before = load().local_clock()
    _, chunks, _ = hear(open_source(name), 500)
    after = load().local_clock()
    times = np.array([chunk.time for chunk in chunks])
    assert before < times[0] < times[-1] < after
    steps = np.diff(times) - np.diff([chunk.start for chunk in chunks]) / 250
    assert np.abs(steps).max() < 0.02


def test_channel_by_label_out_of_eight(outlet, name):
    labels = "Fp1,Fp2,C3,C4,O1,ECG,EOG,Resp"
    outlet(name, "--type", "EEG", "--labels", labels, "--units", ",".join(["uV"] * 5 + ["mV", "uV", "none"]))
    source, chunks, _ = hear(open_source(name, channel="Resp"), 50)
    assert source.info.channel == "Resp"
    assert (numbers(chunks)[1] % 100 == 7).all()
    source, chunks, _ = hear(open_source(name), 50)
    assert (source.info.channel, source.info.unit) == ("ECG", "mV")
    assert (numbers(chunks)[1] % 100 == 5).all()
    assert "Fp1, Fp2, C3, C4, O1, ECG, EOG, Resp" in refusal(open_source(name, channel="V5"))


@pytest.mark.parametrize("kind", ["double64", "int16", "int32", "int64"])
def test_other_numbers(outlet, name, kind):
    outlet(name, "--format", kind)
    values = numbers(hear(open_source(f"source_id={name}"), 100)[1])[1]
    assert (np.diff(values) == 100).all()


def test_rate_that_is_not_announced_is_measured(outlet, name):
    outlet(name, "--rate", 200, "--nominal", 0)
    source, chunks, _ = hear(open_source(name), 300)
    assert source.rate == 200
    assert (np.diff(numbers(chunks)[1]) == 100).all()


def test_plain_lsl_takes_the_one_ecg(outlet, name):
    outlet(name + "-eeg", "--type", "EEG", "--labels", "C3,C4")
    outlet(name + "-marks", "--type", "Markers", "--format", "string", "--nominal", 0)
    outlet(name, "--type", "Physio", "--labels", "Resp,EKG")
    source, chunks, _ = hear(open_source(""), 50)
    assert (source.info.name, source.info.channel) == (name, "EKG")
    assert (numbers(chunks)[1] % 100 == 1).all()


def test_plain_lsl_lists_the_choices(outlet, name):
    outlet(name + "-a", "--labels", "II")
    outlet(name + "-b", "--type", "EEG", "--labels", "C3,ECG")
    message = refusal(open_source(""))
    assert f"lsl:{name}-a --channel II" in message
    assert f"lsl:{name}-b --channel ECG" in message


def test_plain_lsl_says_what_is_there_instead(outlet, name):
    outlet(name, "--type", "EEG", "--labels", "C3,C4")
    message = refusal(open_source("", timeout=2))
    assert "within 2 s" in message
    assert name in message


def test_missing_stream(name):
    assert name in refusal(open_source(name, timeout=0.5))


def test_two_streams_of_one_name(outlet, name):
    outlet(name, "--source-id", name + "-1")
    outlet(name, "--source-id", name + "-2")
    message = refusal(open_source(name))
    assert name + "-1" in message
    assert name + "-2" in message
    assert hear(open_source(f"source_id={name}-2"), 10)[0].info.name == name


def test_streams_that_hold_no_signal(outlet, name):
    outlet(name, "--format", "string")
    assert "text" in refusal(open_source(name))
    outlet(name + "-3", "--channels", 3, "--type", "EEG")
    assert "0 to 2" in refusal(open_source(name + "-3"))


def test_lost_samples_are_a_jump(outlet, name):
    outlet(name, "--skip-at", 300, "--skip", 125)
    _, chunks, problems = hear(open_source(name), 600)
    counts, values = numbers(chunks)
    (jump,) = np.flatnonzero(np.diff(counts) != 1)
    assert values[jump] == 299 * 100
    assert values[jump + 1] == 425 * 100
    assert abs(counts[jump + 1] - counts[jump] - 126) <= 1
    assert problems == []


@pytest.mark.parametrize("rate", [250, 500])
def test_killed_and_restarted(outlet, name, rate):
    first = outlet(name)

    async def go():
        async with asyncio.timeout(LIMIT_S), open_source(name) as source:
            before, _ = await take(source, 200)
            first.kill()
            lost = None
            async for item in source:
                if isinstance(item, Problem):
                    lost = item
                    break
            outlet(name, "--rate", rate)
            after, back = await take(source, 200)
            return source.rate, before, lost, back, after

    opened, before, lost, back, after = asyncio.run(go())
    assert opened == before[0].rate == 250
    assert "lost, waiting" in lost.message
    assert ["is back" in problem.message for problem in back] == [True]
    assert {chunk.rate for chunk in after} == {rate}
    assert after[0].start > before[-1].start + len(before[-1].samples)
    assert (np.diff(numbers(after)[0]) == 1).all()
    missing_s = after[0].time - before[-1].time
    assert (after[0].start - before[-1].start) / rate == pytest.approx(missing_s, abs=1.0)


def test_silence_is_told_and_ends(outlet, name):
    outlet(name, "--count", 100)

    async def go():
        async with asyncio.timeout(LIMIT_S), open_source(name) as source:
            async for item in source:
                if isinstance(item, Problem):
                    return item
            raise AssertionError("the source ended")

    assert "lost, waiting" in asyncio.run(go()).message


def test_closing_while_it_looks_leaves_nothing(name):
    async def go():
        opening = asyncio.create_task(open_source(name, timeout=LIMIT_S).__aenter__())
        await asyncio.sleep(0.3)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(go())
    assert not [thread for thread in threading.enumerate() if thread.name == "streamqrs-lsl"]


READ_BACK = """
import json, sys
import pylsl
found = {}
for name in sys.argv[1:]:
    (info,) = pylsl.resolve_byprop("name", name, timeout=30)
    inlet = found[name] = pylsl.StreamInlet(info)
    inlet.open_stream(30)
print("listening", flush=True)
sys.stdin.read()
for name, inlet in found.items():
    pulled = list(iter(lambda: inlet.pull_sample(timeout=2.0), (None, None)))
    samples, stamps = [sample for sample, _ in pulled], [stamp for _, stamp in pulled]
    full = inlet.info(10)
    labels, units = full.get_channel_labels(), full.get_channel_units()
    maker = full.desc().child_value("manufacturer")
    print(json.dumps([full.type(), full.source_id(), maker, labels, units, samples, stamps]))
"""


def send_and_read_back(name, events):
    """Send events to a sink that another process listens to; return what that heard, stream by stream."""

    async def go():
        async with asyncio.timeout(LIMIT_S), open_sink(name) as sink:
            listener = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                READ_BACK,
                name,
                name + "-beats",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert await listener.stdout.readline() == b"listening\n"
            for event in events:
                await sink.send(event)
            return (await listener.communicate(b""))[0]

    return [json.loads(line) for line in asyncio.run(go()).splitlines()]


BEATS = [
    Beat(0, "trigger", 250, 5001.0, 0.9, None, 5001.01),
    Beat(0, "beat", 250, 5001.004, 0.99, None, 5001.5),
    Beat(1, "beat", 450, 5001.8, 0.75, 0.8, 5002.3),
    Beat(2, "trigger", 500, 5002.0, 0.6, None, 5002.01),
    Beat(2, "withdrawn", 500, 5002.0, 0.1, None, 5002.5),
]


def test_markers_are_stamped_with_the_r_time(name):
    started = Started(SourceInfo("amp", clock="lsl"), 250.0, "base", "0" * 64, 500.0)
    since = math.floor(load().local_clock()) - 5000  # the figures above, as of now
    beats = [replace(beat, time=beat.time + since, known=beat.known + since) for beat in BEATS]
    gap = Gap(600, 700, 5002.4 + since, 0.4)
    volume = Marker("Response R128", 725, 5002.5 + since, 5002.52 + since)
    markers, figures = send_and_read_back(name, [started, *beats, gap, volume])
    assert markers[:3] == ["Markers", markers[1], "streamqrs"]
    assert markers[5] == [["trigger"], ["R"], ["R"], ["trigger"], ["withdrawn"], ["gap"], ["Response R128"]]
    wanted = [5001.0, 5001.004, 5001.8, 5002.0, 5002.0, 5002.4, 5002.5]
    assert [stamp - since for stamp in markers[6]] == pytest.approx(wanted)
    assert figures[0] == "HeartBeat"
    assert figures[3:5] == [
        ["delay_ms", "rr_s", "heart_rate", "probability", "id"],
        ["ms", "s", "1/min", "none", "none"],
    ]
    assert [stamp - since for stamp in figures[6]] == pytest.approx([5001.004, 5001.8])
    first, second = np.array(figures[5])
    np.testing.assert_allclose(first, [496, np.nan, np.nan, 0.99, 0], rtol=1e-5)
    np.testing.assert_allclose(second, [500, 0.8, 75, 0.75, 1], rtol=1e-5)


def test_source_ids_stay_the_same(name):
    once, again = (send_and_read_back(name, []) for _ in range(2))
    assert [one[1] for one in once] == [one[1] for one in again]
    assert once[0][1] != once[1][1]


@pytest.mark.parametrize("clock", ["stream", "lsl"])
def test_markers_of_another_clock_or_another_day_are_stamped_by_their_delay(name, clock):
    """A recording of LabRecorder that is played again is on LSL's clock, but not of now."""
    started = Started(SourceInfo("sim", clock=clock), 250.0, "base", "0" * 64, 500.0)
    before = load().local_clock()
    long_ago = replace(BEATS[1], time=before - 90_000, known=before - 90_000 + BEATS[1].delay_ms / 1000)
    markers, _ = send_and_read_back(name, [started, long_ago])
    assert before < markers[6][0] + BEATS[1].delay_ms / 1000 < load().local_clock()
