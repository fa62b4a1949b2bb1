"""Source ``brainflow:BOARD``: a channel of any board that BrainFlow knows (OpenBCI, Muse, BrainBit, Callibri …).

``brainflow:cyton?port=/dev/ttyUSB0``, ``brainflow:ganglion?mac=…``, ``brainflow:synthetic``,
``brainflow:playback?file=recording.csv&board=cyton``. BrainFlow stamps each sample as it arrives at this machine
(Unix time). Boards whose packages are numbered one a sample show lost samples; for the others a silence does.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from importlib import resources
from itertools import pairwise
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import numpy as np

from streamqrs.adapters.labels import pick_channel
from streamqrs.adapters.pump import Pump
from streamqrs.adapters.retry import pauses
from streamqrs.errors import BadSpec, MissingExtra, SourceNotFound
from streamqrs.types import Chunk, Problem, SourceInfo

POLL_S = 0.004
"""Time between two looks for samples, in s: BrainFlow does not wait for them."""
SILENT_S = 2.0
"""A silence of this length is told, and means lost samples; it is the end of a playback."""
REOPEN_S = 10.0
"""A board that is silent for this long is opened anew, in s."""
BUFFER_S = 60
"""Signal that BrainFlow keeps for a slow reader, in s."""
PACKAGES = 256
"""Package numbers go round."""
LEARN = 64
"""Samples whose package numbers show how they are counted."""

OPTIONS = {
    "port": "serial_port", "mac": "mac_address", "ip": "ip_address", "ip_port": "ip_port", "file": "file",
    "serial": "serial_number", "other": "other_info", "board": "master_board", "timeout": "timeout",
}  # fmt: skip
"""Options of a spec, and what BrainFlow calls them."""


def open_source(target: str, *, channel: str | int | None = None, timeout: float = 15.0) -> BrainFlowSource:
    """Make the source ``brainflow:BOARD[?port=…&mac=…&ip=…&ip_port=…&serial=…&file=…&board=…&channel=…]``.

    Parameters
    ----------
    target : str
        Name of the board as BrainFlow has it, with or without ``_board``, or its number; and its options.
    channel : str or int, optional
        Label or index (from 0) among the board's ECG channels. Default: the first one.
    timeout : float, optional
        Time in s in which the board must be found and the first samples come.

    Raises
    ------
    BadSpec
        If there is no such board or option.
    MissingExtra
        If BrainFlow is not installed.
    """
    name, _, query = target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    unknown = sorted(set(options) - {*OPTIONS, "channel"})
    if unknown or len(pairs) != len(options) or bool(query) != bool(pairs):
        raise BadSpec(
            f"brainflow: options are {query[:60]!r}: allowed are {', '.join([*OPTIONS, 'channel'])}, each once"
        )
    given = options.pop("channel", None)
    if channel is not None and given not in (None, str(channel)):
        raise BadSpec(f"brainflow: channel is given twice, as {given!r} and {str(channel)!r}")
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout:g} s: allowed is more than 0")
    return BrainFlowSource(name.strip() or "synthetic", options, given if channel is None else channel, float(timeout))


class BrainFlowSource:
    """A board of BrainFlow as a source; see `open_source`.

    Attributes
    ----------
    name : str
        The board as a spec.
    rate : float
        Sampling rate in Hz, as BrainFlow has it for the board.
    info : SourceInfo
        Channel and unit; the clock is Unix time.
    """

    def __init__(self, board: str, options: Mapping[str, str], channel: str | int | None, timeout_s: float) -> None:
        self._shim = _load()
        self.name = f"brainflow:{board}"
        self._id = self._board_id(board)
        self._parameters = self._read(options, timeout_s)
        ids = self._shim.BoardIds
        self._playback = self._id == ids.PLAYBACK_FILE_BOARD.value
        if self._playback and not self._parameters.file:
            raise BadSpec("brainflow:playback needs a file: brainflow:playback?file=PATH[&board=BOARD]")
        relayed = self._playback or self._id == ids.STREAMING_BOARD.value  # the channels of another board
        described = self._parameters.master_board if relayed else self._id
        try:
            self._board: dict[str, Any] = self._shim.BoardShim.get_board_descr(described)
        except self._shim.BrainFlowError as error:
            raise BadSpec(f"{self.name}: BrainFlow cannot describe it: {_one_line(error)}") from error
        self._row, label, unit = self._pick(channel)
        self.rate = float(self._board["sampling_rate"])
        self.info = SourceInfo(self.name, label, unit, "unix")
        self._timeout_s = timeout_s
        self._pump = Pump("streamqrs-brainflow", self._work)
        self._next = 0  # count of the next sample
        self._step: int | None = None  # by which package numbers rise from sample to sample; 0: no telling
        self._package = -1  # number of the last package
        self._heard = -math.inf  # arrival of the last samples, monotonic
        self._away = False

    async def __aenter__(self) -> Self:
        """Open the board, and wait for its first samples."""
        await self._pump.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Stop the board and let go of it."""
        await self._pump.close()

    def __aiter__(self) -> AsyncIterator[Chunk | Problem]:
        """Yield chunks as BrainFlow has them, and problems."""
        return self._pump.items()

    def _board_id(self, board: str) -> int:
        ids = {each.name.lower(): int(each.value) for each in self._shim.BoardIds}
        wanted = board.lower()
        for name in (wanted, f"{wanted}_board", f"{wanted}_file_board"):
            if name in ids:
                return ids[name]
        if wanted.lstrip("-").isdecimal() and int(wanted) in ids.values():
            return int(wanted)
        known = ", ".join(sorted(name.removesuffix("_board") for name in ids if name != "no_board"))
        raise BadSpec(f"BrainFlow knows no board {board!r}: allowed are {known}")

    def _read(self, options: Mapping[str, str], timeout_s: float) -> Any:
        parameters = self._shim.BrainFlowInputParams()
        parameters.timeout = max(1, round(timeout_s))
        parameters.master_board = self._shim.BoardIds.SYNTHETIC_BOARD.value
        for name, value in options.items():
            if name == "board":
                parameters.master_board = self._board_id(value)
            elif name in ("ip_port", "timeout"):
                if not value.isdecimal():
                    raise BadSpec(f"brainflow: {name} is {value!r}: allowed is a whole number")
                setattr(parameters, OPTIONS[name], int(value))
            else:
                setattr(parameters, OPTIONS[name], value)
        return parameters

    def _pick(self, channel: str | int | None) -> tuple[int, str, str]:
        """Row of BrainFlow's table, label and unit of the channel."""
        kinds = [kind for kind in ("ecg", "exg", "eeg", "emg") if self._board.get(f"{kind}_channels")]
        if not kinds:
            raise SourceNotFound(f"{self.name} has no channels of ECG, EEG or EMG")
        rows = self._board[f"{kinds[0]}_channels"]
        named = dict(
            zip(self._board.get("eeg_channels", []), self._board.get("eeg_names", "").split(","), strict=False)
        )
        labels = [named.get(row) or str(i) for i, row in enumerate(rows)]
        index = 0 if channel is None else pick_channel(self.name, labels, channel)
        return rows[index], labels[index], "µV"

    def _work(self, pump: Pump) -> None:
        """Listen to the board, and open it again when it has gone; a playback ends."""
        self._shim.BoardShim.disable_board_logger()  # it writes to stderr, and tears a live screen
        waits = pauses()
        while not pump.stop.is_set():
            board = self._shim.BoardShim(self._id, self._parameters)
            try:
                self._open(board)
                if self._listen(pump, board) or self._playback:
                    return
                problem, waits = f"no samples for {REOPEN_S:g} s", pauses()
            except self._shim.BrainFlowError as error:
                problem = _one_line(error)
                if not self._next:
                    raise SourceNotFound(f"{self.name} cannot be opened: {problem}") from error
            finally:
                with suppress(self._shim.BrainFlowError):
                    board.release_session()
            if not self._away:
                self._away = True
                pump.tell(Problem(self.name, f"lost: {problem}: waiting for it"))
            if pump.stop.wait(next(waits)):
                return

    def _open(self, board: Any) -> None:
        board.prepare_session()
        board.start_stream(max(1000, round(BUFFER_S * self.rate)))

    def _listen(self, pump: Pump, board: Any) -> bool:
        """Hand over what comes until the source is closed; False if nothing came for too long."""
        since = time.monotonic()
        while not pump.stop.wait(POLL_S):
            table = board.get_board_data()
            now = time.monotonic()
            if table.shape[1]:
                if not self._next:
                    pump.ready()
                if self._away:
                    pump.tell(Problem(self.name, "samples come again"))
                self._hand_over(pump, table, now, now - self._heard)
                self._heard, self._away = now, False
            elif not self._next and now - since > self._timeout_s:
                raise SourceNotFound(f"{self.name} sends nothing within {self._timeout_s:g} s")
            elif self._next and now - max(since, self._heard) > (SILENT_S if self._playback else REOPEN_S):
                return False
            elif self._next and now - self._heard > SILENT_S and not self._away:
                self._away = True
                pump.tell(Problem(self.name, f"no samples for {SILENT_S:g} s"))
        return True

    def _hand_over(self, pump: Pump, table: Any, now: float, passed_s: float) -> None:
        """Number the samples of a table of BrainFlow, shape (rows, n), and hand them over piece by piece."""
        samples = table[self._row].astype(np.float32)
        stamps = table[self._board["timestamp_channel"]]
        lost = self._lost(table)
        if self._next and passed_s > SILENT_S:  # package numbers have gone round, or begin anew
            lost[0] = max(1, round(passed_s * self.rate) - len(samples))
        edges = [0, *(np.flatnonzero(lost[1:]) + 1).tolist(), len(samples)]
        for first, stop in pairwise(edges):
            self._next += int(lost[first])
            # the stamp of the newest sample: samples of one packet are stamped one after the other, but arrive at once
            to_first_s = (stop - 1 - first) / self.rate
            pump.tell(Chunk(samples[first:stop], self._next, self.rate, float(stamps[stop - 1]) - to_first_s, now))
            self._next += stop - first

    def _lost(self, table: Any) -> Any:
        """Samples lost ahead of each one, shape (n,), from the package numbers if they count samples."""
        n = table.shape[1]
        numbers = (
            table[self._board["package_num_channel"]].astype(int) if "package_num_channel" in self._board else None
        )
        if numbers is None or self._step == 0:
            return np.zeros(n, int)
        steps = np.diff(numbers, prepend=self._package if self._next else numbers[0] - 1) % PACKAGES
        self._package = int(numbers[-1])
        if self._step is None:
            if self._next + n < LEARN:
                return np.zeros(n, int)
            self._step = int(np.median(steps) == 1)
        return np.where(steps == 1, 0, (steps - 1) % PACKAGES) * self._step


def _load() -> Any:
    try:
        from brainflow import board_shim
    except ImportError as error:
        raise MissingExtra.of("brainflow", "brainflow") from error
    # under Python 3.11 BrainFlow 5.23 looks for its libraries by a way that setuptools 82 no longer has
    board_shim.files = lambda _: resources.files("brainflow")
    return board_shim


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
