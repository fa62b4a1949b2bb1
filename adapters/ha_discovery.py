"""heart_rate_sensor(): what Home Assistant wants to know to show the heart rate of an MQTT sink by itself.

Home Assistant reads retained messages under ``homeassistant/``; this is its format of MQTT discovery for a sensor.
"""

from __future__ import annotations

import json
import re

from streamqrs import __version__

PREFIX = "homeassistant"
"""Where Home Assistant looks, unless it is told otherwise."""
EXPIRE_S = 30
"""A heart rate this old is shown as unknown, in s."""


def heart_rate_sensor(base: str) -> tuple[str, str]:
    """Topic and content of the retained message that announces ``BASE/hr`` as a sensor.

    Parameters
    ----------
    base : str
        What the topics of the sink begin with: it is the name of the device, and makes it the same one next time.

    Returns
    -------
    topic, content : str
        To be published with the retain flag. The sensor is available while ``BASE/status`` says ``online``.
    """
    node = re.sub(r"[^A-Za-z0-9_-]+", "_", base)
    sensor = {
        "name": "Heart rate",
        "unique_id": f"streamqrs_{node}_heart_rate",
        "object_id": f"{node}_heart_rate",
        "state_topic": f"{base}/hr",
        "value_template": "{{ value_json.heart_rate | round(0) }}",
        "unit_of_measurement": "bpm",
        "state_class": "measurement",
        "icon": "mdi:heart-pulse",
        "expire_after": EXPIRE_S,
        "availability_topic": f"{base}/status",
        "availability_template": "{{ value_json.state }}",
        "payload_available": "online",
        "payload_not_available": "offline",
        "device": {
            "identifiers": [f"streamqrs_{node}"],
            "name": f"streamqrs {base}",
            "manufacturer": "streamqrs",
            "model": "QRS detector",
            "sw_version": __version__,
        },
        "origin": {"name": "streamqrs", "sw_version": __version__},
    }
    return f"{PREFIX}/sensor/streamqrs_{node}/heart_rate/config", json.dumps(sensor)
