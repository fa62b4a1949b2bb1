"""Compare optimisers and rates on the same windows: the loss on windows that none of them has heard.

    python bench/optimisers.py START OPTIMISER,RATE [OPTIMISER,RATE …] [--steps 1920] [--data DIR]

Each is a `streamqrs pretrain --start START --scanner mixture+flow --optimiser OPTIMISER --learning-rate RATE --batch
128`, and batch k is the same for all of them. Some seven minutes each on two free cores, at 1,920 steps. Compare from a
START that is no mean of weights: its batch norms are off, and forty batches of any optimiser mend that.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from streamqrs.training.loop import loss_of, train
from streamqrs.training.pretrain import new_network, windows_of
from streamqrs.training.recordings import load_material
from streamqrs.training.scanned import make_scanner
from streamqrs.training.settings import TrainSettings

UNHEARD, BATCH = 16_384, 256
"""Windows that the loss is taken of, and how many are drawn at once."""

SEED = 71


def loss_on(network, batches):
    """Weighted cross entropy over all of these windows."""
    network.eval()
    total = weight = 0.0
    with torch.inference_mode():
        for batch in batches:
            rows = [torch.from_numpy(one) for one in (batch.ecg[:, None], batch.target, batch.weight)]
            share = float(rows[2].sum())
            total, weight = total + share * float(loss_of(network(rows[0]), *rows[1:])), weight + share
    return total / weight


def settings_of(text):
    """Settings of a training, from OPTIMISER,RATE."""
    optimiser, rate = text.split(",")
    return TrainSettings(
        optimiser=optimiser,
        learning_rate=float(rate),
        batch=128,
        seed=SEED,
        threads=1,
        precision="bfloat16",
        workers=1,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start")
    parser.add_argument("given", nargs="+", type=settings_of, metavar="OPTIMISER,RATE")
    parser.add_argument("--steps", type=int, default=1920)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    args = parser.parse_args()
    windows = windows_of(load_material(args.data), [make_scanner("mixture+flow", SEED, args.data)])
    unheard = [windows.draw(np.random.default_rng((SEED + 1, k)), BATCH) for k in range(UNHEARD // BATCH)]
    print(f"{args.start} as it is: {loss_on(new_network('context', args.start, 0), unheard):.4f}", flush=True)
    for settings in (replace(one, steps=args.steps, validate_every=args.steps) for one in args.given):
        network = new_network("context", args.start, 0)
        result = train(network, windows.draw, settings, validate=lambda _: {"score": 0.0})
        loss = loss_on(result.network, unheard)
        print(f"{settings.optimiser} at {settings.learning_rate:g}: {loss:.4f}, {result.elapsed_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
