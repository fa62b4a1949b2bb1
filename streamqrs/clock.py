"""ClockMap: count of a sample → time on the source clock.

The count is the truth: it has no jitter and never runs backwards. The stamps that come with the chunks say where its
zero lies and how fast the source's clock runs against its nominal rate. A line is fitted to them that forgets the
past over `MEMORY_S`; its slope is held near the nominal rate by what is known of quartz clocks, until the stamps
say otherwise. Stamps far off the line count as if they were nearer. Where the stamps stay to one side of the line for
some seconds, the clock was stepped, and the line is moved there at once; further than `JUMP_S`, it is begun anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

MEMORY_S = 60.0
DRIFT = 2e-4
"""Standard deviation of a clock's relative rate error (200 ppm), before anything is heard of it."""
JITTER_S = 0.01
"""Standard deviation of a stamp, in s: what a wireless source or a broker on the way adds."""
JUMP_S = 0.3
"""A stamp further than this from the line is not jitter."""
STEP_S = 0.004
"""A smaller step is left to the fit, which follows slowly."""
SURE = 4.0
"""A step must be so many times the usual change from one block of stamps to the next."""
BLOCK_S, BLOCKS = 1.0, 20
"""Stamps are held against the line by their mean over a block, in s; so many blocks say what change is usual."""
PATIENCE = 3
"""As many stamps, or blocks of them, in a row must lie off the line before the line is moved."""


class ClockMap:
    """Robust line through the stamps of a stream: least squares with forgetting, ridge on the slope.

    Parameters
    ----------
    rate : float
        Nominal rate of the stream in Hz.
    """

    _line: _Line
    _watch: _Watch
    _strangers: int

    def __init__(self, rate: float) -> None:
        self.rate = float(rate)
        self.jumps = 0
        self.reset()

    def reset(self) -> None:
        """Forget all stamps: time is then the count divided by the nominal rate."""
        self._origin: tuple[int, float] | None = None
        self._begin_line()

    def push(self, sample: int, time: float) -> None:
        """Take a stamp.

        Parameters
        ----------
        sample : int
            Count of the sample that it belongs to; not below the one before.
        time : float
            Source clock in s; NaN or infinity is passed over.
        """
        if not math.isfinite(time):
            return
        if self._origin is None:
            self._anchor(sample, time)
            return
        elapsed = (sample - self._origin[0]) / self.rate
        error = time - self._origin[1] - elapsed
        line = self._line.error(elapsed)
        if abs(error - line) > JUMP_S:
            self._strangers += 1
            if self._strangers >= PATIENCE:
                self._anchor(sample, time)
                self.jumps += 1
            return
        self._strangers = 0
        bound = self._watch.bound
        self._line.fit(elapsed, line + min(max(error - line, -bound), bound))
        self._line = self._watch.push(elapsed, error, self._line)

    def time(self, sample: float) -> float:
        """Source time in s of a sample, or of a point between two."""
        if self._origin is None:
            return sample / self.rate
        elapsed = (sample - self._origin[0]) / self.rate
        return self._origin[1] + elapsed + self._line.error(elapsed)

    def _anchor(self, sample: int, time: float) -> None:
        self._origin = sample, time
        self._begin_line()

    def _begin_line(self) -> None:
        self._line = _Line()
        self._watch = _Watch(self._line)
        self._strangers = 0


@dataclass(slots=True)
class _Line:
    """Error of the source's clock in s against the nominal rate, by time since the origin in s."""

    at: float = 0.0  # newest stamp
    offset: float = 0.0  # there
    slope: float = 0.0
    n: float = 1.0  # sums, x relative to `at`
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def error(self, elapsed: float) -> float:
        return self.offset + self.slope * (elapsed - self.at)

    def fit(self, elapsed: float, error: float) -> None:
        step = elapsed - self.at
        keep = math.exp(-max(step, 0.0) / MEMORY_S)
        self.xx = keep * (self.xx - 2 * step * self.x + step * step * self.n)
        self.xy = keep * (self.xy - step * self.y)
        self.x = keep * (self.x - step * self.n)
        self.n = keep * self.n + 1.0
        self.y = keep * self.y + error
        self.at = elapsed
        spread = self.xx - self.x * self.x / self.n + (JITTER_S / DRIFT) ** 2
        self.slope = (self.xy - self.x * self.y / self.n) / spread
        self.offset = (self.y - self.slope * self.x) / self.n

    def moved(self, step: float) -> _Line:
        """Line and all that it was fitted to, `step` s further."""
        return replace(self, offset=self.offset + step, y=self.y + step * self.n, xy=self.xy + step * self.x)


class _Watch:
    """Finds steps of a clock: blocks of stamps that lie off the line as it was before them, all to one side.

    Attributes
    ----------
    bound : float
        How far off the line a stamp may count, in s.
    """

    def __init__(self, line: _Line) -> None:
        self._before = replace(line)
        self.bound = math.inf
        self._blocks, self._spread, self._noise, self._last = 0, 0.0, 0.0, 0.0
        self._off: list[float] = []
        self._begin(0.0)

    def _begin(self, elapsed: float) -> None:
        self._from, self._n, self._sum, self._size = elapsed, 0, 0.0, 0.0

    def push(self, elapsed: float, error: float, line: _Line) -> _Line:
        """Take a stamp and the line fitted to it; return that line, or the one to go on with."""
        self._n += 1
        off = error - self._before.error(elapsed)
        self._sum += off
        self._size += min(abs(off), self.bound)
        if elapsed - self._from < BLOCK_S:
            return line
        mean, size = self._sum / self._n, self._size / self._n
        self._begin(elapsed)
        least = max(STEP_S, SURE * self._noise)
        self._blocks += 1
        self._spread += (size - self._spread) / min(self._blocks, BLOCKS)
        self.bound = STEP_S + SURE * self._spread if self._blocks > 2 * PATIENCE else math.inf
        # changes are bounded: a step must not hide in the noise that it makes
        change = abs(mean - self._last)
        self._noise += (min(change, 2 * least) - self._noise) / min(self._blocks, BLOCKS)
        self._last = mean
        if self._blocks <= 2 * PATIENCE or abs(mean) < least or (self._off and mean * self._off[0] < 0):
            self._off.clear()
            self._before = replace(line)
            return line
        self._off.append(mean)
        if len(self._off) < PATIENCE:
            return line
        step = sorted(self._off)[PATIENCE // 2]
        self._off.clear()
        self._last -= step
        line = self._before.moved(step)
        self._before = replace(line)
        return line
