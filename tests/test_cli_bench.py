"""``streamqrs bench``: each part by itself, and the README that is written from what they leave."""

import importlib.util
import json
import math
from pathlib import Path

import pytest

from streamqrs.cli.app import main
from streamqrs.model import find, read_sidecar
from streamqrs.settings import Settings

ROOT = Path(__file__).parents[1]


def bench(*arguments, code=0):
    with pytest.raises(SystemExit) as left:
        main(["bench", *map(str, arguments)])
    assert left.value.code == code


def failure(capsys, *arguments, code=2):
    bench(*arguments, code=code)
    error = capsys.readouterr().err
    assert error.startswith("streamqrs: ")
    assert error.count("\n") == 1
    return error


def numbers(value):
    """Every number in a piece of JSON."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, int | float):
        yield value


@pytest.fixture
def write_readme(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("write_readme", ROOT / "bench" / "write_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, path in {"HERE": tmp_path, "RESULTS": tmp_path / "results", "LATENCY": tmp_path / "latency.md"}.items():
        monkeypatch.setattr(module, name, path)
    return module


def test_latency_prints_and_writes_and_draws_and_the_readme_takes_it(tmp_path, capsys, write_readme):
    out = tmp_path / "results"
    bench("latency", "--data", "sim", "--records", "none-101", "--minutes", 0.25, "--seconds", 4.1, "--unpaced",
          "--json", "--out", out)  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "latency.json").read_text())
    assert [point["lookahead_ms"] for point in printed["points"]][:5] == [0, 8, 16, 24, 40]
    assert printed["heard"]["records"] == 1
    assert printed["machine"]["cores"] >= 1
    assert all(math.isfinite(number) for number in numbers(printed))
    for name in ("latency_curve.png", "latency_delays.png", "latency_stages.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    (tmp_path / "latency.md").write_text("before\n<!-- bench:curve -->\nold\n<!-- /bench:curve -->\nafter\n")
    write_readme.main()
    readme = (tmp_path / "README.md").read_text()
    assert "## Triggers: delay, jitter and F1" in readme
    assert "Not measured yet: engine, end-to-end-lsl" in readme
    latency = (tmp_path / "latency.md").read_text()
    assert latency.startswith("before\n<!-- bench:curve -->\nModel ")
    assert latency.endswith("<!-- /bench:curve -->\nafter\n")
    assert "old" not in latency.split()
    own_ms = 4 * Settings.of(read_sidecar(find("mri"))["settings"]).gate_depth
    assert f"| **{own_ms}** |" in latency


def test_throughput_and_peers_as_tables(tmp_path, capsys, write_readme):
    out = tmp_path / "results"
    bench("throughput", "--hours", 0.01, "--seconds", 1, "--no-memory", "--out", out)
    text = capsys.readouterr().out
    assert "× real time" in text
    assert "gate on, decides every 8 ms" in text
    bench("peers", "--data", "sim", "--records", "none-101,3T-101", "--minutes", 0.25, "--no-live", "--out", out)
    text = capsys.readouterr().out
    assert "streamqrs mri" in text
    assert "band-pass + find_peaks" in text
    write_readme.main()
    readme = (tmp_path / "README.md").read_text()
    assert "virtual patients in four rooms" in readme
    assert "| streamqrs mri |" in readme


def test_the_engine_alone(tmp_path, capsys, write_readme):
    out = tmp_path / "results"
    bench("engine", "--seconds", 8, "--align", 90, "--out", out)
    text = capsys.readouterr().out
    assert "last sample in, trigger out" in text
    given = json.loads((out / "engine.json").read_text())
    assert given["at_once"]["response"]["count"] > 5
    assert set(given["at_once"]["stages"]) == {"waiting for the detector", "detector", "hand-over"}
    assert given["aligned"]["late"] + (given["aligned"]["off"] or {"count": 0})["count"] > 5
    assert (out / "engine.png").read_bytes().startswith(b"\x89PNG")
    write_readme.main()
    assert "## The engine's own wall time; aligned triggers" in (tmp_path / "README.md").read_text()


def test_what_is_typed_wrong_is_one_line(capsys):
    assert "no record x in sim" in failure(capsys, "latency", "--data", "sim", "--records", "x", "--seconds", 0)
    assert "minutes are 0" in failure(capsys, "latency", "--data", "sim", "--minutes", 0)
    assert "no data 'nowhere'" in failure(capsys, "peers", "--data", "nowhere", code=1)
    assert "hours are 0" in failure(capsys, "throughput", "--hours", 0)
    assert "seconds are 1" in failure(capsys, "end-to-end", "--seconds", 1)
    assert "seconds are 1" in failure(capsys, "engine", "--seconds", 1)
    assert "align is 5 ms" in failure(capsys, "engine", "--align", 5, "--seconds", 6)
    assert "--chunk is 0" in failure(capsys, "end-to-end", "--chunk", 0)
    assert "--broker is ':x'" in failure(capsys, "end-to-end", "--broker", ":x")
    assert "no model 'x'" in failure(capsys, "end-to-end", "--model", "x", code=1)


def test_no_mosquitto_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert "mosquitto is not installed" in failure(capsys, "end-to-end", "--seconds", 15, code=1)


@pytest.mark.broker
@pytest.mark.lsl
@pytest.mark.slow
@pytest.mark.parametrize("transport", ["lsl", "mqtt"])
def test_the_journey_from_r_to_a_subscriber(broker_program, capsys, transport):
    """The legs add up to what the subscriber saw, and source time is what the events say."""
    bench("end-to-end", "--transport", transport, "--chunk", 8, "--rate", 250, "--seconds", 15, "--json")
    given = json.loads(capsys.readouterr().out)
    assert given["arrivals"]["beats"] > 5
    assert given["arrivals"]["missed"] < given["arrivals"]["beats"]
    assert sum(given["legs_ms"].values()) == pytest.approx(given["arrivals"]["mean_ms"], abs=0.1)
    assert given["legs_ms"]["resampler"] == 0
    assert given["spreads_ms"]["MQTT alone (probe)"]["p50"] > 0
