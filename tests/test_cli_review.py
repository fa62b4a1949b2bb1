"""The command `review`, its page in a real Chromium, and the files that it leaves."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import wfdb

from streamqrs.cli.recording import write_recording
from streamqrs.cli.review import choose_target
from streamqrs.errors import SinkError
from streamqrs.records import read_record
from streamqrs.scanner import VirtualPatient

RATE = 360.0
ORDERS = ("{", "[]", "{}", '{"add": 1e9}', '{"add": -5}', '{"ask": 99}', '{"move": [1]}', '"x"')


@pytest.fixture
def recording(tmp_path):
    """40 s of a virtual patient with its true beats as `.atr`, of which the third is missing."""
    patient = VirtualPatient(RATE, 3, "none", heart_rate=75)
    samples = patient.read(round(40 * RATE))
    beats = patient.take_beats()
    del beats[2]
    write_recording(tmp_path / "case.hea", samples, RATE, beats)
    return tmp_path / "case"


@pytest.fixture
def review():
    """Start the command; what is still running in the end is killed."""
    running = []

    def start(*options):
        code = "from streamqrs.cli.app import main; main()"
        command = [sys.executable, "-c", code, "review", *map(str, options), "--no-browser", "--model", "base"]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def end(process):
    """End it as Ctrl-C does; returns what it said."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def read(recording, annotator):
    return wfdb.rdann(str(recording), annotator).sample.tolist()


@pytest.mark.slow
def test_a_person_adds_deletes_moves_and_saves(browser, review, recording, free_port):
    original = recording.with_suffix(".atr").read_bytes()
    before = read(recording, "atr")
    process = review(recording, "--web", free_port)
    browser.errors.clear()
    browser.open(f"http://127.0.0.1:{free_port}/")
    browser.until("streamqrs.connected && streamqrs.pieces.size >= 2")
    assert browser.ask("streamqrs.marks") == before
    # the first doubt is the beat that is not marked
    missing = browser.ask("streamqrs.doubts[0]")
    assert "not marked" in missing["reasons"][0]
    assert before[1] / RATE < missing["time"] < before[2] / RATE
    browser.key("a")
    browser.until(f"streamqrs.marks.length == {len(before) + 1}")
    added = browser.ask("streamqrs.marks[2]")
    assert added / RATE == pytest.approx(missing["time"], abs=0.03)
    # the next mark is moved by a sample, the one after it deleted, the last of three more steps taken back
    browser.key("ArrowRight")
    browser.key(".")
    browser.until(f"streamqrs.marks[3] == {before[2] + 1}")
    browser.key("ArrowRight")
    browser.key("d")
    browser.until(f"streamqrs.marks.length == {len(before)}")
    browser.key("ArrowRight")
    browser.key("Delete")
    browser.until(f"streamqrs.marks.length == {len(before) - 1}")
    assert "not saved" in browser.ask("document.getElementById('state').textContent")
    browser.key("u")
    browser.until(f"streamqrs.marks.length == {len(before)}")
    wanted = [*before[:2], added, before[2] + 1, *before[4:]]
    browser.key("s")
    browser.until("streamqrs.saved && document.getElementById('notice').textContent.includes('saved in case.rev')")
    assert read(recording, "rev") == wanted
    # a doubt that was checked stays checked, also for another browser
    browser.key(" ")
    browser.until("streamqrs.done.size == 1")
    browser.open(f"http://127.0.0.1:{free_port}/")
    browser.until("streamqrs.connected && streamqrs.done.size == 1")
    assert browser.ask("streamqrs.marks") == wanted
    # what is not saved when it ends is saved then
    browser.key("n")
    browser.key("ArrowLeft")
    browser.key("d")
    browser.until(f"streamqrs.marks.length == {len(wanted) - 1}")
    assert "marks saved in" in end(process)
    assert len(read(recording, "rev")) == len(wanted) - 1
    assert recording.with_suffix(".atr").read_bytes() == original
    assert browser.errors == []
    # and it goes on from there the next time
    process = review(recording, "--web", free_port)
    browser.open(f"http://127.0.0.1:{free_port}/")
    browser.until(f"streamqrs.connected && streamqrs.marks.length == {len(wanted) - 1}")
    assert "marks of case.rev" in browser.ask("document.getElementById('name').textContent")
    assert "saved in" not in end(process)


def test_orders_that_make_no_sense_are_answered(recording, free_port):
    import asyncio
    import json

    from websockets.asyncio.client import connect

    from streamqrs.adapters.web_review import Review
    from streamqrs.adapters.web_server import Address
    from streamqrs.marking import Mark, Marking

    record = read_record(recording)
    marking = Marking([Mark(int(at)) for at in record.beats], record.samples, record.rate)
    work = Review(record, marking, [], np.zeros(10_000, np.float32), recording.with_suffix(".rev"), "")

    async def go():
        stop = asyncio.Event()
        serving = asyncio.create_task(work.serve(Address("127.0.0.1", free_port), stop))
        while True:
            try:
                await asyncio.sleep(0.05)
                async with connect(f"ws://127.0.0.1:{free_port}/socket") as line:
                    await line.recv()
                    told = []
                    for order in ORDERS:
                        await line.send(order)
                        told.append(json.loads(await line.recv())["told"])
                    break
            except OSError:
                continue
        stop.set()
        await serving
        return told

    told = asyncio.run(go())
    assert len(told) == 8
    assert told[4] == "sample -5: allowed are 0 to 14399"
    assert told[5] == "piece 99: allowed are 0 to 1"
    assert marking.saved


@pytest.mark.slow
def test_a_look_alone_writes_nothing_and_a_check_does(browser, review, recording, free_port):
    recording.with_suffix(".atr").unlink()
    for checked in (False, True):
        process = review(recording, "--web", free_port)
        browser.open(f"http://127.0.0.1:{free_port}/")
        browser.until("streamqrs.connected && !streamqrs.saved")
        assert "marks found by the model base" in browser.ask("document.getElementById('name').textContent")
        if checked:
            browser.ask("streamqrs.order({ done: 0 })")
            browser.until("streamqrs.done.size == 1")
        said = end(process)
        assert ("is not written", "marks saved in")[checked] in said
        assert recording.with_suffix(".atr").exists() is checked


def test_what_was_reviewed_comes_first(recording):
    assert read_record(recording).beats.tolist() == read(recording, "atr")
    wfdb.wrann(recording.name, "rev", np.array([400, 700]), symbol=["N", "V"], write_dir=str(recording.parent))
    record = read_record(recording)
    assert record.beats.tolist() == [400, 700]
    assert record.labels == ("N", "V")
    assert read_record(recording, annotator="atr").beats.tolist() == read(recording, "atr")


def test_marks_of_others_are_never_replaced_unasked(tmp_path):
    (tmp_path / "a.atr").write_bytes(b"")
    marked, bare = SimpleNamespace(beats=np.array([1])), SimpleNamespace(beats=None)

    def chosen(name, record, annotator=None, **options):
        given = {"out": None, "force": False} | options
        return choose_target(tmp_path / name, record, annotator, **given).name

    assert chosen("a", marked) == "a.rev"
    assert chosen("a", marked, force=True) == "a.atr"
    assert chosen("b", bare) == "b.atr"
    assert chosen("b", marked) == "b.rev"  # marks of its own, in a CSV file for example
    (tmp_path / "a.rev").write_bytes(b"")
    assert chosen("a", marked, "rev") == "a.rev"  # goes on with it
    assert chosen("a", marked, "rev", force=True) == "a.rev"  # beside it, an .atr would not be read
    with pytest.raises(SinkError, match="is there already"):
        chosen("a", marked, "atr")
    with pytest.raises(SinkError, match="is there already"):
        chosen("a", marked, out=tmp_path / "a.atr")
    with pytest.raises(SinkError, match="no folder"):
        chosen("a", marked, out=tmp_path / "none" / "a.atr")
    for name in ("a.hea", "a.dat", "a", "a.1"):
        with pytest.raises(ValueError, match="allowed are"):
            chosen("a", marked, out=tmp_path / name, force=True)
