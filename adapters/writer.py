"""LineWriter: lines written from a thread of their own, so that a slow terminal or disk never stops the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Generic, TextIO, TypeVar

Line = TypeVar("Line")


class LineWriter(Generic[Line]):
    """Thread that opens an output, writes lines to it and closes it.

    The thread is a daemon: an output that hangs for ever does not keep the program from ending.

    Parameters
    ----------
    output : callable
        Returns a context manager that opens the output and gives the function that writes one line.
    limit : int
        Lines that may wait; of those that were offered, the oldest make way.
    dropped : callable, optional
        Makes the line that says how many were dropped.
    """

    def __init__(
        self,
        output: Callable[[], AbstractContextManager[Callable[[Line], object]]],
        *,
        limit: int,
        dropped: Callable[[int], Line] | None = None,
    ) -> None:
        self._output, self._limit, self._notice = output, limit, dropped
        self._lines: deque[tuple[Line, asyncio.Future[None] | None]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._dropped = 0
        self._error: OSError | None = None

    async def open(self) -> None:
        """Start the thread and wait until the output is open; raises its OSError."""
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._run, name="streamqrs-writer", daemon=True).start()
        await self._opened

    async def write(self, line: Line) -> None:
        """Return when the line is written; raises the OSError of the output."""
        written: asyncio.Future[None] = self._loop.create_future()
        self._put(line, written)
        await written

    def offer(self, line: Line) -> None:
        """Return at once; raises the OSError of the output if it has failed before."""
        self._put(line, None)

    async def close(self, timeout_s: float) -> bool:
        """Write what waits and close the output; whether it was done in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        done, _ = await asyncio.wait((self._closed,), timeout=timeout_s)
        return bool(done)

    def _put(self, line: Line, written: asyncio.Future[None] | None) -> None:
        with self._changed:
            if self._error:
                raise self._error
            if written is None and len(self._lines) >= self._limit:
                self._lines.popleft()
                self._dropped += 1
            self._lines.append((line, written))
            self._changed.notify()

    def _run(self) -> None:
        future: asyncio.Future[None] | None = self._opened
        try:
            with self._output() as write:
                self._settle(future)
                while item := self._take():
                    dropped, line, future = item
                    if dropped and self._notice:
                        write(self._notice(dropped))
                    write(line)
                    self._settle(future)
        except (OSError, ValueError) as exc:  # ValueError: closed, or a character that the output does not have
            error = exc if isinstance(exc, OSError) else OSError(str(exc))
            with self._changed:
                self._error = error
                waiting = [written for _, written in self._lines]
            for written in (future, *waiting):
                self._settle(written, error)
        finally:
            self._settle(self._closed)

    def _take(self) -> tuple[int, Line, asyncio.Future[None] | None] | None:
        """Wait for a line; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closing)
            if not self._lines:
                return None
            dropped, self._dropped = self._dropped, 0
            return dropped, *self._lines.popleft()

    def _settle(self, future: asyncio.Future[None] | None, error: OSError | None = None) -> None:
        if future is not None:
            with suppress(RuntimeError):  # the event loop has ended: nobody waits any more
                self._loop.call_soon_threadsafe(_resolve, future, error)


def _resolve(future: asyncio.Future[None], error: OSError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


@contextmanager
def standard_output() -> Iterator[TextIO]:
    """Open standard output once more.

    A thread that hangs in a stream of its own holds no lock that the interpreter takes when it ends.
    """
    try:
        sys.stdout.flush()
        descriptor = os.dup(sys.stdout.fileno())
    except (OSError, ValueError):  # not a file: something that captures output
        descriptor = -1
    if descriptor < 0:
        yield sys.stdout
        return
    with open(descriptor, "w", encoding=sys.stdout.encoding, errors="replace") as stream:
        yield stream
