"""Transfer: a model that knows ordinary ECG → one that knows the user's recordings, with what came of it.

Layers can be frozen, or learn at rates of their own. Ordinary ECG is replayed where there is some, and what is
forgotten of it counts against the new weights as much as what is gained elsewhere counts for them.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from streamqrs import model as models
from streamqrs.training.appraise import (
    compare,
    read_ordinary,
    set_aside,
    to_settings,
)
from streamqrs.training.augment import Augment
from streamqrs.training.dataset import Change, Windows
from streamqrs.training.ectopy import Ectopy
from streamqrs.training.export import PackageInfo, export, load_network
from streamqrs.training.leads import Leads
from streamqrs.training.looks import look_ahead
from streamqrs.training.loop import train
from streamqrs.training.outcome import VERSION, Outcome, describe
from streamqrs.training.part_way import choose_way
from streamqrs.training.pauses import Pauses
from streamqrs.training.place import Place
from streamqrs.training.plan import Plan, check_out, keep_plan, silent
from streamqrs.training.recipe import NO_SCANNER, Mixed
from streamqrs.training.recordings import Material, Recording
from streamqrs.training.report import write_report
from streamqrs.training.scanned import make_scanner
from streamqrs.training.score import Validation
from streamqrs.training.settings import Progress, Result
from streamqrs.training.unet import UNet
from streamqrs.training.worst import worst_windows

CHECKPOINT, PLAN, REPORT = "checkpoint.pt", "plan.txt", "report.html"
ORDINARY_S = 300.0
"""Seconds of each ordinary recording that are validated on while training."""

EDGE_WINDOWS = 1000
"""A third of what pretraining looks at: fine-tuning is short, and is validated often."""


def tune(
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    place: Place | None = None,
) -> Result:
    """Train, and return the weights that validation found best.

    Parameters
    ----------
    plan : Plan
        From `make_plan`; its network is trained in place.
    checkpoint, progress, place
        As in `streamqrs.training.loop.train`.
    """
    settings, recipe = plan.settings, plan.settings.recipe
    noise = plan.replay.heard_noise if plan.replay else None
    own: list[Change] = [Augment(recipe.augment, noise=noise)] if recipe.augment else []
    ordinary: list[Change] = [Augment(noise=noise)]
    if plan.room != NO_SCANNER:
        scanner = make_scanner(plan.room, settings.seed, plan.data or plan.base.parent)
        if plan.replay is None:
            scanner.share = 0.25  # the windows have noise of their own
        (ordinary if plan.replay else own).insert(0, scanner)
    recordings = {"own": [one.recording for one in plan.parts.finetune]}
    windows = Mixed(
        Windows(recordings, recipe.windows, changes=own),
        Windows(plan.replay.train, changes=[Leads(), Pauses(), Ectopy(), *ordinary]) if plan.replay else None,
        recipe.replay,
    )
    judge = _Judge(plan)
    before = judge(plan.network)
    result = train(
        plan.network,
        windows.draw,
        plan.train,
        validate=judge,
        rates=plan.rates,
        progress=progress,
        checkpoint=checkpoint,
        patience=recipe.patience,
        place=place,
    )
    result.history.insert(0, {"step": 0, "loss": math.nan, **before})
    return result


def keep_better(plan: Plan, result: Result) -> Result:
    """Give the base's own weights, as of step 0, unless validation found better ones in the training."""
    before = result.history[0]
    if plan.settings.from_scratch or result.scores["score"] > before["score"]:
        return result
    return replace(result, network=load_network(plan.base), scores=before, step=0)


def transfer(
    plan: Plan,
    out: Path,
    *,
    name: str,
    command: str = "",
    progress: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] | None = None,
    place: Place | None = None,
) -> Outcome | None:
    """Fine-tune, appraise, and write a model package with its report.

    Until it is done, everything lies in ``OUT.part`` beside the output, and nothing there is a model. Called again with
    the same plan after an interruption, it goes on from there.

    Parameters
    ----------
    plan : Plan
        From `make_plan`.
    out : pathlib.Path
        Folder of the package; must not be there.
    name : str
        Of the new model.
    command : str
        What the sidecar and the report say how to make it again.
    progress, place
        As in `tune`.
    say : callable, optional
        Told what is being done before and after training.

    Returns
    -------
    Outcome or None
        None in all processes but the first.
    """
    place = place or Place()
    part = out.with_name(f"{out.name}.part")
    if place.first:
        check_out(out, name)
        part.mkdir(exist_ok=True)
        keep_plan(part / PLAN, plan.identity)
    (say or silent)("validating the base")
    result = tune(plan, checkpoint=part / CHECKPOINT, progress=progress, place=place)
    if not place.first:
        return None
    outcome = appraise(plan, keep_better(plan, result), name=name, command=command, say=say)
    write_report(outcome, part / REPORT)
    export(outcome.result.network, part, describe(outcome))
    for left in (CHECKPOINT, PLAN):
        (part / left).unlink(missing_ok=True)
    part.rename(out)
    return outcome


def appraise(
    plan: Plan, result: Result, *, name: str, command: str = "", say: Callable[[str], None] | None = None
) -> Outcome:
    """Choose how far from the base to go, and thresholds, and score the new network beside its base."""
    say = say or silent
    before = models.load(plan.base)
    records = {part: [one.record for one in ones] for part, ones in plan.parts.items()}
    say("choosing thresholds")
    kept = set_aside(plan.replay) if plan.replay else []
    result, after, beats = choose_way(
        plan, result, lambda network: load_new(network, name, before.settings), records["validation"], kept
    )
    say("choosing how far the gate looks ahead")
    looks = look_ahead(after, records["validation"], threads=plan.settings.threads)
    choices = beats, looks[0].choice
    after.settings = to_settings(after, choices)
    if plan.data and (ordinary := read_ordinary(plan.data)):
        records["ordinary ECG"] = ordinary
    scores = []
    for part in [part for part in records if part != "finetune"]:
        say(f"scoring {part}")
        scores.append(compare(part, records[part], before, after, threads=plan.settings.threads))
    say("looking for the worst windows")
    worst = worst_windows(after, plan.parts.validation)
    return Outcome(name, plan, result, tuple(scores), choices, tuple(worst), command, looks)


def load_new(network: UNet, name: str, settings: dict[str, object]) -> models.Model:
    """Make a network ready to run, as its package would be."""
    with tempfile.TemporaryDirectory() as folder:
        return models.load(export(network, Path(folder), PackageInfo(name, VERSION, {}, {}, settings=settings)))


class _Judge:
    """Score of a network while training: the user's validation part, less what was forgotten of ordinary ECG."""

    def __init__(self, plan: Plan) -> None:
        own = {"own": [one.recording for one in plan.parts.validation]}
        self.own = Validation(own, edge_windows=EDGE_WINDOWS)
        self.ordinary = (
            Validation(_some(plan.replay), limit_s=ORDINARY_S, edge_windows=EDGE_WINDOWS) if plan.replay else None
        )
        self.before: float | None = None

    def __call__(self, network: UNet) -> dict[str, float]:
        scores = self.own(network)
        if self.ordinary is None:
            return scores
        now = self.ordinary(network)["f1"]
        if self.before is None:  # asked about the base first
            self.before = now
        return {**scores, "ordinary_f1": now, "score": scores["score"] - max(0.0, self.before - now)}


def _some(material: Material) -> dict[str, tuple[Recording, ...]]:
    """Ordinary validation recordings, of each database some; their first leads will do."""
    return {name: part[:6] for name, part in material.validation.items()}
