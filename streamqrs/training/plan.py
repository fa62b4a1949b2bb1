"""Plan: a fine-tuning that can begin, with everything read and checked before it does."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path

import torch

from streamqrs import model as models
from streamqrs.errors import BadModel, StreamqrsError
from streamqrs.training.export import load_network
from streamqrs.training.parts import Parts, load_parts
from streamqrs.training.recipe import NO_SCANNER, TransferSettings
from streamqrs.training.recordings import Material, load_material
from streamqrs.training.settings import TrainSettings
from streamqrs.training.unet import UNet


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A fine-tuning that can begin: everything is read and checked.

    Attributes
    ----------
    base : Path
        Sidecar of the base model.
    network : UNet
        Where training starts from.
    parts : Parts
        The user's recordings.
    replay : Material or None
        Ordinary ECG.
    data : Path or None
        The folder that it came from.
    settings : TransferSettings
        How.
    train : TrainSettings
        What follows for the training loop.
    rates : dict of str to float
        Factor on the learning rate of each layer, from the bottom to the top.
    """

    base: Path
    network: UNet
    parts: Parts
    replay: Material | None
    data: Path | None
    settings: TransferSettings
    train: TrainSettings
    rates: dict[str, float]

    @property
    def room(self) -> str:
        """Virtual scanner that ordinary ECG, or without any the user's own, is taken into."""
        return self.settings.scanner or (self.settings.recipe.scanner if self.replay else NO_SCANNER)

    @property
    def identity(self) -> str:
        """What must be the same for a training to be gone on with."""
        lines = [f"{field.name} {getattr(self.settings, field.name)}" for field in fields(self.settings)]
        lines.append(f"base {models.read_sidecar(self.base)['weights_sha256']}")
        lines.append(f"replay {self.replay is not None}")
        for name, part in self.parts.items():
            digest = sha256()
            for one in part:
                digest.update(one.recording.ecg.tobytes() + one.recording.beats[0].tobytes())
            lines.append(f"{name} {len(part)} recordings {digest.hexdigest()}")
        return "\n".join(lines) + "\n"


def check_out(out: Path, name: str) -> None:
    """Refuse an output that cannot be written, before anything is read."""
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise ValueError(f"name is {name!r}: allowed are letters, digits and any of . + - _")
    if out.exists():
        raise FileExistsError(f"{out} is there already: give a folder that is not")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent} is no folder: the output needs one to lie in")
    if shutil.disk_usage(out.parent).free < 64 << 20:
        raise OSError(f"less than 64 MB are free in {out.parent}: the model and its checkpoints need them")


def make_plan(
    data: Path,
    base: str,
    settings: TransferSettings,
    *,
    validation: Path | None = None,
    test: Path | None = None,
    lead: str | int | None = None,
    records: int | None = None,
    replay: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Plan:
    """Read and check everything that a fine-tuning needs.

    Parameters
    ----------
    data, validation, test, lead, records
        As in `load_parts`.
    base : str
        Name of a shipped model, or a model package.
    settings : TransferSettings
        How to fine-tune.
    replay : pathlib.Path, optional
        Folder with ordinary ECG (``mitdb``, ``qtdb``, ``ludb/data``), against forgetting.
    say : callable, optional
        Told what is being read.

    Raises
    ------
    BadModel
        If the base model is no UNet, or has no weights to train on.
    SourceNotFound, BadRecord
        If a recording is missing or cannot be used.
    ValueError
        If the settings do not suit the network.
    """
    say = say or silent
    sidecar = find_base(base)
    settings.layer_rates(list(load_network(sidecar).layers()))
    say("reading recordings")
    parts = load_parts(data, validation, test, lead=lead, records=records, seed=settings.seed)
    material = None
    if replay and settings.recipe.replay:
        say("reading ordinary ECG")
        material = load_material(replay)
    return lay_out(sidecar, parts, settings, material, replay)


def lay_out(
    base: Path, parts: Parts, settings: TransferSettings, replay: Material | None = None, data: Path | None = None
) -> Plan:
    """Make the plan of a fine-tuning whose recordings are read; the network begins anew with each plan."""
    network = load_network(base)
    rates = settings.layer_rates(list(network.layers()))
    if settings.from_scratch:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network = UNet(network.settings)
    seconds = sum(one.record.duration_s for one in parts.finetune)
    return Plan(base, network, parts, replay, data, settings, settings.plan_steps(seconds), rates)


def find_base(name: str) -> Path:
    """Sidecar of a base model; a name that only leads to another model is followed."""
    path = models.find(name)
    values = models.read_sidecar(path)
    if "alias" in values:
        path = path.with_name(f"{values['alias']}.json")
        values = models.read_sidecar(path)
    weights = values.get("weights", f"{path.stem}.safetensors")
    if not path.with_name(weights).is_file():
        raise BadModel(f"model {path.stem} has no {weights} beside it: only with its weights can it be trained on")
    return path


def keep_plan(path: Path, identity: str) -> None:
    """Write down what is being trained, or refuse to go on with something else."""
    if path.exists() and path.read_text(encoding="utf-8") != identity:
        raise StreamqrsError(
            f"{path.parent} belongs to a training on other data or with other settings: go on with those, or remove it"
        )
    path.write_text(identity, encoding="utf-8")


def silent(text: str) -> None:
    """Say nothing."""
