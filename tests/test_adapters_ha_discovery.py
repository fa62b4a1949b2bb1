"""``--ha-discovery``, read as Home Assistant does: by retained messages, its own templates, and nothing else."""

import json
import shutil
import subprocess
import sys

import pytest

from streamqrs.adapters.ha_discovery import heart_rate_sensor

RUN = [sys.executable, "-c", "from streamqrs.cli.app import main; main()", "run"]


def retained(broker, topic, wait_s=5):
    """Retained messages of a topic, by topic."""
    program = shutil.which("mosquitto_sub") or pytest.skip("mosquitto_sub is not installed")
    form = ["-F", "%t\t%p", "-C", "1", "--retained-only", "-W", str(wait_s)]
    command = [program, "-p", str(broker.port), "-t", topic, *form]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


@pytest.mark.broker
@pytest.mark.slow
def test_home_assistant_finds_the_sensor_its_value_and_whether_it_is_there(broker):
    jinja2 = pytest.importorskip("jinja2")
    done = subprocess.run(
        [*RUN, "--source", "sim:heart_rate=80", "--speed", "max", "--duration", "20", "--ha-discovery",
         "--sink", f"{broker.url}/ward/bed 7"], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ((topic, content),) = retained(broker, "homeassistant/#").items()
    prefix, component, *ids, last = topic.split("/")
    assert (prefix, component, last) == ("homeassistant", "sensor", "config")
    assert all(part.replace("_", "").replace("-", "").isalnum() for part in ids)
    sensor = json.loads(content)
    assert sensor["device"]["identifiers"]
    assert sensor["unique_id"]

    def show(topic_key, template_key):
        ((_, message),) = retained(broker, sensor[topic_key]).items()
        return jinja2.Template(sensor[template_key]).render(value=message, value_json=json.loads(message))

    assert float(show("state_topic", "value_template")) == pytest.approx(80, abs=15)
    assert show("availability_topic", "availability_template") == sensor["payload_not_available"]


@pytest.mark.broker
def test_nothing_is_announced_unasked(broker):
    done = subprocess.run(
        [*RUN, "--source", "sim", "--speed", "max", "--duration", "5", "--sink", f"{broker.url}/a"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert retained(broker, "homeassistant/#", wait_s=1) == {}
    assert retained(broker, "a/status")


def test_without_an_mqtt_sink_it_is_refused():
    done = subprocess.run([*RUN, "--ha-discovery", "--plain"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no sink is mqtt://" in done.stderr


def test_two_sinks_are_two_devices():
    one, other = heart_rate_sensor("bed1"), heart_rate_sensor("bed2")
    assert one[0] != other[0]
    assert json.loads(one[1])["unique_id"] != json.loads(other[1])["unique_id"]
