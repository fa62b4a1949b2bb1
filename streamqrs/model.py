"""Model packages: an ONNX network and its JSON sidecar → a plain callable.

A package is a folder (or the shipped `streamqrs.models`) with ``NAME.json``, which names the network's file, its
SHA-256, what it wants as input and the detector settings that were chosen for it. Nothing is unpickled, the hash is
checked before the network is parsed, and a sidecar can name files of its own folder only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from streamqrs.errors import BadModel
from streamqrs.types import RATE, WINDOW, Samples

FORMAT = 1
BATCH = 64
AHEAD = 24
"""Batches that wait to be taken at most."""

MAX_SIDECAR_BYTES = 1 << 20
MAX_NETWORK_BYTES = 64 << 20


class Model:
    """A network that is ready to run: normalised windows in, probabilities of QRS out.

    Make one with `load`. It may be shared between threads.

    Parameters
    ----------
    sidecar : dict
        What the package says about itself.
    network : bytes
        The ONNX file.
    threads : int
        How many batches of windows are worked on side by side, one core each.

    Attributes
    ----------
    name, version, sha256 : str
        Name, version and hash of the network.
    settings : dict
        Detector settings chosen for this network, on validation data.
    sidecar : dict
        All of the sidecar.
    alias : str
        The name that was asked for, if it only leads to this model; otherwise empty.
    """

    def __init__(self, sidecar: Mapping[str, Any], network: bytes, *, threads: int = 1, alias: str = "") -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # it would write to the terminal: what matters is said below
        try:
            self._session = ort.InferenceSession(
                network, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
            ends = [(end.name, end.type, list(end.shape)) for end in (*inputs, *outputs)]
        except Exception as error:  # onnxruntime's own errors share no base below Exception
            raise BadModel(f"model {sidecar['name']}: not a network that ONNX Runtime can load") from error
        wanted = [("tensor(float)", [1, WINDOW]), ("tensor(float)", [2, WINDOW])]
        if [(kind, shape[1:]) for _, kind, shape in ends] != wanted or len(inputs) != 1:
            found = "; ".join(f"{kind} {shape}" for _, kind, shape in ends)
            raise BadModel(
                f"model {sidecar['name']}: input and output are {found[:200]}: "
                f"allowed are tensor(float) [batch, 1, {WINDOW}] and [batch, 2, {WINDOW}]"
            )
        self._input, self._output = ends[0][0], ends[1][0]
        try:
            tried = self(np.zeros((2, WINDOW), np.float32))
        except Exception as error:
            raise BadModel(f"model {sidecar['name']}: its network fails on a window of zeros") from error
        if tried.shape != (2, WINDOW):
            raise BadModel(f"model {sidecar['name']}: gives {tried.shape} for two windows: allowed is (2, {WINDOW})")
        self._pool = ThreadPoolExecutor(threads - 1, "streamqrs-model") if threads > 1 else None
        self.sidecar = dict(sidecar)
        self.name: str = sidecar["name"]
        self.version = str(sidecar["version"])
        self.sha256: str = sidecar["sha256"]
        self.settings: dict[str, Any] = dict(sidecar.get("settings", {}))
        self.alias = alias

    def __call__(self, windows: Samples) -> Samples:
        """Probability of QRS for each sample.

        Parameters
        ----------
        windows : numpy.ndarray
            Shape (b, 750), float32, normalised; any number of windows.

        Returns
        -------
        numpy.ndarray
            Shape (b, 750), float32, 0 to 1.
        """
        if len(windows) > BATCH:
            return np.concatenate(list(self.parts(windows[at : at + BATCH] for at in range(0, len(windows), BATCH))))
        probabilities: Samples = self._session.run([self._output], {self._input: windows[:, None, :]})[0][:, 1]
        return probabilities

    def parts(self, batches: Iterable[Samples]) -> Iterator[Samples]:
        """Do the same batch by batch; while one is looked at, the other threads work on the next ones.

        They are some batches ahead, no more: batches that are made when they are asked for are so made meanwhile. Who
        would have to wait for a batch works on one that nobody has begun: so there are no more threads than cores.
        """
        if self._pool is None:
            yield from map(self, batches)
            return
        coming: deque[_Part] = deque()
        for batch in batches:
            coming.append(_Part(self, batch, self._pool))
            if len(coming) > AHEAD:
                yield _first(coming)
        while coming:
            yield _first(coming)


class _Part:
    """A batch that is worked on in a thread of a pool, or, if that has not begun, in this one."""

    def __init__(self, model: Model, batch: Samples, pool: ThreadPoolExecutor) -> None:
        self._model, self._batch = model, batch
        self._future: Future[Samples] = pool.submit(model, batch)
        self._own: Samples | None = None

    @property
    def done(self) -> bool:
        return self._own is not None or self._future.done()

    def take_over(self) -> bool:
        """Work on it here, if nobody has begun."""
        if self._own is not None or not self._future.cancel():
            return False
        self._own = self._model(self._batch)
        return True

    def result(self) -> Samples:
        return self._future.result() if self._own is None else self._own


def _first(coming: deque[_Part]) -> Samples:
    """Take the first result; until it is there, work on others."""
    first = coming.popleft()
    while not first.done and any(part.take_over() for part in (first, *coming)):
        pass
    return first.result()


def load(name: str | os.PathLike[str], *, threads: int = 1) -> Model:
    """Load a model package; each is loaded once in a process.

    Parameters
    ----------
    name : str or path
        Name of a shipped model (see `available`), or a package's folder, ``.json`` or ``.onnx`` file.
    threads : int
        How many batches of windows may be worked on side by side.

    Raises
    ------
    BadModel
        If there is no such model, a file is missing, altered or too large, or it is of another kind.
    """
    return _load(find(os.fspath(name)), threads, "")


def available() -> list[str]:
    """Names of the shipped models."""
    return sorted(file.stem for file in _shipped().glob("*.json"))


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read and check a sidecar (without loading its network)."""
    try:
        if path.stat().st_size > MAX_SIDECAR_BYTES:
            raise BadModel(f"{path.name} has {path.stat().st_size} bytes: allowed are {MAX_SIDECAR_BYTES}")
        sidecar = json.loads(path.read_bytes())
    except OSError as error:
        raise BadModel(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadModel(f"{path.name} is not JSON: {error}") from error
    if not isinstance(sidecar, dict) or sidecar.get("format") != FORMAT:
        raise BadModel(f"{path.name} is not the sidecar of a model (format {FORMAT})")
    keys = ("name", "alias") if "alias" in sidecar else ("name", "version", "onnx", "sha256")
    for key in keys:
        if not isinstance(sidecar.get(key), str):
            raise BadModel(f"{path.name}: {key!r} is {sidecar.get(key)!r}: a text is wanted")
    for key in {"alias", "onnx", "weights"} & sidecar.keys():
        if not isinstance(sidecar[key], str) or not re.fullmatch(r"\w[\w.+-]*", sidecar[key]):
            raise BadModel(f"{path.name}: {key!r} is {sidecar[key]!r}: allowed is the plain name of a file beside it")
    for key, only in {"rate": RATE, "window": WINDOW, "normalisation": "zscore"}.items():
        if sidecar.get(key, only) != only:
            raise BadModel(f"{path.name}: {key!r} is {sidecar[key]!r}: allowed is {only!r}")
    if not isinstance(sidecar.get("settings", {}), dict):
        raise BadModel(f"{path.name}: 'settings' is {sidecar['settings']!r}: an object is wanted")
    return sidecar


def _shipped() -> Path:
    return Path(str(resources.files("streamqrs.models")))


def find(name: str) -> Path:
    """Sidecar of a model, by name or path."""
    path = Path(name)
    if name in available():
        return _shipped() / f"{name}.json"
    if path.is_dir():
        found = sorted(path.glob("*.json"))
        if len(found) == 1:
            return found[0]
        raise BadModel(f"{name} holds {len(found)} .json files: a model's folder holds one, its sidecar")
    if path.suffix in {".json", ".onnx"} and path.exists():
        return path.with_suffix(".json")
    raise BadModel(f"no model {name!r}: allowed are {', '.join(available())}, or a model's folder, .json or .onnx file")


@lru_cache(maxsize=8)
def _load(path: Path, threads: int, alias: str) -> Model:
    sidecar = read_sidecar(path)
    if "alias" in sidecar:
        if alias:
            raise BadModel(f"{path.name}: an alias cannot lead to an alias")
        return _load(path.with_name(f"{sidecar['alias']}.json"), threads, sidecar["name"])
    file = path.with_name(sidecar["onnx"])
    try:
        if file.stat().st_size > MAX_NETWORK_BYTES:
            raise BadModel(f"{file.name} has {file.stat().st_size} bytes: allowed are {MAX_NETWORK_BYTES}")
        network = file.read_bytes()
    except OSError as error:
        raise BadModel(f"{file}: {error.strerror}") from error
    digest = hashlib.sha256(network).hexdigest()
    if digest != sidecar["sha256"]:
        raise BadModel(f"{file.name} has SHA-256 {digest[:12]}…, its sidecar says {sidecar['sha256'][:12]}…: altered")
    return Model(sidecar, network, threads=threads, alias=alias)
