"""Draw docs/run.svg: what `streamqrs run` shows in a terminal. Usage: python bench/run_picture.py [OUT]."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 108
COMMAND = ["streamqrs", "run", "--source", "sim:3T", "--duration", "12"]


def main(out):
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": str(WIDTH), "LINES": "40", "TERM": "xterm-256color"}
    program = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", *COMMAND[1:]]
    with subprocess.Popen(program, stdout=follower, stderr=follower, stdin=follower, env=environment):
        os.close(follower)
        shown = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the other side has gone
                break
            if not piece:
                break
            shown += piece
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "bold"), " ".join(COMMAND)))
    console.print(Text.from_ansi(shown.decode().replace("\r\n", "\n")))
    console.save_svg(str(out), title="streamqrs")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "docs" / "run.svg"))
