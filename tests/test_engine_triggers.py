"""Triggers through the engine: the life of a beat, what is late, what is slow, and what falls silent."""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from streamqrs import Beat, Chunk, Detector, Gap, SourceInfo, Summary, detect, open_source, run
from streamqrs.ports import open_sink
from streamqrs.scanner import VirtualPatient
from streamqrs.triggers import TriggerSettings

COMMAND = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", "run"]


@dataclass
class Keeper:
    """A sink that keeps events, `pause_s` after each was sent."""

    pause_s: float = 0.0
    events: list = field(default_factory=list)
    begun: int = 0

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        pass

    async def send(self, event):
        self.begun += 1
        await asyncio.sleep(self.pause_s)
        self.events.append(event)

    def of(self, kind):
        return [e for e in self.events if isinstance(e, Beat) and e.kind == kind]


@dataclass
class Shooter(Keeper):
    """One that takes triggers from any thread; they come with the name of the thread."""

    shots: list = field(default_factory=list)

    def fire(self, trigger):
        self.shots.append((trigger, threading.current_thread().name))
        self.events.append(trigger)


class Stalling:
    """A detector that stalls for `stall_s` whenever it has found a trigger: a starved inference thread."""

    def __init__(self, detector, stall_s):
        self._detector, self._stall_s = detector, stall_s

    def __getattr__(self, name):
        return getattr(self._detector, name)

    def stream(self, chunk):
        for event in self._detector.stream(chunk):
            if isinstance(event, Beat) and event.kind == "trigger":
                time.sleep(self._stall_s)
            yield event


@dataclass
class Feed:
    """A live source that is handed its chunks: None ends it."""

    rate: float = 250.0
    info: SourceInfo = field(default_factory=lambda: SourceInfo(name="feed"))
    queue: asyncio.Queue = field(default_factory=asyncio.Queue)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        pass

    async def __aiter__(self):
        while chunk := await self.queue.get():
            yield chunk

    async def give(self, ecg, start, summary, size=25):
        """Hand over samples as fast as the detector takes them."""
        for at in range(0, len(ecg), size):
            goal = summary.samples + len(ecg[at : at + size])
            self.queue.put_nowait(Chunk(ecg[at : at + size], start + at, self.rate, (start + at) / self.rate))
            while summary.samples < goal:
                await asyncio.sleep(0.001)


def check_lives(events):
    """One id, one trigger at most, one end; the trigger comes before its end, and the end within a second."""
    beats = [event for event in events if isinstance(event, Beat)]
    for id in {beat.id for beat in beats}:
        life = [beat for beat in beats if beat.id == id]
        kinds = [beat.kind for beat in life]
        assert kinds in (["trigger", "beat"], ["trigger", "withdrawn"], ["beat"]), (id, kinds)
        if len(life) == 2:
            assert life[1].known - life[0].known < 1.0
            assert abs(life[1].time - life[0].time) < 0.1
    return beats


@pytest.mark.parametrize("preset", ["none", "3T"])
def test_no_beat_is_triggered_twice_and_every_trigger_has_an_end(preset):
    keeper, shooter = Keeper(), Shooter()
    source = open_source(f"sim:preset={preset},seed=11,seconds=16,speed=max")
    summary = asyncio.run(run(source, Detector(gate=True, gate_hop=4), [keeper, shooter]))
    beats = check_lives(keeper.events)
    check_lives(shooter.events)
    assert len(keeper.of("trigger")) == summary.triggers > 10
    assert len(keeper.of("withdrawn")) == summary.withdrawn
    assert len(keeper.of("beat")) == summary.beats
    assert len({beat.id for beat in beats}) == len(keeper.of("beat")) + len(keeper.of("withdrawn"))
    times = np.sort([beat.time for beat in keeper.of("trigger")])
    assert np.diff(times).min() > 0.2


@pytest.mark.data
def test_lives_on_a_record(data_dir):
    keeper = Keeper()
    source = open_source(f"file:{data_dir / 'mitdb' / '119'},speed=max")
    summary = asyncio.run(run(source, Detector(gate=True, gate_hop=4), [keeper], duration_s=30))
    check_lives(keeper.events)
    assert summary.triggers > 20
    assert summary.withdrawn < 0.2 * summary.triggers


def test_samples_up_to_known_give_the_same_trigger():
    ecg = VirtualPatient(rate=500.0, seed=6).read(6 * 500)
    found = [b for b in Detector(500, gate=True, gate_hop=4).push(ecg) if b.kind == "trigger"]
    assert len(found) > 2
    for trigger in found[:2]:
        newest = round(trigger.known * 500)
        assert trigger in Detector(500, gate=True, gate_hop=4).push(ecg[: newest + 1])
        assert trigger not in Detector(500, gate=True, gate_hop=4).push(ecg[:newest])


def test_a_live_trigger_goes_past_the_loop_to_a_sink_that_can_take_it():
    shooter, keeper, summary = Shooter(), Keeper(), Summary()
    patient = TriggerSettings(deadline_ms=2000.0)  # what is asked here does not depend on a quiet machine
    asyncio.run(
        run(open_source("sim"), Detector(gate=True), [shooter, keeper], duration_s=6, summary=summary, triggers=patient)
    )
    check_lives(shooter.events)
    assert {name.rpartition("_")[0] for _, name in shooter.shots} == {"streamqrs-inference"}
    assert len(shooter.shots) == summary.triggers >= 2
    assert len(summary.trigger_age) == 2 * summary.triggers - (summary.undelivered.get("Keeper") or 0)
    assert len(summary.trigger_response) == len(summary.trigger_age)


def test_late_triggers_are_never_sent_nor_taken_back():
    keeper, shooter, summary = Keeper(), Shooter(), Summary()
    detector = Stalling(Detector(gate=True), 0.3)
    asyncio.run(run(open_source("sim"), detector, [keeper, shooter], duration_s=6, summary=summary))
    assert summary.late >= 1
    assert summary.triggers == 0
    for sink in (keeper, shooter):
        assert not sink.of("trigger")
        assert not sink.of("withdrawn")
    assert len(keeper.of("beat")) == summary.beats >= 4


def test_aligned_triggers_are_held_and_their_beats_follow_them():
    shooter, summary = Shooter(), Summary()
    asyncio.run(
        run(
            open_source("sim"), Detector(gate=True), [shooter], duration_s=6, summary=summary,
            triggers=TriggerSettings(align_ms=90.0),
        )
    )  # fmt: skip
    check_lives(shooter.events)
    assert summary.triggers + summary.late >= 2
    assert {name for _, name in shooter.shots} <= {"streamqrs-alarm"}
    if ages := summary.trigger_age.quantiles():
        assert 88 < ages.p5 <= ages.max < 91.1  # later ones are dropped, not sent
    assert not [t for t in threading.enumerate() if t.name == "streamqrs-alarm"]


def test_no_trigger_can_be_asked_for_before_it_can_be_known():
    detector = Detector(gate=True, gate_depth=30)
    with pytest.raises(ValueError, match=r"align is 60 ms: allowed are 72\.0 ms or more"):
        asyncio.run(run(open_source("sim"), detector, [], triggers=TriggerSettings(align_ms=60.0)))


def test_a_slow_sink_delays_no_trigger_to_another():
    slow, fast, summary = Keeper(pause_s=60.0), Keeper(), Summary()

    async def scenario():
        stop = asyncio.Event()
        task = asyncio.create_task(
            run(
                open_source("sim"),
                Detector(gate=True),
                [slow, fast],
                stop=stop,
                summary=summary,
                triggers=TriggerSettings(deadline_ms=2000.0),
            )
        )
        while len(fast.of("trigger")) < 2:
            await asyncio.sleep(0.05)
        still_in_its_first = slow.begun == 1
        stop.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return still_in_its_first

    assert asyncio.run(scenario())
    assert summary.undelivered.get("Keeper", 0) == 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(fcntl, "F_GETPIPE_SZ"), reason="Linux pipes")
def test_a_terminal_that_takes_nothing_delays_no_trigger(tmp_path):
    """The console writes to a pseudo-terminal that is full before it starts; every trigger is in the file."""
    master, slave = os.openpty()
    os.set_blocking(slave, False)
    try:
        while True:
            os.write(slave, b"x" * 1000)
    except BlockingIOError:
        pass
    os.set_blocking(slave, True)
    out = tmp_path / "events.jsonl"
    try:
        done = subprocess.run(
            [*COMMAND, "--gate", "--sink", "console", "--sink", f"jsonl:{out}", "--duration", "6"],
            stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(slave)
        os.close(master)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in out.read_text().splitlines()]
    triggers = [e for e in events if e.get("kind") == "trigger"]
    counts = events[-1]["counts"]
    assert events[-1]["event"] == "stopped"
    assert len(triggers) + counts["late"] >= 2
    assert len(triggers) >= counts["triggers"] - counts["late"]


def test_a_silent_source_is_told_at_once_and_its_loss_when_it_is_known():
    ecg = VirtualPatient(rate=250.0, seed=3).read(12 * 250)

    async def scenario():
        feed, keeper, summary = Feed(), Keeper(), Summary()
        task = asyncio.create_task(run(feed, Detector(), [keeper], summary=summary))
        await feed.give(ecg[:1500], 0, summary)
        while not [e for e in keeper.events if isinstance(e, Gap)]:
            await asyncio.sleep(0.01)
        first = len(keeper.of("beat"))
        while len(keeper.of("beat")) == first:  # what was open is ended after a while
            await asyncio.sleep(0.01)
        await feed.give(ecg[2250:], 2250, summary)
        feed.queue.put_nowait(None)
        await task
        return keeper, summary

    keeper, summary = asyncio.run(scenario())
    silent, lost = (e for e in keeper.events if isinstance(e, Gap))
    assert (silent.reason, silent.start) == ("silent", 1500)
    assert silent.time == pytest.approx(6.0)
    assert silent.duration_s > 0.2
    assert (lost.reason, lost.start, lost.stop) == ("lost", 1500, 2250)
    assert summary.gaps == 1  # one silence, told twice
    after = [b for b in keeper.of("beat") if b.time > 9.0]
    assert len(after) >= 2
    assert not [b for b in keeper.of("beat") if 6.0 < b.time < 9.0]


def test_a_stall_without_a_loss_costs_no_beat():
    ecg = VirtualPatient(rate=250.0, seed=3).read(8 * 250)

    async def scenario():
        feed, keeper, summary = Feed(), Keeper(), Summary()
        task = asyncio.create_task(run(feed, Detector(), [keeper], summary=summary))
        await feed.give(ecg[:1000], 0, summary)
        while not [e for e in keeper.events if isinstance(e, Gap)]:
            await asyncio.sleep(0.01)
        await feed.give(ecg[1000:], 1000, summary)
        feed.queue.put_nowait(None)
        await task
        return keeper

    keeper = asyncio.run(scenario())
    assert [e.reason for e in keeper.events if isinstance(e, Gap)] == ["silent"]
    assert [b.index for b in keeper.of("beat")] == [b.index for b in detect(ecg, 250)]


@pytest.mark.slow
def test_nothing_is_fired_for_the_time_that_the_process_was_stopped(tmp_path):
    out = tmp_path / "events.jsonl"
    process = subprocess.Popen(
        [*COMMAND, "--gate", "--sink", f"jsonl:{out}"], stderr=subprocess.PIPE, text=True, bufsize=1
    )

    def events():
        return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []

    def wait_for(condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)

    try:
        wait_for(lambda: sum(e.get("kind") == "trigger" for e in events()) >= 2)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        before = len(events())
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: sum(e.get("kind") == "trigger" for e in events()[before:]) >= 2)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, said
    after = events()[before:]
    # it was stopped at most one beat, of 0.9 s here, after the last event; whether what waited then comes as a silence
    # or as one late burst is up to which thread wakes first
    last = max(e["time"] for e in events()[:before] if e.get("kind") == "trigger")
    fired = [e["time"] for e in after if e.get("kind") == "trigger"]
    assert not [time for time in fired if last + 1.2 < time < last + 2.8]
    assert after[-1]["event"] == "stopped"


@pytest.mark.lsl
def test_lsl_markers_of_a_trigger_and_its_beat_carry_the_time_of_r():
    pylsl = pytest.importorskip("pylsl")
    name = f"Gate{os.getpid()}"
    got, summary, keeper, over = [], Summary(), Keeper(), threading.Event()

    def listen():
        (info,) = pylsl.resolve_byprop("name", name, timeout=30)
        inlet = pylsl.StreamInlet(info)
        inlet.open_stream(timeout=10)
        ended = False
        while not ended:
            ended = over.is_set()
            while (marker := inlet.pull_sample(timeout=1.0))[0]:
                got.append((marker[0][0], marker[1]))

    listener = threading.Thread(target=listen)
    listener.start()
    source, patient = open_source("sim:heart_rate=100"), TriggerSettings(deadline_ms=2000.0)
    asyncio.run(
        run(
            source, Detector(gate=True), [open_sink(f"lsl:{name}"), keeper],
            duration_s=6, summary=summary, triggers=patient,
        )
    )  # fmt: skip
    over.set()
    listener.join()
    stamps = {kind: np.array([stamp for marker, stamp in got if marker == kind]) for kind in ("trigger", "R")}
    assert len(stamps["trigger"]) == summary.triggers >= 3
    # the source has no LSL clock: stamps are the time of sending less the delay
    for trigger in stamps["trigger"]:
        assert np.abs(stamps["R"] - trigger).min() < 0.15
