"""Show a stimulus a fixed time after R, as a cardiac-cycle experiment in PsychoPy does.

The beats run in a thread of their own; the drawing stays in the main thread, as PsychoPy wants it. A trigger is said
some milliseconds after R; `align_ms` has all of them said exactly so long after R, or not at all.

    python examples/gate_a_stimulus.py lsl:BrainAmp         # systole: 250 ms after R
    python examples/gate_a_stimulus.py                      # five triggers of the virtual patient
"""

import asyncio
import queue
import sys
import threading
import time

import streamqrs
from streamqrs.adapters.callback import CallbackSink

AFTER_R_S = 0.250
TRIALS = 5


class Window:
    """What this example uses of ``psychopy.visual.Window``: put that one in its place."""

    def flip(self):
        return time.monotonic()


def listen(spec, triggers, stop):
    """Find beats until `stop`; each trigger goes into the queue with the local time at which it came."""

    async def run():
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        threading.Thread(target=lambda: (stop.wait(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
        sink = CallbackSink(
            lambda beat: triggers.put((time.monotonic(), beat)), kinds=("trigger",), events=(streamqrs.Beat,)
        )
        await streamqrs.run(streamqrs.open_source(spec), streamqrs.Detector(gate=True), [sink], stop=ended)

    asyncio.run(run())


def main(spec="sim:seed=2"):
    triggers, stop, window = queue.Queue(), threading.Event(), Window()
    listener = threading.Thread(target=listen, args=(spec, triggers, stop))
    listener.start()
    try:
        for trial in range(TRIALS):
            came, beat = triggers.get(timeout=60)
            r_at = came - beat.delay_ms / 1000  # on the local clock
            while (left := r_at + AFTER_R_S - time.monotonic()) > 0:
                time.sleep(min(left, 0.001))
            shown = window.flip()
            print(f"trial {trial + 1}: stimulus {1000 * (shown - r_at):.0f} ms after R")
    finally:
        stop.set()
        listener.join()


if __name__ == "__main__":
    main(*sys.argv[1:2])
