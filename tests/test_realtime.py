"""What the system grants depends on who asks; each process that asks is one of its own."""

import os
import subprocess
import sys

import pytest

ASK = """
import os, threading
from streamqrs.realtime import request
for grant in request():
    print(grant)
seen = []
thread = threading.Thread(target=lambda: seen.append((os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))))
thread.start(); thread.join()
print(seen[0])
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux scheduling")


def ask(prefix="", **options):
    done = subprocess.run([sys.executable, "-c", prefix + ASK], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_each_thing_is_said_in_one_line_and_threads_inherit_what_was_granted():
    scheduling, memory, timers, inherited = ask()
    policy, nice = eval(inherited)  # what the process printed of itself
    if "first in, first out" in scheduling:
        assert policy == os.SCHED_FIFO
    elif "niceness -10" in scheduling:
        assert nice == -10
    else:
        assert "not granted" in scheduling
    assert memory.startswith("memory: ")
    assert timers == "timers: slack 1 ns"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_is_refused_is_said_and_nothing_fails():
    unprivileged = "import os, threading, streamqrs.realtime\nos.setgid(65534); os.setuid(65534)\n"
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))\n"
    scheduling, memory, _, inherited = ask(limited + unprivileged)
    assert scheduling == "scheduling: not granted, permission denied"
    assert memory.startswith("memory: not granted, ")
    assert eval(inherited) == (os.SCHED_OTHER, 0)
