"""Ahead: batches drawn while the network learns from others, in a thread or in several processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from types import TracebackType

import numpy as np
from numpy.random import Generator

from streamqrs.processes import follow
from streamqrs.training.dataset import Batch

DrawBatch = Callable[[Generator, int], Batch]
Seed = tuple[int, ...]

_draw: DrawBatch | None = None
"""What a worker draws from: given to each once, when it starts."""


class Ahead:
    """Draw the batches of the next steps in the background; each follows from its seed, whoever draws it.

    Parameters
    ----------
    draw : callable
        (generator, count) → `Batch`; is pickled if there are workers.
    count : int
        Windows in a batch.
    workers : int
        Processes; 0: one thread of this one.
    seed_of : callable
        Step → what its generator is seeded with.
    """

    def __init__(self, draw: DrawBatch, count: int, workers: int, seed_of: Callable[[int], Seed]) -> None:
        self._draw, self._count, self._workers, self._seed_of = draw, count, workers, seed_of
        self._coming: deque[Future[Batch]] = deque()
        self._next: int | None = None

    def __enter__(self) -> Ahead:
        self._pool: Executor
        if self._workers:
            self._pool = ProcessPoolExecutor(self._workers, get_context("spawn"), _start, (self._draw,))
        else:
            self._pool = ThreadPoolExecutor(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, step: int, steps: int) -> Batch:
        """Return the batch of a step, and ask for those after it, up to step `steps`; steps are taken in order."""
        if self._next is None:
            self._next = step
        while self._next < min(step + 1 + max(1, 3 * self._workers), steps):
            seed = self._seed_of(self._next)
            if self._workers:
                self._coming.append(self._pool.submit(_work, seed, self._count))
            else:
                self._coming.append(self._pool.submit(self._here, seed))
            self._next += 1
        return self._coming.popleft().result()

    def _here(self, seed: Seed) -> Batch:
        return self._draw(np.random.default_rng(seed), self._count)


def _start(draw: DrawBatch) -> None:
    follow()
    global _draw
    _draw = draw


def _work(seed: Seed, count: int) -> Batch:
    assert _draw is not None
    return _draw(np.random.default_rng(seed), count)
