"""`streamqrs sources` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streamqrs.adapters.lsl_streams import Channel, Stream
from streamqrs.cli.app import main
from streamqrs.cli.sources import plain, to_json, to_text

COMMAND = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", "sources"]
OUTLET = Path(__file__).with_name("lsl_outlet.py")


def sources(*args):
    return subprocess.run([*COMMAND, *args], capture_output=True, text=True, timeout=120, check=False)


def stream(name, kind, *labels):
    return Stream(name, kind, f"id-{name}", "host", f"uid-{name}", 500.0, True, tuple(map(Channel, labels)))


@pytest.mark.parametrize(
    ("streams", "choice", "said"),
    [
        ([], None, "takes none"),
        ([stream("a", "EEG", "C3", "C4")], None, "takes none"),
        ([stream("a", "EEG", "C3", "EKG"), stream("b", "EEG", "C3")], ("uid-a", 1), "channel EKG of 'a'"),
        ([stream("a", "ecg", "")], ("uid-a", 0), "channel 0 of 'a'"),
        ([stream("a", "ECG", "I", "II")], None, "2 ECG channels"),
        ([stream("a", "ECG", ""), stream("b", "EEG", "ECG")], None, "2 ECG channels"),
    ],
)
def test_what_plain_lsl_takes(streams, choice, said):
    uid, index, line = plain(streams)
    assert (choice or (None, None)) == (uid, index)
    assert said in line
    assert [one["plain_lsl_channel"] for one in to_json(streams)["streams"]] == [
        index if choice and one.uid == uid else None for one in streams
    ]


def test_a_line_for_each_stream():
    lines = to_text([stream("a", "EEG", "C3", "EKG"), stream("b", "ECG", "")]).splitlines()
    assert lines[0].split("\t") == ["a", "EEG", "500 Hz", "2: C3, EKG", "source_id=id-a", "host"]
    assert len(lines) == 3


@pytest.mark.lsl
def test_nothing_is_there():
    done = sources("--timeout", "0.5")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no LSL streams are there now\n", "")
    listed = json.loads(sources("--timeout", "0.5", "--json").stdout)
    assert listed["streams"] == []


@pytest.mark.lsl
def test_streams_that_are_there():
    options = ["--type", "EEG", "--labels", "C3,ECG", "--units", "uV,mV"]
    with subprocess.Popen([sys.executable, str(OUTLET), "amp", *options], stdout=subprocess.PIPE, text=True) as device:
        try:
            assert device.stdout.readline() == "announced\n"
            said = sources("--timeout", "3")
            listed = json.loads(sources("--timeout", "3", "--json").stdout)
        finally:
            device.kill()
    assert said.returncode == 0
    assert said.stdout.startswith("amp\tEEG\t250 Hz\t2: C3, ECG (mV, uV)\t")
    assert said.stdout.endswith("plain lsl takes channel ECG of 'amp'\n")
    (one,) = listed["streams"]
    assert (one["name"], one["rate"], one["numeric"], one["plain_lsl_channel"]) == ("amp", 250, True, 1)
    assert one["channels"][1] == {"label": "ECG", "type": "", "unit": "mV"}


@pytest.mark.parametrize("timeout", ["0", "-1", "inf", "nan"])
def test_bad_timeout(timeout, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["sources", "--timeout", timeout])
    assert (ended.value.code, capsys.readouterr().err.count("\n")) == (2, 1)
