"""PageServer: a few static pages and one websocket on one port, for people in front of browsers.

No page of another site may talk to it: the ``Host`` of a request has to be an address or this machine's name (against
DNS rebinding), the ``Origin`` of a websocket the page that is served here.
"""

from __future__ import annotations

import ipaddress
import re
import socket as sockets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from importlib.resources import files
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from streamqrs.errors import BadSpec, MissingExtra, SinkError

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

HOST, PORT = "127.0.0.1", 8765
BROWSERS = 32
"""Browsers that may listen at once."""
MESSAGE = 4096
"""Longest message that a browser may send, in bytes."""
BUFFER = 1 << 18
"""Bytes that wait in the operating system's hands for a slow browser before it loses frames."""

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws:; img-src 'self' blob: data:",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Address(NamedTuple):
    """Where to listen: name or address, and port."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What a browser on this machine opens."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}/" if ":" in host.strip("[]") else f"http://{host}:{self.port}/"


def read_address(text: str) -> Address:
    """Read ``PORT``, ``HOST:PORT`` or nothing, which is 127.0.0.1:8765.

    Raises
    ------
    BadSpec
        If it is none of them.
    """
    host, _, port = text.strip().rpartition(":")
    if text.strip() and not (port.isdecimal() and 0 < int(port) < 65536):
        raise BadSpec(
            f"web address {text[:60]!r}: allowed are PORT (1 to 65535) and HOST:PORT, for example 0.0.0.0:8765"
        )
    host = host.strip("[]")
    if not re.fullmatch(r"[\w.:-]*", host):
        raise BadSpec(f"web host {host[:60]!r}: allowed are names and addresses")
    return Address(host or HOST, int(port or PORT))


class PageServer:
    """Serve the pages of ``static/``, and let each websocket talk.

    Parameters
    ----------
    address : Address
        Where to listen.
    page : str
        What ``/`` shows: the name of a file in ``static/``.
    talk : callable
        Coroutine function that gets each websocket, and keeps it until it returns.
    """

    def __init__(self, address: Address, page: str, talk: Callable[[ServerConnection], Awaitable[None]]) -> None:
        self._address, self._talk = address, talk
        static = files("streamqrs.adapters") / "static"
        names = [file.name for file in static.iterdir() if "." + file.name.rpartition(".")[2] in TYPES]
        self._files = {f"/{name}": (static / name).read_bytes() for name in names}
        self._files["/"] = self._files[f"/{page}"]
        self._types = {path: TYPES["." + path.rpartition(".")[2]] for path in self._files if path != "/"}
        self._types["/"] = TYPES[".html"]
        self._browsers = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen."""
        try:
            from websockets.asyncio.server import serve
        except ImportError as error:
            raise MissingExtra.of("websockets", "web") from error
        host, port = self._address
        try:
            server = serve(
                self._admit, host, port, process_request=self._answer, compression=None,
                max_size=MESSAGE, max_queue=4, write_limit=BUFFER, close_timeout=1, open_timeout=5, server_header=None,
            )  # fmt: skip
            await self._stack.enter_async_context(server)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SinkError(
                f"cannot serve {self._address.url}: {reason}: give another --web PORT or HOST:PORT"
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close all websockets."""
        await self._stack.aclose()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return a file, an error, or None: let the websocket through."""
        host = request.headers.get("Host", "")
        if not self._is_here(host):
            return _response(HTTPStatus.FORBIDDEN, f"{host[:80]!r} is not this server\n".encode())
        path = request.path.partition("?")[0]
        if path != "/socket":
            if path not in self._files:
                return _response(HTTPStatus.NOT_FOUND, b"no such page\n")
            return _response(HTTPStatus.OK, self._files[path], self._types[path])
        if request.headers.get("Origin", f"http://{host}") != f"http://{host}":
            return _response(HTTPStatus.FORBIDDEN, b"pages of other sites may not listen\n")
        if self._browsers >= BROWSERS:
            return _response(HTTPStatus.SERVICE_UNAVAILABLE, f"{BROWSERS} browsers are listening already\n".encode())
        return None

    def _is_here(self, host: str) -> bool:
        name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        name = name.strip("[]").lower()
        own = sockets.gethostname().lower()
        if name in {"localhost", self._address.host.lower(), own, f"{own}.local"}:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _admit(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        self._browsers += 1
        try:
            await self._talk(connection)
        except ConnectionClosed:  # the browser has gone
            pass
        finally:
            self._browsers -= 1


def _response(status: HTTPStatus, body: bytes, kind: str = "text/plain") -> Response:
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    headers: Any = Headers(HEADERS)
    headers["Content-Type"] = f"{kind}; charset=utf-8"
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    return Response(status.value, status.phrase, headers, body)
