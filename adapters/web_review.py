"""The page of ``streamqrs review``: one recording, its marks, and the people who work on them.

Text messages are JSON objects. From the browser: ``{"ask": k}`` for piece k of the recording, ``{"add": sample}``,
``{"delete": sample}``, ``{"move": [from, to]}``, ``{"undo": true}``, ``{"done": doubt}``, ``{"save": true}``. To it:
``{"review": …}`` first; ``{"removed": […], "added": […], "saved": …}`` to all after each change; ``{"told": …}`` for a
line to show. Pieces are binary messages as in `streamqrs.adapters.web_feed`.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamqrs.adapters.web_feed import CURVE, SAMPLES, encode
from streamqrs.adapters.web_server import Address, PageServer
from streamqrs.beat_files import replace_file
from streamqrs.doubts import Doubt
from streamqrs.errors import StreamqrsError
from streamqrs.marking import Change, Marking
from streamqrs.records import Record
from streamqrs.types import RATE, Samples

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

PIECE_S = 20.0
"""Length of a piece in s."""


class Review:
    """A recording that is being reviewed, in any number of browsers at once.

    Parameters
    ----------
    record : Record
        The recording.
    marking : Marking
        Its marks, to work on.
    doubts : sequence of Doubt
        Where to look, in this order.
    curve : numpy.ndarray
        Shape (n,), float32: probabilities at 250 Hz from the first sample on; NaN where there are none.
    target : pathlib.Path
        Where the marks are saved; what is there is replaced.
    about : str
        A line on where the marks come from.

    Attributes
    ----------
    touched : bool
        Whether anybody changed or checked something.
    """

    def __init__(
        self, record: Record, marking: Marking, doubts: Sequence[Doubt], curve: Samples, target: Path, about: str
    ) -> None:
        self.record, self.marking, self.target = record, marking, target
        self._doubts, self._curve, self._about = list(doubts), curve, about
        self._done: set[int] = set()
        self.touched = False
        self._browsers: set[ServerConnection] = set()

    async def serve(self, address: Address, stop: asyncio.Event) -> None:
        """Serve the page until told to stop."""
        async with PageServer(address, "review.html", self.talk):
            await stop.wait()

    def save(self) -> None:
        """Write the marks down."""
        replace_file(self.target, self.marking.encode(self.record.rhythms))
        self.marking.saved = True

    async def talk(self, socket: ServerConnection) -> None:
        """Serve one browser."""
        self._browsers.add(socket)
        try:
            await socket.send(json.dumps({"review": self._hello()}))
            async for message in socket:
                await self._answer(socket, message)
        finally:
            self._browsers.discard(socket)

    async def _answer(self, socket: ServerConnection, message: str | bytes) -> None:
        try:
            order = json.loads(message)
            if "ask" in order:
                for piece in self._pieces(int(order["ask"])):
                    await socket.send(piece)
                return
            self._tell(self._obey(order))
        except (ValueError, KeyError, TypeError, StreamqrsError) as error:
            await socket.send(json.dumps({"told": str(error)}))

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        match order:
            case {"add": int(at)}:
                change = self.marking.add(at, snap=bool(order.get("snap", True)))
                told = "" if change.added else "there is a mark already"
            case {"delete": int(at)}:
                change, told = self.marking.delete(at), ""
            case {"move": [int(at), int(to)]}:
                change = self.marking.move(at, to)
                told = "" if change.added else "another mark is in the way"
            case {"undo": True}:
                change = self.marking.undo()
                told = "" if change.added or change.removed else "nothing to take back"
            case {"done": int(doubt)}:
                self._done ^= {doubt}
                self.touched = True
                return {"done": sorted(self._done)}
            case {"save": True}:
                self.save()
                change, told = Change(), f"{len(self.marking.marks)} marks saved in {self.target.name}"
            case _:
                given = ", ".join(order)[:40]
                raise ValueError(f"order {given!r}: allowed are ask, add, delete, move, undo, done, save")
        self.touched |= bool(change.added or change.removed)
        body = {"removed": [mark.at for mark in change.removed], "added": change.added, "saved": self.marking.saved}
        return body | ({"told": told} if told else {})

    def _tell(self, body: dict[str, Any]) -> None:
        from websockets.asyncio.server import broadcast

        broadcast(self._browsers, json.dumps(body))

    def _hello(self) -> dict[str, Any]:
        record = self.record
        return {
            "name": record.name,
            "lead": record.lead,
            "unit": record.unit,
            "rate": record.rate,
            "length": len(record.samples),
            "piece_s": PIECE_S,
            "marks": self.marking.marks,
            "doubts": [{"time": d.time_s, "degree": round(d.degree, 3), "reasons": d.reasons} for d in self._doubts],
            "done": sorted(self._done),
            "saved": self.marking.saved,
            "target": self.target.name,
            "about": self._about,
        }

    def _pieces(self, k: int) -> list[bytes]:
        pieces = math.ceil(len(self.record.samples) / self.record.rate / PIECE_S)
        if not 0 <= k < pieces:
            raise ValueError(f"piece {k}: allowed are 0 to {pieces - 1}")
        parts = []
        for kind, values, rate in ((SAMPLES, self.record.samples, self.record.rate), (CURVE, self._curve, RATE)):
            start, stop = (round(edge * PIECE_S * rate) for edge in (k, k + 1))
            parts.append(encode(kind, start, rate, values[start:stop]))
        return parts
