"""Without the library of an extra, each adapter and format says in one line how to get it."""

import sys

import numpy as np
import pytest

from streamqrs.beat_files import check_target
from streamqrs.errors import MissingExtra
from streamqrs.ports import open_source
from streamqrs.records import read_record


@pytest.mark.parametrize(
    ("library", "spec", "extra"),
    [("serial", "serial:x", "serial"), ("brainflow", "brainflow:cyton", "brainflow"), ("bleak", "polar", "ble")],
)
def test_a_source(monkeypatch, library, spec, extra):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not there
    with pytest.raises(MissingExtra, match=rf"pip install \"streamqrs\[{extra}\]\""):
        open_source(spec)


@pytest.mark.parametrize(("library", "name"), [("pyxdf", "a.xdf"), ("edfio", "a.edf"), ("wfdb", "a.hea")])
def test_a_recording(monkeypatch, tmp_path, library, name):
    (tmp_path / name).write_bytes(bytes(300))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"{library} is not installed: pip install \"streamqrs\[files\]\""):
        read_record(tmp_path / name)


@pytest.mark.parametrize(("library", "name"), [("edfio", "a.edf"), ("wfdb", "a.atr")])
def test_a_file_of_beats_before_there_are_beats(monkeypatch, tmp_path, library, name):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=library):
        check_target(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a.vhdr"])
def test_what_needs_none(monkeypatch, tmp_path, name):
    for library in ("pyxdf", "edfio", "wfdb"):
        monkeypatch.setitem(sys.modules, library, None)
    x = np.sin(np.arange(1000.0))
    np.savez(tmp_path / "a.npz", ecg=x, rate=250)
    np.savetxt(tmp_path / "a.csv", x, header="rate: 250")
    x.astype("<f4").tofile(tmp_path / "a.eeg")
    (tmp_path / "a.vhdr").write_text(
        "BrainVision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=a.eeg\nNumberOfChannels=1\n"
        "SamplingInterval=4000\n[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\nCh1=ECG,,1,mV\n"
    )
    np.testing.assert_allclose(read_record(tmp_path / name).samples, x, atol=1e-6)
