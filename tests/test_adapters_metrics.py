"""Prometheus text over HTTP, asked for as Prometheus does; and log lines as JSON."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamqrs.adapters.metrics import LIMITS_MS, MetricsServer, read_address
from streamqrs.cli.logs import JsonFormatter
from streamqrs.errors import BadSpec, SinkError
from streamqrs.latency import Delays
from streamqrs.summary import Summary

COMMAND = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", "run"]


def ask(url):
    """Samples by name and labels."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_summary_is_served_as_it_is_now():
    summary = Summary(beats=3, triggers=4, late=1, gaps=2, lag_s=0.25, heart_rate=72.0)
    summary.connections.append(lambda: 5)
    summary.undelivered["mqtt://host/base"] = 7

    async def go():
        async with MetricsServer(summary, "0") as server:
            assert server.url.startswith("http://127.0.0.1:")
            first = await asyncio.to_thread(ask, server.url)
            summary.beats += 1
            for delay in (0.4, 4.0, 40.0, 4000.0):
                summary.trigger_response.add(delay)
            return first, await asyncio.to_thread(ask, server.url)

    first, second = asyncio.run(go())
    for name, value in {"beats_total": 3, "triggers_total": 4, "late_total": 1, "gaps_total": 2, "lag_seconds": 0.25,
                        "heart_rate_bpm": 72, "reconnects_total": 5, "signal_usable": 1}.items():  # fmt: skip
        assert first[f"streamqrs_{name}",] == value
    assert first["streamqrs_undelivered_total", "mqtt://host/base"] == 7
    assert second["streamqrs_beats_total",] == 4
    name = "streamqrs_trigger_response_delay_seconds"
    assert [second[f"{name}_bucket", le] for le in ("0.0005", "0.005", "0.05", "2.0", "+Inf")] == [1, 2, 3, 3, 4]
    assert second[f"{name}_count",] == 4
    assert second[f"{name}_sum",] == pytest.approx(4.0444)
    assert not [thread for thread in threading.enumerate() if "serve_forever" in thread.name]


def test_a_histogram_counts_each_delay_once_and_never_falls():
    delays = Delays()
    for k in range(1000):
        delays.add(0.1 * 1.012**k)
    counts = delays.cumulative(LIMITS_MS)
    assert counts == sorted(counts)
    exact = [sum(0.1 * 1.012**k <= limit for k in range(1000)) for limit in LIMITS_MS]
    assert max(abs(a - b) for a, b in zip(counts, exact, strict=True)) <= 3  # a bin is 2.3 % wide


@pytest.mark.parametrize(
    ("text", "address"),
    [("9100", ("127.0.0.1", 9100)), ("0.0.0.0:9100", ("0.0.0.0", 9100)), ("[::1]:80", ("::1", 80))],
)
def test_addresses(text, address):
    assert read_address(text) == address


@pytest.mark.parametrize("text", ["", "port", "70000", "host:", "-1", "a b:9100"])
def test_bad_addresses(text):
    with pytest.raises(BadSpec, match="allowed are PORT"):
        read_address(text)


def test_a_port_that_is_taken_is_one_line():
    async def go(port):
        async with MetricsServer(Summary(), str(port)):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SinkError, match=f"metrics on http://127.0.0.1:{port}/metrics: .*in use"):
            asyncio.run(go(port))


def test_a_log_line_is_one_json_object_whatever_the_message():
    record = logging.makeLogRecord({"name": "streamqrs.x", "msg": "two\nlines %s", "args": ('"',), "levelname": "INFO"})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'two lines "'


def test_a_run_logs_json_and_serves_metrics_and_counts_its_store():
    command = [*COMMAND, "--speed", "max", "--duration", "30", "--json", "--log-json", "--metrics", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [line["event"]["event"] for line in lines] == ["started", "stopped"]
    assert lines[-1]["event"]["counts"]["beats"] == json.loads(done.stdout)["beats"]
    assert "metrics: http://127.0.0.1:" in done.stderr


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--metrics", "nope"], "allowed are PORT"),
        (["--store", "5"], "no sink is mqtt"),
        (["--store", "0", "--sink", "mqtt://127.0.0.1/x"], "store is 0"),
    ],
)
def test_wrong_options_are_one_line(args, text):
    done = subprocess.run([*COMMAND, *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
