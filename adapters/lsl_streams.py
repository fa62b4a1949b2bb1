"""What an LSL stream says about itself, and which of its channels is the ECG; and pylsl, configured."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from streamqrs.errors import BadSignal, MissingExtra, SourceNotFound

_ECG = re.compile(r"(?<![a-z])(ecg|ekg)(?![a-z])", re.IGNORECASE)
_CONFIG = (
    "[lab]\nKnownPeers={127.0.0.1}\n[log]\nlevel=-3\n"
    "[tuning]\nContinuousResolveInterval=0.1\nMulticastMinRTT=0.1\nUnicastMinRTT=0.1\n"
)

SAID = 100
"""Characters of what a stranger's stream says that an error repeats, at most."""


@cache
def load() -> Any:
    """Import pylsl, configured before its first call.

    A configuration file of the user's (``LSLAPICFG``, ``lsl_api.cfg``) stands as it is. Without one, streams of this
    machine are found without multicast too, those of the lab network as ever, a stream that comes back is found within
    0.1 s rather than 0.5, and liblsl's log, which would tear a live screen, is off.

    Raises
    ------
    MissingExtra
        If there is no pylsl, or no liblsl for it.
    """
    try:
        import pylsl
    except ImportError as error:
        raise MissingExtra('pylsl is not installed: pip install "pylsl>=1.18.4"') from error
    except (RuntimeError, OSError) as error:
        raise MissingExtra(
            "pylsl finds no liblsl for this machine: set PYLSL_LIB to one (the wheel of mne-lsl carries one)"
        ) from error
    places = (Path("lsl_api.cfg"), Path("~/lsl_api/lsl_api.cfg").expanduser(), Path("/etc/lsl_api/lsl_api.cfg"))
    if not os.environ.get("LSLAPICFG") and not any(place.is_file() for place in places):
        with suppress(NotImplementedError):  # a liblsl before 1.17.7: noisier, and else the same
            pylsl.set_config_content(_CONFIG)
    return pylsl


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a stream, as it is labelled; each text is empty where the stream does not say."""

    label: str = ""
    type: str = ""
    unit: str = ""

    @property
    def is_ecg(self) -> bool:
        """Whether its label, or else its type, says ECG or EKG."""
        return bool(_ECG.search(self.label) or (not self.label and _ECG.search(self.type)))


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream says about itself.

    Attributes
    ----------
    name, type, source_id, hostname : str
        As announced.
    uid : str
        Another one each time the stream is made.
    rate : float
        Nominal sampling rate in Hz; 0 if irregular or unknown.
    numeric : bool
        Whether its values are numbers.
    channels : tuple of Channel
        One for each channel.
    created : float
        When it was made, in s on its machine's LSL clock.
    handle : pylsl.StreamInfo
        What an inlet is made of.
    """

    name: str
    type: str
    source_id: str
    hostname: str
    uid: str
    rate: float
    numeric: bool
    channels: tuple[Channel, ...]
    created: float = 0.0
    handle: Any = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        rate = f"{self.rate:g} Hz" if self.rate else "irregular"
        count = f"{len(self.channels)} channel{'s' * (len(self.channels) != 1)}"
        return f"{self.name[:SAID]!r} (type {self.type[:SAID] or 'none'}, {count}, {rate}, on {self.hostname})"

    def labels(self) -> str:
        """Labels of its channels in one line; where there are none, the allowed indices."""
        named = ", ".join(channel.label[:SAID] or str(k) for k, channel in enumerate(self.channels))
        named = named if len(named) <= 10 * SAID else f"{named[: 10 * SAID]} …"
        return named if any(channel.label for channel in self.channels) else f"0 to {len(self.channels) - 1}"

    def index(self, channel: str | int) -> int:
        """Index of a channel given by label, by index (from 0), or by a type that only one channel has.

        Raises
        ------
        SourceNotFound
            If there is no such channel; the message lists the labels.
        """
        text = str(channel).strip().lower()
        for key in ("label", "type"):
            hits = [k for k, each in enumerate(self.channels) if getattr(each, key).lower() == text]
            if hits and (key == "label" or len(hits) == 1):
                return hits[0]
        if text.isdecimal() and int(text) < len(self.channels):
            return int(text)
        raise SourceNotFound(
            f"LSL stream {self.name[:SAID]!r} has no channel {str(channel)[:SAID]!r}: allowed are {self.labels()}"
        )

    def leads(self) -> list[int]:
        """Indices of the channels that may be the ECG: those labelled so, else all of a stream of type ECG."""
        labelled = [k for k, channel in enumerate(self.channels) if channel.is_ecg]
        return labelled or (list(range(len(self.channels))) if _ECG.fullmatch(self.type.strip()) else [])


def candidates(streams: Iterable[Stream]) -> list[tuple[Stream, int]]:
    """Return every channel that may be the ECG meant by plain ``lsl``, with its stream."""
    return [(stream, k) for stream in streams if stream.numeric for k in stream.leads()]


def lead(stream: Stream, channel: str | int | None) -> int:
    """Index of the channel to hear in a stream; None means the only one, or the only one labelled ECG.

    Raises
    ------
    SourceNotFound
        If there is no such channel, or none is given and several are possible.
    BadSignal
        If the stream holds text, or nothing.
    """
    if not stream.numeric or not stream.channels:
        what = "holds text" if stream.channels else "has no channels"
        raise BadSignal(f"LSL stream {stream.name[:SAID]!r} {what}: allowed are numbers in one channel or more")
    if channel is not None:
        return stream.index(channel)
    leads = [0] if len(stream.channels) == 1 else stream.leads()
    if len(leads) != 1:
        raise SourceNotFound(f"LSL stream {stream.name[:SAID]!r} needs a channel: allowed are {stream.labels()}")
    return leads[0]


def read_info(info: Any, handle: Any = None) -> Stream:
    """Make a `Stream` of a ``pylsl.StreamInfo``; its `handle`, if another one, is what an inlet is made of."""
    # a description may name fewer channels than there are, or more
    channels, node = [], info.desc().child("channels").child("channel")
    for _ in range(info.channel_count()):
        channels.append(Channel(*(node.child_value(key).strip() for key in ("label", "type", "unit"))))
        node = node.next_sibling("channel")
    return Stream(
        name=info.name(),
        type=info.type(),
        source_id=info.source_id(),
        hostname=info.hostname(),
        uid=info.uid(),
        rate=info.nominal_srate(),
        numeric=info.channel_format() != load().cf_string,
        channels=tuple(channels),
        created=info.created_at(),
        handle=handle or info,
    )
