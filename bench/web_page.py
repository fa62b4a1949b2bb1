"""Watch the live page for ten minutes in a real Chromium: memory, frames, how far it is behind.

Usage: python bench/web_page.py [--minutes 10] [--out bench/results/web.json]. The run is in a process of its own, in
real time; the page's heap is read after a collection, the resident memory of processes from /proc.
"""

import argparse
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
PORT = 8796
WARM_S = 90.0
"""What is compared begins here: the page holds its last minute by then."""
PERIOD_S = 10.0


def resident_mb(pids):
    """Resident memory of processes, in MB."""
    total = 0
    for pid in pids:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        total += int(found[1]) if found else 0
    return round(total / 1024, 1)


def family(pid):
    """A process and all below it."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in below for each in family(int(child)))]


def look(browser, server):
    """One row of figures."""
    browser.call("HeapProfiler.collectGarbage")
    metrics = {m["name"]: m["value"] for m in browser.call("Performance.getMetrics")["metrics"]}
    page = browser.ask("""({newest: streamqrs.store.newest_s, shown: streamqrs.shown, frames: streamqrs.frames,
      messages: streamqrs.messages, beats: streamqrs.store.counts.beat, rate: streamqrs.store.heartRate(),
      kept: streamqrs.store.beats.size})""")
    return page | {
        "at": time.monotonic(),
        "heap_mb": round(metrics["JSHeapUsedSize"] / 1e6, 2),
        "nodes": metrics["Nodes"],
        "server_mb": resident_mb([server]),
        "chromium_mb": resident_mb(family(browser._process.pid)),
    }


def main(minutes, out):
    """Run, look every ten seconds, and write the figures."""
    spec = importlib.util.spec_from_file_location("browser", ROOT / "tests" / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    command = [
        "run",
        "--source",
        "sim:3T",
        "--gate",
        "--json",
        "--web",
        str(PORT),
        "--duration",
        str(60 * minutes + 20),
    ]
    program = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", *command]
    rows = []
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            browser = module.Browser(shutil.which("chromium"), folder)
            try:
                browser.call("Performance.enable")
                browser.size(1280, 800)
                browser.open(f"http://127.0.0.1:{PORT}/")
                browser.until("streamqrs.store.newest_s > 3")
                begun = time.monotonic()
                while time.monotonic() - begun < 60 * minutes:
                    rows.append(look(browser, run.pid))
                    time.sleep(PERIOD_S)
                errors = len(browser.errors)
            finally:
                browser.close()
        run.communicate()
    passed = np.array([row["at"] for row in rows]) - rows[0]["at"]
    newest = np.array([row["newest"] for row in rows]) - rows[0]["newest"]
    warm = [row for row, at in zip(rows, passed, strict=True) if at >= min(WARM_S, passed[-1] / 2)]
    behind = passed - newest

    def both(name):
        return {"first": warm[0][name], "last": warm[-1][name]}

    result = {
        "minutes": round(passed[-1] / 60, 2),
        "behind_s": {"median": round(float(np.median(behind)), 3), "max": round(float(np.max(behind)), 3)},
        "frames_per_s": round((rows[-1]["frames"] - rows[0]["frames"]) / passed[-1], 1),
        **{name: both(name) for name in ("heap_mb", "nodes", "server_mb", "chromium_mb")},
        "beats": rows[-1]["beats"], "beats_kept": rows[-1]["kept"], "errors_of_the_page": errors,
    }  # fmt: skip
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "web.json")
    given = parser.parse_args()
    main(given.minutes, given.out)
