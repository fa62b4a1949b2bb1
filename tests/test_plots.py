"""Figures: what is drawn, and where it is written."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from streamqrs.errors import SinkError
from streamqrs.metrics import Score
from streamqrs.plots import STRIP_S, STRIPS, check_plot, plot_detection, plot_evaluation, strip_starts, use_style
from streamqrs.records import Record
from streamqrs.scores import Evaluation, RecordScore
from streamqrs.types import Beat


def record(seconds=25):
    x = np.sin(np.arange(seconds * 250) / 20).astype(np.float32)
    x[1000:1100] = np.nan
    return Record("case", x, 250.0, "II", "mV", np.arange(100, seconds * 250, 200))


def beats(seconds=25):
    times = np.arange(0.4, seconds, 0.8)
    return [Beat(k, "beat", 0, t, 0.3 if k == 5 else 0.9, 0.8 if k else None, t + 0.5) for k, t in enumerate(times)]


def texts(path):
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_a_detection_is_drawn_and_the_same_data_give_the_same_file(tmp_path, ending):
    one, other = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    for path in (one, other):
        plot_detection(record(), beats(), path, title="case: 31 beats")
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes().startswith(b"\x89PNG" if ending == ".png" else b"<?xml")
    if ending == ".svg":
        assert {"case: 31 beats", "RR in ms", "mV", "time in s", "0.30"} <= set(texts(one))


@pytest.mark.parametrize("found", [[], beats()[:1]])
def test_a_recording_with_hardly_a_beat_is_drawn(tmp_path, found):
    plot_detection(record(4), found, tmp_path / "a.svg", title="nothing")
    assert "nothing" in texts(tmp_path / "a.svg")


def test_strips_show_all_of_a_short_recording_and_the_least_sure_beats_of_a_long_one():
    assert strip_starts(25, []) == [0, 10, 20]
    unsure = [(1003.0, 0.2), (1004.0, 0.25), (2000.0, 0.3), (500.0, 0.99)]
    starts = strip_starts(3600, unsure)
    assert len(starts) == STRIPS
    assert starts[0] == 0
    assert starts[-1] == 3600 - STRIP_S
    for time in (1003.0, 2000.0):
        assert any(start <= time < start + STRIP_S for start in starts)
    assert starts == sorted(starts)


def test_an_evaluation_is_drawn_with_its_figures(tmp_path):
    offsets = np.random.default_rng(0).normal(2, 4, 95)
    scores = {t: Score(95, 3, 5, offsets) for t in (50.0, 75.0, 150.0)}
    rows = tuple(RecordScore(name, "II", "", True, 60.0, scores) for name in ("100", "203"))
    result = Evaluation("mri", "1", "0" * 64, "mitdb:test", "", 75.0, (50.0, 75.0, 150.0), rows)
    plot_evaluation(result, tmp_path / "e.svg")
    found = texts(tmp_path / "e.svg")
    assert any("mri 1 on mitdb:test" in text and "Se 95.00" in text for text in found)
    assert {"100", "203"} <= set(found)
    assert any(text.startswith("p50") for text in found)


def test_what_cannot_be_written_is_said_before_anything_is_drawn(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(SinkError, match="is there already"):
        check_plot(tmp_path / "a.png")
    assert check_plot(tmp_path / "a.png", overwrite=True) == tmp_path / "a.png"
    with pytest.raises(ValueError, match=r"allowed are \.png, \.svg"):
        check_plot(tmp_path / "a.pdf")
    with pytest.raises(SinkError, match="no folder"):
        check_plot(tmp_path / "none" / "a.png")


def test_the_style_leaves_nothing_behind():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with use_style():
        assert matplotlib.rcParams["axes.grid"]
    assert dict(matplotlib.rcParams) == before
