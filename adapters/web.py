"""Sink ``web[:PORT]`` or ``web:HOST:PORT``: a page that shows the ECG, its beats and how it is going.

The server has a thread and an event loop of its own: no browser, however slow, is in the way of a trigger.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from streamqrs import __version__
from streamqrs.adapters.views import let_others_run
from streamqrs.adapters.web_feed import Feed
from streamqrs.adapters.web_server import Address, PageServer, read_address
from streamqrs.errors import MissingExtra, StreamqrsError
from streamqrs.types import Event, Signal

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

TURN_S = 0.05
"""Time between two messages to the browsers, in s."""
CLOSING_S = 3.0


def open_sink(target: str) -> WebSink:
    """Make the sink ``web``.

    Parameters
    ----------
    target : str
        ``PORT``, ``HOST:PORT``, or nothing: 127.0.0.1:8765.

    Returns
    -------
    WebSink
        Not yet open.

    Raises
    ------
    MissingExtra
        If `websockets` is not installed: nobody is sent to a page that will not be there.
    """
    if find_spec("websockets") is None:
        raise MissingExtra.of("websockets", "web")
    return WebSink(read_address(target))


class WebSink:
    """Serve the live page; a `streamqrs.ports.View`.

    Parameters
    ----------
    address : Address
        Where to listen.

    Attributes
    ----------
    name, url : str
        What it is called, and what a browser opens.
    settings : dict
        Settings of the detector, for the page to show.
    links : callable
        Returns name and state of the connections that the page shows: true, false, or None where nobody knows.
    """

    def __init__(self, address: Address) -> None:
        self.name, self.url = f"web:{address.host}:{address.port}", address.url
        self.settings: dict[str, Any] = {}
        self.links: Callable[[], list[tuple[str, bool | None]]] = list
        self._address = address
        self._feed = Feed(self._hello, self._state)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        """Start the server."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if not opened.done():
                opened.set_exception(error) if error else opened.set_result(None)

        def work() -> None:
            try:
                asyncio.run(self._serve(lambda: loop.call_soon_threadsafe(settle, None)))
            except (StreamqrsError, OSError) as error:
                loop.call_soon_threadsafe(settle, error)

        self._thread = threading.Thread(target=work, name="streamqrs-web", daemon=True)
        self._thread.start()
        await opened
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Send the last events and close."""
        if self._loop and self._stop and self._thread:
            self._loop.call_soon_threadsafe(self._stop.set)
            await asyncio.to_thread(self._thread.join, CLOSING_S)

    async def send(self, event: Event, /) -> None:
        """Take an event; never waits."""
        self._feed.put(event)

    def watch(self, signal: Signal, /) -> None:
        """Take a piece of signal; never waits."""
        self._feed.put(signal)

    async def _serve(self, opened: Callable[[], object]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        with let_others_run():
            async with PageServer(self._address, "live.html", self._talk):
                opened()
                while not self._stop.is_set():
                    self._feed.turn()
                    try:
                        await asyncio.wait_for(self._stop.wait(), TURN_S)
                    except TimeoutError:
                        continue
                self._feed.turn()
                await asyncio.sleep(TURN_S)  # `Stopped` is on its way

    async def _talk(self, socket: ServerConnection) -> None:
        with self._feed.listen() as listener:
            sender = asyncio.create_task(_forward(listener, socket))
            try:
                await socket.wait_closed()  # a browser has nothing to say; what it says is not read
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)

    def _hello(self) -> dict[str, Any]:
        return {"version": __version__, "settings": self.settings}

    def _state(self) -> dict[str, Any]:
        return {"links": [{"name": name, "up": up} for name, up in self.links()]}


async def _forward(listener: Any, socket: ServerConnection) -> None:
    while True:
        await socket.send(await listener.take())
