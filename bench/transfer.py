"""What fine-tuning brings: the experiments that its method only claims, on an MRI-300 folder.

``streamqrs dataset mri300 --out mri300 && python bench/transfer.py mri300`` writes ``docs/models-transfer.md`` and
its figure. Each training is kept in ``runs/transfer`` as it ends, so that a run that was stopped goes on; ``--quick``
takes two minutes on one core and shows only that all of it works.
"""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from streamqrs import model as models
from streamqrs.datasets import data_folder
from streamqrs.errors import SourceNotFound
from streamqrs.evaluation import run_detector
from streamqrs.metrics import Score, pooled
from streamqrs.training.appraise import choose_threshold, cut_record, read_ordinary, score_beats, to_settings
from streamqrs.training.parts import Parts, load_parts, pick
from streamqrs.training.plan import find_base, lay_out
from streamqrs.training.recipe import TransferSettings
from streamqrs.training.recordings import load_material
from streamqrs.training.transfer import load_new, tune

RECORDS = (5, 10, 25, 50, 100, 250)
FROM_SCRATCH = (25, 100, 250)
HELD_OUT = ("7T", "spike", "comb", "bcg", "gradient")
PARTS = ("validation", "test", "ordinary ECG")


@dataclass(frozen=True)
class Experiment:
    """One training: ``settings`` are those of `TransferSettings`; ``without`` is a field strength or noise family."""

    group: str
    label: str
    settings: dict = field(default_factory=dict)
    records: int | None = None
    without: str | None = None

    @property
    def key(self) -> str:
        """Name under which its result is kept."""
        return json.dumps(asdict(self), sort_keys=True)


def experiments(layers: int, count: int, records: tuple[int, ...], held_out: tuple[str, ...]) -> list[Experiment]:
    """All of them; the same training is listed once, under the first table that needs it."""
    found = [
        Experiment("layers", "all but the two top layers frozen", {"freeze": layers - 2}),
        Experiment("layers", "encoder frozen", {"freeze": "encoder"}),
        Experiment("layers", "all layers, one rate"),
        Experiment("layers", "each layer at 0.8 of the one above", {"decay": 0.8}),
        Experiment("layers", "from scratch", {"from_scratch": True}),
        Experiment("layers", "all layers, seed preset", {"preset": "seed"}),
        Experiment("layers", "all layers, virtual scanner besides", {"scanner": "mixture"}),
    ]
    found += [Experiment("records", "fine-tuned", {}, n) for n in records if n < count]
    found += [Experiment("records", "from scratch", {"from_scratch": True}, n) for n in FROM_SCRATCH if n < count]
    return found + [Experiment("held out", "fine-tuned", {}, None, name) for name in held_out]


class Bench:
    """What all experiments share: recordings, the base model, and what is done already."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.base = find_base(options.base)
        self.parts = load_parts(options.data)
        manifest = json.loads((options.data / "manifest.json").read_text())
        self.noise = {row["name"]: {row["preset"], *row["families"]} for row in manifest["recordings"]}
        self.replay = None if options.quick or options.replay is None else load_material(options.replay)
        if options.quick:
            short = [replace(one, record=cut_record(one.record, 60.0)) for one in self.parts.test[:1]]
            chosen = pick(self.parts.finetune, 8, 0), pick(self.parts.validation, 5, 0), short
            self.parts = Parts(*map(tuple, chosen))
        self.records = {name: [one.record for one in part] for name, part in self.parts.items() if name != "finetune"}
        if self.replay:
            self.records["ordinary ECG"] = read_ordinary(options.replay)
        self.kept = options.work / ("quick.jsonl" if options.quick else "results.jsonl")
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        if options.quick:
            self.kept.unlink(missing_ok=True)
        lines = self.kept.read_text().splitlines() if self.kept.exists() else []
        self.done = {row["key"]: row for row in map(json.loads, lines)}

    def run(self, experiment: Experiment) -> dict:
        """Train and score, unless that is done."""
        if experiment.key in self.done:
            return self.done[experiment.key]
        finetune = list(self.parts.finetune)
        if experiment.without:
            finetune = [one for one in finetune if experiment.without not in self.noise[one.record.name]]
        if experiment.records is not None:
            finetune = pick(finetune, experiment.records, 0)
        own = {"scanner": "none", "threads": self.options.threads, "steps": self.options.steps, **experiment.settings}
        if own.get("preset") == "seed" and not self.options.quick:
            own["steps"] = None
        if self.options.quick:
            own["batch"] = 16
        parts = replace(self.parts, finetune=tuple(finetune))
        settings = TransferSettings(**own)
        replay = self.replay if settings.recipe.replay else None
        plan = lay_out(self.base, parts, settings, replay, self.options.replay)
        result = tune(plan)
        model = load_new(result.network, "new", models.load(self.base).settings)
        model.settings = to_settings(model, [choose_threshold(model, self.records["validation"])])
        trained = sum(
            p.numel() for n, part in plan.network.layers().items() if plan.rates[n] for p in part.parameters()
        )
        return self._keep(
            experiment.key,
            self.score(model)
            | {
                "recordings": len(finetune),
                "trained": trained,
                "minutes": result.elapsed_s / 60,
                "step": result.step,
                "history": [[entry["step"], entry["f1"]] for entry in result.history],
                "per_step_s": result.elapsed_s / result.history[-1]["step"],
            },
        )

    def before(self) -> dict:
        """Score the base model."""
        key = f"base {models.load(self.base).sha256}"
        return self.done.get(key) or self._keep(key, self.score(models.load(self.base)))

    def score(self, model: models.Model) -> dict:
        """Hits, false detections and misses of each recording."""
        return {
            name: {
                record.name: [s.tp, s.fp, s.fn]
                for record in records
                for s in [score_beats(record, run_detector(record, model))]
            }
            for name, records in self.records.items()
        }

    def f1(self, row: dict, part: str, noise: str | None = None) -> float:
        """F1 in % of a part, or of those of its recordings with a field strength or family of noise."""
        counts = [c for name, c in row.get(part, {}).items() if noise is None or noise in self.noise[name]]
        return pooled(Score(*c) for c in counts).f1

    def _keep(self, key: str, row: dict) -> dict:
        self.done[key] = row | {"key": key}
        with self.kept.open("a") as file:
            file.write(json.dumps(self.done[key]) + "\n")
        return self.done[key]


def cell(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def write(bench: Bench, all_: list[Experiment], out: Path) -> None:
    """Write the page and its figure."""
    rows = [(experiment, bench.run(experiment)) for experiment in all_]
    base = bench.before()
    parts = [part for part in PARTS if part in bench.records]
    scratch = max(f1 for e, row in rows if e.label == "from scratch" for _, f1 in row["history"])
    layers = [["base model, as it is", "0", "–", *(cell(bench.f1(base, p)) for p in parts), "–", "–"]]
    for experiment, row in rows:
        if experiment.group == "layers":
            reached = [step for step, f1 in row["history"] if f1 >= scratch]
            until = f"{reached[0] * row['per_step_s'] / 60:.1f}" if reached else "–"
            f1 = [cell(bench.f1(row, part)) for part in parts]
            layers.append(
                [experiment.label, f"{row['trained']:,}", str(row["step"]), *f1, f"{row['minutes']:.1f}", until]
            )
    full = next(row for experiment, row in rows if experiment.label == "all layers, one rate")
    fresh = next(row for experiment, row in rows if experiment.label == "from scratch")
    curves = {"fine-tuned": {0: base}, "from scratch": {}}
    for experiment, row in rows:
        if experiment.group == "records":
            curves[experiment.label][row["recordings"]] = row
    curves["fine-tuned"][full["recordings"]] = full
    curves["from scratch"][fresh["recordings"]] = fresh
    numbers = []
    for label, found in curves.items():
        for n, row in sorted(found.items()):
            f1 = [cell(bench.f1(row, part)) for part in parts]
            numbers.append([label if n else "base model", str(n), *f1, f"{row['minutes']:.1f}" if n else "–"])
    held = []
    for experiment, row in rows:
        if (name := experiment.without) is not None:
            with_it = sum(name in bench.noise[record] for record in base["validation"])
            f1 = (bench.f1(r, "validation", name) for r in (base, row, full))
            held.append([name, str(row["recordings"]), str(with_it), *map(cell, f1), cell(bench.f1(row, "validation"))])
    names = [f"F1 {part}" for part in parts]
    count = len(bench.parts.finetune)
    text = [
        "# What fine-tuning brings\n",
        f"Made by `python bench/transfer.py MRI300` on an MRI-300 folder (`streamqrs dataset mri300`), from the model "
        f"`{bench.base.stem}`, on {platform.machine()} with {bench.options.threads} thread(s). F1 in %, within 75 ms, "
        "by the streaming detector, all recordings of a part pooled. Weights and thresholds are chosen on validation; "
        "the test is only scored. Ordinary ECG: the first five minutes of each MIT-BIH test record.\n",
        f"## Which layers learn ({count} recordings)\n",
        table(["", "parameters trained", "best step", *names, "minutes", "minutes to from-scratch's best"], layers),
        "The last column is the training time until validation is as good as the best that new weights ever reach.\n",
        "## How many recordings it takes\n",
        "![F1 against the number of recordings](models-transfer.svg)\n",
        table(["", "recordings", *names, "minutes"], numbers),
        "## A scanner that it has not heard\n",
        "All recordings with one field strength or family of noise are left out of training; F1 on the validation "
        "recordings that have it.\n",
        table(
            ["left out", "recordings left", "validated on", "base", "without it", "with it", "without it, all"], held
        ),
    ]
    out.mkdir(parents=True, exist_ok=True)
    (out / "models-transfer.md").write_text("\n".join(text))
    draw(bench, curves, parts, out / "models-transfer.svg")


def draw(bench: Bench, curves: dict, parts: list[str], path: Path) -> None:
    """F1 against the number of recordings."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(parts), figsize=(4.2 * len(parts), 3.4), layout="constrained", squeeze=False)
    for axis, part in zip(axes[0], parts, strict=True):
        for (label, found), colour, style in zip(curves.items(), ("#0b6fb8", "#8a94a0"), ("o-", "s--"), strict=True):
            n = sorted(found)
            axis.plot(n, [bench.f1(found[k], part) for k in n], style, color=colour, label=label, ms=5, lw=1.8)
        axis.set_xscale("symlog", linthresh=5)
        ticks = sorted({n for found in curves.values() for n in found})
        axis.set(xticks=ticks, xticklabels=ticks, xlabel="recordings", ylabel="F1 (%)", title=part)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].legend(frameon=False)
    figure.savefig(path, facecolor="white", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="MRI-300 folder, as `streamqrs dataset mri300` writes it")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--work", type=Path, default=Path("runs/transfer"), help="where results are kept")
    parser.add_argument("--base", default="base")
    parser.add_argument("--replay", type=Path, help="ordinary ECG; STREAMQRS_DATA by default")
    parser.add_argument("--steps", type=int, default=1500, help="of each training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.replay is None:
        try:
            options.replay = data_folder()
        except SourceNotFound:
            print("no ordinary ECG: what is forgotten is not measured")
    if options.quick:
        options.steps = 6
    bench = Bench(options)
    layers = len(lay_out(bench.base, bench.parts, TransferSettings()).rates)
    count = len(bench.parts.finetune)
    all_ = experiments(layers, count, (2, 4) if options.quick else RECORDS, HELD_OUT[:1] if options.quick else HELD_OUT)
    for number, experiment in enumerate(all_, 1):
        row = bench.run(experiment)
        what = f"{experiment.group}: {experiment.label}" + (
            f", without {experiment.without}" * bool(experiment.without)
        )
        scores = ", ".join(f"{part} {cell(bench.f1(row, part))}" for part in bench.records)
        print(f"{number}/{len(all_)} {what}, {row['recordings']} recordings: {scores}", flush=True)
    write(bench, all_, options.out)
    print(f"{options.out / 'models-transfer.md'}")


if __name__ == "__main__":
    main()
