"""What fine-tuning brings: the experiments that the method's slides only claim, on an MRI-300 folder.

    streamqrs dataset mri300 --out mri300
    python bench/transfer.py mri300            # trains, and keeps each result in bench/results/transfer.json
    python bench/models_page.py                # rewrites the tables and the figure of docs/models.md from there

A run that was stopped goes on with what is missing; `--fresh` begins anew. The budget is small on purpose: each
training has the same few hundred steps (`--steps`), on one core, so that all of them take an hour or so. `--quick`
takes minutes and shows only that all of it works.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from streamqrs import model as models
from streamqrs.datasets import data_folder
from streamqrs.evaluation import run_detector
from streamqrs.metrics import Score, pooled
from streamqrs.records import Record
from streamqrs.scanner import SEQUENCES, ScannerSettings, corrupt, settings_of
from streamqrs.training.annotated import Annotated, read_annotated
from streamqrs.training.appraise import choose_threshold, cut_record, read_ordinary, score_beats, set_aside, to_settings
from streamqrs.training.augment import Augment
from streamqrs.training.dataset import Windows
from streamqrs.training.export import load_network
from streamqrs.training.loop import train
from streamqrs.training.parts import Parts, load_parts, pick
from streamqrs.training.plan import find_base, lay_out
from streamqrs.training.pretrain import pretrain
from streamqrs.training.recipe import TransferSettings
from streamqrs.training.recordings import Material, load_material
from streamqrs.training.scanned import make_scanner
from streamqrs.training.settings import Result, TrainSettings
from streamqrs.training.transfer import load_new, tune
from streamqrs.training.unet import UNet
from streamqrs.types import RATE

RESULTS = Path(__file__).parent / "results" / "transfer.json"
RECORDS = (5, 10, 25, 50, 100)
"""Besides all of them, and none."""

BETWEEN = 100
"""Steps between two validations: each of them takes as long as some fifty steps."""

SEED_BASE = "seed-base"
SEED_BASE_STEPS = 1000
"""The shipped base model had 3000, from the same data and seed."""


@dataclass(frozen=True)
class HeldOut:
    """A kind of noise: in which scanner it is heard, which family it is, and what has to be left out of training."""

    preset: str
    family: str
    without: tuple[str, ...]
    sequences: tuple[str, ...] = SEQUENCES

    def scanner(self) -> ScannerSettings:
        """Make a scanner in which it is always heard."""
        settings = settings_of(self.preset)
        exam = replace(settings.exam, sequences=self.sequences, running=1.0)
        return replace(settings, exam=exam, **{self.family: replace(getattr(settings, self.family), chance=1.0)})


HELD_OUT = {
    "EPI at 3 T": HeldOut("3T", "gradient", ("epi", "recorded"), ("epi",)),
    "all gradient waveforms, at 3 T": HeldOut("3T", "gradient", ("gradient",)),
    "periodic spikes, at 3 T": HeldOut("3T", "spike", ("spike",)),
    "combs of harmonics, at 3 T": HeldOut("3T", "comb", ("comb",)),
    "ballistocardiogram, at 3 T": HeldOut("3T", "bcg", ("bcg",)),
    "MHD at 7 T": HeldOut("7T", "mhd", ("mhd",)),
}


@dataclass(frozen=True)
class Experiment:
    """One training. ``settings`` are those of `TransferSettings`; without ``replay`` no ordinary ECG is seen."""

    group: str
    label: str
    settings: dict = field(default_factory=dict)
    records: int | None = None
    base: str | None = None
    replay: bool = True

    @property
    def key(self) -> str:
        """Name under which its result is kept."""
        return f"{self.group}: {self.label}" + (f", {self.records}" if self.records else "")


def experiments(layers: int, records: tuple[int, ...]) -> list[Experiment]:
    """All fine-tunings; ordinary ECG is replayed as it is, unless the virtual scanner is told of.

    From `base` all of them learn at the rate of new weights, which `base` needs to get anywhere in so few steps; from
    `mri` at the default one.
    """
    plain, mixed = ({"scanner": scanner, "learning_rate": 1e-3} for scanner in ("none", "mixture"))
    found = [
        Experiment("layers", "all layers, one rate", plain),
        Experiment("layers", "from scratch", plain | {"from_scratch": True}),
        Experiment("layers", "encoder frozen", plain | {"freeze": "encoder"}),
        Experiment("layers", "default: ordinary ECG in the virtual scanner", mixed),
        Experiment("layers", "default, from mri", {}, base="mri"),
        Experiment("seed", "seed network, seed recipe", {"preset": "seed"}, base=SEED_BASE, replay=False),
        Experiment("seed", "seed network, default recipe", mixed, base=SEED_BASE),
        Experiment("layers", "all layers, no ordinary ECG", plain, replay=False),
        Experiment("layers", "each layer at 0.7 of the rate above", plain | {"decay": 0.7}),
        Experiment("layers", "all but the top two layers frozen", plain | {"freeze": layers - 2}),
        Experiment("seed", "shipped network, seed recipe", {"preset": "seed"}, replay=False),
    ]
    for n in records:
        found.append(Experiment("records", "fine-tuned", plain, n))
        if n in records[::2]:
            found.append(Experiment("records", "from scratch", plain | {"from_scratch": True}, n))
            found.append(Experiment("records", "default", mixed, n))
    return found


class Bench:
    """What all experiments share: recordings, models, and what is done already."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.data: Path = options.replay
        self.parts = load_parts(options.data)
        if options.quick:
            short = [replace(one, record=cut_record(one.record, 60.0)) for one in self.parts.test[:1]]
            chosen = pick(self.parts.finetune, 8, 0), pick(self.parts.validation, 5, 0), short
            self.parts = Parts(*map(tuple, chosen))
        self.records = {name: [one.record for one in part] for name, part in self.parts.items() if name != "finetune"}
        self.records["ordinary ECG"] = read_ordinary(self.data)
        if options.quick:
            self.records["ordinary ECG"] = [cut_record(record, 60.0) for record in self.records["ordinary ECG"][:2]]
        manifest = json.loads((options.data / "manifest.json").read_text())
        head = {
            "set": sha256(json.dumps(manifest["recordings"]).encode()).hexdigest()[:12],
            "command": manifest["command"],
            "recordings": {name: len(part) for name, part in self.parts.items()},
            "base": self.sha("base"),
            "steps": options.steps,
        }
        self.results = head | {"before": {}, "experiments": {}, "held out": {}}
        if options.out.exists() and not options.fresh:
            kept = json.loads(options.out.read_text())
            if other := [name for name in head if kept[name] != head[name]]:
                raise SystemExit(f"{options.out} differs in {', '.join(other)}: --fresh begins anew")
            self.results = kept

    @cached_property
    def replay(self) -> Material:
        """Ordinary ECG, read when it is first needed."""
        return load_material(self.data)

    def base(self, name: str | None) -> Path:
        """Sidecar of a model to start from; the one of the seed's shape is trained here."""
        if name != SEED_BASE:
            return find_base(name or "base")
        folder = self.options.work / f"{SEED_BASE}{'-quick' * self.options.quick}"
        if not folder.exists():
            steps = 20 if self.options.quick else SEED_BASE_STEPS
            settings = TrainSettings(steps=steps, validate_every=steps, threads=1, precision=self.options.precision)
            start = time.process_time()
            pretrain(self.data, folder, preset="seed", name=SEED_BASE, settings=settings)
            self.results["seed base minutes"] = (time.process_time() - start) / 60
        return find_base(str(folder))

    def sha(self, name: str) -> str:
        """Hash of a model, shortened."""
        return models.load(find_base(name)).sha256[:12]

    def before(self, name: str) -> None:
        """Score a model as it is."""
        path = self.base(name)
        model = models.load(path)
        if self.results["before"].get(name, {}).get("sha256") != model.sha256[:12]:
            row = {"sha256": model.sha256[:12], "scores": self.score(model)}
            if name == "mri":  # what started from another one is not comparable
                self.results["experiments"].pop("layers: default, from mri", None)
            self.keep("before", name, row)

    def run(self, experiment: Experiment) -> None:
        """Train and score."""
        options = self.options
        finetune = list(self.parts.finetune)
        if experiment.records is not None:
            finetune = pick(finetune, experiment.records, 0)
        seed = experiment.settings.get("preset") == "seed"
        settings = TransferSettings(
            threads=1,
            precision=options.precision,
            batch=16 if options.quick else 64,
            steps=None if seed and not options.quick else options.steps,  # the seed says 30 epochs
            **experiment.settings,
        )
        parts = replace(self.parts, finetune=tuple(finetune))
        replay = self.replay if experiment.replay else None
        plan = lay_out(self.base(experiment.base), parts, settings, replay, self.data)
        if not seed:
            plan = replace(plan, train=replace(plan.train, validate_every=min(BETWEEN, plan.train.steps)))
        start = time.process_time()
        result = tune(plan)
        minutes = (time.process_time() - start) / 60
        model = load_new(result.network, "new", models.load(plan.base).settings)
        kept = set_aside(replay) if replay else []
        model.settings = to_settings(model, [choose_threshold(model, self.records["validation"], kept)])
        layers = plan.network.layers()
        trained = sum(p.numel() for name, layer in layers.items() if plan.rates[name] for p in layer.parameters())
        row = {
            "group": experiment.group,
            "label": experiment.label,
            "recordings": len(finetune),
            "trained": trained,
            "steps": plan.train.steps,
            "kept": result.step,
            "minutes": round(minutes, 2),
            "history": [[entry["step"], round(entry["f1"], 2)] for entry in result.history],
            "scores": self.score(model),
        }
        self.keep("experiments", experiment.key, row)

    def score(self, model: models.Model) -> dict[str, list[int]]:
        """Hits, false detections and misses of each part."""
        return {name: count(model, records) for name, records in self.records.items()}

    def keep(self, group: str, key: str, row: dict) -> None:
        """Write a result down at once."""
        self.results[group][key] = row
        self.options.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.results, indent=1, ensure_ascii=False)
        new = self.options.out.with_suffix(".new")
        new.write_text(re.sub(r"\s+(?=[\d\]])", " ", text) + "\n", encoding="utf-8")  # lists of numbers on one line
        new.replace(self.options.out)
        figures = {name: f"{Score(*counts).f1:.2f}" for name, counts in row["scores"].items()}
        print(f"{group}, {key}: {figures}", flush=True)

    def held_out(self) -> None:
        """Train the set's clean hearts in the virtual scanner without one kind of noise, and test on just that."""
        if HELD_OUT.keys() <= self.results["held out"].keys():
            return
        folder = self.options.data
        clean = {
            part: [read_annotated(folder / part / f"{one.record.name}_clean") for one in getattr(self.parts, part)]
            for part in ("finetune", "validation")
        }
        base = models.load(find_base("base"))
        informed = None
        for number, (name, kind) in enumerate(HELD_OUT.items()):
            if name in self.results["held out"]:
                continue
            informed = informed or self.train_scanned(clean["finetune"], ())
            heard = [scan(one, kind.scanner(), 1000 * number + k) for k, one in enumerate(clean["validation"])]
            networks = {"with it": informed, "without it": self.train_scanned(clean["finetune"], kind.without)}
            scores = {which: count(load_new(n, "new", base.settings), heard) for which, n in networks.items()}
            self.keep("held out", name, {"scores": {"base": count(base, heard), **scores}})

    def train_scanned(self, recordings: list[Annotated], without: tuple[str, ...]) -> UNet:
        """Train the base on clean recordings taken into the virtual scanner; the last weights count."""
        scanner = make_scanner("mixture", 0, self.data, without)
        windows = Windows(
            {"own": [one.recording for one in recordings]}, changes=[scanner, Augment(noise=self.replay.heard_noise)]
        )
        steps = self.options.steps
        settings = TrainSettings(
            steps=steps, average=0.99, validate_every=steps, threads=1, precision=self.options.precision
        )
        result: Result = train(
            load_network(find_base("base")), windows.draw, settings, validate=lambda network: {"score": 0.0}
        )
        return result.network


def scan(one: Annotated, settings: ScannerSettings, seed: int) -> Record:
    """Take a clean recording into a scanner."""
    record = one.record
    return replace(record, samples=corrupt(record.samples, record.beats, RATE, settings, seed)[0])


def count(model: models.Model, records: list[Record]) -> list[int]:
    """Hits, false detections and misses of all records together."""
    total = pooled(score_beats(record, run_detector(record, model)) for record in records)
    return [total.tp, total.fp, total.fn]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="MRI-300 folder, as `streamqrs dataset mri300` writes it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, default=Path("runs/transfer"), help="where the seed's network is kept")
    parser.add_argument("--replay", type=Path, help="ordinary ECG; STREAMQRS_DATA by default")
    parser.add_argument("--steps", type=int, default=400, help="of each training")
    parser.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--only", choices=("layers", "seed", "records", "held out"), help="one group of them")
    parser.add_argument("--fresh", action="store_true", help="forget the results that there are")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.replay = options.replay or data_folder()
    if options.quick:
        options.steps, options.fresh = 6, True
    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    layers = len(load_network(find_base("base")).layers())
    bench.before("base")
    for experiment in experiments(layers, (2, 4) if options.quick else RECORDS):
        if options.only in {None, experiment.group}:
            bench.before(experiment.base or "base")
            if experiment.key not in bench.results["experiments"]:
                bench.run(experiment)
    if options.only in {None, "held out"}:
        bench.held_out()


if __name__ == "__main__":
    main()
