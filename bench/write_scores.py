"""Write figures that `streamqrs evaluate --json` printed into the sidecar and the card of a model.

    streamqrs evaluate --model mri --data mitdb:test --json > mitdb.json
    python bench/write_scores.py mri mitdb.json …

Figures at 75 ms, those of the noise stress test (by SNR, `--by noise`) at 150 ms, as shared measures are.
"""

import json
import sys
from pathlib import Path

from streamqrs.model import find

SHORT = {"finetune": "MRI-300 fine-tune", "validation": "MRI-300 validation", "test": "MRI-300 test"}


def scores_of(result):
    name = SHORT.get(Path(result["data"]).name, result["data"])
    if result["noise"]:
        return {f"{name} {level} F1 ({result['main_ms']:g} ms)": by["f1"] for level, by in result["noise"].items()}
    at = result["tolerance_ms"]["75"]
    scores = {f"{name} {key}": at["pooled"][key.lower()] for key in ("Se", "PPV", "F1")}
    return {**scores, f"{name} F1, worst record ({at['worst']['record']})": at["worst"]["f1"]}


def main(model, files):
    path = find(model)
    sidecar = json.loads(path.read_text())
    for file in files:
        result = json.loads(Path(file).read_text())
        if result["sha256"] != sidecar["sha256"]:
            raise SystemExit(f"{file} was measured with another model: {result['sha256'][:12]}")
        new = {name: round(value, 2) for name, value in scores_of(result).items()}
        measured = {name.partition(" (")[0] for name in new if "worst" in name}  # it may be another record now
        old = {name: value for name, value in sidecar["scores"].items() if name.partition(" (")[0] not in measured}
        sidecar["scores"] = old | new
    path.write_text(json.dumps(sidecar, indent=2) + "\n")
    card = path.with_suffix(".md")
    head, _, _ = card.read_text().partition("## Scores\n")
    rows = [f"| {name} | {value:.2f} |" for name, value in sidecar["scores"].items()]
    card.write_text("\n".join([f"{head}## Scores\n", "| what | % |", "|---|---|", *rows]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
