"""What adapters share that try again: how long to wait before each attempt, and how to say why one failed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

LONGEST_S = 10.0


def pauses() -> Iterator[float]:
    """Times in s to wait before each new attempt: doubled from 0.2 to 10, less up to half of it by chance."""
    step = 0.2
    while True:
        yield step * random.uniform(0.5, 1.0)
        step = min(2 * step, LONGEST_S)


def reason(error: BaseException) -> str:
    """What an error says, in one line without its number."""
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.errno and error.errno > 0:  # asyncio and pyserial add words of their own
        return os.strerror(error.errno)
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
