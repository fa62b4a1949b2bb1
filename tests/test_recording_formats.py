"""Recordings of other programs, and what ``detect --out`` leaves for them: read back, each by its own library."""

import asyncio
import csv
import json
import struct
import warnings
import xml.sax.saxutils as sax

import numpy as np
import pytest

from streamqrs.cli.app import main
from streamqrs.errors import BadRecord, SinkError, SourceNotFound
from streamqrs.metrics import score
from streamqrs.ports import open_source
from streamqrs.records import find_records, read_record
from streamqrs.scanner import VirtualPatient
from streamqrs.xdf_files import place_samples

RATE, SECONDS = 500, 30


@pytest.fixture(scope="module")
def patient():
    """Samples in mV, and the samples of their R peaks."""
    patient = VirtualPatient(rate=RATE, seed=8)
    samples = patient.read(RATE * SECONDS)
    return samples, np.array([at for at, _ in patient.take_beats()])


def detect(*arguments, code=0):
    with pytest.raises(SystemExit) as left:
        main(["detect", *map(str, arguments), "--model", "base"])
    assert left.value.code == code


def assert_found(path, truth, *options):
    """The command finds the beats, and each of its outputs names the same ones."""
    out = path.with_name("beats.csv")
    detect(path, "--out", out, "--force", *options)
    with out.open() as file:
        times = np.array([float(row["time_s"]) for row in csv.DictReader(file)])
    assert score(truth / RATE, times, 0.02, lead_in_s=0).f1 > 99


# XDF, written by hand as its specification says


def _chunk(tag, content):
    size = len(content) + 2
    return b"\x04" + struct.pack("<IH", size, tag) + content


def _header(stream, name, kind, rate, form, channels):
    listed = "".join(f"<channel><label>{sax.escape(c)}</label><unit>mV</unit></channel>" for c in channels)
    xml = (
        f'<?xml version="1.0"?><info><name>{name}</name><type>{kind}</type><channel_count>{len(channels)}'
        f"</channel_count><nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format>"
        f"<created_at>1</created_at><desc><channels>{listed}</channels></desc></info>"
    )
    return _chunk(2, struct.pack("<I", stream) + xml.encode())


def _samples(stream, stamps, rows):
    content = struct.pack("<IBI", stream, 4, len(stamps))
    for stamp, row in zip(stamps, rows, strict=True):
        content += b"\x08" + struct.pack("<d", stamp)
        if isinstance(row, str):
            content += b"\x04" + struct.pack("<I", len(row.encode())) + row.encode()
        else:
            content += struct.pack(f"<{len(row)}f", *row)
    return _chunk(3, content)


def _footer(stream, stamps):
    xml = f"<info><first_timestamp>{stamps[0]}</first_timestamp><last_timestamp>{stamps[-1]}</last_timestamp></info>"
    return _chunk(6, struct.pack("<I", stream) + xml.encode())


def write_xdf(path, *streams):
    """Each stream is (name, type, nominal rate, labels, stamps, rows); rows of text are markers."""
    content = b"XDF:" + _chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')
    for number, (name, kind, rate, labels, stamps, rows) in enumerate(streams, 1):
        form = "string" if isinstance(rows[0], str) else "float32"
        content += _header(number, name, kind, rate, form, labels)
        content += _samples(number, stamps, rows) + _footer(number, stamps)
    path.write_bytes(content)
    return path


def stamps_of(n, *, begin=5000.0, jitter=0.0, seed=0):
    return begin + np.arange(n) / RATE + np.random.default_rng(seed).normal(0, jitter, n)


def rows(*columns):
    return [tuple(map(float, row)) for row in zip(*columns, strict=True)]


def test_xdf_of_a_lab_recorder(tmp_path, patient):
    x, beats = patient
    stamps = stamps_of(len(x))
    path = write_xdf(
        tmp_path / "lab.xdf",
        ("Eyes", "Gaze", 60, ["x"], stamps[:60], rows(np.arange(60))),
        ("Amp", "EEG", RATE, ["Fz", "ECG"], stamps, rows(np.zeros(len(x)), x)),
        ("Amp-truth", "Markers", 0, ["beat"], stamps[beats], ["N"] * len(beats)),
        ("Task", "Markers", 0, ["event"], stamps[:3], ["go", "R", "stop"]),
    )
    record = read_record(path)
    assert (record.lead, record.unit, record.rate, record.clock) == ("ECG", "mV", RATE, "lsl")
    np.testing.assert_allclose(record.samples, x)
    assert record.beats.tolist() == beats.tolist()
    assert (record.time(0), record.time(RATE)) == (pytest.approx(5000), pytest.approx(5001))
    assert_found(path, beats)


def test_xdf_is_replayed_on_its_own_clock_with_its_gaps(tmp_path, patient):
    """LSL stamps jitter; a stall of the sender is no loss, 0.6 s that are not there are one."""
    x, _ = patient
    n = len(x)
    stamps = stamps_of(n, jitter=0.003)
    stall = slice(3000, 3200)  # sent 0.4 s late, all at once
    stamps[stall] = stamps[3200]
    keep = np.r_[0:6000, 6300:n]
    path = write_xdf(tmp_path / "gap.xdf", ("Amp", "ECG", RATE, ["II"], stamps[keep], rows(x[keep])))
    record = read_record(path)
    missing = np.flatnonzero(np.isnan(record.samples))
    assert len(record.samples) == pytest.approx(n, abs=2)
    assert missing[0] == 6000
    assert len(missing) == pytest.approx(300, abs=2)

    async def play():
        async with open_source(f"file:{path},speed=max") as source:
            return source.info, [chunk async for chunk in source]

    info, chunks = asyncio.run(play())
    assert info.clock == "lsl"
    assert [chunk.time for chunk in chunks] == pytest.approx([5000 + i for i in range(SECONDS)], abs=0.005)


@pytest.mark.parametrize("rate", [250.0, 1000.0])
def test_lost_samples_are_told_from_late_ones(rate):
    n = 20_000
    rng = np.random.default_rng(3)
    true = np.arange(n) / rate
    sent = np.maximum.accumulate(true + rng.exponential(0.004, n))  # never early, and in order
    assert place_samples(sent, rate).tolist() == [*range(n)]
    drifting = sent * (1 + 1e-4)
    assert place_samples(drifting, rate)[-1] == pytest.approx(n - 1, abs=1)
    keep = np.r_[0:5000, 5100:12_000, 12_400:n]
    place = place_samples(sent[keep], rate)
    assert np.flatnonzero(np.diff(place) > 1).tolist() == [4999, 11_899]
    assert place[-1] == pytest.approx(n - 1, abs=0.012 * rate)


@pytest.mark.parametrize(
    ("lead", "wanted"),
    [
        (None, "none is an ECG by its label: choose one of Amp/Fz, Amp/Cz"),
        ("Oz", "no lead 'Oz': it has Amp/Fz, Amp/Cz"),
    ],
)
def test_xdf_without_an_ecg(tmp_path, lead, wanted):
    x = np.sin(np.arange(2000.0))
    path = write_xdf(tmp_path / "a.xdf", ("Amp", "EEG", RATE, ["Fz", "Cz"], stamps_of(2000), rows(x, x)))
    with pytest.raises(SourceNotFound) as raised:
        read_record(path, lead=lead)
    assert wanted in str(raised.value)
    assert read_record(path, lead="1").lead == read_record(path, lead="amp/cz").lead == "Cz"


@pytest.mark.parametrize("content", [b"", b"XDF:", b"XDF:" + bytes(100), b"hello" * 50])
def test_what_is_no_xdf(tmp_path, content, caplog):
    (tmp_path / "a.xdf").write_bytes(content)
    with pytest.raises(BadRecord) as error:
        read_record(tmp_path / "a.xdf")
    assert "a.xdf" in str(error.value)
    assert not caplog.records  # the library would print a traceback
    assert "\n" not in str(error.value)


# BrainVision


HEADER = """BrainVision Data Exchange Header File Version 1.0
; a comment
[Common Infos]
Codepage=UTF-8
DataFile={data}
MarkerFile={marks}
DataFormat=BINARY
DataOrientation={orientation}
NumberOfChannels=2
SamplingInterval={interval}

[Binary Infos]
BinaryFormat={form}

[Channel Infos]
Ch1=Fp1,,0.5,µV
Ch2=EKG\\1 left,,{resolution},µV
"""
MARKS = """BrainVision Data Exchange Marker File, Version 1.0
[Common Infos]
DataFile=rec.eeg
[Marker Infos]
Mk1=New Segment,,1,1,0,20260101120000000000
{marks}
"""


def write_brainvision(folder, x, beats=(), *, form="INT_16", orientation="MULTIPLEXED", data="rec.eeg", kind="Peak"):
    resolution = 1.0 if form == "IEEE_FLOAT_32" else 0.5
    values = np.stack([np.zeros(len(x)), np.asarray(x) * 1000 / resolution])
    dtype = {"INT_16": "<i2", "INT_32": "<i4", "IEEE_FLOAT_32": "<f4"}[form]
    table = values if orientation == "VECTORIZED" else values.T
    (folder / "rec.eeg").write_bytes((table if "F" in form else np.round(table)).astype(dtype).tobytes())
    (folder / "rec.vhdr").write_text(
        HEADER.format(data=data, marks="rec.vmrk" if len(beats) else "", orientation=orientation,
                      interval=1e6 / RATE, form=form, resolution=resolution), encoding="utf-8",
    )  # fmt: skip
    lines = [f"Mk{i + 2}={kind},R,{at + 1},1,2" for i, at in enumerate(beats)]
    (folder / "rec.vmrk").write_text(MARKS.format(marks="\n".join(lines)), encoding="utf-8")
    return folder / "rec.vhdr"


@pytest.mark.parametrize("orientation", ["MULTIPLEXED", "VECTORIZED"])
@pytest.mark.parametrize("form", ["INT_16", "INT_32", "IEEE_FLOAT_32"])
def test_brainvision(tmp_path, patient, form, orientation, monkeypatch):
    monkeypatch.setattr("streamqrs.brainvision_files.BLOCK", 5000)
    x, beats = patient
    record = read_record(write_brainvision(tmp_path, x, beats, form=form, orientation=orientation))
    assert (record.lead, record.unit, record.rate) == ("EKG, left", "µV", RATE)
    np.testing.assert_allclose(record.samples, x * 1000, atol=0.3)
    assert record.beats.tolist() == beats.tolist()


def test_brainvision_from_the_command_line(tmp_path, patient):
    path = write_brainvision(tmp_path, *patient)
    assert_found(path, patient[1])
    assert [*find_records(tmp_path)][-1] == path


def test_stimuli_and_responses_of_brainvision_are_no_beats(tmp_path, patient):
    assert read_record(write_brainvision(tmp_path, *patient, kind="Response")).beats is None


def test_a_brainvision_recording_that_was_renamed(tmp_path, patient):
    x, _ = patient
    np.testing.assert_allclose(
        read_record(write_brainvision(tmp_path, x, data="before.eeg")).samples, x * 1000, atol=0.3
    )


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("BrainVision Data", "Something else", "does not begin"),
        ("DataFormat=BINARY", "DataFormat=ASCII", "allowed is BINARY"),
        ("BinaryFormat=INT_16", "BinaryFormat=INT_8", "allowed are INT_16"),
        ("NumberOfChannels=2", "NumberOfChannels=3", "ch3"),
        ("NumberOfChannels=2", "NumberOfChannels=x", "cannot be read"),
        ("NumberOfChannels=2", "NumberOfChannels=0", "no lead at all"),
        ("SamplingInterval=2000.0", "SamplingInterval=0", "cannot be read"),
        ("SamplingInterval=2000.0", "", "samplinginterval"),
        ("DataFile=rec.eeg", "DataFile=other.dat", "names other.dat"),
        ("[Binary Infos]", "[Other Infos]", "binary infos"),
    ],
)
def test_a_brainvision_header_that_is_wrong(tmp_path, patient, old, new, wanted):
    path = write_brainvision(tmp_path, patient[0])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BadRecord) as error:
        read_record(path)
    assert wanted in str(error.value)
    assert "\n" not in str(error.value)


# what detect writes


@pytest.fixture(scope="module")
def recording(patient, tmp_path_factory):
    path = tmp_path_factory.mktemp("rec") / "rec.npz"
    np.savez(path, ecg=patient[0], rate=RATE, lead="II")
    return path


def test_a_table_for_bids(recording, patient, tmp_path, capsys):
    out = tmp_path / "sub-01_task-rest_events.tsv"
    detect(recording, "--out", out)
    with out.open() as file:
        table = [*csv.DictReader(file, delimiter="\t")]
    assert [*table[0]][:3] == ["onset", "duration", "trial_type"]
    onsets = np.array([float(row["onset"]) for row in table])
    assert score(patient[1] / RATE, onsets, 0.02, lead_in_s=0).f1 > 99
    samples = np.array([int(row["sample"]) for row in table])
    assert np.abs(samples - onsets * RATE).max() < 0.51  # onsets are rounded, too
    assert {row["trial_type"] for row in table} == {"qrs"}
    assert [row["rr"] for row in table[:1]] == ["n/a"]
    sidecar = json.loads(out.with_suffix(".json").read_text())
    assert set(sidecar) == set(table[0])
    assert "model base" in sidecar["trial_type"]["Description"]


def test_a_sidecar_that_is_there_is_not_replaced_unasked(recording, tmp_path, capsys):
    (tmp_path / "a_events.json").write_text("{}")
    detect(recording, "--out", tmp_path / "a_events.tsv", code=1)
    assert "a_events.json is there already" in capsys.readouterr().err
    assert not (tmp_path / "a_events.tsv").exists()
    detect(recording, "--out", tmp_path / "a_events.tsv", "--force")
    assert (tmp_path / "a_events.json").read_text() != "{}"


def test_edf_annotations(recording, patient, tmp_path):
    import edfio

    out = tmp_path / "beats.edf"
    detect(recording, "--out", out)
    edf = edfio.read_edf(out)
    onsets = np.array([note.onset for note in edf.annotations])
    assert score(patient[1] / RATE, onsets, 0.02, lead_in_s=0).f1 > 99
    assert {note.text for note in edf.annotations} == {"QRS"}
    assert len(edf.signals) == 0


def test_edf_annotations_in_a_recording_are_its_beats(patient, tmp_path):
    """What detect writes as EDF+ says of an EDF recording what its own annotations would."""
    import edfio

    x, _ = patient
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = edfio.EdfSignal(x.astype(np.float64), RATE, label="ECG", physical_dimension="mV")
    edfio.Edf([signal]).write(tmp_path / "rec.edf")
    detect(tmp_path / "rec.edf", "--out", tmp_path / "beats.edf")
    notes = edfio.read_edf(tmp_path / "beats.edf").annotations
    edfio.Edf([signal], annotations=notes).write(tmp_path / "both.edf")
    record = read_record(tmp_path / "both.edf")
    assert record.beats.tolist() == [round(note.onset * RATE) for note in notes]
    assert set(record.labels) == {"N"}


def test_the_recording_itself_is_never_replaced(patient, tmp_path, capsys):
    import edfio

    edfio.Edf([edfio.EdfSignal(patient[0].astype(np.float64), RATE, label="ECG")]).write(tmp_path / "rec.edf")
    before = (tmp_path / "rec.edf").read_bytes()
    detect(tmp_path / "rec.edf", "--out", tmp_path / "rec.edf", "--force", code=2)
    assert "is the recording itself" in capsys.readouterr().err
    assert (tmp_path / "rec.edf").read_bytes() == before


def test_no_beats_are_a_file_all_the_same(tmp_path):
    import edfio

    from streamqrs.beat_files import write_beats

    write_beats(tmp_path / "a.edf", [], RATE)
    write_beats(tmp_path / "a_events.tsv", [], RATE)
    assert [note.text for note in edfio.read_edf(tmp_path / "a.edf").annotations] == ["no QRS found"]
    assert (tmp_path / "a_events.tsv").read_text().count("\n") == 1
    with pytest.raises(SinkError, match="is there already"):
        write_beats(tmp_path / "a.edf", [], RATE)
