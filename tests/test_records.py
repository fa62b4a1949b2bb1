"""Recordings: what is read is what was written, and bad ones are refused with one line."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamqrs.beat_files import write_beats
from streamqrs.csv_files import time_grid
from streamqrs.errors import BadRecord, SinkError, SourceNotFound, StreamqrsError
from streamqrs.records import find_records, read_record
from streamqrs.types import Beat, SourceInfo, Started
from streamqrs.wfdb_files import encode_marks, load_wfdb

DATA = Path(os.environ.get("STREAMQRS_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
RATE = 300


def wave(n=1800, seed=0):
    rng = np.random.default_rng(seed)
    return (np.sin(np.arange(n) / 9) + 0.1 * rng.standard_normal(n)).astype(np.float32)


def write_wfdb(folder, name="rec", leads=("MLII", "V5"), fs=RATE, beats=(400, 700, 1000), symbols="NVN", **options):
    wfdb = load_wfdb()
    x = np.stack([wave(seed=i) for i in range(len(leads))], axis=1).astype(np.float64)
    wfdb.wrsamp(
        name, fs=fs, units=["mV"] * len(leads), sig_name=list(leads), p_signal=x, fmt=["16"] * len(leads),
        write_dir=str(folder), **options,
    )  # fmt: skip
    if beats:
        wfdb.wrann(name, "atr", np.array(beats), symbol=list(symbols), fs=fs, write_dir=str(folder))
    return folder / name


def write_text(folder, text, name="ecg.csv"):
    (folder / name).write_text(text)
    return folder / name


def beats_at(*times):
    return [Beat(i, "beat", round(t * 250), t, 0.9, None if i == 0 else 0.8, t + 0.5) for i, t in enumerate(times)]


def assert_one_line(error, *wanted):
    text = str(error.value)
    assert "\n" not in text
    for part in wanted:
        assert part in text, text


# WFDB


@pytest.mark.parametrize("ending", ["", ".hea", ".dat"])
def test_wfdb_by_its_bare_name_or_one_of_its_files(tmp_path, ending):
    record = read_record(f"{write_wfdb(tmp_path)}{ending}")
    assert (record.name, record.lead, record.unit, record.rate) == ("rec", "MLII", "mV", RATE)
    np.testing.assert_allclose(record.samples, wave(), atol=1e-3)
    assert record.beats.tolist() == [400, 700, 1000]
    assert record.labels == ("N", "V", "N")
    assert record.samples.dtype == np.float32


@pytest.mark.parametrize("lead", ["V5", "v5", 1, "1"])
def test_a_lead_by_name_or_index(tmp_path, lead):
    record = read_record(write_wfdb(tmp_path), lead=lead)
    assert record.lead == "V5"
    np.testing.assert_allclose(record.samples, wave(seed=1), atol=1e-3)


def test_the_lead_labelled_ecg_is_the_default(tmp_path):
    assert read_record(write_wfdb(tmp_path, leads=("EEG Fz", "ECG"))).lead == "ECG"


@pytest.mark.parametrize("lead", ["V9", 2, "2", "-1"])
def test_a_missing_lead_is_told_with_those_that_are_there(tmp_path, lead):
    with pytest.raises(SourceNotFound) as error:
        read_record(write_wfdb(tmp_path), lead=lead)
    assert_one_line(error, f"{str(lead)!r}", "MLII, V5")


def test_only_codes_of_beats_are_beats(tmp_path):
    record = read_record(write_wfdb(tmp_path, beats=(100, 400, 500, 700), symbols='~N"V'))
    assert record.labels == ("N", "V")


def test_without_annotations_beats_are_unknown(tmp_path):
    record = read_record(write_wfdb(tmp_path, beats=()))
    assert record.beats is None
    assert record.labels is None


def test_each_lead_with_annotations_of_its_own(tmp_path):
    path = write_wfdb(tmp_path, leads=("i", "ii"), beats=())
    path.with_suffix(".ii").write_bytes(encode_marks([500, 900], RATE))
    assert read_record(path, lead="ii").beats.tolist() == [500, 900]
    assert read_record(path, lead="i").beats is None
    assert read_record(path, lead="i", annotator="ii").beats.tolist() == [500, 900]


def test_an_annotator_that_is_asked_for_must_be_there(tmp_path):
    with pytest.raises(SourceNotFound, match=r"rec\.qrs"):
        read_record(write_wfdb(tmp_path), annotator="qrs")


def test_several_samples_a_frame_keep_their_own_rate(tmp_path):
    path = tmp_path / "frames"
    slow, fast = np.arange(800), 2000 * np.sin(np.arange(3200) / 5)
    frames = np.concatenate([slow[:, None], fast.reshape(800, 4)], axis=1).astype("<i2")
    path.with_suffix(".dat").write_bytes(frames.tobytes())
    path.with_suffix(".hea").write_text(
        "frames 2 125 800\nframes.dat 16 100/mV 16 0 0 0 0 RESP\nframes.dat 16x4 200/mV 16 0 0 0 0 ECG\n"
    )
    record = read_record(path)
    assert (record.lead, record.rate, len(record.samples)) == ("ECG", 500, 3200)
    np.testing.assert_allclose(record.samples, np.trunc(fast) / 200, atol=1e-4)


def test_segments_with_a_gap_between_them(tmp_path, monkeypatch):
    write_wfdb(tmp_path, "one", beats=())
    write_wfdb(tmp_path, "two", beats=())
    (tmp_path / "layout.hea").write_text("layout 2 300 0\n~ 0 1/mV 16 0 0 0 0 MLII\n~ 0 1/mV 16 0 0 0 0 V5\n")
    (tmp_path / "all.hea").write_text("all/4 2 300 4600\nlayout 0\none 1800\n~ 1000\ntwo 1800\n")
    for block in (1 << 20, 1000):
        monkeypatch.setattr("streamqrs.wfdb_files.BLOCK", block)
        record = read_record(tmp_path / "all", lead="V5")
        assert np.flatnonzero(np.isnan(record.samples)).tolist() == [*range(1800, 2800)]
        np.testing.assert_allclose(record.samples[2800:], wave(seed=1), atol=1e-3)


def test_long_recordings_are_read_in_blocks_that_fit_together(tmp_path, monkeypatch):
    path = write_wfdb(tmp_path)
    whole = read_record(path, lead=1).samples
    monkeypatch.setattr("streamqrs.wfdb_files.BLOCK", 1000)
    np.testing.assert_array_equal(read_record(path, lead=1).samples, whole)


def test_a_header_that_promises_more_than_the_file_holds(tmp_path):
    path = write_wfdb(tmp_path)
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace(" 1800", " 99999999999"))
    with pytest.raises(BadRecord) as error:
        read_record(path)
    assert_one_line(error, "99999999999", "holds 1800")


def test_a_header_without_its_signal_file(tmp_path):
    path = write_wfdb(tmp_path)
    path.with_suffix(".dat").unlink()
    with pytest.raises(BadRecord, match=r"rec\.dat, which is not there"):
        read_record(path)


@pytest.mark.parametrize("text", ["", "rec", "rec 2 x y\n", "\0\1\2" * 99, "rec 1 300 1800\n../../rec.dat 16 200\n"])
def test_a_broken_header(tmp_path, text):
    path = write_wfdb(tmp_path)
    path.with_suffix(".hea").write_text(text)
    with pytest.raises(StreamqrsError) as error:
        read_record(path)
    assert_one_line(error, "rec")


def test_a_mark_outside_the_signal(tmp_path):
    with pytest.raises(BadRecord) as error:
        read_record(write_wfdb(tmp_path, beats=(400, 1800), symbols="NN"))
    assert_one_line(error, "1800", "0 to 1799")


def test_rhythms_are_read(tmp_path):
    path = write_wfdb(tmp_path, beats=())
    notes = ["(AFIB", "", "(N"]
    load_wfdb().wrann("rec", "atr", np.array([5, 400, 900]), symbol=["+", "N", "+"], aux_note=notes, fs=RATE,
                      write_dir=str(tmp_path))  # fmt: skip
    assert read_record(path).rhythms == ((5, "AFIB"), (900, "N"))


# EDF


def write_edf(path, labels=("EEG Fz", "ECG II"), annotations=(), bdf=False):
    import edfio

    kind = edfio.BdfSignal if bdf else edfio.EdfSignal
    signals = [
        kind(wave(seed=i).astype(np.float64), RATE, label=label, physical_dimension="mV", physical_range=(-2, 2))
        for i, label in enumerate(labels)
    ]
    notes = [edfio.EdfAnnotation(t, None, text) for t, text in annotations]
    (edfio.Bdf if bdf else edfio.Edf)(signals, annotations=notes).write(path)
    return path


@pytest.mark.parametrize("bdf", [False, True])
def test_edf_and_bdf(tmp_path, bdf):
    path = write_edf(tmp_path / f"a.{'bdf' if bdf else 'edf'}", bdf=bdf)
    record = read_record(path)
    assert (record.lead, record.unit, record.rate, record.beats) == ("ECG II", "mV", RATE, None)
    np.testing.assert_allclose(record.samples, wave(seed=1), atol=1e-4)
    assert read_record(path, lead="EEG Fz").lead == "EEG Fz"


def test_edf_annotations_that_are_beats(tmp_path):
    path = write_edf(tmp_path / "a.edf", annotations=[(2.0, "R peak"), (1.0, "V"), (3.0, "patient moved")])
    record = read_record(path)
    assert record.beats.tolist() == [300, 600]
    assert record.labels == ("V", "N")


def test_an_edf_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path):
    path = write_edf(tmp_path / "a.edf")
    path.write_bytes(path.read_bytes()[:-2000])
    record = read_record(path, lead="ECG II")
    assert len(record.samples) == 1200
    np.testing.assert_allclose(record.samples, wave(seed=1)[:1200], atol=1e-4)


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"0" + b" " * 255])
def test_what_only_calls_itself_edf(tmp_path, content):
    (tmp_path / "a.edf").write_bytes(content)
    with pytest.raises(BadRecord) as error:
        read_record(tmp_path / "a.edf")
    assert_one_line(error, "a.edf")


def test_edf_with_interruptions_is_refused(tmp_path):
    path = write_edf(tmp_path / "a.edf", annotations=[(1.0, "N")])
    content = bytearray(path.read_bytes())
    content[192:197] = b"EDF+D"
    path.write_bytes(content)
    with pytest.raises(BadRecord, match="interruptions"):
        read_record(path)


# CSV


def rows(*columns, delimiter=",", form="%.6g"):
    return "\n".join(delimiter.join(form % v for v in row) for row in zip(*columns, strict=True)) + "\n"


TIME = np.arange(1800) / RATE


@pytest.mark.parametrize(
    ("text", "lead", "unit"),
    [
        ("time,ecg\n" + rows(TIME, wave()), "ecg", ""),
        ("Time (s);ECG (mV);SpO2\n" + rows(TIME, wave(), TIME, delimiter=";"), "ECG", "mV"),
        ("time_ms\tII_uV\n" + rows(TIME * 1000, wave(), delimiter="\t"), "II", "uV"),
        ("# device 7\n# rate: 300\nvalue\n" + rows(wave()), "value", ""),
        ("# fs = 300 Hz\n" + rows(wave()), "", ""),
        (rows(TIME, wave(), delimiter=" "), "", ""),
        ("sample,MLII\n# sampling rate: 300\n" + rows(np.arange(1800), wave()), "MLII", ""),
        ("'Elapsed time','MLII'\n'seconds','mV'\n" + rows(TIME, wave()), "MLII", "mV"),
    ],
)
def test_csv_in_many_forms(tmp_path, text, lead, unit):
    record = read_record(write_text(tmp_path, text))
    assert (record.rate, record.lead, record.unit) == (RATE, lead, unit)
    np.testing.assert_allclose(record.samples, wave(), rtol=1e-5, atol=1e-6)


def test_csv_without_a_rate_takes_the_one_given(tmp_path):
    path = write_text(tmp_path, rows(wave()))
    assert read_record(path, rate=RATE).rate == RATE
    with pytest.raises(BadRecord, match="does not say its sampling rate"):
        read_record(path)


def test_a_rate_that_is_not_the_files(tmp_path):
    path = write_text(tmp_path, "# rate: 300\n" + rows(wave()))
    with pytest.raises(ValueError, match="given as 360 Hz: ecg says 300 Hz"):
        read_record(path, rate=360)


def test_a_column_of_beats(tmp_path):
    mark = np.zeros(1800)
    mark[[300, 600]] = 1
    record = read_record(write_text(tmp_path, "time,ecg,beat\n" + rows(TIME, wave(), mark)))
    assert record.beats.tolist() == [300, 600]
    assert record.labels is None


def test_a_lead_of_several_columns(tmp_path):
    path = write_text(tmp_path, "time,I,II\n" + rows(TIME, wave(), wave(seed=1)))
    assert read_record(path, lead="II").lead == "II"
    assert read_record(path).lead == "I"
    with pytest.raises(SourceNotFound, match="it has I, II"):
        read_record(path, lead="time")


def test_empty_cells_are_missing_samples(tmp_path):
    lines = rows(TIME, wave()).splitlines()
    lines[100] = lines[100].split(",")[0] + ","
    lines[101] = lines[101].split(",")[0] + ",nan"
    record = read_record(write_text(tmp_path, "time,ecg\n" + "\n".join(lines)))
    assert np.flatnonzero(np.isnan(record.samples)).tolist() == [100, 101]


def test_missing_rows_are_missing_samples(tmp_path):
    keep = np.r_[0:500, 520:1800]
    mark = (np.arange(1800) == 900).astype(float)
    record = read_record(write_text(tmp_path, "time,ecg,beat\n" + rows(TIME[keep], wave()[keep], mark[keep])))
    assert record.rate == pytest.approx(RATE, rel=1e-4)
    assert len(record.samples) == 1800
    assert np.flatnonzero(np.isnan(record.samples)).tolist() == [*range(500, 520)]
    assert record.beats.tolist() == [900]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "no row of numbers"),
        ("time,ecg\n", "no row of numbers"),
        ("# rate: 300\n" + rows(wave()) + "seven\n", "seven"),
        ("time,ecg\n" + rows(TIME[::-1], wave()), "times must rise"),
        ("time,ecg\n0,1\n" + "1,2\n" * 300, "most rows have one and the same time"),
        ("time,ecg\n" + rows(TIME * 1000, wave()), "0.3 Hz"),
        ("time,ecg,x\n" + rows(TIME, wave()), "3 columns in the header"),
        ("time\n" + rows(TIME), "no column of samples"),
        ("# rate: 0\n" + rows(wave()), "0 Hz"),
        ("# rate: -300\n" + rows(wave()), "-300 Hz"),
        ("# rate: 300\n" + rows(wave(600)), "lasts 2 s"),
        ("# rate: 300\n" + "nan\n" * 1000, "NaN"),
        ("# rate: 300\n" + "0.5\n" * 1000, "flat line"),
        ("a\nb\nc\nd\n", "no row of numbers"),
    ],
)
def test_bad_csv(tmp_path, text, wanted):
    with pytest.raises(BadRecord) as error:
        read_record(write_text(tmp_path, text))
    assert_one_line(error, "ecg", wanted)


def test_binary_that_calls_itself_csv(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(256)) * 1000)
    with pytest.raises(BadRecord):
        read_record(tmp_path / "a.csv")


@given(st.sampled_from([128.0, 250.0, 257.3, 360.0, 500.0, 1000.0]), st.integers(1000, 20000), st.floats(0, 2e9))
def test_the_rate_comes_back_from_rounded_times(rate, n, start):
    found, place = time_grid("x", start + np.round(np.arange(n) / rate, 3))
    assert found == pytest.approx(rate, rel=2 / n)
    assert place.tolist() == [*range(n)]


def test_stamps_of_arrival_are_jitter_not_missing_rows():
    rng = np.random.default_rng(0)
    stamps = np.maximum.accumulate(np.arange(5000) / 200 + rng.exponential(0.01, 5000))
    rate, place = time_grid("x", stamps)
    assert rate == pytest.approx(200, rel=2e-3)
    assert len(place) == place[-1] + 1


# npz


@pytest.mark.parametrize(("key", "fs"), [("ecg", "rate"), ("samples", "fs"), ("signal", "fs")])
def test_npz(tmp_path, key, fs):
    np.savez_compressed(tmp_path / "a.npz", **{key: wave(), fs: RATE, "beats": [5, 300], "lead": "II", "unit": "mV"})
    record = read_record(tmp_path / "a.npz")
    assert (record.rate, record.lead, record.unit) == (RATE, "II", "mV")
    assert record.beats.tolist() == [5, 300]
    np.testing.assert_array_equal(record.samples, wave())


def test_infinite_and_huge_values_are_missing_samples(tmp_path):
    x = wave().astype(np.float64)
    x[[7, 8, 9]] = np.inf, -np.inf, 1e300
    np.savez(tmp_path / "a.npz", ecg=x, rate=RATE)
    assert np.flatnonzero(np.isnan(read_record(tmp_path / "a.npz").samples)).tolist() == [7, 8, 9]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"x": wave(), "rate": RATE}, "wanted is ecg"),
        ({"ecg": wave()}, "sampling rate"),
        ({"ecg": wave(), "rate": [1, 2]}, "one number"),
        ({"ecg": wave(), "rate": np.nan}, "allowed are 100"),
        ({"ecg": wave(), "rate": 50}, "50 Hz"),
        ({"ecg": wave(), "rate": 20_000}, "20000 Hz"),
        ({"ecg": wave().reshape(2, -1), "rate": RATE}, "allowed is (n,)"),
        ({"ecg": wave().astype(complex), "rate": RATE}, "complex"),
        ({"ecg": np.array(["a"] * 2000), "rate": RATE}, "numbers"),
        ({"ecg": wave(), "rate": RATE, "beats": [0.5]}, "whole numbers"),
        ({"ecg": wave(), "rate": RATE, "beats": [-1, 5]}, "sample -1: allowed are 0 to 1799"),
        ({"ecg": np.empty(0), "rate": RATE}, "lasts 0 s"),
        ({"ecg": np.array([{}]), "rate": RATE}, "cannot be loaded"),
    ],
)
def test_bad_npz(tmp_path, content, wanted):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(BadRecord) as error:
        read_record(tmp_path / "a.npz")
    assert_one_line(error, "a", wanted)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 nothing", b"\x93NUMPY\1\0"])
def test_what_only_calls_itself_npz(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadRecord) as error:
        read_record(tmp_path / "a.npz")
    assert_one_line(error, "a.npz")


def test_an_npz_that_promises_more_than_it_holds(tmp_path):
    import zipfile

    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("ecg.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(4000))
    with pytest.raises(BadRecord) as error:
        read_record(tmp_path / "a.npz")
    assert_one_line(error, "a.npz")


def test_annotations_beside_any_file(tmp_path):
    np.savez(tmp_path / "a.npz", ecg=wave(), rate=RATE)
    (tmp_path / "a.atr").write_bytes(encode_marks([77, 400], RATE))
    assert read_record(tmp_path / "a.npz").beats.tolist() == [77, 400]


# Files and folders


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SourceNotFound, match="no recording"):
        read_record(tmp_path / "nothing.hea")
    with pytest.raises(SourceNotFound, match="is a folder"):
        read_record(tmp_path)


def test_an_unknown_ending(tmp_path):
    with pytest.raises(BadRecord, match=r"ends in '\.wav': allowed are \.hea"):
        read_record(write_text(tmp_path, "x", "a.wav"))


def test_recordings_of_a_folder_and_of_a_list(tmp_path):
    write_wfdb(tmp_path, "b")
    np.savez(tmp_path / "a.npz", ecg=wave(), rate=RATE)
    assert [path.name for path in find_records(tmp_path)] == ["a.npz", "b.hea"]
    listed = write_text(tmp_path, "# ours\nb\n\na.npz\n", "list.txt")
    assert [path.name for path in find_records(listed)] == ["b", "a.npz"]
    write_text(tmp_path, "b\n", "RECORDS")
    assert [path.name for path in find_records(tmp_path)] == ["b"]
    assert [read_record(path).name for path in find_records(tmp_path)] == ["b"]
    assert [*find_records(tmp_path / "a.npz")] == [tmp_path / "a.npz"]


def test_a_folder_without_recordings(tmp_path):
    with pytest.raises(SourceNotFound, match="no recordings in"):
        find_records(tmp_path)
    with pytest.raises(SourceNotFound, match="no recording"):
        find_records(tmp_path / "nothing")


# Writing


def test_written_annotations_count_at_the_recordings_own_rate(tmp_path):
    write_beats(tmp_path / "rec.atr", beats_at(1.0, 1.8, 2.6), 360)
    found = load_wfdb().rdann(str(tmp_path / "rec"), "atr")
    assert found.sample.tolist() == [360, 648, 936]
    assert set(found.symbol) == {"N"}
    assert found.fs == 360


def test_no_beats_are_annotations_too(tmp_path):
    write_beats(tmp_path / "rec.atr", [], 360)
    assert load_wfdb().rdann(str(tmp_path / "rec"), "atr").sample.tolist() == []


def test_annotations_a_day_long(tmp_path):
    at = np.arange(1, 100_000) * 864.0 / 1000
    at[-1] += 7200
    write_beats(tmp_path / "rec.atr", beats_at(*at), 1000)
    assert load_wfdb().rdann(str(tmp_path / "rec"), "atr").sample.tolist() == np.round(at * 1000).astype(int).tolist()


def test_a_written_table(tmp_path):
    write_beats(tmp_path / "beats.csv", beats_at(1.0, 1.8), 360)
    lines = (tmp_path / "beats.csv").read_text().splitlines()
    assert lines == [
        "time_s,sample,rr_s,heart_rate,probability", "1.0000,360,,,0.9000", "1.8000,648,0.8000,75.00,0.9000"
    ]  # fmt: skip


def test_written_events_are_those_of_a_run(tmp_path):
    import json

    started = Started(SourceInfo("rec"), 360, "base", "ab" * 32, 500)
    write_beats(tmp_path / "beats.jsonl", beats_at(1.0, 1.8), 360, events=[started])
    events = [json.loads(line) for line in (tmp_path / "beats.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["started", "beat", "beat"]
    assert [event["time"] for event in events[1:]] == [1.0, 1.8]
    assert events[1]["model"] == "base"


def test_a_file_that_is_there_is_kept(tmp_path):
    path = write_text(tmp_path, "mine", "beats.csv")
    with pytest.raises(SinkError, match="is there already"):
        write_beats(path, beats_at(1.0), 360)
    assert path.read_text() == "mine"
    write_beats(path, beats_at(1.0), 360, overwrite=True)
    assert path.read_text().startswith("time_s")
    assert [file.name for file in tmp_path.iterdir()] == ["beats.csv"]


@pytest.mark.parametrize(("name", "error"), [("a.xml", ValueError), ("a", ValueError), ("no/folder/a.csv", SinkError)])
def test_where_beats_cannot_be_written(tmp_path, name, error):
    with pytest.raises(error):
        write_beats(tmp_path / name, beats_at(1.0), 360)


# Real recordings


def real(path):
    if not (DATA / path).with_suffix(".hea").is_file():
        pytest.skip(f"{path} is not there")
    return DATA / path


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "lead", "rate", "n", "beats"),
    [
        ("mitdb/100", "MLII", 360, 650_000, 2273),
        ("qtdb/sel302", None, 250, None, None),
        ("nstdb/118e_6", "MLII", 360, 650_000, 2278),
        ("ludb/data/1", "ii", 500, 5000, 6),
    ],
)
def test_real_recordings(path, lead, rate, n, beats):
    record = read_record(real(path), lead=lead)
    assert record.rate == rate
    assert n is None or len(record.samples) == n
    assert len(record.beats) > 0 if beats is None else len(record.beats) == beats
    whole = load_wfdb().rdrecord(str(real(path)), channel_names=[record.lead]).p_signal[:, 0]
    np.testing.assert_array_equal(record.samples, whole.astype(np.float32))


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("database", ["mitdb", "qtdb", "nstdb", "ludb"])
def test_every_real_recording_can_be_read_with_its_beats(database):
    if not (DATA / database).is_dir():
        pytest.skip(f"{database} is not there")
    for path in find_records(DATA / database):
        assert len(read_record(path).beats)
