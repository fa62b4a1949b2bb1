"""Where an MQTT source or sink connects to, and with which login: the spec and its options, read and checked."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from streamqrs.errors import BadSpec

VERSIONS = ("3.1.1", "5")
PASSWORD = "STREAMQRS_MQTT_PASSWORD"
"""Environment variable with the password."""


@dataclass(frozen=True)
class Broker:
    """Where a source or sink connects to.

    Attributes
    ----------
    host, port : str, int
        Address.
    topic : str
        Topic of a source, or what the topics of a sink begin with.
    version : {"3.1.1", "5"}
        Version of the protocol.
    username, password : str or None
        Login.
    tls : ssl.SSLContext or None
        Set for ``mqtts``; the certificate and the host name are verified.
    """

    host: str
    port: int
    topic: str
    version: str = "3.1.1"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The spec again, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}/{self.topic}"


def read_target(
    target: str,
    *,
    secure: bool = False,
    mqtt_version: str = "3.1.1",
    username: str | None = None,
    password_file: str | os.PathLike[str] | None = None,
    tls_ca: str | os.PathLike[str] | None = None,
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
) -> Broker:
    """Read ``//[user[:password]@]host[:port]/topic`` and the options that go with it.

    Parameters
    ----------
    target : str
        What follows ``mqtt:`` or ``mqtts:``. User and password may be percent-encoded.
    secure : bool, optional
        Whether it was ``mqtts``.
    mqtt_version : str, optional
        One of `VERSIONS`.
    username, password_file : str or path, optional
        Login; the password may also stand in the target or in the environment (`PASSWORD`).
    tls_ca, tls_cert, tls_key : path, optional
        Certificate authority to trust instead of the system's; own certificate and key. For ``mqtts`` only.

    Raises
    ------
    BadSpec
        If anything of it cannot be used. No message repeats what could be a password.
    """
    scheme = "mqtts" if secure else "mqtt"
    authority, _, topic = target.removeprefix("//").partition("/")
    try:
        url = urlsplit(f"//{authority}")
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not target.startswith("//") or not host or port == 0:
        raise BadSpec(f"{scheme} spec cannot be read: allowed is {scheme}://[user[:password]@]host[:port]/topic")
    topic = topic.strip("/")
    if not topic or any(sign in topic for sign in "+#\0") or len(topic.encode(errors="replace")) > 60_000:
        raise BadSpec(f"topic of {scheme}://{host} is {topic[:40]!r}: allowed is one topic without + and #")
    if mqtt_version not in VERSIONS:
        raise BadSpec(f"MQTT version is {mqtt_version!r}: allowed are {', '.join(VERSIONS)}")
    username = username or (unquote(url.username) if url.username else None)
    password = unquote(url.password) if url.password else None
    if password_file is not None:
        password = _read_password(Path(password_file))
    if username and password is None:
        password = os.environ.get(PASSWORD)
    if password is not None and not username:
        raise BadSpec(f"{scheme}://{host} has a password, but no user: give both")
    tls = _tls(tls_ca, tls_cert, tls_key) if secure else None
    return Broker(host, port or (8883 if secure else 1883), topic, mqtt_version, username, password, tls)


def _read_password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise BadSpec(f"password file {path} cannot be read: {reason(exc)}") from exc


def _tls(
    ca: str | os.PathLike[str] | None, cert: str | os.PathLike[str] | None, key: str | os.PathLike[str] | None
) -> ssl.SSLContext:
    if key and not cert:
        raise BadSpec(f"TLS key {key} was given without a certificate: give both")
    try:
        context = ssl.create_default_context(cafile=ca)
        context.sslsocket_class = _Socket
        if cert:
            context.load_cert_chain(cert, key)
    except (OSError, ValueError) as exc:
        files = ", ".join(str(path) for path in (ca, cert, key) if path)
        raise BadSpec(f"TLS file cannot be used ({files}): {reason(exc)}") from exc
    return context


class _Socket(ssl.SSLSocket):
    """Closes itself when the handshake fails: the MQTT library lets go of it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def reason(error: BaseException) -> str:
    """Say what an error says, in one line without its number."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
