"""MQTT: the source ``mqtt://[user[:password]@]host[:port]/topic`` and the sink ``mqtt://…/base``; ``mqtts`` for TLS.

Here are the factories that the entry points lead to. A password may also stand in a file or in the environment variable
``STREAMQRS_MQTT_PASSWORD``; it appears in no message.
"""

from __future__ import annotations

import os

from streamqrs.adapters.mqtt_sink import STORE, MqttSink
from streamqrs.adapters.mqtt_source import MqttSource
from streamqrs.adapters.mqtt_target import read_target

File = str | os.PathLike[str]


def open_source(
    target: str,
    *,
    payload: str = "auto",
    rate: float | None = None,
    channel: str | int | None = None,
    timeout: float = 10.0,
    mqtt_version: str = "3.1.1",
    username: str | None = None,
    password_file: File | None = None,
) -> MqttSource:
    """Make the source ``mqtt://[user[:password]@]host[:port]/topic``.

    Parameters
    ----------
    target : str
        What follows ``mqtt:``.
    payload : str, optional
        Form of the messages: ``auto``, ``number``, ``json``, ``int16``, ``float32``, ``msgpack`` or ``cbor``.
    rate : float, optional
        Sampling rate in Hz; needed if the messages name none, and stronger than what they name.
    channel : str or int, optional
        Lead to take where messages carry several: its name or its index.
    timeout : float, optional
        Time in s in which the broker must be there, and after that the first message.
    mqtt_version : {"3.1.1", "5"}, optional
        Version of the protocol.
    username, password_file : str or path, optional
        Login.

    Returns
    -------
    MqttSource
        Not yet open.
    """
    broker = read_target(target, mqtt_version=mqtt_version, username=username, password_file=password_file)
    return MqttSource(broker, payload=payload, rate=rate, channel=channel, timeout_s=timeout)


def open_source_tls(
    target: str,
    *,
    payload: str = "auto",
    rate: float | None = None,
    channel: str | int | None = None,
    timeout: float = 10.0,
    mqtt_version: str = "3.1.1",
    username: str | None = None,
    password_file: File | None = None,
    tls_ca: File | None = None,
    tls_cert: File | None = None,
    tls_key: File | None = None,
) -> MqttSource:
    """Make the source ``mqtts://…``: as `open_source`, over TLS with the broker's certificate and name verified.

    Parameters
    ----------
    target, payload, rate, channel, timeout, mqtt_version, username, password_file
        As in `open_source`.
    tls_ca : path, optional
        Certificate authority to trust instead of the system's.
    tls_cert, tls_key : path, optional
        Own certificate and key.

    Returns
    -------
    MqttSource
        Not yet open.
    """
    broker = read_target(
        target,
        secure=True,
        mqtt_version=mqtt_version,
        username=username,
        password_file=password_file,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    return MqttSource(broker, payload=payload, rate=rate, channel=channel, timeout_s=timeout)


def open_sink(
    target: str,
    *,
    store: int = STORE,
    timeout: float = 10.0,
    mqtt_version: str = "3.1.1",
    username: str | None = None,
    password_file: File | None = None,
    ha_discovery: bool = False,
) -> MqttSink:
    """Make the sink ``mqtt://[user[:password]@]host[:port]/base``.

    Parameters
    ----------
    target : str
        What follows ``mqtt:``.
    store : int, optional
        Messages that are kept for the time after an outage; when it is full the oldest make way.
    timeout : float, optional
        Time in s in which the broker must be there.
    mqtt_version : {"3.1.1", "5"}, optional
        Version of the protocol; with 5, triggers expire at the broker after 1 s.
    username, password_file : str or path, optional
        Login.
    ha_discovery : bool, optional
        Announce the heart rate to Home Assistant by a retained message under ``homeassistant/``.

    Returns
    -------
    MqttSink
        Not yet open.
    """
    broker = read_target(target, mqtt_version=mqtt_version, username=username, password_file=password_file)
    return MqttSink(broker, store=store, timeout_s=timeout, ha_discovery=ha_discovery)


def open_sink_tls(
    target: str,
    *,
    store: int = STORE,
    timeout: float = 10.0,
    mqtt_version: str = "3.1.1",
    username: str | None = None,
    password_file: File | None = None,
    tls_ca: File | None = None,
    tls_cert: File | None = None,
    tls_key: File | None = None,
    ha_discovery: bool = False,
) -> MqttSink:
    """Make the sink ``mqtts://…``: as `open_sink`, over TLS with the broker's certificate and name verified.

    Parameters
    ----------
    target, store, timeout, mqtt_version, username, password_file, ha_discovery
        As in `open_sink`.
    tls_ca : path, optional
        Certificate authority to trust instead of the system's.
    tls_cert, tls_key : path, optional
        Own certificate and key.

    Returns
    -------
    MqttSink
        Not yet open.
    """
    broker = read_target(
        target,
        secure=True,
        mqtt_version=mqtt_version,
        username=username,
        password_file=password_file,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    return MqttSink(broker, store=store, timeout_s=timeout, ha_discovery=ha_discovery)
