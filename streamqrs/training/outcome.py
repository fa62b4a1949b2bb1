"""Outcome: what came of a fine-tuning, and what the new model's sidecar and card say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from streamqrs import model as models
from streamqrs.training.appraise import Choice, PartScore, to_settings
from streamqrs.training.export import PackageInfo
from streamqrs.training.looks import Look
from streamqrs.training.plan import Plan
from streamqrs.training.settings import Result
from streamqrs.training.worst import Picture

VERSION = "1"

SUMMARY = (
    "Fine-tuned from {base} on annotated recordings of its user: {records} recordings of {patients} patients. What it "
    "was trained on decides what it hears: score it on recordings of your own before you rely on it. report.html "
    "beside it tells how it came to be."
)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of a fine-tuning.

    Attributes
    ----------
    name : str
        Of the new model.
    plan : Plan
        How it was made.
    result : Result
        The training.
    scores : tuple of PartScore
        Validation, test, and ordinary ECG, as far as there are any.
    choices : tuple of Choice
        Thresholds.
    worst : tuple of Picture
        The worst windows of the validation part.
    command : str
        What makes it again.
    looks : tuple of Look
        Triggers by look-ahead, on the validation part.
    """

    name: str
    plan: Plan
    result: Result
    scores: tuple[PartScore, ...]
    choices: tuple[Choice, ...]
    worst: tuple[Picture, ...]
    command: str
    looks: tuple[Look, ...]


def describe(outcome: Outcome) -> PackageInfo:
    """Sidecar and card of the new model."""
    plan, base = outcome.plan, models.load(outcome.plan.base)
    finetune = plan.parts.finetune
    training = {
        "base": f"{base.name} {base.version} ({base.sha256[:12]})",
        "data": ", ".join(f"{len(part)} recordings {name}" for name, part in plan.parts.items()),
        "replay": ", ".join(plan.replay.train) if plan.replay else "none",
        "command": outcome.command,
        "seed": plan.settings.seed,
        "steps": outcome.result.step,
        "share": outcome.result.share,
        "minutes": round(outcome.result.elapsed_s / 60, 1),
    }
    return PackageInfo(
        outcome.name,
        VERSION,
        training,
        figures(outcome),
        settings=to_settings(base, outcome.choices),
        summary=SUMMARY.format(base=base.name, records=len(finetune), patients=len({one.patient for one in finetune})),
    )


def figures(outcome: Outcome) -> dict[str, float]:
    """F1 in % of each part before and after."""
    found = {}
    for part in outcome.scores:
        for when, score in (("before", part.total_before), ("after", part.total_after)):
            if not math.isnan(score.f1):
                found[f"{part.name} f1 {when}"] = round(score.f1, 2)
    return found
