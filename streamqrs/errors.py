"""Errors of the world outside; wrong arguments are `ValueError`.

::

    StreamqrsError
    ├── BadSpec          a source or sink spec that cannot be read (also a ValueError)
    ├── MissingExtra     a library of an extra is not installed (also an ImportError)
    ├── SourceError
    │   ├── SourceNotFound   no such stream, file, topic or channel
    │   ├── SourceLost       it was there and went away for good
    │   └── BadSignal        what it sends cannot be an ECG (also a ValueError)
    ├── SinkError        an output cannot be opened or has gone for good
    ├── BadRecord        a recording or its annotations cannot be read
    └── BadModel         a model package is incomplete, altered or of another kind

Each message is one line: what was given, and what is allowed.
"""

from __future__ import annotations


class StreamqrsError(Exception):
    """Base of all errors that streamqrs raises about the world outside."""


class BadSpec(StreamqrsError, ValueError):
    """A source or sink spec cannot be read, or has an option that it does not take."""


class MissingExtra(StreamqrsError, ImportError):
    """A library of an extra is not installed."""

    @classmethod
    def of(cls, library: str, extra: str) -> MissingExtra:
        """Error with the command that installs what is missing."""
        return cls(f'{library} is not installed: pip install "streamqrs[{extra}]"')


class SourceError(StreamqrsError):
    """A source cannot be opened or read."""


class SourceNotFound(SourceError):
    """There is no such stream, file, topic or channel."""


class SourceLost(SourceError):
    """The source was there and went away for good."""


class BadSignal(SourceError, ValueError):
    """What the source sends cannot be an ECG."""


class SinkError(StreamqrsError):
    """An output cannot be opened, or has gone for good."""


class BadRecord(StreamqrsError):
    """A recording or its annotations cannot be read."""


class BadModel(StreamqrsError):
    """A model package is incomplete, altered, or of another kind."""
