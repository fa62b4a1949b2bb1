import asyncio
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from streamqrs import Beat, Chunk, Detector, Gap, Problem, SourceInfo, Started, Stopped, detect, run
from streamqrs.errors import SinkError, SourceLost
from streamqrs.scanner import VirtualPatient


def heart(seconds=20, rate=250.0, seed=3):
    return VirtualPatient(rate=rate, seed=seed).read(int(seconds * rate))


@dataclass
class Player:
    """A source that plays chunks and problems from a list, and may fail or wait at the end."""

    items: list
    rate: float = 250.0
    live: bool = False
    end: object = None
    closed: bool = False

    @property
    def info(self):
        return SourceInfo(name="player", live=self.live)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        self.closed = True

    async def __aiter__(self):
        for item in self.items:
            if isinstance(item, asyncio.Event):
                await item.wait()
                continue
            yield item
        if isinstance(self.end, asyncio.Event):
            await self.end.wait()
        elif self.end:
            raise self.end


@dataclass
class Keeper:
    """A sink that keeps events; `hold` stops it at the first beat, `error` makes it fail there."""

    hold: asyncio.Event | None = None
    error: Exception | None = None
    events: list = field(default_factory=list)
    closed: bool = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        self.closed = True

    async def send(self, event):
        if isinstance(event, Beat):
            if self.hold:
                await self.hold.wait()
            if self.error:
                raise self.error
        self.events.append(event)

    def of(self, kind):
        return [e for e in self.events if isinstance(e, kind)]


def chunks(ecg, size=25, rate=250.0, start=0):
    return [Chunk(ecg[k : k + size], start + k, rate, (start + k) / rate) for k in range(0, len(ecg), size)]


def test_every_beat_arrives_once_in_order_between_started_and_stopped():
    ecg = heart()
    source, one, two = Player(chunks(ecg)), Keeper(), Keeper()
    summary = asyncio.run(run(source, Detector(), [one, two]))
    expected = detect(ecg, 250)
    assert [b.index for b in one.of(Beat)] == [b.index for b in expected]
    assert one.events == two.events
    assert isinstance(one.events[0], Started)
    assert one.events[0].model_sha256 == Detector().model.sha256
    assert one.events[-1] == Stopped("end of source", summary.counts())
    assert (summary.samples, summary.beats, summary.gaps) == (len(ecg), len(expected), 0)
    assert source.closed
    assert one.closed
    assert not [t for t in threading.enumerate() if t.name.startswith("streamqrs-inference")]


def test_the_source_says_the_rate():
    ecg = heart(rate=500.0)
    keeper = Keeper()
    asyncio.run(run(Player(chunks(ecg, rate=500.0), rate=500.0), Detector(), [keeper]))
    assert keeper.events[0].rate == 500
    assert [b.index for b in keeper.of(Beat)] == [b.index for b in detect(ecg, 500)]


def test_a_changed_rate_is_taken_up():
    items = chunks(heart(10)) + chunks(heart(10, 500.0), rate=500.0, start=2500)
    keeper = Keeper()
    asyncio.run(run(Player(items), Detector(), [keeper]))
    assert [s.rate for s in keeper.of(Started)] == [250, 500]
    ids = [b.id for b in keeper.of(Beat)]
    assert ids == list(range(len(ids)))
    assert len(ids) > 20


def test_lost_samples_become_a_gap_in_its_place():
    ecg = heart()
    items = chunks(ecg[:2500]) + chunks(ecg[3000:], start=3000)
    keeper = Keeper()
    summary = asyncio.run(run(Player(items), Detector(), [keeper]))
    (gap,) = keeper.of(Gap)
    assert (gap.start, gap.stop, gap.reason, summary.gaps) == (2500, 3000, "lost", 1)
    times = [e.time for e in keeper.events if isinstance(e, Beat | Gap)]
    assert times == sorted(times)


def test_a_live_source_that_outruns_the_network_is_cut_and_says_so():
    ecg = heart(40)
    keeper = Keeper()
    # all at once: the reader never waits, so that the detector gets no turn before the inbox runs over
    summary = asyncio.run(run(Player(chunks(ecg), live=True), Detector(), [keeper]))
    gaps = keeper.of(Gap)
    assert gaps
    assert {g.reason for g in gaps} == {"overload"}
    assert summary.dropped == sum(g.stop - g.start for g in gaps)
    assert summary.samples + summary.dropped == len(ecg)


def test_a_file_waits():
    ecg = heart(40)
    summary = asyncio.run(run(Player(chunks(ecg)), Detector(), []))
    assert (summary.dropped, summary.samples) == (0, len(ecg))


def test_a_sink_that_hangs_delays_neither_the_others_nor_the_end(monkeypatch):
    monkeypatch.setattr("streamqrs.engine.CLOSING_S", 0.2)
    fast, hung = Keeper(), Keeper(hold=asyncio.Event())
    asyncio.run(run(Player(chunks(heart())), Detector(), [hung, fast]))
    assert len(fast.of(Beat)) > 15
    assert fast.of(Stopped)
    assert not hung.of(Beat)
    assert hung.closed


def test_a_slow_sink_loses_its_oldest_events_and_is_told_how_many(monkeypatch):
    monkeypatch.setattr("streamqrs.queues.OUTBOX", 5)
    fast = Keeper()

    async def scenario():
        slow = Keeper(hold=asyncio.Event())
        done = asyncio.create_task(run(Player(chunks(heart())), Detector(), [slow, fast]))
        while not fast.of(Stopped):
            await asyncio.sleep(0.01)
        slow.hold.set()
        return slow, await done

    slow, summary = asyncio.run(scenario())
    assert summary.undelivered == {"Keeper": len(fast.events) - len(slow.events)}
    assert slow.events[-1] == fast.events[-1]


def test_a_sink_that_fails_is_left_out_and_the_others_are_told():
    failing, fine = Keeper(error=SinkError("disk is full")), Keeper()
    summary = asyncio.run(run(Player(chunks(heart())), Detector(), [failing, fine]))
    assert summary.failed == ["disk is full"]
    assert fine.of(Problem) == [Problem("Keeper", "disk is full")]
    assert len(fine.of(Beat)) == summary.beats
    assert summary.undelivered["Keeper"] > 10


def test_when_the_last_sink_fails_the_run_ends():
    waiting = asyncio.Event()
    with pytest.raises(SinkError, match="disk is full"):
        asyncio.run(run(Player(chunks(heart()), end=waiting), Detector(), [Keeper(error=OSError("disk is full"))]))


def test_a_lost_source_ends_the_run_after_the_last_beats():
    ecg, keeper = heart(), Keeper()
    with pytest.raises(SourceLost, match="cable"):
        asyncio.run(run(Player(chunks(ecg), end=SourceLost("cable pulled")), Detector(), [keeper]))
    assert len(keeper.of(Beat)) == len(detect(ecg, 250))
    assert keeper.events[-1].reason == "cable pulled"


def test_problems_are_passed_on_and_counted():
    items = chunks(heart(5))
    items.insert(3, Problem("player", "bad message"))
    keeper = Keeper()
    summary = asyncio.run(run(Player(items), Detector(), [keeper]))
    assert keeper.of(Problem) == [Problem("player", "bad message")]
    assert summary.problems == 1


def test_reconnects_are_counted_and_lost_samples_are_none():
    player = Player(chunks(heart(5)))
    player.counts = {"lost": 40}
    assert asyncio.run(run(player, Detector(), [Keeper()])).reconnects == 0
    player = Player(chunks(heart(5)))
    player.counts = {"lost": 40, "reconnects": 2}
    assert asyncio.run(run(player, Detector(), [Keeper()])).reconnects == 2


def test_it_ends_when_asked_to():
    async def scenario():
        stop, keeper = asyncio.Event(), Keeper()
        source = Player(chunks(heart()), live=True, end=asyncio.Event())
        done = asyncio.create_task(run(source, Detector(), [keeper], stop=stop))
        await asyncio.sleep(0.1)
        stop.set()
        return source, keeper, await done

    source, keeper, summary = asyncio.run(scenario())
    assert summary.reason == "interrupted"
    assert keeper.events[-1].reason == "interrupted"
    assert source.closed


def test_it_ends_after_the_duration_even_if_nothing_comes():
    ecg = heart()
    assert asyncio.run(run(Player(chunks(ecg)), Detector(), [], duration_s=5)).signal_s == pytest.approx(5)
    silent = Player([], live=True, end=asyncio.Event())
    assert asyncio.run(run(silent, Detector(), [], duration_s=0.1)).reason == "duration"
    with pytest.raises(ValueError, match="duration is 0 s"):
        asyncio.run(run(silent, Detector(), [], duration_s=0))


def test_a_chunk_that_no_source_should_send_ends_the_run_with_one_line():
    items = [Chunk(np.zeros(100, np.float32), 100, 250.0), Chunk(np.zeros(100, np.float32), 0, 250.0)]
    with pytest.raises(Exception, match="player: chunk starts at sample 0") as caught:
        asyncio.run(run(Player(items), Detector(), [Keeper()]))
    assert not isinstance(caught.value, BaseExceptionGroup)


def test_cancelling_closes_everything():
    async def scenario():
        source, keeper = Player(chunks(heart()), live=True, end=asyncio.Event()), Keeper()
        task = asyncio.create_task(run(source, Detector(), [keeper]))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return source, keeper

    source, keeper = asyncio.run(scenario())
    assert source.closed
    assert keeper.closed
