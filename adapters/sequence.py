"""Sequencer: packets as they arrive → chunks in order, with their place in the stream.

What is lost shows as a jump of `Chunk.start`. It is told from the running number of the packets; where they have none,
from their time stamps; where they have none of these either, from a silence or a broken connection.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from streamqrs.adapters.packet import Packet
from streamqrs.types import Chunk

WINDOW = 4
"""Packets that may arrive before one that should have come first."""
FAR = 64
"""Packets further back than this are no repetition: the device has begun anew, or the number is wrong."""
SILENCE_S = 2.0
"""Without number and stamp, a silence of this length means lost samples."""
PATIENCE_S = 60.0
"""Numbers and stamps that tell of a loss longer than the time that has passed, by more than this, are wrong."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    packet: Packet
    rate: float  # Hz
    received: float  # monotonic, s
    unix: float  # s
    pushed: int  # packets seen when it came, itself included

    @property
    def n(self) -> int:
        return len(self.packet.samples)


class Sequencer:
    """Put packets in order and count their samples.

    Attributes
    ----------
    counts : collections.Counter
        Packets ``doubled``, ``late`` (after their place was given up), ``reordered`` and ``stray`` (a number out of
        nowhere); samples ``lost``; ``restarts`` of the device.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._count = 0  # samples since the stream began, lost ones too
        self._pushed = 0
        self._last: _Arrival | None = None  # given out
        self._next: int | None = None  # number that is wanted
        self._held: dict[int, _Arrival] = {}
        self._given_up = range(0)
        self._elsewhere = (0, 0)  # length of a run of numbers far away, and the number that would continue it
        self._unit = _Unit()
        self._turns = 0  # what a counter that has gone round is raised by
        self._stamps = _Stamps()

    def push(self, packet: Packet, rate: float, received: float, unix: float, *, broken: bool = False) -> list[Chunk]:
        """Take a packet.

        Parameters
        ----------
        packet : Packet
            The packet.
        rate : float
            Sampling rate in Hz.
        received, unix : float
            Time of its arrival in s, on the monotonic and on the Unix clock.
        broken : bool, optional
            Whether the connection broke since the packet before.

        Returns
        -------
        list of Chunk
            What is in order now; `time` is the packet's own stamp, or else reckoned from its arrival.
        """
        self._pushed += 1
        arrival = _Arrival(packet, rate, received, unix, self._pushed)
        number = packet.start if packet.start is not None else packet.seq
        if number is None:
            return [self._emit(arrival, self._missing(arrival, broken))]
        if self._unit.learn(packet):  # it was counted in the wrong unit, but follows the packet before
            return [self._begin(arrival, number, lost=self._lost_since_last(arrival))]
        if self._next is None:
            return [self._begin(arrival, number, lost=self._passed(arrival))]
        return self._order(arrival, self._unwrapped(number, arrival), self._next)

    def _order(self, arrival: _Arrival, number: int, wanted: int) -> list[Chunk]:
        size = self._unit.size(arrival.packet)
        ahead_s = self._samples_between(wanted, number, arrival) / arrival.rate
        if wanted - number > FAR * size or ahead_s > self._waited_s(arrival) + PATIENCE_S:
            length, following = self._elsewhere
            self._elsewhere = (length + 1 if number == following else 1, number + size)
            if self._elsewhere[0] < WINDOW:
                self.counts["stray"] += 1
            else:
                self.counts["restarts"] += 1
                return [self._begin(arrival, number - self._turns, lost=self._passed(arrival))]
        elif number < wanted:
            self.counts["late" if number in self._given_up else "doubled"] += 1
        elif number in self._held:
            self.counts["doubled"] += 1
        else:
            self._elsewhere = (0, 0)
            self.counts["reordered"] += number == wanted and bool(self._held)
            self._held[number] = arrival
            return self._release(wanted)
        return []

    def _release(self, wanted: int) -> list[Chunk]:
        """Give out what is held and follows on, and wait no longer for what has not come in time."""
        chunks: list[Chunk] = []
        while self._held:
            number = min(self._held)
            if number > wanted:
                if self._pushed - min(arrival.pushed for arrival in self._held.values()) < WINDOW:
                    break
                self._given_up = range(wanted, number)
            arrival = self._held.pop(number)
            chunks.append(self._emit(arrival, self._samples_between(wanted, number, arrival)))
            wanted = self._next = number + self._unit.size(arrival.packet)
        return chunks

    def _begin(self, arrival: _Arrival, number: int, *, lost: int) -> Chunk:
        """Take this packet as the first of a new count."""
        self._held.clear()
        self._elsewhere = (0, 0)
        self._turns = 0
        self._next = number + self._unit.size(arrival.packet)
        return self._emit(arrival, lost)

    def _emit(self, arrival: _Arrival, lost: int) -> Chunk:
        self.counts["lost"] += lost
        start = self._count + lost
        self._count = start + arrival.n
        self._last = arrival
        to_first_s = (arrival.n - 1) / arrival.rate
        if arrival.packet.time is None:
            time = arrival.unix - to_first_s
        else:
            time = arrival.packet.time - to_first_s * arrival.packet.stamp_at_end
        return Chunk(arrival.packet.samples, start, arrival.rate, time, arrival.received)

    def _unwrapped(self, number: int, arrival: _Arrival) -> int:
        """Raise the number of a counter of 8, 16, 31 or 32 bits that has gone round."""
        number += self._turns
        wanted, reach = self._next or 0, WINDOW * self._unit.size(arrival.packet)
        if number >= wanted:
            return number
        for turn in (1 << bits for bits in (8, 16, 31, 32)):
            if abs(number + turn - wanted) <= reach:
                self._turns += turn
                return number + turn
        return number

    def _samples_between(self, wanted: int, number: int, arrival: _Arrival) -> int:
        """Samples from one number to another; a lost packet counts as long as the last one given out."""
        if self._unit.is_sample(arrival.packet):
            return number - wanted
        return (number - wanted) * (self._last.n if self._last else 1)

    def _waited_s(self, arrival: _Arrival) -> float:
        return arrival.received - self._last.received if self._last else 0.0

    def _passed(self, arrival: _Arrival) -> int:
        """Samples that were lost, by the clock on the wall: at least 1."""
        return max(1, round(self._waited_s(arrival) * arrival.rate) - arrival.n) if self._last else 0

    def _lost_since_last(self, arrival: _Arrival) -> int:
        follows = self._last is not None and self._last.pushed == arrival.pushed - 1
        return 0 if follows else self._passed(arrival)

    def _missing(self, arrival: _Arrival, broken: bool) -> int:
        """Samples lost before a packet without a number."""
        before = self._last.n if self._last else 0
        lost = self._stamps.push(arrival, before, self._waited_s(arrival) + PATIENCE_S)
        if lost is not None:
            return lost
        return self._passed(arrival) if broken or self._waited_s(arrival) > SILENCE_S else 0


class _Unit:
    """Whether `Packet.seq` counts messages or samples; `Packet.start` always counts samples."""

    def __init__(self) -> None:
        self._balance = 0
        self._before: tuple[int, int] | None = None  # number and length of the packet before

    def is_sample(self, packet: Packet) -> bool:
        return packet.start is not None or self._balance > 0

    def size(self, packet: Packet) -> int:
        """By how much the packet raises the number."""
        return len(packet.samples) if self.is_sample(packet) else 1

    def learn(self, packet: Packet) -> bool:
        """Compare with the packet before; whether the opinion has changed."""
        if packet.seq is None or packet.start is not None:
            return False
        before, self._before = self._before, (packet.seq, len(packet.samples))
        if before is None or before[1] < 2:
            return False
        step, was = packet.seq - before[0], self._balance > 0
        if step in (1, before[1]):
            self._balance = max(-2, min(2, self._balance + (1 if step > 1 else -1)))
        return (self._balance > 0) != was


class _Stamps:
    """Holes in the time stamps of packets without a number."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._last: float | None = None
        self._jitter: deque[float] = deque(maxlen=32)
        self._whole = True  # no stamp so far had a fraction of a second
        self._begun: tuple[float, float] | None = None  # first tick, and signal since then in s
        self._ticks: float | None = None  # per second

    def push(self, arrival: _Arrival, before: int, longest_s: float) -> int | None:
        """Samples lost since the last packet, which had `before`; None where the stamps do not tell."""
        before_s, size_s = before / arrival.rate, arrival.n / arrival.rate
        stamp = self._stamp(arrival, before_s)
        last, self._last = self._last, stamp
        if stamp is None or last is None:
            return None
        self._whole = self._whole and stamp.is_integer()
        hole = stamp - last - before_s
        if stamp < last - 1 or hole > longest_s:  # the device's clock was set
            self._forget()
            return None
        least = 0.5 * size_s + 2 * max(self._jitter) if len(self._jitter) >= 8 else 1.5 * size_s + 0.02
        if self._whole and size_s < 1:
            least += 1
        if hole > least:
            return round(hole * arrival.rate)
        self._jitter.append(min(abs(hole), 1.0))
        return 0

    def _stamp(self, arrival: _Arrival, before_s: float) -> float | None:
        """Stamp of the first sample in s, on whatever clock."""
        packet = arrival.packet
        if packet.time is not None:
            return packet.time - (arrival.n - 1) / arrival.rate * packet.stamp_at_end
        if packet.tick is None:
            return None
        if self._ticks is None:
            self._learn(packet.tick, before_s)
        return packet.tick / self._ticks if self._ticks else None

    def _learn(self, tick: float, before_s: float) -> None:
        """Find out from half a second of signal whether a device's own clock counts s, ms, µs or ns."""
        first, passed_s = self._begun or (tick, -before_s)
        passed_s += before_s
        self._begun = first, passed_s
        if passed_s >= 0.5:
            pace = (tick - first) / passed_s
            self._ticks = next((unit for unit in (1.0, 1e3, 1e6, 1e9) if 0.5 < pace / unit < 2), None)
            self._begun = None
