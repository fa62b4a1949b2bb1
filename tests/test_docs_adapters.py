"""docs/adapters.md: the package on that page is installed as it stands there, found, and run."""

import re
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from streamqrs.ports import sinks, sources
from streamqrs.scanner import VirtualPatient

PAGE = Path(__file__).parents[1] / "docs" / "adapters.md"
RATE = 250
RUN = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", "run"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder with the page's package, installed by pip without a network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    files = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(files) == 3
    for name, content in files:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(content)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--target", target, source], check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return target


def run(installed, *arguments, **options):
    path = f"import sys; sys.path.append({str(installed)!r}); "
    return subprocess.Popen(
        [RUN[0], "-c", path + RUN[2], "run", "--model", "base", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


@pytest.mark.slow
def test_its_source_and_sink_carry_beats(installed, tmp_path):
    """A device sends 20 s of ECG at four times its speed, of which a second is lost on the way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    patient = VirtualPatient(rate=RATE, seed=3)
    ecg = patient.read(RATE * 20).astype("<f4")
    truth = np.diff([index for index, _ in patient.take_beats()]) * 1000 / RATE
    process = run(installed, "--source", f"udp:{port}", "--rate", str(RATE), "--sink", f"rr:{tmp_path / 'rr.txt'}",
                  "--sink", "console")  # fmt: skip
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            device.connect(("127.0.0.1", port))
            assert process.stdout.readline().startswith("started")
            for start in range(0, len(ecg), 25):
                if not 10 * RATE <= start < 11 * RATE:
                    device.send(struct.pack("<I", start) + ecg[start : start + 25].tobytes())
                time.sleep(0.025)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, said
    assert "gap" in out
    found = [float(line) for line in (tmp_path / "rr.txt").read_text().split()]
    assert len(found) >= len(truth) - 5
    assert all(np.abs(truth - rr).min() < 20 for rr in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--source", "udp:x"], "udp: port is 'x': allowed is a number"),
        (["--source", "udp:9", "--payload", "json"], "source 'udp' takes no option payload: allowed are rate"),
        (["--sink", "rr:"], "rr: needs a path"),
        (["--sink", "rr:/none/rr.txt"], "rr:/none/rr.txt: No such file or directory"),
    ],
)
def test_its_errors_are_lines_of_ours(installed, arguments, wanted):
    process = run(installed, *arguments)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (1, 2)
    assert wanted in said
    assert "Traceback" not in said


def test_the_page_names_every_source_sink_and_ending():
    from streamqrs import beat_files, records

    page = PAGE.read_text()
    _, _, rest = page.partition("## Sources")
    source_part, _, sink_part = rest.partition("## Sinks")
    for scheme in sources():
        assert re.search(rf"`{scheme}\b", source_part), scheme
    for scheme in sinks():
        assert re.search(rf"`{scheme}\b", sink_part), scheme
    for ending in {*records.ENDINGS, *beat_files.ENDINGS}:
        assert ending in page, ending
