"""Place: where a training runs. On the CPU; on a GPU that torch sees; under ``torchrun`` on several of either.

``torchrun --nproc-per-node 4 .venv/bin/streamqrs finetune …`` starts four processes, which share each batch, average
their gradients, and leave validation, checkpoints and all that is written to the first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import distributed, nn


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process trains.

    Attributes
    ----------
    device : torch.device
        Of the network; the CPU by default.
    rank : int
        Number of this process, from 0.
    world : int
        Number of processes.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def share(self, count: int) -> int:
        """How many of the `count` windows of a batch this process draws, at least 1."""
        return max(1, count // self.world)

    def spread(self, network: nn.Module) -> nn.Module:
        """Give what is called to train a network: itself, or a wrapper that averages gradients over the processes."""
        if self.world == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=devices)

    def agree(self, said: bool) -> bool:
        """Return what the first process said."""
        if self.world == 1:
            return said
        flag = torch.tensor([said], dtype=torch.int32, device=self.device)
        distributed.broadcast(flag, 0)
        return bool(flag.item())


@contextmanager
def find_place() -> Iterator[Place]:
    """Take the place that there is: the variables of ``torchrun`` decide on several processes."""
    gpu = torch.cuda.is_available()
    if "RANK" not in os.environ:
        yield Place(torch.device("cuda" if gpu else "cpu"))
        return
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if gpu else "gloo")
    try:
        yield Place(device, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
