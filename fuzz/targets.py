"""What is fuzzed: every parser that reads from outside, each as a function of bytes, with seeds to begin from.

A target returns quietly when its parser took the bytes or refused them with an error that it declares; anything else
leaves it.
"""

import ctypes
import hashlib
import importlib.metadata
import io
import json
import struct
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from streamqrs import ports
from streamqrs.adapters.payload import FORMS, parse
from streamqrs.adapters.polar_frames import read_answer, read_frame
from streamqrs.adapters.rda_protocol import GUID, RdaParser
from streamqrs.adapters.serial_lines import LineParser
from streamqrs.adapters.sniff import sniff
from streamqrs.errors import BadModel, StreamqrsError
from streamqrs.model import load, read_sidecar
from streamqrs.ports import open_sink, open_source
from streamqrs.records import read_record
from streamqrs.settings import Settings

_entry_points = cache(importlib.metadata.entry_points)
FOLDER = Path(tempfile.mkdtemp(prefix="streamqrs-fuzz-"))
SIDECAR = {
    "format": 1,
    "name": "fuzz",
    "version": "1",
    "onnx": "fuzz.onnx",
    "sha256": "0" * 64,
    "settings": {"low": 0.2},
}
HEADERS = {
    "wfdb": b"fuzz 1 250 3000\nfuzz.dat 16 200/mV 16 0 0 0 0 ECG\n",
    "vhdr": b"Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=fuzz.eeg\n"
    b"DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=1\nSamplingInterval=4000\n[Binary Infos]\n"
    b"BinaryFormat=INT_16\n[Channel Infos]\nCh1=ECG,,0.5,\xc2\xb5V\n",
}
XML = (
    b'<?xml version="1.0"?><info><name>x</name><type>ECG</type><channel_count>2</channel_count>'
    b"<nominal_srate>250</nominal_srate><channel_format>float32</channel_format><source_id>x</source_id><desc><channels>"
    b"<channel><label>ECG</label><unit>mV</unit></channel><channel><label>Resp</label></channel></channels></desc></info>"
)


def payload(data: bytes) -> None:
    """An MQTT message, in the form that the first byte chooses."""
    form = FORMS[data[0] % len(FORMS)] if data else "auto"
    refused(lambda: parse(data[1:], form), StreamqrsError)
    sniff([data])


def sequence(data: bytes) -> None:
    """MQTT messages one after the other, put in order: whatever they say, the count of samples never goes back."""
    from streamqrs.adapters.sequence import Sequencer

    sequencer, following = Sequencer(), 0
    for k, line in enumerate(data.split(b"\n")[:50]):
        try:
            packet = parse(line, "json")
        except StreamqrsError:
            continue
        for chunk in sequencer.push(packet, packet.rate or 250.0, k * 0.1, 1.79e9 + k * 0.1):
            assert chunk.start >= following, "the count went back"
            following = chunk.start + len(chunk.samples)


def rda(data: bytes) -> None:
    """A stream of BrainVision RDA, in two pieces."""
    parser = RdaParser()
    refused(lambda: (parser.push(data[: len(data) // 2]), parser.push(data[len(data) // 2 :])), StreamqrsError)


def serial(data: bytes) -> None:
    """Lines of a microcontroller, cut anywhere, in the column that the first byte chooses."""
    parser = LineParser(data[0] % 4 or None if data else None)
    at = len(data) // 3
    for piece in (data[1:at], data[at : 2 * at], data[2 * at :]):
        refused(lambda piece=piece: parser.push(piece), StreamqrsError)
    assert len(parser.last_bad) <= len(data)


def polar(data: bytes) -> None:
    """A notification of a Polar strap."""
    refused(lambda: (read_frame(data), read_answer(data)), StreamqrsError)


def lsl(data: bytes) -> None:
    """What a stranger's LSL stream says about itself."""
    import pylsl

    from streamqrs.adapters.lsl_streams import candidates, lead, load, read_info

    load()
    made = pylsl.lib.lib.lsl_streaminfo_from_xml
    made.restype, made.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    handle = made(data.replace(b"\0", b""))
    if not handle:
        return
    info = pylsl.StreamInfo(handle=handle)
    if info.channel_count() > 10_000:  # liblsl keeps no channels: only the count is large
        return
    try:
        stream = read_info(info)
    except UnicodeDecodeError:
        return
    str(stream), stream.labels(), candidates([stream])
    refused(lambda: lead(stream, None), StreamqrsError)


def sidecar(data: bytes) -> None:
    """The JSON file of a model."""
    path = FOLDER / "sidecar.json"
    path.write_bytes(data)
    refused(lambda: read_sidecar(path), BadModel)


def network(data: bytes) -> None:
    """A model whose network is altered, with a hash that fits."""
    folder = FOLDER / hashlib.sha256(data).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    (folder / "fuzz.onnx").write_bytes(data)
    (folder / "fuzz.json").write_text(json.dumps(SIDECAR | {"sha256": hashlib.sha256(data).hexdigest()}))
    refused(lambda: load(folder), BadModel)
    for path in (folder / "fuzz.onnx", folder / "fuzz.json"):
        path.unlink()
    folder.rmdir()


def settings(data: bytes) -> None:
    """Settings as a model's sidecar has them."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict):
        refused(lambda: Settings.of(value), ValueError, TypeError)  # a Detector makes BadModel of both


def spec(data: bytes) -> None:
    """A source or sink as it is typed; what is installed is looked up once, for that takes longer than the rest."""
    ports.entry_points = _entry_points  # type: ignore[assignment]
    text = data.decode(errors="replace")
    refused(lambda: open_source(text), StreamqrsError, ValueError)
    if not text.startswith(("jsonl", "console", "screen", "web")):
        refused(lambda: open_sink(text), StreamqrsError, ValueError)


def file(ending: str, beside: dict[str, bytes] | None = None) -> Callable[[bytes], None]:
    """A recording of one format, perhaps with files beside it."""

    def read(data: bytes) -> None:
        for name, content in (beside or {}).items():
            (FOLDER / name).write_bytes(content)
        path = FOLDER / f"fuzz{ending}"
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refused(lambda: read_record(path), StreamqrsError, ValueError)

    return read


def refused(call: Callable[[], object], *allowed: type[Exception]) -> None:
    """Call something that may raise only what is allowed, in one line."""
    try:
        call()
    except allowed as error:
        if len(str(error)) > 4000:
            raise AssertionError(f"an error of {len(str(error))} characters") from error


def _edf() -> bytes:
    import edfio

    path = FOLDER / "seed.edf"
    edfio.Edf([edfio.EdfSignal(np.sin(np.arange(2500) / 9), 250.0, label="ECG")]).write(path)
    return path.read_bytes()


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, ecg=np.sin(np.arange(2500) / 9), rate=250.0)
    return buffer.getvalue()


def _rda() -> bytes:
    start = struct.pack("<Id", 1, 4000.0) + struct.pack("<d", 0.5) + b"ECG\0"
    data = struct.pack("<III", 1, 2, 0) + struct.pack("<2f", 1.0, 2.0)
    parts = [(1, start), (4, data), (3, b"")]
    return b"".join(GUID + struct.pack("<II", 24 + len(body), kind) + body for kind, body in parts)


def _xdf() -> bytes:
    head = b"<info><name>x</name><type>ECG</type><channel_count>1</channel_count><nominal_srate>250</nominal_srate>"
    head += b"<channel_format>float32</channel_format><desc/></info>"
    rows = b"".join(b"\x08" + struct.pack("<df", 5000 + k / 250, k % 7) for k in range(600))
    chunks = [(1, b"<info><version>1.0</version></info>"), (2, struct.pack("<I", 1) + head)]
    chunks.append((3, struct.pack("<IBI", 1, 4, 600) + rows))
    return b"XDF:" + b"".join(b"\x04" + struct.pack("<IH", len(body) + 2, tag) + body for tag, body in chunks)


def _onnx() -> bytes:
    """A network of a few bytes, all of them structure; without onnx a shipped one, most of it weights."""
    from importlib import resources, util

    if util.find_spec("onnx"):
        from onnx import TensorProto, helper

        ends = [helper.make_tensor_value_info(name, 1, ["b", n, 750]) for name, n in (("x", 1), ("y", 2))]
        weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 1, 1], [1.0, -1.0])
        nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Softmax", ["c"], ["y"], axis=1)]
        graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights])
        made: bytes = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        ).SerializeToString()
        return made
    return (Path(str(resources.files("streamqrs.models"))) / "base.onnx").read_bytes()


SIGNAL = (1000 * np.sin(np.arange(3000) / 9)).astype("<i2").tobytes()
TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "payload": (payload, [bytes([k]) + body for k in range(7) for body in (
        b'{"samples": [1, 2.5, -3e2], "fs": 250, "t": 1790000000.5, "seq": 7}', b"[[1,2]]", b"-1.5e3", SIGNAL[:64],
        b"\x81\xa7samples\x93\x01\x02\x03", b"\xa1\x67samples\x83\x01\x02\x03")]),
    "sequence": (sequence, [b"\n".join(b'{"samples": [1, 2, 3], "seq": %d}' % k for k in (0, 1, 3, 2, 9, 1))]),
    "rda": (rda, [_rda()]),
    "serial": (serial, [b"\x00512\n513\r\n-2.5\n!\n12,7\n", b"\x02t:1,ECG:0.5 2\n1;2;3\n\t4\t5\n" * 5]),
    "polar": (polar, [struct.pack("<BQB", 0, 599616123456789, 0) + b"\x01\x02\x03" * 20, b"\xf0\x02\x00\x00"]),
    "lsl": (lsl, [XML]),
    "sidecar": (sidecar, [json.dumps(SIDECAR).encode(), b'{"format": 1, "name": "a", "alias": "b"}']),
    "network": (network, [_onnx()]),
    "settings": (settings, [b'{"hop": 120, "low": 0.2, "threshold": 0.5, "rhythm": 0.5}']),
    "spec": (spec, [b"mqtt://ann:pw@host:1883/topic", b"lsl:name=x,type=ECG", b"sim:rate=500,seed=3", b"rda://host:51244",
                    b"serial:/dev/null,baud=9600", b"file:/nowhere.csv", b"mqtts://[::1]/t"]),
    "csv": (file(".csv"), [b"# rate: 250\ntime,ECG [mV]\n" + b"".join(b"%d,%d\n" % (k, k % 7) for k in range(500))]),
    "npz": (file(".npz"), [_npz()]),
    "edf": (file(".edf"), [_edf()]),
    "xdf": (file(".xdf"), [_xdf()]),
    "wfdb header": (file(".hea", {"fuzz.dat": SIGNAL}), [HEADERS["wfdb"]]),
    "vhdr": (file(".vhdr", {"fuzz.eeg": SIGNAL}), [HEADERS["vhdr"]]),
}  # fmt: skip
