"""Rewrite the tables of docs/models.md, and its figure, from the models' sidecars and bench/results/transfer.json.

    python bench/models_page.py

What stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` is replaced; all other text is left as it is.
"""

from __future__ import annotations

import json
import re
from math import nan
from pathlib import Path

from streamqrs import model as models
from streamqrs.metrics import Score

ROOT = Path(__file__).parent.parent
PAGE, FIGURE = ROOT / "docs" / "models.md", ROOT / "docs" / "models-transfer.svg"
RESULTS = ROOT / "bench" / "results" / "transfer.json"
SHIPPED = ("base", "mri")
PARTS = ("validation", "test", "ordinary ECG")

SCORES = {
    "MIT-BIH test, F1": "mitdb:test F1",
    "MIT-BIH test, F1 of the worst record": "mitdb:test F1, worst record",
    "LUDB test, F1": "ludb:test F1",
    "NSTDB 12 dB, F1 at 150 ms": "nstdb 12 dB F1 (150 ms)",
    "NSTDB 6 dB": "nstdb 6 dB F1 (150 ms)",
    "NSTDB 0 dB": "nstdb 0 dB F1 (150 ms)",
    "NSTDB −6 dB": "nstdb -6 dB F1 (150 ms)",
    "MRI-300 validation, F1": "MRI-300 validation F1",
    "MRI-300 test, F1": "MRI-300 test F1",
}
SLIDES = {
    "slides, before": (57.80, 69.93, 63.29, 63.40, 75.36, 68.86),
    "slides, after": (97.11, 98.24, 97.67, 97.62, 95.12, 96.36),
}


def number(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)) + "\n"


def of_today(results: dict) -> dict:
    """Leave out what was measured with another `mri` than the shipped one."""
    sha256 = models.read_sidecar(models.find("mri"))["sha256"]
    before = results["before"]
    if sha256.startswith(before.get("mri", {}).get("sha256", "none")):
        return results
    after = {key: row for key, row in results["experiments"].items() if key != "layers: default, from mri"}
    return {**results, "before": {key: row for key, row in before.items() if key != "mri"}, "experiments": after}


def f1(row: dict, part: str) -> float:
    """F1 in % of a part of a result; NaN if it is not there."""
    return Score(*row["scores"][part]).f1 if row and part in row["scores"] else nan


def score_of(scores: dict[str, float], name: str) -> float:
    """Figure of a sidecar; names of worst records go on with that record's own."""
    return next((value for key, value in scores.items() if key == name or key.startswith(f"{name} (")), nan)


def shipped() -> str:
    """What the shipped models score, by their sidecars."""
    sidecars = {name: models.read_sidecar(models.find(name)) for name in SHIPPED}
    rows = [[label, *(number(score_of(s["scores"], key)) for s in sidecars.values())] for label, key in SCORES.items()]
    return table(["%", *(f"`{name}`" for name in sidecars)], rows)


def commands() -> str:
    """How the shipped models were made."""
    text = []
    for name in SHIPPED:
        training = models.read_sidecar(models.find(name))["training"]
        lines = training["command"].replace(" && ", "\n")
        minutes = str(training["minutes"])
        took = minutes if "core" in minutes else f"{minutes} minutes on one core"
        text.append(f"`{name}`, {took}:\n\n```sh\n{lines}\n```\n")
    return "\n".join(text)


def slides(results: dict) -> str:
    """Before and after, as on the slides."""

    def cells(row: dict) -> list[str]:
        found = [Score(*row["scores"][part]) for part in PARTS[:2]]
        return [number(value) for score in found for value in (score.se, score.ppv, score.f1)]

    before, after = results["before"], results["experiments"]
    rows = [[label, *map(number, values)] for label, values in SLIDES.items()]
    found = {
        "seed's network, before": before.get("seed-base"),
        "seed's network, seed's recipe, after": after.get("seed: seed network, seed recipe"),
        "seed's network, default recipe, after": after.get("seed: seed network, default recipe"),
        "shipped network, before: `base`": before.get("base"),
        "shipped network, seed's recipe, after": after.get("seed: shipped network, seed recipe"),
        "shipped network, default recipe, after": after.get("layers: default: ordinary ECG in the virtual scanner"),
        "`mri`, as it is": before.get("mri"),
        "`mri`, fine-tuned by the default recipe": after.get("layers: default, from mri"),
    }
    rows += [[label, *cells(row)] for label, row in found.items() if row]
    return table(["%", "validation Se", "PPV", "F1", "test Se", "PPV", "F1"], rows)


def layers(results: dict) -> str:
    """Which layers learn."""
    rows = [["`base`, as it is", "0", *(number(f1(results["before"]["base"], part)) for part in PARTS), "–", "–"]]
    for row in results["experiments"].values():
        if row["group"] == "layers":
            values = [number(f1(row, part)) for part in PARTS]
            rows.append([row["label"], f"{row['trained']:,}", *values, f"{row['minutes']:.1f}", str(row["kept"])])
    head = ["", "parameters that learn", *(f"F1 {part}" for part in PARTS), "minutes", "best step"]
    return table(head, rows)


def curves(results: dict) -> dict[str, dict[int, dict]]:
    """Results by the number of recordings, of each way to train."""
    done = results["experiments"]
    found: dict[str, dict[int, dict]] = {"fine-tuned": {}, "default": {}, "from scratch": {}}
    whole = {
        "fine-tuned": "layers: all layers, one rate",
        "default": "layers: default: ordinary ECG in the virtual scanner",
        "from scratch": "layers: from scratch",
    }
    for label, key in whole.items():
        if key in done:
            found[label][done[key]["recordings"]] = done[key]
    for row in done.values():
        if row["group"] == "records":
            found[row["label"]][row["recordings"]] = row
    for label in ("fine-tuned", "default"):
        found[label][0] = results["before"]["base"]
    return {label: dict(sorted(rows.items())) for label, rows in found.items()}


def records(results: dict) -> str:
    """How many recordings it takes."""
    names = {
        "fine-tuned": "fine-tuned",
        "default": "default recipe (virtual scanner besides)",
        "from scratch": "from scratch",
    }
    rows = [
        [
            names[label],
            str(n),
            *(number(f1(row, part)) for part in PARTS),
            f"{row.get('minutes', nan):.1f}" if n else "–",
        ]
        for label, found in curves(results).items()
        for n, row in found.items()
    ]
    return table(["", "recordings", *(f"F1 {part}" for part in PARTS), "minutes"], rows)


def held_out(results: dict) -> str:
    """Noise that training has not heard."""
    rows = [
        [name, *(number(f1(row, which)) for which in ("base", "without it", "with it"))]
        for name, row in results["held out"].items()
    ]
    return table(["left out of training", "F1 of `base`", "trained without it", "trained with it"], rows)


def about(results: dict) -> str:
    """On what the figures were taken."""
    count = results["recordings"]
    return (
        f"Set: `{results['command']}` ({count['finetune']} recordings to train on, {count['validation']} to validate, "
        f"{count['test']} to test; manifest {results['set']}); `base` {results['base']}; {results['steps']} steps of "
        "64 windows each, one core.\n"
    )


def draw(results: dict) -> None:
    """F1 against the number of recordings."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"], mpl.rcParams["svg.fonttype"] = "models", "none"
    import matplotlib.pyplot as plt

    styles = {"fine-tuned": ("#0b6fb8", "o-"), "default": ("#2f8f5b", "D-"), "from scratch": ("#8a94a0", "s--")}
    found = {label: rows for label, rows in curves(results).items() if any(rows)}
    figure, axes = plt.subplots(1, len(PARTS), figsize=(11, 3.2), layout="constrained")
    ticks = sorted({n for rows in found.values() for n in rows})
    for axis, part in zip(axes, PARTS, strict=True):
        for label, rows in found.items():
            colour, style = styles[label]
            axis.plot(list(rows), [f1(row, part) for row in rows.values()], style, color=colour, label=label, ms=5)
        axis.set_xscale("symlog", linthresh=5)
        axis.set(xticks=ticks, xticklabels=ticks, xlabel="recordings to train on", ylabel="F1 (%)", title=part)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.savefig(FIGURE, facecolor="white", metadata={"Date": None})


def main() -> None:
    results = of_today(json.loads(RESULTS.read_text(encoding="utf-8")))
    made = {
        "shipped": shipped(),
        "commands": commands(),
        "about": about(results),
        **{part.__name__: part(results) for part in (slides, layers, records, held_out)},
    }
    text = PAGE.read_text(encoding="utf-8")
    for name, body in made.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text, count = re.subn(pattern, lambda m, body=body: f"{m[1]}{body}{m[2]}", text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{PAGE}: the marks of {name} are there {count} times: allowed is once")
    PAGE.write_text(text, encoding="utf-8")
    draw(results)


if __name__ == "__main__":
    main()
