"""Listener: a process that hears what comes over MQTT and LSL, and when; one JSON line for each thing heard.

    python -m streamqrs.benchmarks.listener HOST PORT TOPIC [LSL_STREAM]

Lines: ``{"from": "mqtt", "name": topic, "monotonic": s, "unix": s, "said": text}``, and ``"stamp"`` over LSL.
The clock is read as the first thing when a message has arrived. It ends when its standard input is closed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

_writing = threading.Lock()


def main(host: str, port: int, topic: str, stream: str = "") -> None:
    """Listen until standard input ends."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    def heard(client: Any, data: Any, message: Any) -> None:
        monotonic, unix = time.monotonic(), time.time()
        said = message.payload.decode(errors="replace")
        _say({"from": "mqtt", "name": message.topic, "monotonic": monotonic, "unix": unix, "said": said})

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = heard
    client.on_connect = lambda c, *_: c.subscribe(topic, qos=0)
    client.on_subscribe = lambda *_: _say({"from": "listener", "name": "ready"})
    client.connect(host, port)
    client.loop_start()
    if stream:
        threading.Thread(target=_hear_lsl, args=(stream,), daemon=True).start()
    sys.stdin.read()
    client.loop_stop()


def _hear_lsl(stream: str) -> None:
    import pylsl

    found: list[Any] = []
    while not found:
        found = pylsl.resolve_byprop("name", stream, timeout=1.0)
    inlet = pylsl.StreamInlet(found[0])
    inlet.open_stream(timeout=10.0)
    _say({"from": "lsl", "name": "ready"})
    while True:
        said, stamp = inlet.pull_sample(timeout=0.2)
        if said is not None:
            _say({"from": "lsl", "name": stream, "stamp": stamp, "said": said[0]})


def _say(line: dict[str, Any]) -> None:
    with _writing:
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
