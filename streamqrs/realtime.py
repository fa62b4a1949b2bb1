"""Real-time scheduling, as far as the system grants it: `request` asks for everything and says what was given.

Nothing here is needed for a run to work; what is refused costs jitter under load, and nothing else.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

PRIORITY = 10
"""Real-time priority asked for, 1 to 99: above all ordinary work, below the kernel's own threads."""
NICE = -10
"""Niceness asked for where real-time scheduling is refused."""
SWITCH_S = 0.5e-3
"""Time for which one Python thread may keep others waiting, in s; Python's own choice is 5 ms."""
_MCL_CURRENT, _MCL_FUTURE = 1, 2
_PR_SET_TIMERSLACK = 29


class Grant(NamedTuple):
    """One thing that was asked for: its name, whether it was given, and what that means or why not."""

    name: str
    given: bool
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {'' if self.given else 'not granted, '}{self.detail}"


def request() -> list[Grant]:
    """Ask for real-time scheduling, memory that stays in RAM, and exact timers.

    To be called before threads are started: they inherit what their parent has. All of them shall have it, those that
    only draw or write as well: one that holds the interpreter's lock and is kept from running keeps the others waiting.

    Returns
    -------
    list of Grant
        What became of each; nothing is raised.
    """
    settle_collector()
    return [_try("scheduling", _schedule), _try("memory", _lock_memory), _try("timers", _tighten_timers)]


def settle_collector() -> None:
    """Take what is loaded by now out of the garbage collector's sight, and let threads change hands sooner."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)


def _try(name: str, ask: Callable[[], str]) -> Grant:
    try:
        return Grant(name, True, ask())
    except (OSError, AttributeError, ImportError, TypeError) as error:  # but for the first: no such call here
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "this system has no such call"
        return Grant(name, False, reason.lower())


def _schedule() -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except (OSError, AttributeError) as refused:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        why = getattr(refused, "strerror", None) or "no such call"
        return f"niceness {NICE}; no real-time priority ({why.lower()})"
    return f"first in, first out, priority {PRIORITY}"


def _lock_memory() -> str:
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    endless = limit == resource.RLIM_INFINITY or os.geteuid() == 0
    # with a limit, memory asked for later would be refused once it is reached: lock what is there only
    flags = _MCL_CURRENT | (_MCL_FUTURE if endless else 0)
    _call("mlockall", flags)
    return "locked, now and later" if endless else "locked as it is now"


def _tighten_timers() -> str:
    _call("prctl", _PR_SET_TIMERSLACK, 1, 0, 0, 0)
    return "slack 1 ns"


def _call(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
