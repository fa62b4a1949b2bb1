"""Train several networks at once, on the same windows, on a GPU: what is compared differs in nothing else.

    python bench/side_by_side.py --data DATA --out OUT NAME=START,RATE,STEPS[,muon] ...
        [--scanner mixture+flow] [--batch 128] [--seed 0] [--workers 15] [--within SECONDS]

Each learner is a `streamqrs pretrain --start START --learning-rate RATE --steps STEPS [--optimiser muon]` with the
batch, seed and scanner given (`--scanner none`: ordinary ECG): the same windows in the same batches, loss, optimiser,
rates and running mean. What comes out differs from that command's by rounding, in bfloat16. START may be `new:PRESET`
instead of a model. OUT gets a package of each. If the first steps say that all of them take longer than `--within` so
many seconds, fewer are made, and the rates fall sooner.

A whole step of a learner (both passes, optimiser, running mean) is recorded as a CUDA graph and played back, on a
stream of its own: there are so many small operations that a GPU otherwise waits for Python. The processes that draw
windows are then the limit, some 9,000 windows/s of fifteen. Without a GPU it works the same, slowly. Nothing needs
this script: `streamqrs pretrain` trains the same networks, one after another.
"""

import argparse
import math
import os
import re
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from streamqrs.model import load
from streamqrs.training.ahead import Ahead
from streamqrs.training.export import PackageInfo, export
from streamqrs.training.loop import learning_rate, loss_of
from streamqrs.training.optimise import Optimiser
from streamqrs.training.plan import find_base
from streamqrs.training.pretrain import new_network, windows_of
from streamqrs.training.recordings import load_material
from streamqrs.training.scanned import make_scanner
from streamqrs.training.settings import TrainSettings
from streamqrs.types import WINDOW

FORM = re.compile(r"\w+=[^,=]+,[\d.e-]+,[1-9]\d*(,muon)?")
TOLD_EVERY = 500
MEASURED = slice(300, 1300)  # steps that tell how long all of them take
SAVED_S = 10  # time for the packages, at the end


class Learner:
    """A network, the running mean of its weights, and its optimiser."""

    def __init__(self, given, batch, seed, device):
        self.name, plan = given.split("=")
        self.start, rate, steps, *more = plan.split(",")
        self.settings = TrainSettings(
            steps=int(steps), batch=batch, learning_rate=float(rate), optimiser="muon" if more else "adamw", seed=seed
        )
        new = self.start.startswith("new:")
        network = new_network(self.start[4:] if new else "base", None if new else self.start, seed)
        self.network = network.to(device).train()
        self.mean = deepcopy(self.network).eval()
        self.means, self.news = (
            [value for value in one.state_dict().values() if value.is_floating_point()]
            for one in (self.mean, self.network)
        )
        self.parameters = list(self.network.parameters())
        layers = self.network.layers()
        self.optimiser = Optimiser(layers, [1.0] * len(layers), self.settings)
        self.ecg = torch.zeros(batch, 1, WINDOW, device=device)
        self.target = torch.zeros(batch, WINDOW, device=device)
        self.weight = torch.ones(batch, WINDOW, device=device)
        self.part = torch.zeros((), device=device)
        """The rate of a step, in that of the whole training."""
        self.renewed = torch.zeros((), device=device)
        """How much of the running mean a step makes anew."""
        self.loss = torch.zeros((), device=device)
        self.graph, self.steps = None, 0
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None

    def go(self):
        """Make a step by hand, from what lies in `ecg`, `target`, `weight`, `part` and `renewed`."""
        for parameter in self.parameters:
            parameter.grad = None
        with torch.autocast(self.ecg.device.type, torch.bfloat16, cache_enabled=False):
            logits = self.network(self.ecg)
        loss = loss_of(logits.float(), self.target, self.weight)
        loss.backward()
        with torch.no_grad():
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            # a step of either optimiser is linear in its rate: that of a graph stays the same, and part of it is taken
            old = [parameter.clone() for parameter in self.parameters]
            self.optimiser.step(self.settings.learning_rate)
            for parameter, was in zip(self.parameters, old, strict=True):
                parameter.copy_(torch.lerp(was, parameter, self.part))
            for mean, new in zip(self.means, self.news, strict=True):
                mean.lerp_(new, self.renewed)
            self.loss.copy_(torch.lerp(self.loss, loss.detach(), self.renewed))

    def record(self):
        """Record a step as a CUDA graph, and put everything back to where it was."""
        groups = [group for part in self.optimiser._parts.values() for group in part.param_groups]
        for group in groups:
            group["capturable"] = True
        before = deepcopy(self.network.state_dict())
        for _ in range(4):
            self.go()
        graph = torch.cuda.CUDAGraph()
        for parameter in self.parameters:
            parameter.grad = None
        with torch.cuda.graph(graph, stream=self.stream):
            self.go()
        self.network.load_state_dict(before)
        for state in (state for part in self.optimiser._parts.values() for state in part.state.values()):
            for value in state.values():
                value.zero_()
        self.graph = graph

    def learn(self, ecg, target, weight):
        """Make a step with a batch."""
        for mine, given in ((self.ecg, ecg), (self.target, target), (self.weight, weight)):
            mine.copy_(given, non_blocking=True)
        if self.stream is not None and self.graph is None:
            self.record()
        decay = min(self.settings.average, (self.steps + 1) / (self.steps + 11))
        self.part.fill_(learning_rate(self.steps, self.settings) / self.settings.learning_rate)
        self.renewed.fill_(1 - decay)
        if self.graph is None:
            self.go()
        else:
            self.graph.replay()
        self.steps += 1

    def save(self, out):
        """Write a package."""
        folder = out / self.name
        folder.mkdir()
        info = PackageInfo(self.name, "1", {}, {})
        if not self.start.startswith("new:"):
            info = replace(info, settings=load(find_base(self.start.split("+")[0])).settings)
        export(deepcopy(self.mean).cpu(), folder, info)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learners", nargs="+", metavar="NAME=START,RATE,STEPS[,muon]")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scanner", default="mixture+flow")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=15)
    parser.add_argument("--within", type=float, default=math.inf)
    args = parser.parse_args()
    if odd := [given for given in args.learners if not FORM.fullmatch(given)]:
        parser.error(f"{odd[0]}: allowed are NAME=START,RATE,STEPS[,muon]")
    begun = time.monotonic()
    args.out.mkdir(parents=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    rooms = [] if args.scanner == "none" else [make_scanner(args.scanner, args.seed, args.data)]
    windows = windows_of(load_material(args.data), rooms)
    learners = [Learner(given, args.batch, args.seed, device) for given in args.learners]
    most = max(one.settings.steps for one in learners)
    print(f"ready to draw after {time.monotonic() - begun:.0f} s", flush=True)
    with Ahead(windows.draw, args.batch, args.workers, lambda step: (args.seed, step)) as ahead:
        for step in range(most):
            batch = ahead.take(step, most)
            rows = [torch.from_numpy(one).to(device) for one in (batch.ecg[:, None], batch.target, batch.weight)]
            for one in learners:
                if one.steps == one.settings.steps:
                    continue
                if one.stream is None:
                    one.learn(*rows)
                    continue
                one.stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(one.stream):
                    one.learn(*rows)
            for one in learners:  # before the rows' memory is given to those of the next step
                if one.stream is not None:
                    torch.cuda.current_stream().wait_stream(one.stream)
            over = all(one.steps == one.settings.steps for one in learners)
            if step == 0 or (step + 1) % TOLD_EVERY == 0 or over:
                losses = ", ".join(f"{one.name} {float(one.loss):.4f}" for one in learners)
                print(f"step {step + 1} of {most}, loss: {losses}, {time.monotonic() - begun:.0f} s", flush=True)
                if odd := [one.name for one in learners if not math.isfinite(float(one.loss))]:
                    raise RuntimeError(f"the loss of {odd[0]} is no number: lower its rate")
            if over:
                break
            if step + 1 == MEASURED.start:
                mark = time.monotonic()
            if step + 1 == MEASURED.stop:
                now = time.monotonic()
                left = args.within - SAVED_S - (now - begun)
                each = (now - mark) / (MEASURED.stop - MEASURED.start)
                most = min(most, step + 1 + max(int(min(left / each, most)), 1))
                print(f"{1000 * each:.1f} ms a step: {most} steps are made at most", flush=True)
                for one in learners:
                    one.settings = replace(one.settings, steps=min(one.settings.steps, most))
        for one in learners:
            one.save(args.out)


if __name__ == "__main__":
    main()
