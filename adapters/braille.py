"""Curves in Braille characters: each holds 2 × 4 dots (Unicode block U+2800)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint32)
"""Bit of each dot, by row and column."""


def draw_curve(low: NDArray[np.float64], high: NDArray[np.float64], rows: int, bottom: float, top: float) -> list[str]:
    """Draw a curve that runs between two heights in each column of dots.

    Parameters
    ----------
    low, high : numpy.ndarray
        Shape (2 * columns,): lowest and highest value in each column of dots; NaN where there is none.
    rows : int
        Lines of text.
    bottom, top : float
        Values at the lower and upper edge.

    Returns
    -------
    list of str
        One text of equal length per line, from the top.
    """
    height, width = 4 * rows, len(low)
    scale = (height - 1) / (top - bottom) if top > bottom else 0.0
    # a column reaches as far as the one before it: the line has no holes
    before_low, before_high = np.roll(low, 1), np.roll(high, 1)
    before_low[:1] = before_high[:1] = np.nan
    floor, ceiling = np.fmin(low, before_high), np.fmax(high, before_low)
    seen = np.isfinite(low)
    first, last = (
        np.clip(np.rint(height - 1 - (np.where(seen, edge, 0.0) - bottom) * scale), 0, height - 1)
        for edge in (ceiling, floor)
    )
    line = np.arange(height)[:, None]
    dots = (line >= first) & (line <= last) & seen
    cells = dots.reshape(rows, 4, width // 2, 2)
    codes = np.einsum("rycx,yx->rc", cells.astype(np.uint32), DOTS)
    return ["".join(chr(0x2800 + code) if code else " " for code in row) for row in codes.tolist()]
