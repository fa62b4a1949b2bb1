"""Pretrain: the base model, from ordinary ECG with plain augmentation."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from streamqrs.errors import BadModel
from streamqrs.model import read_sidecar
from streamqrs.training.augment import Augment
from streamqrs.training.dataset import Change, Drawn, Windows
from streamqrs.training.ectopy import Ectopy
from streamqrs.training.export import PackageInfo, export, load_network
from streamqrs.training.leads import Leads
from streamqrs.training.loop import train
from streamqrs.training.norms import renew_norms
from streamqrs.training.pauses import Pauses
from streamqrs.training.place import Place
from streamqrs.training.plan import find_base, keep_plan
from streamqrs.training.recordings import Material, check_data, load_material
from streamqrs.training.remains import remains
from streamqrs.training.scanned import make_scanner
from streamqrs.training.score import Validation
from streamqrs.training.settings import Progress, Result, TrainSettings
from streamqrs.training.unet import PRESETS, UNet

VERSION = "1"
MOST_ODDS = 3.0
"""Log odds that may be added to all answers in the end, either way."""
CHECKPOINT, PLAN = "checkpoint.pt", "plan.txt"
SUMMARY = (
    "Trained on ordinary ECG with plain augmentation (noise, drift, filters, polarity), not on scanner noise: the "
    "model that others are fine-tuned from. It has never seen the test records, nor the patients of the noise stress "
    "test. Inside a scanner it takes waves of the magnetohydrodynamic effect and gradients for beats; use a "
    "transferred model there."
)
SCANNED_SUMMARY = (
    "Transferred to the MRI scanner: trained on ordinary ECG, most of it inside a virtual scanner (magnetohydrodynamic "
    "waves, ballistocardiogram, gradients of analytic and recorded sequences, strictly periodic spikes, RF, pump, "
    "motion, recorder limits), the rest as it is. It has never seen a recording from a real scanner, nor the test "
    "records."
)


def pretrain(
    data: Path,
    out: Path,
    *,
    preset: str = "base",
    name: str | None = None,
    settings: TrainSettings | None = None,
    minutes: float | None = None,
    start: str | None = None,
    scanner: str | None = None,
    without: tuple[str, ...] = (),
    teacher: str | None = None,
    odds: float = 0.0,
    progress: Callable[[Progress], None] | None = None,
    place: Place | None = None,
) -> Result:
    """Train a model on ordinary ECG, in the virtual scanner or not, and write it as a model package.

    Until it is done, everything lies in ``OUT.part`` beside the output. Called again with the same arguments after
    an interruption, it goes on from there.

    Parameters
    ----------
    data : pathlib.Path
        Folder with ``mitdb``, ``qtdb``, ``ludb/data``, ``nstdb-noise``.
    out : pathlib.Path
        Folder of the package; must not be there.
    preset : str
        Architecture: see `streamqrs.training.unet.PRESETS`.
    name : str, optional
        Name of the model; the preset's by default.
    settings : TrainSettings, optional
        How to train.
    minutes : float, optional
        Choose `steps` so that training takes about this long here.
    start : str, optional
        Model whose weights the training starts from; its architecture takes the place of `preset`. Of several, joined
        by ``+``, the mean, with statistics of batch norms that are estimated anew.
    scanner : str, optional
        Preset of `streamqrs.scanner` that most windows are taken into: for a model that hears through a scanner.
    without : tuple of str
        Families of scanner noise that are left out.
    teacher : str, optional
        Model that teaches, see `streamqrs.training.loop.train`; any architecture.
    odds : float
        Added to the log odds of all answers in the end, −3 to 3. In noise a network does not know the place of a QRS
        complex to a mask, and no sample of it is as probable as the whole.
    progress : callable, optional
        Told after each step.
    place : Place, optional
        Where to train; on the CPU by default. One process only.

    Returns
    -------
    Result
        The network and how it came to be.
    """
    settings = settings or TrainSettings()
    if place is not None and place.world > 1:
        raise ValueError(f"{place.world} processes pretrain: allowed is one, finetune shares its work among several")
    check(data, out, preset, minutes)
    if not -MOST_ODDS <= odds <= MOST_ODDS:
        raise ValueError(f"odds are {odds:g}: allowed are {-MOST_ODDS:g} to {MOST_ODDS:g}")
    if not settings.steps and start is None:
        raise ValueError("steps are 0 and there is no model to start from: allowed are 1 and more")
    network = new_network(preset, start, settings.seed)
    master = load_network(find_base(teacher)) if teacher is not None else None
    material = load_material(data)
    part = out.with_name(out.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    given = {"preset": preset, "start": start, "scanner": scanner, "without": without, "minutes": minutes}
    if teacher is not None:
        given["teacher"] = read_sidecar(find_base(teacher))["weights_sha256"]
    if odds:
        given["odds"] = odds
    keep_plan(part / PLAN, identify({**given, **asdict(settings)}, material, start))
    rooms = [make_scanner(scanner, settings.seed, data, without)] if scanner else []
    windows = windows_of(material, rooms)
    if start is not None and "+" in start:
        renew_norms(network, windows.draw, settings.seed)
    planned = part / "steps"
    if minutes is not None:
        if not planned.exists():
            planned.write_text(str(steps_in(minutes, network, windows, settings)))
        settings = replace(settings, steps=int(planned.read_text()))
    validation = Validation(material.validation, material.unheard_noise, scanner=scanner)
    result = train(
        network,
        windows.draw,
        settings,
        validate=validation,
        progress=progress,
        checkpoint=part / CHECKPOINT,
        keep_last=True,
        teacher=master,
        place=place,
    )
    if odds:
        with torch.no_grad():
            result.network.head.bias[1] += odds
        result = replace(result, scores=validation(result.network))
    name = name or preset
    command = f"streamqrs pretrain --data DATA --out {name} --name {name} "
    command += f"--start {start} " if start else f"--preset {preset} "
    command += f"--teacher {Path(teacher).name} " if teacher else ""
    command += f"--scanner {scanner} " if scanner else ""
    command += "".join(f"--without {family} " for family in without)
    command += f"--steps {settings.steps} " + (f"--batch {settings.batch} " if settings.batch != 64 else "")
    command += f"--learning-rate {settings.learning_rate:g} " + ("--steady " if settings.steady else "")
    command += f"--optimiser {settings.optimiser} " if settings.optimiser != TrainSettings().optimiser else ""
    command += (
        f"--weight-decay {settings.weight_decay:g} " if settings.weight_decay != TrainSettings().weight_decay else ""
    )
    command += f"--average {settings.average:g} " if settings.average != TrainSettings().average else ""
    command += f"--odds {odds:g} " if odds else ""
    training = {
        "data": ", ".join(f"{key} ({len(part)} records)" for key, part in material.train.items()),
        "command": command + f"--seed {settings.seed} --threads {settings.threads} --precision {settings.precision}",
        "seed": settings.seed,
        "steps": settings.steps,
        "minutes": round(result.elapsed_s / 60, 1),
    }
    scores = {f"validation {key}": round(value, 2) for key, value in result.scores.items() if key != "score"}
    summary = SCANNED_SUMMARY if scanner else SUMMARY
    export(result.network, part, PackageInfo(name, VERSION, training, scores, summary=summary))
    for left in (part / CHECKPOINT, part / PLAN, planned):
        left.unlink(missing_ok=True)
    part.rename(out)
    return result


def windows_of(material: Material, rooms: Sequence[Change] = ()) -> Windows:
    """Make what batches are drawn from: the training recordings, changed in every way there is, in rooms or not.

    Parameters
    ----------
    material : Material
        From `streamqrs.training.recordings.load_material`.
    rooms : sequence of Change
        Scanners, see `streamqrs.training.scanned.make_scanner`.
    """
    others = remains(recording for database in material.train.values() for recording in database)
    plain = Augment(noise=material.heard_noise, remains=others)
    return Windows(material.train, changes=[Leads(), Pauses(), Ectopy(), *rooms, plain])


def new_network(preset: str, start: str | None, seed: int) -> UNet:
    """Make a network with the weights of a model, with the mean of several models' weights, or with new ones.

    Models that were trained on from the same one differ in what they got wrong; the mean of their weights mostly hears
    better than each of them, and costs no more to run. Its batch norms need `streamqrs.training.norms.renew_norms`.

    References
    ----------
    Wortsman et al., "Model soups", ICML 2022.
    """
    if start is not None:
        return _mean([load_network(find_base(name)) for name in start.split("+")], start)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(PRESETS[preset])


def _mean(networks: list[UNet], names: str) -> UNet:
    """Take the mean of the weights of networks, in the first of them."""
    mean = networks[0]
    if any(network.settings != mean.settings for network in networks):
        raise BadModel(f"models {names} are of several architectures: the mean of weights is that of one alone")
    states = [network.state_dict() for network in networks]
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.stack([state[name] for state in states]).mean(0))
    return mean


def identify(given: dict[str, object], material: Material, start: str | None) -> str:
    """Say what must be the same for a training to be gone on with: arguments, recordings, weights to start from."""
    digest = sha256(material.noise.tobytes())
    for part in (material.train, material.validation):
        for recording in (one for database in part.values() for one in database):
            digest.update(recording.name.encode() + recording.ecg.tobytes())
            for beats in recording.beats:
                digest.update(beats.tobytes())
    starts = start.split("+") if start is not None else []
    weights = " ".join(read_sidecar(find_base(name))["weights_sha256"] for name in starts) or "new"
    lines = [f"{name} {value}" for name, value in given.items()]
    return "\n".join([*lines, f"weights {weights}", f"recordings {digest.hexdigest()}"]) + "\n"


def check(data: Path, out: Path, preset: str, minutes: float | None) -> None:
    """Refuse what cannot work, before anything is read."""
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}: allowed are {', '.join(PRESETS)}")
    if minutes is not None and not 0 < minutes <= 10_000:
        raise ValueError(f"minutes are {minutes:g}: allowed are above 0 to 10000")
    if out.exists():
        raise FileExistsError(f"{out} is there already: give a folder that is not")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent} is no folder: the output needs one to lie in")
    check_data(data)
    if shutil.disk_usage(out.parent).free < 64 << 20:
        raise OSError(f"less than 64 MB are free in {out.parent}: the model and its checkpoints need them")


def steps_in(minutes: float, network: UNet, windows: Drawn, settings: TrainSettings) -> int:
    """Steps that take about as long here, from the time of a few."""
    probe = replace(settings, steps=25, validate_every=25)
    times: list[float] = []
    train(
        deepcopy(network),
        windows.draw,
        probe,
        validate=lambda network: {"score": 0.0},
        progress=lambda now: times.append(time.monotonic()),
    )
    return max(1, round(minutes * 60 / float(np.median(np.diff(times)))))
