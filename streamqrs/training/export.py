"""Export: a trained network → a model package.

A package is a folder with ``NAME.onnx`` (to run), ``NAME.safetensors`` (to train on), ``NAME.json`` (the sidecar) and
``NAME.md`` (the card). Files name each other without a path, so that the folder can be moved.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamqrs.errors import BadModel, MissingExtra
from streamqrs.training.predictor import Predictor
from streamqrs.training.unet import UNet, UNetSettings, predict
from streamqrs.types import RATE, WINDOW

FORMAT = 1
OPSET = 17
TOLERANCE = 1e-4
"""Largest difference between ONNX Runtime and torch, in probability."""


@dataclass(frozen=True, slots=True)
class PackageInfo:
    """What a package says about its model.

    Attributes
    ----------
    name, version : str
        Of the model.
    training : dict
        ``data``, ``command``, ``seed``, ``steps``, ``minutes``.
    scores : dict
        Figures, by what was scored.
    settings : dict
        The detector's defaults for this model.
    summary : str
        First paragraph of the card.
    license : str
        SPDX name of the weights' licence.
    """

    name: str
    version: str
    training: dict[str, Any]
    scores: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=lambda: {"threshold": 0.5})
    summary: str = ""
    license: str = "MIT"


def export(network: UNet, folder: Path, info: PackageInfo) -> Path:
    """Write a model package.

    Parameters
    ----------
    network : UNet
        The trained network; is not changed.
    folder : pathlib.Path
        Must be there; files of the same names are replaced.
    info : PackageInfo
        What goes into the sidecar and the card.

    Returns
    -------
    pathlib.Path
        The sidecar.

    Raises
    ------
    BadModel
        If the exported network does not compute what the trained one does.
    """
    try:
        from safetensors.torch import save_file
    except ImportError as error:
        raise MissingExtra.of("safetensors", "train") from error
    onnx, weights = folder / f"{info.name}.onnx", folder / f"{info.name}.safetensors"
    to_onnx(network, onnx)
    check_onnx(network, onnx)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, weights)
    sidecar = {
        "format": FORMAT,
        "name": info.name,
        "version": info.version,
        "created": datetime.now(UTC).date().isoformat(),
        "license": info.license,
        "architecture": network.settings.to_dict(),
        "rate": RATE,
        "window": WINDOW,
        "normalisation": "zscore",
        "onnx": onnx.name,
        "sha256": _hash(onnx),
        "weights": weights.name,
        "weights_sha256": _hash(weights),
        "requires": ">=0.1",
        "settings": info.settings,
        "training": info.training,
        "scores": info.scores,
    }
    path = folder / f"{info.name}.json"
    path.write_text(json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(card(network, info), encoding="utf-8")
    return path


def load_network(sidecar: Path) -> UNet:
    """Read the training weights of a package.

    Parameters
    ----------
    sidecar : pathlib.Path
        Its ``.json`` file.

    Raises
    ------
    BadModel
        If the package is incomplete, altered, or no UNet.
    """
    from safetensors.torch import load_file

    try:
        values = json.loads(sidecar.read_text(encoding="utf-8"))
        weights = sidecar.parent / Path(values["weights"]).name
        if _hash(weights) != values["weights_sha256"]:
            raise BadModel(f"{weights.name} is not the file that {sidecar.name} describes: its hash differs")
        network = UNet(UNetSettings.from_dict(values["architecture"]))
        network.load_state_dict(load_file(weights))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadModel(f"{sidecar} is no model that can be trained on: {error}") from error
    network.eval()
    return network


def to_onnx(network: UNet, path: Path) -> None:
    """Write a network as ONNX: ``ecg`` (batch, 1, 750) → ``probabilities`` (batch, 2, 750), softmax inside."""
    try:
        import onnx  # noqa: F401 - the exporter needs it, and says so less plainly
    except ImportError as error:
        raise MissingExtra.of("onnx", "train") from error
    with warnings.catch_warnings():
        # the newer exporter needs a package more, and makes nothing better of a plain convolutional network
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding")  # of paddings: ONNX Runtime does it
        torch.onnx.export(
            Predictor(network).eval(),
            (torch.zeros(1, 1, WINDOW),),
            str(path),
            input_names=["ecg"],
            output_names=["probabilities"],
            dynamic_axes={"ecg": {0: "batch"}, "probabilities": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )


def check_onnx(network: UNet, path: Path) -> float:
    """Largest difference between an ONNX file and the network, in probability.

    Raises
    ------
    BadModel
        If it is above 1e-4.
    """
    import onnxruntime

    windows = np.random.default_rng(0).standard_normal((3, WINDOW)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (values,) = session.run(["probabilities"], {"ecg": windows[:, None]})
    difference = float(np.abs(values[:, 1] - predict(network, windows)).max())
    if not difference <= TOLERANCE:
        raise BadModel(f"{path.name} differs from the trained network by {difference:.1e}: allowed is {TOLERANCE:g}")
    return difference


def card(network: UNet, info: PackageInfo) -> str:
    """Text of a model card (Markdown)."""
    parameters = sum(p.numel() for p in network.parameters())
    s = network.settings
    lines = [
        f"# {info.name} {info.version}",
        "",
        "For research use only. This is not a medical device.",
        "",
        info.summary or "QRS detection in one ECG lead.",
        "",
        "| | |",
        "|---|---|",
        f"| network | UNet, {parameters:,} parameters; kernel {s.kernel}, strides {'·'.join(map(str, s.strides))}, "
        f"channels {', '.join(map(str, s.channels))} |",
        f"| input | {WINDOW} samples (3 s) of one lead at {RATE} Hz, mean 0 and standard deviation 1 |",
        f"| output | for each sample the probabilities of not QRS and QRS ({WINDOW} × 2, softmax) |",
        f"| licence of the weights | {info.license} |",
        *(f"| {name} | {value} |" for name, value in info.training.items()),
        "",
        "## Scores",
        "",
        "| what | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in info.scores.items()),
        "",
    ]
    return "\n".join(lines)


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
