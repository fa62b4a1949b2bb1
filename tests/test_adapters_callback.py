import asyncio
import threading
import time

import pytest

from streamqrs import Detector, run
from streamqrs.adapters.callback import LIMIT, CallbackSink
from streamqrs.ports import Sink, open_source
from streamqrs.types import Beat, Problem, Started, Stopped


def heard(*sinks):
    return asyncio.run(run(open_source("sim:seconds=10,speed=max"), Detector(gate=True, gate_hop=6), sinks))


def test_a_plain_function_gets_every_event_in_a_thread_of_its_own():
    got, threads = [], set()

    def take(event):
        got.append(event)
        threads.add(threading.current_thread().name)

    sink = CallbackSink(take)
    assert isinstance(sink, Sink)
    summary = heard(sink)
    assert isinstance(got[0], Started)
    assert isinstance(got[-1], Stopped)
    assert sum(isinstance(e, Beat) and e.kind == "beat" for e in got) == summary.beats > 8
    assert sum(isinstance(e, Beat) and e.kind == "trigger" for e in got) == summary.triggers > 4
    assert threads == {"streamqrs-callback"}
    assert not [t for t in threading.enumerate() if t.name == "streamqrs-callback"]


def test_a_coroutine_function_is_awaited_in_the_loop():
    got = []

    async def take(event):
        await asyncio.sleep(0)
        got.append((event, threading.current_thread() is threading.main_thread()))

    summary = heard(CallbackSink(take))
    assert all(in_loop for _, in_loop in got)
    assert sum(isinstance(e, Beat) and e.kind == "trigger" for e, _ in got) == summary.triggers > 4


def test_events_can_be_chosen():
    triggers, gaps = [], []
    summary = heard(
        CallbackSink(triggers.append, events=(Beat,), kinds=("trigger",)), CallbackSink(gaps.append, events=())
    )
    assert len(triggers) == summary.triggers
    assert {b.kind for b in triggers} == {"trigger"}
    assert not gaps


@pytest.mark.parametrize("awaited", [False, True])
def test_errors_of_the_function_are_one_problem_and_the_run_goes_on(awaited):
    def fail(event):
        if isinstance(event, Beat):
            raise KeyError("no such\nslide")

    async def fail_later(event):
        fail(event)

    others = []
    failing = CallbackSink(fail_later if awaited else fail)
    summary = heard(failing, CallbackSink(others.append))
    (problem,) = [e for e in others if isinstance(e, Problem)]
    assert problem.message == "KeyError: 'no such\\nslide'"
    assert failing.name == problem.where
    assert failing.counts["errors"] == summary.beats + summary.triggers + summary.withdrawn
    assert not summary.failed


def test_a_function_that_hangs_holds_neither_the_run_nor_memory(monkeypatch):
    monkeypatch.setattr("streamqrs.adapters.callback.CLOSING_S", 0.1)
    release = threading.Event()
    sink, problems = CallbackSink(lambda event: release.wait()), []

    async def flood():
        async with sink:
            sink.attach(problems.append)
            for id in range(LIMIT + 100):
                sink.fire(Beat(id, "trigger", 0, 0.0, 0.9, None, 0.0))

    asyncio.run(flood())
    release.set()
    assert sink.counts["dropped"] >= 99
    assert len(problems) == 1
    assert "too slow" in problems[0].message
    while any(t.name == "streamqrs-callback" for t in threading.enumerate()):
        sink._queue.put(None)
        time.sleep(0.01)
