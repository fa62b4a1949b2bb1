"""Train a large network and two small ones at once, on the same batches, on a GPU.

    python bench/teach.py --data DATA --out OUT --teacher LARGE --start SMALL [--steps 9641 2856] [--batch 512]
        [--learning-rate 0.0015] [--seed 10] [--workers 15] [--scanner mixture+flow]

The large one learns on, and teaches the first of the small ones as far as it is (`streamqrs pretrain --teacher` does
that with one that is done); the second small one learns from the marks alone, with the polarity of each window
reversed. Each number of steps is a cycle of its own: a warm-up, half a cosine down; from the second on at two fifths of
the rate. After each, OUT gets a package of every network: large1, taught1, marks1, large2 and so on; `streamqrs
pretrain --start OUT/taught1+OUT/taught2 --steps 0` takes the mean of two.

One pass of each network is recorded as a CUDA graph and played back: there are so many small operations that a GPU
otherwise waits for Python (on one H200 13.8 steps/s of three networks before, 20 with graphs, half of that time waiting
for 15 processes that draw windows). Without a GPU it works the same, slowly. Nothing needs this script: `streamqrs
pretrain` trains the same networks, one after another.
"""

import argparse
import os
import time
from copy import deepcopy
from math import cos, pi
from pathlib import Path

import torch
from torch import nn

from streamqrs.model import load
from streamqrs.training.ahead import Ahead
from streamqrs.training.export import PackageInfo, export, load_network
from streamqrs.training.loop import TAUGHT, loss_of
from streamqrs.training.plan import find_base
from streamqrs.training.pretrain import windows_of
from streamqrs.training.recordings import load_material
from streamqrs.training.scanned import make_scanner
from streamqrs.types import WINDOW

LATER = 0.4
"""Rate of the second cycle and those after it, in that of the first."""

WARM_UP, LOWEST, AVERAGE, TOLD_EVERY = 0.03, 0.005, 0.998, 500


class Learner:
    """A network, the running mean of its weights, and its optimiser."""

    def __init__(self, network, batch, device):
        self.network = network.to(device).train()
        self.mean = deepcopy(self.network).eval()
        self.means, self.news = (
            [value for value in one.state_dict().values() if value.is_floating_point()]
            for one in (self.mean, self.network)
        )
        self.parameters = list(self.network.parameters())
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=0.0, fused=device.type == "cuda")
        self.ecg = torch.zeros(batch, 1, WINDOW, device=device)
        self.target = torch.zeros(batch, WINDOW, device=device)
        self.weight = torch.ones(batch, WINDOW, device=device)
        self.graph, self.result, self.loss, self.steps = None, None, None, 0

    def go(self):
        """Pass forth and back by hand."""
        for parameter in self.parameters:
            parameter.grad = None
        with torch.autocast(self.ecg.device.type, torch.bfloat16, cache_enabled=False):
            logits = self.network(self.ecg)
        loss = loss_of(logits.float(), self.target, self.weight)
        loss.backward()
        return loss.detach()

    def record(self, batch):
        """Record a pass as a CUDA graph; it must give the loss of a pass by hand."""
        self.take(*batch)
        before = deepcopy(self.network.state_dict())
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(4):
                by_hand = self.go().clone()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        for parameter in self.parameters:
            parameter.grad = None
        with torch.cuda.graph(graph):
            self.result = self.go()
        graph.replay()
        if abs(float(by_hand) - float(self.result)) > 0.01:
            raise RuntimeError(f"the graph gives a loss of {float(self.result)}, a pass by hand {float(by_hand)}")
        self.network.load_state_dict(before)
        self.graph = graph

    def take(self, ecg, target, weight):
        """Copy a batch to where the graph reads it."""
        self.ecg.copy_(ecg)
        self.target.copy_(target)
        self.weight.copy_(weight)

    def follow(self, rate):
        """Follow the gradients."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()

    def learn(self, ecg, target, weight, rate):
        """Make one step."""
        self.take(ecg, target, weight)
        if self.graph is not None:
            self.graph.replay()
        loss = self.go() if self.graph is None else self.result
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.follow(rate)
        self.loss = loss.clone() if self.loss is None else torch.lerp(self.loss, loss, 0.02)
        self.steps += 1
        decay = min(AVERAGE, self.steps / (self.steps + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.means, self.news, 1 - decay)


def rate_at(part):
    """Share of the highest rate, as far as a cycle is, 0 to 1."""
    if part < WARM_UP:
        return part / WARM_UP
    return LOWEST + (1 - LOWEST) * (1 + cos(pi * (part - WARM_UP) / (1 - WARM_UP))) / 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAMQRS_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--start", required=True)
    parser.add_argument("--steps", type=int, nargs="+", default=[9641, 2856])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=0.0015)
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--workers", type=int, default=15)
    parser.add_argument("--scanner", default="mixture+flow")
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    settings = load(args.start).settings
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    names = {"large": args.teacher, "taught": args.start, "marks": args.start}
    learners = {name: Learner(load_network(find_base(start)), args.batch, device) for name, start in names.items()}
    teacher, most, begun = learners["large"].mean, sum(args.steps), time.monotonic()
    windows = windows_of(load_material(args.data), [make_scanner(args.scanner, args.seed, args.data)])
    with Ahead(windows.draw, args.batch, args.workers, lambda step: (args.seed, step)) as ahead:
        step = 0
        for cycle, steps in enumerate(args.steps):
            for own in range(steps):
                batch = ahead.take(step, most)
                ecg, target, weight = (
                    torch.from_numpy(rows).to(device) for rows in (batch.ecg[:, None], batch.target, batch.weight)
                )
                if device.type == "cuda" and not step:
                    for learner in learners.values():
                        learner.record((ecg, target, weight))
                rate = args.learning_rate * (LATER if cycle else 1.0) * rate_at(own / steps)
                learners["large"].learn(ecg, target, weight, rate)
                learners["marks"].learn(-ecg, target, weight, rate)
                with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
                    said = torch.softmax(teacher(ecg).float(), dim=1)[:, 1]
                taught = torch.from_numpy(batch.taught).to(device)[:, None]
                told = torch.where(taught, torch.lerp(target, said, TAUGHT), target)
                learners["taught"].learn(ecg, told, weight, rate)
                step += 1
                if step % TOLD_EVERY == 0 or step == most:
                    losses = ", ".join(f"{name} {float(learner.loss):.4f}" for name, learner in learners.items())
                    print(f"step {step} of {most}, loss of {losses}, {time.monotonic() - begun:.0f} s", flush=True)
            for name, learner in learners.items():
                folder = args.out / f"{name}{cycle + 1}"
                folder.mkdir()
                export(deepcopy(learner.mean).cpu(), folder, PackageInfo(folder.name, "1", {}, {}, settings=settings))


if __name__ == "__main__":
    main()
