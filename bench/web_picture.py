"""Write docs/web.png: the browser's view of a virtual patient in a 3 T scanner, 67 s into the run.

The detector runs over the signal beforehand, and its events are shown when they were known: the picture is the same on
a machine that is too busy to keep up.
"""

import asyncio
import importlib.util
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path

from streamqrs.adapters.web import open_sink
from streamqrs.detector import Detector
from streamqrs.scanner import VirtualPatient
from streamqrs.types import Chunk, Signal, SourceInfo, Started

ROOT = Path(__file__).parent.parent
RATE, SECONDS, PORT = 500, 67.5, 8794


def listen():
    """Signal and events of the run, in order."""
    patient, detector = VirtualPatient(RATE, 3, "3T"), Detector(RATE, "mri", gate=True)
    detector.curves = deque()
    source = SourceInfo("virtual patient, 3T", "ECG", "mV")
    model = detector.model
    told = [Started(source, RATE, model.name, model.sha256, detector.delay_ms)]
    for start in range(0, round(SECONDS * RATE), 20):
        chunk = Chunk(patient.read(20), start, RATE, start / RATE)
        told += detector.events(chunk)
        told.append(Signal(chunk, tuple(detector.curves)))
        detector.curves.clear()
    return told, asdict(detector.settings)


async def show(told, settings, seen):
    """Serve it until the picture is taken."""
    async with open_sink(str(PORT)) as sink:
        sink.settings = settings
        await sink.send(told[0])
        for number, item in enumerate(told[1:]):
            sink._feed.put(item)
            if number % 200 == 0:
                await asyncio.sleep(0.06)
        last = next(item for item in reversed(told) if isinstance(item, Signal))
        while not seen.is_set():  # the source is not silent
            sink.watch(Signal(Chunk(last.chunk.samples[:0], round(SECONDS * RATE), RATE)))
            await asyncio.sleep(0.2)


def main(*to):
    """Take the picture; a second path is for the light one."""
    spec = importlib.util.spec_from_file_location("browser", ROOT / "tests" / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    told, settings = listen()
    seen = threading.Event()
    serving = threading.Thread(target=lambda: asyncio.run(show(told, settings, seen)))
    serving.start()
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            browser = module.Browser(shutil.which("chromium"), folder)
            try:
                browser.size(1280, 800)
                for theme, path in zip(("dark", "light"), to or [ROOT / "docs" / "web.png"], strict=False):
                    browser.open(f"http://127.0.0.1:{PORT}/?theme={theme}")
                    browser.until(f"streamqrs.shown >= {SECONDS - 0.1} && streamqrs.frames > 100")
                    browser.ask("streamqrs.scaled = null; streamqrs.drawn = NaN")  # the scale of what is on the screen
                    time.sleep(1)
                    browser.picture(path)
            finally:
                browser.close()
    finally:
        seen.set()
        serving.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
