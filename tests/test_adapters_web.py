"""The live page, in a real Chromium; and the server, as a stranger meets it."""

import asyncio
import json
import socket
import struct
import sys
import threading
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from streamqrs.adapters.simulator import SimulatorSettings, SimulatorSource
from streamqrs.adapters.web import open_sink
from streamqrs.adapters.web_feed import BEHIND, HEAD, PAST_BYTES, Feed
from streamqrs.adapters.web_server import Address, read_address
from streamqrs.detector import Detector
from streamqrs.engine import run
from streamqrs.errors import BadSpec, MissingExtra, SinkError
from streamqrs.ports import View
from streamqrs.types import Beat, Chunk, Gap, Probabilities, Quality, Signal, SourceInfo, Started, Stopped

RATE = 250
RR = 200  # samples: 75 beats per minute
STARTED = Started(SourceInfo("patient", "II", "mV"), 250.0, "mri", "abcdef0123456789", 480.0)


def ecg(start, count):
    """A spike every 0.8 s."""
    at = np.arange(start, start + count)
    return np.where(at % RR == 100, 1.0, 0.02 * np.sin(at / 9)).astype(np.float32)


def beat(k, kind="beat", delay=0.4):
    at = k * RR + 100
    return Beat(k, kind, at, at / RATE, 0.97, 0.8 if k else None, at / RATE + delay)


class Show:
    """A sink in a thread of its own, fed by the test."""

    def __init__(self, port, settings=None):
        self.sink = open_sink(str(port))
        self.sink.settings = settings or {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.at = 0
        self._do(self.sink.__aenter__())

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def send(self, *events):
        for event in events:
            self._do(self.sink.send(event))

    def play(self, seconds):
        """Signal, its probability, and a trigger and a beat at each spike."""
        stop = self.at + round(seconds * RATE)
        for start in range(self.at, stop, 50):
            values = ecg(start, 50)
            p = Probabilities((values > 0.5).astype(np.float32), start, start + 50)
            self.sink.watch(Signal(Chunk(values, start, 250.0, start / RATE), (p,)))
        for k in range((self.at + 99) // RR, (stop + 99) // RR):
            self.send(beat(k, "trigger", 0.012), beat(k))
        self.at = stop

    def close(self):
        if self._loop.is_closed():
            return
        self._do(self.sink.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def show(free_port):
    shows = []

    def make(**options):
        shows.append(Show(free_port, **options))
        return shows[-1]

    yield make
    for made in shows:
        made.close()


def page(browser, made):
    browser.errors.clear()
    browser.open(made.sink.url)
    browser.until("streamqrs.connected")


def text(browser, id):
    return browser.ask(f"document.getElementById({id!r}).textContent")


def test_the_page_shows_what_it_is_told(browser, show):
    made = show(settings={"threshold": 0.4})
    made.sink.links = lambda: [("mqtt://gate", True), ("lsl:Beats", None), ("mqtt://ward", False)]
    made.send(STARTED)
    made.play(12)
    page(browser, made)
    browser.until("document.getElementById('hr').textContent == '75'")
    assert text(browser, "rr") == "800"
    assert text(browser, "beats") == "15"
    assert text(browser, "p50") == "12"
    assert "patient · II · 250 Hz" in text(browser, "source")
    assert "mri (abcdef01)" in text(browser, "about")
    assert "threshold 0.4" in text(browser, "about")
    browser.until("document.querySelectorAll('.lamp').length == 6")
    assert text(browser, "lamps").count("not connected") == 1
    # one more of each kind of news
    made.send(Beat(99, "trigger", 2900, 11.6, 0.6, None, 11.61), Beat(99, "withdrawn", 2900, 11.6, 0.3, None, 12.0))
    made.send(Gap(3000, 3250, 12.0, 1.0), Quality(False, "noise", 3250, 13.0, 13.0, 0.2))
    browser.until("document.getElementById('withdrawn').textContent == '1'")
    browser.until("document.getElementById('lamps').textContent.includes('unusable: noise')")
    assert text(browser, "gaps") == "1"
    made.send(Stopped("end of source", {}))
    browser.until("document.getElementById('lamps').textContent.includes('ended: end of source')")
    assert browser.errors == []


def test_each_beat_is_marked_where_it_is(browser, show):
    made = show()
    made.send(STARTED)
    made.play(8)
    page(browser, made)
    browser.until("streamqrs.shown >= 8 && streamqrs.marks.length == 10")
    marks = browser.ask("streamqrs.marks.map((m) => [m.kind, m.at, m.x])")
    left, right = 46, browser.ask("document.getElementById('ecg').clientWidth - 12")  # of the plot
    for k, (kind, at, x) in enumerate(marks):
        assert kind == "beat"
        assert at == pytest.approx((k * RR + 100) / RATE)
        assert (x - left) / (right - left) == pytest.approx(at / 10, abs=0.002)
    # and it is really drawn there: the mark's colour lies in the row of the triangles, and between them it does not
    found = browser.ask("""(() => {
      const canvas = document.getElementById('ecg'), scale = canvas.width / canvas.clientWidth;
      const row = canvas.getContext('2d').getImageData(0, Math.round(10 * scale), canvas.width, 1).data;
      const wanted = (x) => row[4 * Math.round(x * scale) + 3] > 200;
      return streamqrs.marks.map((m) => [wanted(m.x), wanted(m.x + 30)]);
    })()""")
    assert found == [[True, False]] * 10
    assert browser.errors == []


def test_it_connects_again_after_a_restart(browser, show):
    first = show()
    first.send(STARTED)
    first.play(4)
    page(browser, first)
    browser.until("document.getElementById('beats').textContent == '5'")
    first.close()
    browser.until("document.getElementById('lamps').textContent.includes('no connection')")
    second = show()
    second.send(STARTED)
    second.play(16)
    browser.until("document.getElementById('beats').textContent == '20'")
    browser.until("document.getElementById('hr').textContent == '75'")
    assert browser.errors == []


def test_pause_and_export(browser, show):
    made = show()
    made.send(STARTED)
    made.play(5)
    page(browser, made)
    browser.until("streamqrs.shown >= 5")
    browser.key(" ")
    browser.until("document.getElementById('notice').textContent == 'PAUSED'")
    made.play(3)
    browser.until("streamqrs.store.newest_s == 8 && streamqrs.store.counts.beat == 10")
    assert browser.ask("streamqrs.shown") == 5
    folder = browser.downloads()
    browser.key("c")
    browser.key("p")
    deadline = time.monotonic() + 30
    while len(files := sorted(p for p in folder.iterdir() if p.suffix in {".csv", ".png"})) < 2:
        assert time.monotonic() < deadline, [*folder.iterdir()]
        time.sleep(0.1)
    rows = [line.split(",") for line in files[0].read_text().splitlines()]
    assert rows[0] == ["time_s", "ecg_mV", "probability", "event", "id"]
    assert len(rows) == 1 + 8 * RATE
    marked = [float(row[0]) for row in rows[1:] if row[3] == "beat"]
    assert marked == pytest.approx([(k * RR + 100) / RATE for k in range(10)])
    values = np.array([float(row[1]) for row in rows[1:]])
    assert values == pytest.approx(ecg(0, 8 * RATE), abs=1e-6)
    assert files[1].read_bytes()[:4] == b"\x89PNG"
    assert struct.unpack(">II", files[1].read_bytes()[16:24])[0] == 1600
    browser.key(" ")
    browser.until("streamqrs.shown == 8")
    assert browser.errors == []


def test_what_the_page_keeps_is_bounded(browser, show):
    made = show()
    made.send(STARTED)
    page(browser, made)
    browser.until("streamqrs.store.started")
    for _ in range(30):
        made.play(60)
        time.sleep(0.06)
    browser.until("streamqrs.store.newest_s == 1800 && streamqrs.store.counts.beat == 2250")
    assert browser.ask("streamqrs.store.ecg.values.length") == 60 * RATE
    assert browser.ask("streamqrs.store.beats.size") <= 2000
    assert browser.ask("streamqrs.store.delays.beat.length") <= 500
    assert browser.ask("Number.isNaN(streamqrs.store.ecg.at(1739 * 250))")
    assert browser.errors == []


@pytest.mark.slow
def test_a_live_run_shows_its_heart_rate(browser, free_port):
    async def go():
        source = SimulatorSource(SimulatorSettings(heart_rate=90, seed=1, rate=500, seconds=14, speed=1))
        sink = open_sink(str(free_port))
        assert isinstance(sink, View)
        asking = asyncio.create_task(asyncio.to_thread(watch))
        await run(source, Detector(500, "base"), [sink])
        return await asking, sink, source

    def watch():
        """What the page shows, and the beats that it shows it for."""
        browser.open(f"http://127.0.0.1:{free_port}/")
        browser.until("streamqrs.store.counts.beat >= 10")
        return browser.ask("""(() => {
          const beats = streamqrs.store.confirmed().slice(-8).map((b) => b.at);
          return [streamqrs.store.heartRate(), beats];
        })()""")

    (rate, shown), _, source = asyncio.run(go())
    truth = [at / 500 for at, _ in source.patient.take_beats()]
    near = [min(truth, key=lambda t: abs(t - at)) for at in shown]
    assert np.abs(np.array(near) - shown).max() < 0.04
    before = max(t for t in truth if t < near[0] - 0.2)
    assert rate == pytest.approx(60 * len(near) / (near[-1] - before), abs=1)


# the server without a browser


def get(url, **headers):
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except HTTPError as error:
        return error.code, error.read(), error.headers


def test_only_its_own_page_may_ask(show):
    made = show()
    url = made.sink.url
    status, body, headers = get(url)
    assert status == 200
    assert b"streamqrs" in body
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert get(url + "live.js")[2]["Content-Type"] == "text/javascript; charset=utf-8"
    assert get(url + "../web.py")[0] == 404
    assert get(url + "%2e%2e/web.py")[0] == 404
    assert get(url, Host="evil.example")[0] == 403
    assert get(url, Host="evil.example:8765")[0] == 403
    assert get(url, Host="localhost:1")[0] == 200


def test_pages_of_other_sites_cannot_listen(show):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    address = show().sink.url.replace("http", "ws") + "socket"
    with pytest.raises(InvalidStatus) as caught:
        connect(address, origin="http://evil.example")
    assert caught.value.response.status_code == 403
    with connect(address, origin=address.replace("ws", "http").removesuffix("/socket")) as line:
        assert "hello" in json.loads(line.recv(timeout=10))


def test_a_message_that_is_too_long_closes_the_line_and_nothing_else(show):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    made = show()
    address = made.sink.url.replace("http", "ws") + "socket"
    with connect(address) as rude, connect(address) as other:
        rude.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as caught:
            read_to_the_end(rude)
        assert caught.value.rcvd.code == 1009
        made.send(STARTED)
        wait_for(other, "started")


def read_to_the_end(line):
    while True:
        line.recv(timeout=10)


def wait_for(line, what):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        message = line.recv(timeout=30)
        if isinstance(message, str) and f'"{what}"' in message:
            return message
    raise AssertionError(f"waited for {what}")


def test_a_browser_that_does_not_read_delays_no_other(show):
    from websockets.sync.client import connect

    made = show()
    made.send(STARTED)
    host, port = "127.0.0.1", made.sink.url.split(":")[2].strip("/")
    with socket.create_connection((host, int(port))) as deaf:
        deaf.sendall(
            f"GET /socket HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        with connect(made.sink.url.replace("http", "ws") + "socket", max_size=None) as line:
            heard = []
            for k in range(60):  # far more than the deaf one's buffers hold
                start = k * 100_000
                values = np.full(100_000, k, np.float32)
                made.sink.watch(Signal(Chunk(values, start, 250.0)))
                while True:
                    message = line.recv(timeout=30)
                    if isinstance(message, bytes):
                        heard.append(HEAD.unpack(message[: HEAD.size])[2])
                        break
            assert heard == [k * 100_000 for k in range(60)]
            made.send(Stopped("end of source", {}))
            wait_for(line, "stopped")


def test_what_waits_and_what_is_kept_is_bounded():
    feed = Feed(dict, dict)
    feed.put(STARTED)
    with feed.listen() as slow:
        for k in range(400):
            feed.put(Signal(Chunk(np.zeros(50_000, np.float32), k * 50_000, 250.0)))
            feed.put(beat(k))
            feed.turn()
        assert slow.dropped > 0
        told = [asyncio.run(slow.take()) for _ in range(3)]
        assert [next(iter(json.loads(message))) for message in told] == ["hello", "events", "state"]
        events = json.loads(told[1])["events"]
        assert [event["event"] for event in events] == ["started"] + 400 * ["beat"]  # no event is lost
        assert len(slow._queue) <= BEHIND
    with feed.listen() as late:
        pieces = [message for message in late._queue if isinstance(message, bytes)]
        assert sum(map(len, pieces)) <= PAST_BYTES


def test_a_port_that_is_taken_is_one_line(free_port):
    async def go():
        async with open_sink(str(free_port)), open_sink(str(free_port)):
            pass

    with pytest.raises(SinkError, match=rf"cannot serve http://127.0.0.1:{free_port}/: .*: give another --web PORT"):
        asyncio.run(go())


@pytest.mark.parametrize(
    ("given", "wanted", "url"),
    [
        ("", ("127.0.0.1", 8765), "http://127.0.0.1:8765/"),
        ("9000", ("127.0.0.1", 9000), "http://127.0.0.1:9000/"),
        ("0.0.0.0:80", ("0.0.0.0", 80), "http://127.0.0.1:80/"),
        ("[::1]:9000", ("::1", 9000), "http://[::1]:9000/"),
        ("console-pc:9000", ("console-pc", 9000), "http://console-pc:9000/"),
    ],
)
def test_addresses(given, wanted, url):
    assert read_address(given) == Address(*wanted)
    assert read_address(given).url == url


@pytest.mark.parametrize("given", ["0", "65536", "localhost", "a b:80", "x:y", "-1", "/etc:80"])
def test_addresses_that_are_none(given):
    with pytest.raises(BadSpec, match="allowed are"):
        read_address(given)


def test_a_missing_library_is_told_before_any_address(monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets", None)
    with pytest.raises(MissingExtra, match=r'websockets is not installed: pip install "streamqrs\[web\]"'):
        open_sink("")
