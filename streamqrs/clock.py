"""ClockMap: count of a sample → time on the source clock.

The count is the truth: it has no jitter and never runs backwards. The stamps that come with the chunks say where its
zero lies and how fast the source's clock runs against its nominal rate. A line is fitted to them that forgets the
past over `MEMORY_S`; its slope is held near the nominal rate by what is known of quartz clocks, until the stamps
say otherwise.
"""

from __future__ import annotations

import math

MEMORY_S = 60.0
DRIFT = 2e-4
"""Standard deviation of a clock's relative rate error (200 ppm), before anything is heard of it."""
JITTER_S = 0.01
"""Standard deviation of a stamp, in s: what a wireless source or a broker on the way adds."""
JUMP_S = 0.3
"""A stamp further than this from the line is not jitter."""
PATIENCE = 3
"""As many stamps in a row must lie off the line before the line is moved."""


class ClockMap:
    """Robust line through the stamps of a stream: least squares with forgetting, ridge on the slope.

    Parameters
    ----------
    rate : float
        Nominal rate of the stream in Hz.
    """

    def __init__(self, rate: float) -> None:
        self.rate = float(rate)
        self.jumps = 0
        self.reset()

    def reset(self) -> None:
        """Forget all stamps: time is then the count divided by the nominal rate."""
        self._origin: tuple[int, float] | None = None
        self._offset = self._slope = 0.0
        self._strangers = 0

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
        if abs(error - self._offset - self._slope * (elapsed - self._at)) > JUMP_S:
            self._strangers += 1
            if self._strangers >= PATIENCE:
                self._anchor(sample, time)
                self.jumps += 1
            return
        self._strangers = 0
        self._fit(elapsed, error)

    def time(self, sample: float) -> float:
        """Source time in s of a sample, or of a point between two."""
        if self._origin is None:
            return sample / self.rate
        elapsed = (sample - self._origin[0]) / self.rate
        return self._origin[1] + elapsed + self._offset + self._slope * (elapsed - self._at)

    def _anchor(self, sample: int, time: float) -> None:
        self._origin = sample, time
        self._offset = self._slope = 0.0  # of the line at `_at` and per second, against the nominal rate
        self._at = 0.0
        self._strangers = 0
        self._n, self._x, self._y, self._xx, self._xy = 1.0, 0.0, 0.0, 0.0, 0.0  # sums, x relative to `_at`

    def _fit(self, elapsed: float, error: float) -> None:
        step = elapsed - self._at
        keep = math.exp(-max(step, 0.0) / MEMORY_S)
        self._xx = keep * (self._xx - 2 * step * self._x + step * step * self._n)
        self._xy = keep * (self._xy - step * self._y)
        self._x = keep * (self._x - step * self._n)
        self._n = keep * self._n + 1.0
        self._y = keep * self._y + error
        self._at = elapsed
        spread = self._xx - self._x * self._x / self._n + (JITTER_S / DRIFT) ** 2
        self._slope = (self._xy - self._x * self._y / self._n) / spread
        self._offset = (self._y - self._slope * self._x) / self._n
