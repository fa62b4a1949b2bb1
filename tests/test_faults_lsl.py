"""What an LSL device can do to a run: it is killed and comes back, changes, stalls; real streams in other processes."""

import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from streamqrs import Beat, Chunk, Detector, Gap, Problem, Started, run
from streamqrs.errors import SourceLost
from streamqrs.ports import open_source
from streamqrs.summary import Summary

pytestmark = pytest.mark.lsl

LIMIT_S = 120.0
STREAMQRS = [sys.executable, "-c", "from streamqrs.cli.app import main; main()"]
GATE = {"gate": True, "gate_hop": 12}


@pytest.fixture
def name():
    return f"Fault{uuid.uuid4().hex[:8]}"


@pytest.fixture
def start():
    """Start a program that is killed at the end; it returns the process."""
    with contextlib.ExitStack() as stack:

        def go(*command):
            process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield go


@pytest.fixture
def patient(start, name):
    """Start the virtual patient as an LSL device."""

    def go(*options):
        return start(*STREAMQRS, "simulate", "--to", f"lsl:{name}", *options)

    return go


class Keeper:
    """A sink that keeps events, and when they came, on the LSL clock of this machine (monotonic)."""

    def __init__(self):
        self.events = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def send(self, event):
        self.events.append((time.monotonic(), event))

    def of(self, what, /, since=0.0, **wanted):
        return [
            (at, e)
            for at, e in list(self.events)
            if isinstance(e, what) and at >= since and all(getattr(e, k) == v for k, v in wanted.items())
        ]

    async def until(self, condition):
        async with asyncio.timeout(LIMIT_S):
            while not (found := condition()):
                await asyncio.sleep(0.01)
        return found


def during(name, scenario, **settings):
    """Run the engine on a stream while a scenario goes on; returns what the scenario returns."""

    async def go():
        keeper, stop, summary = Keeper(), asyncio.Event(), Summary()
        source = open_source(f"lsl:{name}", timeout=LIMIT_S)
        running = asyncio.create_task(
            run(source, Detector(250, **(GATE | settings)), [keeper], stop=stop, summary=summary)
        )
        acting = asyncio.create_task(scenario(keeper, summary))
        try:
            await asyncio.wait((running, acting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            acting.cancel()
            await running
        return await acting

    return asyncio.run(go())


def check_nothing_lost(keeper, summary):
    """A busy machine may make a device silent for a while; what came after that was all there."""
    assert [gap for _, gap in keeper.of(Gap) if gap.reason != "silent"] == []
    assert summary.dropped == 0


@pytest.mark.parametrize("away_s", [0.2, 2.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_a_device_that_is_killed_and_comes_back(patient, name, measured, away_s):
    """A gap is said, nothing is fired in it, and triggers come again."""
    first = patient("--seed", "1")

    async def scenario(keeper, summary):
        await keeper.until(lambda: keeper.of(Beat, kind="trigger")[2:])
        first.kill()
        killed = time.monotonic()
        await asyncio.sleep(away_s)
        patient("--seed", "2")
        returned = await asyncio.to_thread(made, since=killed)
        await keeper.until(lambda: keeper.of(Gap, since=killed, reason="lost"))
        await keeper.until(lambda: all(after(keeper, kind)[2:] for kind in ("trigger", "beat")))
        return keeper, killed, returned, summary

    def made(since):
        """When the stream was made that came after the first one, in s on the LSL clock."""
        import pylsl

        while True:
            for info in pylsl.resolve_byprop("name", name, timeout=1.0):
                if info.created_at() > since:
                    return info.created_at()

    def end_of_gaps(keeper):
        # on a busy machine a silence may come to nothing later on: it resets nothing
        return max(gap.time + gap.duration_s for _, gap in keeper.of(Gap) if gap.reason != "silent")

    def after(keeper, kind):
        return [b for _, b in keeper.of(Beat, kind=kind) if b.time > end_of_gaps(keeper)]

    keeper, killed, returned, summary = during(name, scenario)
    gaps, back_s = keeper.of(Gap, since=killed), end_of_gaps(keeper)
    measured("gap said after the kill, s", round(gaps[0][0] - killed, 2))
    first_trigger = after(keeper, "trigger")[0]
    measured("first trigger after the first new sample, s", round(first_trigger.known - back_s, 2))
    measured("first sample heard after the device was made, s", round(back_s - returned, 2))
    measured("first trigger known after the device was made, s", round(first_trigger.known - returned, 2))
    assert first_trigger.known - back_s < 4  # on the source's clock
    fired = [b.time for _, b in keeper.of(Beat, kind="trigger")]
    assert not [t for t in fired if gaps[0][1].time + 0.1 < t < back_s]
    beats = [b for _, b in keeper.of(Beat, kind="beat")]
    assert all(b.rr_s is None or b.rr_s > 0 for b in beats)
    assert after(keeper, "beat")[0].rr_s is None
    assert len({b.id for b in beats}) == len(beats)
    assert [b.index for b in beats] == sorted({b.index for b in beats})
    assert summary.gaps
    assert summary.reconnects == 1


def test_another_device_of_the_same_name_does_not_mix_in(patient, name):
    patient("--seed", "1", "--rate", "500")

    async def scenario(keeper, summary):
        await keeper.until(lambda: keeper.of(Beat, kind="beat"))
        patient("--seed", "2", "--rate", "250")
        await asyncio.sleep(3)
        await keeper.until(lambda: keeper.of(Beat, kind="beat")[6:])
        return keeper, summary

    keeper, summary = during(name, scenario, gate=False)
    assert [s.rate for _, s in keeper.of(Started)] == [500]
    check_nothing_lost(keeper, summary)


def test_another_device_of_the_same_name_that_takes_over_is_told(start, name):
    device = Path(__file__).with_name("lsl_outlet.py")
    first = start(sys.executable, device, name, "--source-id", "bed 1")

    async def go():
        said = []
        async with open_source(f"lsl:{name}", timeout=LIMIT_S) as source:
            async for item in source:
                if first.poll() is None:
                    first.kill()
                    first.wait()
                    start(sys.executable, device, name, "--source-id", "bed 2")
                elif isinstance(item, Problem):
                    said.append(item.message)
                elif len(said) == 3:
                    break
        return said

    lost, other, back = asyncio.run(go())
    assert "lost, waiting" in lost
    assert "is another device now: source id 'bed 2' on " in other
    assert "is back" in back


def test_a_device_that_comes_back_with_another_rate_is_heard_at_that_rate(patient, name):
    first = patient("--seed", "1", "--rate", "250")

    async def scenario(keeper, summary):
        await keeper.until(lambda: keeper.of(Beat, kind="beat"))
        first.kill()
        first.wait()
        patient("--seed", "2", "--rate", "1000")
        (_, again) = (await keeper.until(lambda: keeper.of(Started)[1:]))[0]
        since = time.monotonic()
        await keeper.until(lambda: keeper.of(Beat, since=since, kind="beat")[2:])
        gaps = [gap for _, gap in keeper.of(Gap, reason="lost")]
        return again.rate, gaps, [b for _, b in keeper.of(Beat, kind="beat")]

    rate, gaps, beats = during(name, scenario)
    assert rate == 1000
    assert len(gaps) == 1
    assert gaps[0].duration_s > 0.5
    assert len({b.id for b in beats}) == len(beats)
    assert all(b.rr_s is None or 0.3 < b.rr_s < 2 for b in beats)


def test_a_channel_that_is_gone_when_the_device_comes_back_ends_the_run_with_one_line(start, name):
    device = Path(__file__).with_name("lsl_outlet.py")
    first = start(sys.executable, device, name, "--type", "EEG", "--labels", "Fz,ECG")

    async def scenario(keeper, summary):
        await keeper.until(lambda: summary.samples)
        first.kill()
        start(sys.executable, device, name, "--type", "EEG", "--labels", "Fz,Cz,Pz")
        await asyncio.sleep(LIMIT_S)

    with pytest.raises(
        SourceLost, match=f"'{name}' came back changed: .* has no channel 'ECG'.*allowed are Fz, Cz, Pz"
    ):
        during(name, scenario, gate=False)


def test_a_step_of_the_clock_offset_moves_times_and_is_no_loss(start, name, monkeypatch):
    """The stream is real; what liblsl says of its clock is set 50 ms on after the first time."""
    import pylsl

    real, asked = pylsl.StreamInlet.time_correction, []

    def stepped(inlet, timeout):
        offset = real(inlet, timeout)
        asked.append(offset)
        return offset + 0.05 * (len(asked) > 1)

    monkeypatch.setattr(pylsl.StreamInlet, "time_correction", stepped)
    monkeypatch.setattr("streamqrs.adapters.lsl_source.CORRECT_S", 2.0)
    start(sys.executable, Path(__file__).with_name("lsl_outlet.py"), name, "--rate", "500")

    async def go():
        chunks = []
        async with open_source(f"lsl:{name}", timeout=LIMIT_S) as source:
            async for item in source:
                chunks.append(item)
                if item.start > 2500:
                    break
        return chunks

    chunks = asyncio.run(go())
    assert len(asked) > 1
    ends = np.array([chunk.start + len(chunk.samples) for chunk in chunks])
    assert [chunk.start for chunk in chunks[1:]] == ends[:-1].tolist()
    assert len({chunk.samples[0] / 100 - chunk.start for chunk in chunks}) == 1
    first, *_, last = chunks
    late = last.time - first.time - (last.start - first.start) / 500
    assert late == pytest.approx(0.05, abs=0.005)


def test_a_channel_that_has_moved_is_heard_by_its_label(start, name):
    device = Path(__file__).with_name("lsl_outlet.py")
    first = start(sys.executable, device, name, "--type", "EEG", "--labels", "Fz,ECG")

    async def go():
        async with open_source(f"lsl:{name}", timeout=LIMIT_S) as source:
            async for item in source:
                if first.poll() is None:
                    first.kill()
                    first.wait()
                    start(sys.executable, device, name, "--type", "EEG", "--labels", "Fz,Cz,Pz,ECG,Oz")
                    jumped = item.start + len(item.samples)
                elif isinstance(item, Chunk) and item.start > jumped + 50:
                    break
        return item.samples % 100

    assert set(asyncio.run(go()).tolist()) == {3.0}  # in channel 3 now


def test_64_channels_are_heard_without_a_loss(start, name, measured):
    device = Path(__file__).with_name("lsl_outlet.py")
    labels = ",".join([*(f"E{k}" for k in range(1, 64)), "ECG"])
    start(sys.executable, device, name, "--type", "EEG", "--labels", labels, "--rate", "2000")

    async def scenario(keeper, summary):
        await keeper.until(lambda: summary.signal_s > 4)
        return keeper, summary

    keeper, summary = during(name, scenario, gate=False)
    measured("64 channels at 2 kHz: longest lag, s", round(summary.lag_max_s, 3))
    check_nothing_lost(keeper, summary)


def test_10_khz_is_heard_without_a_loss(patient, name, measured):
    patient("--seed", "3", "--rate", "10000")

    async def scenario(keeper, summary):
        await keeper.until(lambda: keeper.of(Beat, kind="beat")[3:])
        return keeper, summary

    keeper, summary = during(name, scenario)
    measured("10 kHz: longest lag, s", round(summary.lag_max_s, 3))
    check_nothing_lost(keeper, summary)


@pytest.mark.parametrize("stopped_s", [2, 4])
def test_a_program_that_was_stopped_drops_to_now(patient, name, tmp_path, measured, stopped_s):
    """SIGSTOP, as a suspended laptop or a starved machine: the stretch is a gap or worked off, never a lag."""
    patient("--seed", "4")
    path = tmp_path / "out.jsonl"
    command = [*STREAMQRS, "run", "--source", f"lsl:{name}", "--timeout", "60", "--sink", f"jsonl:{path}"]

    def events():
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def beats(kind="beat"):
        return [event for event in events() if event.get("kind") == kind]

    def until(condition):
        deadline = time.monotonic() + LIMIT_S
        while not (value := condition()):
            assert time.monotonic() < deadline, events()[-3:]
            time.sleep(0.05)
        return value

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: beats()[2:])
        process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        time.sleep(stopped_s)
        process.send_signal(signal.SIGCONT)
        woken = time.monotonic()
        until(lambda: [b for b in beats() if b["time"] > woken + 1])
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    times = np.array([b["time"] for b in beats()])
    ids = [b["id"] for b in beats()]
    assert len(set(ids)) == len(ids)
    assert (np.diff(times) > 0).all()
    gaps = [event for event in events() if event["event"] == "gap"]
    measured("gaps after SIGSTOP", [(g["reason"], g["duration_s"]) for g in gaps])
    # every stretch without a beat is an announced gap
    for before, after in itertools.pairwise(times):
        if after - before > 2.5:
            assert any(before < gap["time"] + gap["duration_s"] and gap["time"] < after for gap in gaps)
    # no trigger for a beat of the time asleep was given after waking
    assert not [t for t in beats("trigger") if stopped + 0.2 < t["time"] < woken - 0.2]
