"""Draw docs/run.svg: what `streamqrs run` shows in a terminal. Usage: python bench/run_picture.py [OUT]."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH, HEIGHT, SECONDS = 108, 24, 15.0
COMMAND = ["streamqrs", "run", "--source", "sim:3T", "--gate"]


def last_picture(shown):
    """Last whole picture of the live screen, colours and all."""
    picture = shown.split("\x1b[H")[-2]
    return re.sub(r"\x1b\[[0-9;?]*[A-ln-zA-Z]", "", picture).replace("\r", "")


def main(out):
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    unset = {"NO_COLOR", "COLUMNS", "LINES"}
    environment = {k: v for k, v in os.environ.items() if k not in unset} | {"TERM": "xterm-256color"}
    environment |= {"PYTHONIOENCODING": "utf-8", "COLORTERM": "truecolor"}
    program = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", *COMMAND[1:]]
    with subprocess.Popen(program, stdout=follower, stderr=follower, stdin=follower, env=environment) as run:
        os.close(follower)
        shown, begun = b"", None
        while begun is None or time.monotonic() - begun < SECONDS:
            shown += os.read(leader, 65536)
            if begun is None and "♥".encode() in shown:
                begun = time.monotonic()
        run.terminate()
        while read_on(leader):
            pass
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(last_picture(shown.decode(errors="replace"))))
    console.save_svg(str(out), title=" ".join(COMMAND))


def read_on(leader):
    """Take what the program still has to say; false when it has gone."""
    try:
        return bool(os.read(leader, 65536))
    except OSError:  # the other side was closed
        return False


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "docs" / "run.svg"))
