"""Part way: between the base's weights and those of a fine-tuning, as far as validation says.

Recordings of a few patients pull a network towards what they have in common, and away from what it knew of others.
Weights part of the way often do better on both: they keep what the base knew.

References
----------
Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from streamqrs import model as models
from streamqrs.evaluation import run_detector
from streamqrs.metrics import pooled
from streamqrs.model import Model
from streamqrs.records import Record
from streamqrs.training.appraise import Choice, choose_threshold, score_beats
from streamqrs.training.export import load_network
from streamqrs.training.plan import Plan
from streamqrs.training.settings import Result
from streamqrs.training.unet import UNet


def part_way(base: UNet, tuned: UNet, share: float) -> UNet:
    """Make a network whose weights lie so far on the way from one to another of the same architecture, 0 to 1."""
    between = UNet(base.settings)
    ends = base.state_dict(), tuned.state_dict()
    states = {
        name: first.lerp(ends[1][name], share) if first.is_floating_point() else ends[1][name]
        for name, first in ends[0].items()
    }
    between.load_state_dict(states)
    between.eval()
    return between


def choose_way(
    plan: Plan, result: Result, load: Callable[[UNet], Model], records: Sequence[Record], kept: Sequence[Record]
) -> tuple[Result, Model, Choice]:
    """Choose how far to go, and the threshold there: the best F1 on validation, less what is lost of ordinary ECG.

    Parameters
    ----------
    plan : Plan
        Its recipe says which shares are tried.
    result : Result
        Of the training.
    load : callable
        Network → model ready to run.
    records, kept : sequence of Record
        Of the validation part; ordinary ones, see `streamqrs.training.appraise.set_aside`.
    """
    stays = plan.settings.from_scratch or result.step == 0
    shares = (1.0,) if stays else plan.settings.recipe.shares
    before = _f1(models.load(plan.base), kept) if len(shares) > 1 else 0.0
    found = []
    for share in sorted(shares, reverse=True):
        network = result.network if share == 1.0 else part_way(load_network(plan.base), result.network, share)
        model = load(network)
        choice = choose_threshold(model, records, kept)
        now = dict(choice.ordinary)[choice.value].f1 if choice.ordinary else before
        worth = choice.score.f1 - max(0.0, before - now)
        found.append(
            (-math.inf if math.isnan(worth) else worth, replace(result, network=network, share=share), model, choice)
        )
    return max(found, key=lambda way: way[0])[1:]


def _f1(model: Model, records: Sequence[Record]) -> float:
    return pooled([score_beats(record, run_detector(record, model)) for record in records]).f1 if records else 0.0
