"""Processes that work for another one, and end with it."""

from __future__ import annotations

import os
import signal
from multiprocessing import parent_process
from threading import Thread


def follow() -> None:
    """Leave Ctrl-C to the process that started this one, and end when that one does, however it ends.

    A process of a pool otherwise waits for its next task for ever when the one that gives it was killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, name="end with parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
