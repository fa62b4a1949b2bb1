import asyncio
import math
import threading
import time

import numpy as np
import pytest

from streamqrs import queues
from streamqrs.queues import Inbox, Outbox, Silence
from streamqrs.triggers import Trigger
from streamqrs.types import Beat, Chunk, SourceInfo, Started, Stopped

STARTED = Started(SourceInfo(), 250.0, "m", "0", 0.0)
STOPPED = Stopped("end of source", {})


def beat(id, kind="beat"):
    return Beat(id, kind, id, float(id), 0.9, None, float(id))


def trigger(id, latest_s=60.0):
    return Trigger(beat(id, "trigger"), latest=time.monotonic() + latest_s)


class Keeper:
    def __init__(self):
        self.events = []

    async def send(self, event):
        self.events.append(event)


def deliver(*steps):
    """What a sink hears of steps: events, or functions of the outbox."""
    sent, late = [], []

    async def scenario():
        box = Outbox(Keeper(), lambda trigger, now: sent.append(trigger.beat.id), lambda t: late.append(t.beat.id))
        box.put(STARTED)
        task = asyncio.create_task(box.deliver())
        await asyncio.sleep(0)
        for step in (*steps, STOPPED):
            box.put(step)
        await task
        return box

    box = asyncio.run(scenario())
    return box.sink.events[1:-1], box.lost, sent, late


def test_triggers_that_must_be_in_time_pass_what_waits():
    heard, lost, sent, _ = deliver(beat(0), beat(1), trigger(2), beat(2), trigger(3))
    assert [(e.id, e.kind) for e in heard] == [(2, "trigger"), (3, "trigger"), (0, "beat"), (1, "beat"), (2, "beat")]
    assert (lost, sent) == (0, [2, 3])


def test_triggers_of_a_source_that_waits_keep_their_place():
    patient = Trigger(beat(2, "trigger"))
    assert patient.latest == math.inf
    heard, *_ = deliver(beat(1), patient, beat(2))
    assert [(e.id, e.kind) for e in heard] == [(1, "beat"), (2, "trigger"), (2, "beat")]


def test_what_is_late_is_not_sent_nor_taken_back_but_its_beat_is_told():
    heard, lost, sent, late = deliver(
        trigger(0, -0.1), trigger(1, -0.1), trigger(2), beat(0, "withdrawn"), beat(1), beat(2, "withdrawn")
    )
    assert [(e.id, e.kind) for e in heard] == [(2, "trigger"), (1, "beat"), (2, "withdrawn")]
    assert (lost, sent, late) == (2, [2], [0, 1])


def test_triggers_cannot_pile_up(monkeypatch):
    monkeypatch.setattr(queues, "OUTBOX", 50)
    heard, lost, *_ = deliver(*(trigger(id) for id in range(9)), *(beat(id, "withdrawn") for id in range(9)))
    assert [(e.id, e.kind) for e in heard[:5]] == [(id, "trigger") for id in range(4, 9)]
    assert [e.id for e in heard[5:]] == list(range(4, 9))
    assert lost == 4


def chunk(start, count=50, received=math.nan):
    return Chunk(np.zeros(count, np.float32), start, 250.0, start / 250.0, received)


def test_a_live_inbox_that_runs_over_goes_on_from_now():
    async def scenario():
        inbox = Inbox(live=True)
        for start in range(0, 1000, 50):  # 4 s, of which 2 s may wait
            await inbox.put(chunk(start))
        inbox.close()
        return inbox

    inbox = asyncio.run(scenario())
    taken = inbox.take()
    assert taken.start == inbox.dropped == 500
    assert taken.start + len(taken.samples) == 1000
    assert inbox.lag_s == pytest.approx(1.8)
    assert inbox.take() is None


def test_what_makes_way_after_a_chunk_was_taken_belongs_to_the_next_gap():
    async def scenario():
        inbox = Inbox(live=True)
        counts = []
        for start in (0, 500, 1000, 1500):  # 2 s each: every one makes the one that waits make way
            await inbox.put(Chunk(np.zeros(500, np.float32), start, 250.0, start / 250))
            if start == 500:
                counts.append((inbox.take().start, inbox.dropped))
                continue
            counts.append(inbox.dropped)
        return [*counts, (inbox.take().start, inbox.dropped)]

    assert asyncio.run(scenario()) == [0, (500, 500), 500, 500, (1500, 1000)]


def test_what_waits_is_taken_as_one_chunk_up_to_a_break():
    async def scenario():
        inbox = Inbox(live=True)
        for start in (0, 50, 150, 200):
            await inbox.put(chunk(start))
        inbox.close()
        return inbox

    inbox = asyncio.run(scenario())
    assert [(c.start, len(c.samples)) for c in iter(inbox.take, None)] == [(0, 100), (150, 100)]


def test_silence_is_said_once_and_once_more_when_it_lasts(monkeypatch):
    monkeypatch.setattr(queues, "GONE_S", 0.5)

    async def scenario():
        inbox, heard = Inbox(live=True), []
        taker = threading.Thread(target=lambda: heard.extend(iter(inbox.take, None)))
        taker.start()
        await inbox.put(chunk(0, 5))
        while len(heard) < 3:
            await asyncio.sleep(0.01)
        await inbox.put(chunk(5, 5))
        while len(heard) < 5:
            await asyncio.sleep(0.01)
        inbox.close()
        await asyncio.to_thread(taker.join)
        return heard

    first, silent, gone, second, again, *_ = asyncio.run(scenario())
    assert (first.start, second.start) == (0, 5)
    assert isinstance(silent, Silence)
    assert (silent.gone, gone.gone, again.gone) == (False, True, False)
    assert 0.2 <= silent.duration_s < gone.duration_s


def test_a_file_is_never_called_silent():
    async def scenario():
        inbox, heard = Inbox(live=False), []
        taker = threading.Thread(target=lambda: heard.extend(iter(inbox.take, None)))
        taker.start()
        await inbox.put(chunk(0, 5))
        await asyncio.sleep(0.5)
        await inbox.put(chunk(5, 5))
        inbox.close()
        await asyncio.to_thread(taker.join)
        return heard

    assert [c.start for c in asyncio.run(scenario())] == [0, 5]
