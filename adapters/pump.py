"""Pump: a thread that waits on a device, and hands what it gets to the event loop.

For devices whose library blocks. What the thread tells is with the engine some 0.2 ms later.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable

from streamqrs.types import Chunk, Problem

WAITING = 4096
"""Chunks that may wait for the engine; the oldest make way, and show as a gap."""


class Pump:
    """Run `work` in a thread for as long as the source is open.

    Parameters
    ----------
    name : str
        Name of the thread.
    work : callable
        Called in the thread with the pump. It calls `ready` once the device is open, `tell` with what comes, and
        returns at the end of the stream or soon after `stop` is set. What it raises is raised where the items are
        taken.

    Attributes
    ----------
    stop : threading.Event
        Set when the source is closed.
    """

    def __init__(self, name: str, work: Callable[[Pump], None]) -> None:
        self.stop = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._items: deque[Chunk | Problem | BaseException | None] = deque(maxlen=WAITING)
        self._some = asyncio.Event()
        self._ended = asyncio.Event()
        self._over = self._told = False

    def ready(self) -> None:
        """Say that the device is open; in the thread."""
        self._hand_over(None)

    def tell(self, item: Chunk | Problem) -> None:
        """Hand over an item; in the thread."""
        self._hand_over(item)

    async def open(self) -> None:
        """Start the thread, and wait until it is ready; raise what keeps it from that."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        early: list[Chunk | Problem] = []
        try:
            while (item := await self._take()) is not None:
                early.append(item)
        except BaseException:
            await self.close()
            raise
        self._items.extendleft(reversed(early))

    async def close(self) -> None:
        """Have the thread end, and wait for it."""
        self.stop.set()
        await self._ended.wait()
        self._thread.join()

    async def items(self) -> AsyncIterator[Chunk | Problem]:
        """Yield items until the thread is at its end."""
        while (item := await self._take()) is not None:
            yield item

    async def _take(self) -> Chunk | Problem | None:
        """Next item; None says that the thread is ready, or at its end."""
        while not self._items:
            if self._ended.is_set():
                return None
            self._some.clear()
            await self._some.wait()
        item = self._items.popleft()
        if isinstance(item, BaseException):
            raise item
        return item

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            self._work(self)
        except Exception as error:  # raised where it can be seen
            end = error
        self._over = True
        self._hand_over(end)

    def _hand_over(self, item: Chunk | Problem | BaseException | None) -> None:
        self._items.append(item)
        if not self._told or self._over:
            self._told = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop is closed, so nobody will ask any more
                self.stop.set()

    def _wake(self) -> None:
        self._told = False
        self._some.set()
        if self._over:
            self._ended.set()
