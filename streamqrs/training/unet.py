"""UNet: 3 s of ECG → probability of QRS for each sample, in a small one-dimensional UNet.

Every convolution has the same (even) kernel; each stage of the encoder lowers the rate by one of the strides, each
stage of the decoder brings it back and takes in what the encoder saw at that rate.

References
----------
Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from streamqrs.training.phases import convolve, join, split, stretch
from streamqrs.types import WINDOW


@dataclass(frozen=True, slots=True)
class UNetSettings:
    """Shape of a UNet.

    Attributes
    ----------
    kernel : int
        Taps of every convolution, at least the largest stride.
    strides : tuple of int
        By how much each stage lowers the rate; their product divides 750.
    channels : tuple of int
        Width of each stage, from the input's rate down; one more than `strides`.
    attention : tuple of int
        Stages of the decoder after which all times of a window attend to each other: 1 is the one after the first
        stride, and so on. There the network compares a wave with all others: the strict period of an artefact, the
        looser rhythm of a heart.
    """

    kernel: int = 12
    strides: tuple[int, ...] = (6, 5, 5)
    channels: tuple[int, ...] = (16, 32, 64, 128)
    attention: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("strides", "channels", "attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.strides or min(self.strides) < 2 or WINDOW % prod(self.strides):
            raise ValueError(f"strides are {self.strides}: allowed are integers above 1 whose product divides {WINDOW}")
        if not max(self.strides) <= self.kernel <= 64:
            raise ValueError(f"kernel is {self.kernel}: allowed are {max(self.strides)} (largest stride) to 64")
        if len(self.channels) != len(self.strides) + 1 or min(self.channels) < 1:
            raise ValueError(f"channels are {self.channels}: allowed are {len(self.strides) + 1} positive integers")
        if not set(self.attention) <= set(range(1, len(self.strides))):
            raise ValueError(f"attention is {self.attention}: allowed are stages 1 to {len(self.strides) - 1}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as they stand in a model's sidecar."""
        return {"type": "unet", **{key: _plain(value) for key, value in asdict(self).items()}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> UNetSettings:
        """Read the settings from a model's sidecar.

        Raises
        ------
        ValueError
            If it is not a UNet, or a key is unknown.
        """
        given = dict(values)
        kind = given.pop("type", None)
        unknown = set(given) - set(cls.__slots__)
        if kind != "unet" or unknown:
            allowed = ", ".join(cls.__slots__)
            raise ValueError(f"architecture is {values}: allowed are type unet with {allowed}")
        return cls(**given)


PRESETS = {
    "base": UNetSettings(),
    "context": UNetSettings(channels=(8, 32, 64, 128), attention=(1, 2)),
    "large": UNetSettings(channels=(16, 64, 128, 192), attention=(1, 2)),
    "seed": UNetSettings(strides=(6, 5, 5, 5), channels=(16, 32, 48, 64, 64)),
}
"""Architectures by name: ``seed`` goes down to one value per window, as the slides do; ``context`` is shipped;
``large`` teaches it, and is too slow to be run live."""

ROW = 32
"""Numbers of bfloat16 in a vector of a processor."""


class UNet(nn.Module):
    """Two-class UNet.

    Parameters
    ----------
    settings : UNetSettings
        Its shape.
    """

    def __init__(self, settings: UNetSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or UNetSettings()
        kernel, strides, channels = self.settings.kernel, self.settings.strides, self.settings.channels
        self.encoder = nn.ModuleList(
            [nn.Sequential(_Conv(1, channels[0], kernel), _Conv(channels[0], channels[0], kernel))]
        )
        for stride, (n_in, n_out) in zip(strides, pairwise(channels), strict=True):
            down = [_Conv(n_in, n_out, kernel, stride)]
            if n_out != channels[-1] or stride != strides[-1]:
                down.append(_Conv(n_out, n_out, kernel))
            self.encoder.append(nn.Sequential(*down))
        self.decoder = nn.ModuleList(
            _Up(n_in, n_out, kernel, stride)
            for stride, (n_out, n_in) in reversed(list(zip(strides, pairwise(channels), strict=True)))
        )
        lengths = np.cumprod((1, *strides))
        self.attention = nn.ModuleDict(
            {
                str(stage): _Attention(channels[stage], WINDOW // int(lengths[stage]))
                for stage in self.settings.attention
            }
        )
        self.head: nn.Module = nn.Conv1d(channels[0], 2, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        """Return logits, shape (b, 2, 750): not QRS, QRS.

        Parameters
        ----------
        ecg : torch.Tensor
            Shape (b, 1, 750), float32, each window normalised.
        """
        # training on a processor, what has the full rate is in phases; what is exported has none
        phases = self.settings.strides[0] if self.training and ecg.device.type == "cpu" else 1
        seen = []
        x = split(ecg, phases)
        for level, stage in enumerate(self.encoder):
            for i, conv in enumerate(stage):
                x = conv(x, phases if level == 0 or (level == 1 and i == 0) else 1)
            seen.append(x)
        seen.pop()
        for level, up in zip(reversed(range(len(self.decoder))), self.decoder, strict=True):
            x = up(x, seen.pop(), phases if level == 0 else 1)
            if level in self.settings.attention:
                x = self.attention[str(level)](x)
        out: Tensor = self.head(x.reshape(len(x), -1, ecg.shape[-1]))  # looks at each sample alone, in any order
        return join(out.reshape(len(out), -1, x.shape[-1]), phases)

    def layers(self) -> dict[str, nn.Module]:
        """Return the stages by name, from the bottom (the input) to the top: what can be frozen or slowed down."""
        stages = {f"encoder{i}": stage for i, stage in enumerate(self.encoder)}
        for i, stage in enumerate(self.decoder):
            level = len(self.decoder) - 1 - i
            stages[f"decoder{level}"] = stage
            if level in self.settings.attention:
                stages[f"attention{level}"] = self.attention[str(level)]
        return {**stages, "head": self.head}


def predict(network: UNet, windows: NDArray[np.float32], *, batch: int = 256) -> NDArray[np.float32]:
    """Probability of QRS.

    Parameters
    ----------
    network : UNet
        Is put into evaluation mode for the call.
    windows : numpy.ndarray
        Shape (b, 750), float32, normalised.
    batch : int
        Windows in one pass.

    Returns
    -------
    numpy.ndarray
        Shape (b, 750), float32, 0 to 1.
    """
    training, device = network.training, network.head.weight.device
    network.eval()
    try:
        with torch.inference_mode():
            rows = (torch.from_numpy(windows[at : at + batch, None]) for at in range(0, len(windows), batch))
            parts = [torch.softmax(network(part.to(device)), dim=1)[:, 1].cpu().numpy() for part in rows]
    finally:
        network.train(training)
    return np.concatenate(parts) if parts else np.empty((0, WINDOW), np.float32)


class _Conv(nn.Module):
    """Convolution, batch norm, ReLU; n samples in, n / stride out."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        pad = kernel - stride
        self.pad = (pad // 2, pad - pad // 2)  # even kernels: one more on the right (5 and 6 for a kernel of 12)
        self.conv: nn.Module = nn.Conv1d(n_in, n_out, kernel, stride=stride, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor, phases: int = 1) -> Tensor:
        """Take and return signals, the full rate in phases if there are several."""
        if phases == 1:
            if any(self.pad):
                x = functional.pad(x, self.pad)
            return functional.relu(self.norm(self.conv(x)))
        x = convolve(x, self.conv.weight, self.pad[0], self.conv.stride[0], phases)
        normed = self.norm(x.reshape(len(x), self.conv.out_channels, -1))  # a channel is one, whatever its order
        return functional.relu(normed).reshape(x.shape)


class _Up(nn.Module):
    """Bring the rate up by `stride`, and join what the encoder saw at that rate."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.up: nn.Module = nn.ConvTranspose1d(n_in, n_out, stride, stride=stride)
        self.join = _Conv(2 * n_out, n_out, kernel)

    def forward(self, x: Tensor, seen: Tensor, phases: int = 1) -> Tensor:
        """Take a signal and what was seen, and return what comes of them; these two in phases if there are several."""
        faster = self.up(x) if phases == 1 else stretch(x, self.up.weight, self.up.bias)
        out: Tensor = self.join(torch.cat((faster, seen), dim=1), phases)
        return out


class _Attention(nn.Module):
    """Multi-head self-attention with a learnt bias for each distance in time, and a feed-forward layer, both residual.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017; relative bias: Raffel et al., JMLR 21, 2020.
    """

    heads = 2

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.bias = nn.Parameter(torch.zeros(self.heads, 2 * length - 1))
        times = torch.arange(length)
        self.register_buffer("distance", times[:, None] - times + length - 1, persistent=False)
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Take and return shape (b, width, length)."""
        rows = x.transpose(1, 2)
        b, length, width = rows.shape
        # in the norms' own precision, not bfloat16: in that of the rows a processor sums the gradients of their weights
        exact = self.place.dtype
        normed = self.norm_in(rows.to(exact)) + self.place
        split = self.project(normed).reshape(b, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        query = query * (width // self.heads) ** -0.5
        # the bias in the precision of the product: else these, the largest tensors of all, become float32
        bias = self.bias[:, self.distance].to(query.dtype)
        if self.training:  # rows as long as a processor likes them: what is added weighs nothing
            more = -length % ROW
            key, value = (functional.pad(each, (0, 0, 0, more)) for each in (key, value))
            query, bias = query.contiguous(), functional.pad(bias, (0, more), value=-torch.inf)
        scores = query @ key.transpose(-1, -2) + bias
        mixed = torch.softmax(scores, -1) @ value
        rows = rows + self.join(mixed.transpose(1, 2).reshape(b, length, width))
        rows = rows + self.feed(self.norm_out(rows.to(exact)))
        return rows.transpose(1, 2)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
