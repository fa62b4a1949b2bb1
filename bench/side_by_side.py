"""Train several networks at once, on the same windows, on a GPU: what is compared differs in nothing else.

    python bench/side_by_side.py --data DATA --out OUT NAME=START,BATCH,RATE,STEPS[,muon][,reversed] ...
        [--draw 512] [--seed 60] [--workers 15] [--scanner mixture+flow] [--within SECONDS]

Each learner is a `streamqrs pretrain --start START --batch BATCH --learning-rate RATE --steps STEPS [--optimiser muon]`
of its own: the same loss, optimiser, rate and running mean, the same kinds of windows. But the windows are drawn once,
`--draw` of them at a time, and each learner takes them in as many batches as it needs; one that is `reversed` gets them
upside down. OUT gets a package of each. Who is not done `--within` so many seconds is left as far as it came.

On one GPU with 15 processes that draw, these are the limit (some 10,000 windows/s). See also `bench/teach.py`.
"""

import argparse
import os
import re
import time
from copy import deepcopy
from pathlib import Path

import torch
from teach import TOLD_EVERY, Learner

from streamqrs.model import load
from streamqrs.training.ahead import Ahead
from streamqrs.training.export import PackageInfo, export, load_network
from streamqrs.training.loop import learning_rate
from streamqrs.training.optimise import Optimiser
from streamqrs.training.plan import find_base
from streamqrs.training.pretrain import windows_of
from streamqrs.training.recordings import load_material
from streamqrs.training.scanned import make_scanner
from streamqrs.training.settings import TrainSettings

FORM = re.compile(r"\w+=[^,=]+,[1-9]\d*,[\d.e-]+,[1-9]\d*(,muon)?(,reversed)?")
"""NAME=START,BATCH,RATE,STEPS[,muon][,reversed]."""


class Pupil(Learner):
    """A learner with batches, rate and steps of its own, all as `pretrain` has them."""

    def __init__(self, given, device):
        self.name, plan = given.split("=")
        self.start, batch, rate, steps, *more = plan.split(",")
        self.sign = -1.0 if "reversed" in more else 1.0
        self.settings = TrainSettings(
            steps=int(steps),
            batch=int(batch),
            learning_rate=float(rate),
            optimiser="muon" if "muon" in more else "adamw",
        )
        super().__init__(load_network(find_base(self.start)), int(batch), device)
        layers = self.network.layers()
        self.optimiser = Optimiser(layers, [1.0] * len(layers), self.settings)

    def follow(self, rate):
        """Follow the gradients, as `pretrain` does."""
        self.optimiser.step(rate)

    def take_all(self, ecg, target, weight):
        """Make a step with each batch that these windows hold."""
        size = self.settings.batch
        for at in range(0, len(ecg), size):
            if self.steps == self.settings.steps:
                return
            rows = slice(at, at + size)
            rate = learning_rate(self.steps, self.settings)
            self.learn(self.sign * ecg[rows], target[rows], weight[rows], rate)

    def save(self, out):
        """Write a package."""
        folder = out / self.name
        folder.mkdir()
        info = PackageInfo(self.name, "1", {}, {}, settings=load(self.start.split("+")[0]).settings)
        export(deepcopy(self.mean).cpu(), folder, info)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learners", nargs="+", metavar="NAME=START,BATCH,RATE,STEPS[,muon][,reversed]")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draw", type=int, default=512)
    parser.add_argument("--seed", type=int, default=60)
    parser.add_argument("--workers", type=int, default=15)
    parser.add_argument("--scanner", default="mixture+flow")
    parser.add_argument("--within", type=float, default=float("inf"))
    args = parser.parse_args()
    if odd := [given for given in args.learners if not FORM.fullmatch(given) or args.draw % int(given.split(",")[1])]:
        parser.error(
            f"{odd[0]}: allowed are NAME=START,BATCH,RATE,STEPS[,muon][,reversed], BATCH a divisor of {args.draw}"
        )
    begun = time.monotonic()
    args.out.mkdir(parents=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    pupils = [Pupil(given, device) for given in args.learners]
    most = max(-(-one.settings.steps * one.settings.batch // args.draw) for one in pupils)
    windows = windows_of(load_material(args.data), [make_scanner(args.scanner, args.seed, args.data)])
    print(f"ready to draw after {time.monotonic() - begun:.0f} s", flush=True)
    with Ahead(windows.draw, args.draw, args.workers, lambda draw: (args.seed, draw)) as ahead:
        for draw in range(most):
            batch = ahead.take(draw, most)
            rows = [torch.from_numpy(one).to(device) for one in (batch.ecg[:, None], batch.target, batch.weight)]
            for one in pupils:
                if device.type == "cuda" and not draw:
                    one.record(tuple(row[: one.settings.batch] for row in rows))
                one.take_all(*rows)
            now = time.monotonic() - begun
            late = now > args.within
            if draw == 0 or (draw + 1) % TOLD_EVERY == 0 or draw + 1 == most or late:
                losses = ", ".join(f"{one.name} {one.steps} {float(one.loss):.4f}" for one in pupils)
                print(f"draw {draw + 1} of {most}, steps and loss: {losses}, {now:.0f} s", flush=True)
            if late:
                break
        for one in pupils:
            one.save(args.out)


if __name__ == "__main__":
    main()
