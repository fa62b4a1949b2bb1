"""pick_channel(): which of a device's channels is the ECG."""

from __future__ import annotations

from collections.abc import Sequence

from streamqrs.errors import SourceNotFound
from streamqrs.readers import find_label, labelled_ecg


def pick_channel(name: str, labels: Sequence[str], channel: str | int | None) -> int:
    """Index of a channel.

    Parameters
    ----------
    name : str
        Name of the device, for the error.
    labels : sequence of str
        Labels of all channels.
    channel : str, int or None
        Label (upper and lower case alike) or index from 0. None: the first one labelled ECG or EKG, or the only one.

    Raises
    ------
    SourceNotFound
        If there is no such channel, or none is given and none is labelled.
    """
    allowed = ", ".join(label or str(i) for i, label in enumerate(labels)) or "none"
    if channel is None:
        labelled = labelled_ecg(labels)
        if labelled or len(labels) == 1:
            return labelled[0] if labelled else 0
        raise SourceNotFound(f"{name} has {len(labels)} channels and none is labelled ECG: choose one of {allowed}")
    if (index := find_label(labels, channel)) is not None:
        return index
    raise SourceNotFound(f"{name} has no channel {str(channel)!r}: allowed are {allowed}")
