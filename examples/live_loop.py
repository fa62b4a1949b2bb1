"""Work on beats as they come, in a loop of your own: a source, a detector, and what you do with a beat.

python examples/live_loop.py lsl:BrainAmp
python examples/live_loop.py                            # ten seconds of the virtual patient
"""

import asyncio
import sys

import streamqrs


async def main(spec="sim:seconds=10"):
    async with streamqrs.open_source(spec) as source:
        detector = streamqrs.Detector(source.rate, gate=True)
        async for item in source:
            if isinstance(item, streamqrs.Problem):
                print(f"! {item.message}")
                continue
            if item.rate != detector.rate:  # some sources change their rate when they are restarted
                detector = detector.at_rate(item.rate)
                detector.reset(item.start)
            for event in detector.events(item):
                show(event)
        for event in detector.flush():
            show(event)


def show(event):
    match event:
        case streamqrs.Beat(kind="beat"):
            rate = f"{event.heart_rate:5.1f} per minute" if event.heart_rate else ""
            print(f"R at {event.time:.3f} s, known {event.delay_ms:.0f} ms later  {rate}")
        case streamqrs.Beat():
            print(f"   {event.kind} at {event.time:.3f} s, {event.delay_ms:.0f} ms after R")
        case streamqrs.Gap():
            print(f"! {event.duration_s:.2f} s of signal are missing")
        case streamqrs.Quality():
            print(f"! the signal is {'usable again' if event.usable else 'not usable: ' + event.reason}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
