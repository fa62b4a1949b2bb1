"""Sink ``screen``: a live picture of the run in a terminal, drawn by a thread of its own at most ten times a second."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from streamqrs.adapters.console import describe
from streamqrs.adapters.screen_state import Vitals
from streamqrs.adapters.screen_view import ScreenView
from streamqrs.adapters.views import let_others_run
from streamqrs.adapters.writer import standard_output
from streamqrs.errors import BadSpec, SinkError
from streamqrs.types import Event, Problem, Signal

FRAME_S = 0.1
"""Shortest time between two pictures, in s."""
SHARE = 0.2
"""Share of one core that drawing may take; what takes longer is drawn less often."""
WAITING = 4096
"""Events and pieces of signal that wait to be drawn; the oldest make way."""
CLOSING_S = 1.0
"""Time that the terminal has to take the last picture, in s."""
TOLD = 20
"""Problems that are told once more when the screen has closed."""


def open_sink(target: str) -> ScreenSink:
    """Make the sink ``screen``; it takes no target."""
    if target:
        raise BadSpec(f"screen sink has the target {target[:40]!r}: allowed is screen alone")
    return ScreenSink()


class ScreenSink:
    """Draw the run on the terminal of standard output; a `streamqrs.ports.View`.

    The terminal's other screen is used, and what it showed before comes back in the end. Warnings of the program are
    shown at the foot instead of on standard error, and problems are told once more in plain lines after the end.

    Attributes
    ----------
    links : callable
        Returns name and state of the connections that are shown: true, false, or None where nobody knows.
    notes : list of str
        Lines for the foot.
    """

    name = "screen"

    def __init__(self) -> None:
        self.links: Callable[[], list[tuple[str, bool | None]]] = list
        self.notes = ["Ctrl-C ends"]
        self._vitals = Vitals(lambda event: "".join(text for text, _ in describe(event)))
        self._waiting: deque[Event | Signal] = deque(maxlen=WAITING)
        self._problems: deque[str] = deque(maxlen=TOLD)
        self._ending = threading.Event()
        self._opened = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="streamqrs-screen", daemon=True)
        self._log = _LogLines(self._hear_warning)

    async def __aenter__(self) -> Self:
        """Take the screen."""
        logging.getLogger("streamqrs").addHandler(self._log)
        self._thread.start()
        await asyncio.to_thread(self._opened.wait)
        self._check()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Give the screen back."""
        self._ending.set()
        await asyncio.to_thread(self._thread.join, CLOSING_S)
        logging.getLogger("streamqrs").removeHandler(self._log)

    async def send(self, event: Event, /) -> None:
        """Take an event; never waits."""
        if isinstance(event, Problem):
            self._problems.append("".join(text for text, _ in describe(event)))
        self._waiting.append(event)
        self._check()

    def watch(self, signal: Signal, /) -> None:
        """Take a piece of signal; never waits."""
        self._waiting.append(signal)

    def _hear_warning(self, text: str) -> None:
        self._problems.append(text)
        self._vitals.news = text

    def _check(self) -> None:
        if self._error:
            raise SinkError(f"the screen cannot be drawn: {self._error}") from self._error

    def _run(self) -> None:
        try:
            with let_others_run():
                self._draw()
        except (OSError, ValueError) as error:  # ValueError: closed, or a character that the terminal does not have
            self._error = error
        finally:
            self._opened.set()

    def _draw(self) -> None:
        from rich.console import Console
        from rich.control import Control
        from rich.text import Text

        view = ScreenView(self._vitals)
        with standard_output() as stream:
            console = Console(file=stream, highlight=False)
            console.set_alt_screen(True)
            console.show_cursor(False)
            self._opened.set()
            size = (0, 0)
            try:
                while True:
                    last = self._ending.is_set()
                    begun = time.monotonic()
                    self._take(begun)
                    width, height = console.size
                    if (width, height) != size:  # what a larger picture left behind
                        size = width, height
                        console.clear()
                    picture = view.lines(width, height, begun, self.links(), self.notes)
                    picture += [[]] * (height - len(picture))
                    lines = [Text.assemble(*spans, no_wrap=True, overflow="crop", end="") for spans in picture]
                    for line in lines:
                        line.pad_right(max(0, width - len(line)))
                    console.control(Control.home())
                    console.print(Text("\n").join(lines), end="", no_wrap=True, overflow="crop", crop=True)
                    if last:
                        return
                    self._ending.wait(max(FRAME_S, (time.monotonic() - begun) / SHARE))
            finally:
                console.show_cursor(True)
                console.set_alt_screen(False)
                for problem in self._problems:
                    console.print(Text(problem), soft_wrap=True)

    def _take(self, now: float) -> None:
        items = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._vitals.hear(items, now)


class _LogLines(logging.Handler):
    """Pass warnings on as lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        self._take(" ".join(record.getMessage().split()))
