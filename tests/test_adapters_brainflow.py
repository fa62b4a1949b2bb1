"""Source ``brainflow:``, on BrainFlow's own synthetic and playback boards."""

import asyncio
import time
from itertools import pairwise

import numpy as np
import pytest

from streamqrs.adapters import brainflow
from streamqrs.adapters.brainflow import BrainFlowSource
from streamqrs.detector import Detector
from streamqrs.engine import run
from streamqrs.errors import BadSpec, SourceNotFound
from streamqrs.ports import Source, open_source
from streamqrs.scanner import VirtualPatient
from streamqrs.types import Beat, Chunk, Gap, Problem

RATE = 250  # of the synthetic board
ROWS, PACKAGE, STAMP, LEAD = 32, 0, 30, 3  # of its table; LEAD is Cz


async def take(source, samples):
    items = []
    async with asyncio.timeout(30):
        async for item in source:
            items.append(item)
            if sum(len(i.samples) for i in items if isinstance(i, Chunk)) >= samples:
                return items
    return items


def test_the_synthetic_board_runs():
    async def main():
        async with open_source("brainflow:synthetic", channel="Cz") as source:
            assert isinstance(source, Source)
            return source.rate, source.info, await take(source, 100)

    rate, info, chunks = asyncio.run(main())
    assert (rate, info.channel, info.unit, info.clock, info.live) == (RATE, "Cz", "µV", "unix", True)
    starts = np.cumsum([0] + [len(chunk.samples) for chunk in chunks])
    assert [chunk.start for chunk in chunks] == starts[:-1].tolist()
    assert np.std(np.concatenate([chunk.samples for chunk in chunks])) > 0
    assert chunks[-1].time == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize(
    ("spec", "label"),
    [("brainflow:synthetic", "Fz"), ("brainflow:-1?channel=c4", "C4"), ("brainflow:?channel=2", "Cz")],
)
def test_the_channel(spec, label):
    assert open_source(spec).info.channel == label


def recording(path, ecg):
    """A file as BrainFlow's streamer writes it, with 100 packages lost at 6 s."""
    n = len(ecg)
    table = np.zeros((n, ROWS))
    table[:, PACKAGE] = np.arange(n) % 256
    table[:, LEAD] = ecg * 1000
    table[:, STAMP] = 1.7e9 + np.arange(n) / RATE
    keep = np.r_[0 : 6 * RATE, 6 * RATE + 100 : n]
    np.savetxt(path, table[keep], fmt="%.6f", delimiter="\t")


@pytest.mark.slow
def test_a_playback_through_the_engine(tmp_path):
    patient = VirtualPatient(rate=RATE, seed=9)
    ecg = patient.read(RATE * 12)
    truth = np.array([index for index, _ in patient.take_beats()]) / RATE
    recording(tmp_path / "ecg.csv", ecg)
    events = []

    class Keep:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            pass

        async def send(self, event):
            events.append(event)

    source = open_source(f"brainflow:playback?file={tmp_path / 'ecg.csv'}&board=synthetic&channel=Cz")
    summary = asyncio.run(asyncio.wait_for(run(source, Detector(RATE, "base"), [Keep()]), 60))
    assert summary.reason == "end of source"
    gaps = [event for event in events if isinstance(event, Gap)]
    assert {*range(6 * RATE, 6 * RATE + 100)} <= {i for gap in gaps for i in range(gap.start, gap.stop)}
    assert summary.samples == 12 * RATE - 100
    found = np.array([event.index for event in events if isinstance(event, Beat) and event.kind == "beat"]) / RATE
    wanted = truth[((truth > 0.3) & (truth < 5.7)) | ((truth > 6.7) & (truth < 11.5))]
    assert max(np.abs(found - beat).min() for beat in wanted) < 0.02


@pytest.mark.slow
def test_a_board_that_falls_silent_is_opened_again(monkeypatch):
    """BrainFlow's own streaming board hears what another one sends by UDP, as a board of a WiFi shield does."""
    from brainflow.board_shim import BoardShim, BrainFlowInputParams

    opened, really_open = [], BrainFlowSource._open
    monkeypatch.setattr(brainflow, "REOPEN_S", 3.0)
    monkeypatch.setattr(BrainFlowSource, "_open", lambda *args: opened.append(1) or really_open(*args))

    async def main():
        source = open_source("brainflow:streaming?ip=225.1.1.1&ip_port=16677&board=synthetic&channel=Cz")
        relay = "streaming_board://225.1.1.1:16677"
        BoardShim.disable_board_logger()
        board = BoardShim(-1, BrainFlowInputParams())
        board.prepare_session()
        try:
            board.start_stream(1000, relay)
            async with source:
                items = await take(source, 100)
                board.stop_stream()
                async with asyncio.timeout(30):
                    async for item in source:
                        items.append(item)
                        if isinstance(item, Problem) and item.message.startswith("no samples"):
                            break
                await asyncio.sleep(2.5)
                board.start_stream(1000, relay)
                return items + await take(source, 100)
        finally:
            board.release_session()
            del board

    items = asyncio.run(main())
    assert len(opened) == 2
    assert [item.message.split(":")[0] for item in items if isinstance(item, Problem)][-1] == "samples come again"
    chunks = [item for item in items if isinstance(item, Chunk)]
    jumps = [b.start - a.start - len(a.samples) for a, b in pairwise(chunks)]
    assert max(jumps) > 2 * RATE


async def _enter(source):
    async with source:
        pass


@pytest.mark.parametrize(
    "spec", ["brainflow:cyton?port=/dev/none", "brainflow:cyton?port=", "brainflow:playback?file=/none.csv"]
)
def test_a_board_that_cannot_be_opened(spec):
    with pytest.raises(SourceNotFound, match="cannot be opened") as error:
        asyncio.run(_enter(open_source(spec)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spec", "options", "wanted"),
    [
        ("brainflow:nope", {}, "knows no board 'nope': allowed are aavaa_v3"),
        ("brainflow:playback", {}, "needs a file"),
        ("brainflow:playback?file=a.csv&board=nope", {}, "knows no board 'nope'"),
        ("brainflow:cyton?prot=COM3", {}, "allowed are port, mac"),
        ("brainflow:cyton?port=COM3&port=COM4", {}, "each once"),
        ("brainflow:cyton?ip_port=x", {}, "ip_port is 'x': allowed is a whole number"),
        ("brainflow:cyton?channel=1", {"channel": "2"}, "channel is given twice"),
        ("brainflow:synthetic", {"payload": "json"}, "takes no option payload"),
    ],
)
def test_a_bad_spec(spec, options, wanted):
    with pytest.raises(BadSpec) as error:
        open_source(spec, **options)
    assert wanted in str(error.value)
    assert "\n" not in str(error.value)


def test_a_channel_that_is_not_there():
    with pytest.raises(SourceNotFound, match="no channel 'V5': allowed are Fz, C3"):
        open_source("brainflow:synthetic", channel="V5")
    with pytest.raises(ValueError, match="timeout is 0"):
        open_source("brainflow:synthetic", timeout=0)
