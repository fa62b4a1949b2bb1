"""What ``streamqrs doctor --source`` looks at: what a source sends in a few seconds."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import numpy as np

from streamqrs.cli.checks import Check
from streamqrs.types import Chunk

if TYPE_CHECKING:
    from streamqrs.ports import Source

LISTEN_S = 3.0
"""Time to listen to a source, in s."""
LONG_MS = 20.0
"""A chunk longer than this delays triggers by its length, in ms."""


def source_check(opened: Source) -> Check:
    """Listen to a source: its rate, its chunks, its longest pause, and whether there is a signal."""
    return asyncio.run(_listen(opened))


async def _listen(opened: Source) -> Check:
    chunks: list[tuple[float, Chunk]] = []
    async with opened:
        info = getattr(opened, "info", None)
        live = info is None or info.live
        try:
            async with asyncio.timeout(LISTEN_S + 2):
                async for item in opened:
                    if isinstance(item, Chunk):
                        chunks.append((time.monotonic(), item))
                        if sum(len(c.samples) / c.rate for _, c in chunks) >= LISTEN_S:
                            break
        except TimeoutError:
            pass
    samples = np.concatenate([np.empty(0, np.float32), *(chunk.samples for _, chunk in chunks)])
    length_s = len(samples) / opened.rate
    if not len(samples):
        return Check("source", False, f"nothing came within {LISTEN_S + 2:g} s", "start the device")
    usual_ms = float(np.median([len(chunk.samples) for _, chunk in chunks])) / opened.rate * 1000
    pause_ms = float(np.diff([at for at, _ in chunks]).max(initial=0.0)) * 1000
    lost = chunks[-1][1].start + len(chunks[-1][1].samples) - chunks[0][1].start - len(samples)
    finite = samples[np.isfinite(samples)]
    flat = not len(finite) or float(np.ptp(finite)) == 0.0
    said = f"{opened.rate:g} Hz, chunks of {usual_ms:.3g} ms, {lost} samples lost in {length_s:.1f} s"
    said += f", longest pause {pause_ms:.0f} ms" if live else ""
    advice = ""
    if flat:
        said, advice = f"{said}, a flat line", "look at the electrodes, the channel and the recorder"
    elif live and length_s < 0.9 * LISTEN_S:
        said, advice = (
            f"{said}, only {length_s:.1f} s came",
            "the source sends less than its rate: give the true --rate",
        )
    elif lost:
        advice = "samples get lost on the way: look at the network and the sender"
    elif live and usual_ms > LONG_MS:
        said += f": a trigger is up to {usual_ms:.0f} ms late by the sender's chunks alone"
    values = {"rate": opened.rate, "chunk_ms": usual_ms, "longest_pause_ms": pause_ms, "lost": lost}
    return Check("source", not advice, said, advice, values)
