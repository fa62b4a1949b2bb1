"""Predictor: a trained UNet as it runs, the same function in a cheaper graph.

ONNX Runtime works fastest on convolutions whose channels fill its vectors (multiples of 16) and that need no padding,
on products of large matrices, and on few nodes. So, with the weights of the network and nothing trained anew:

- The level of the input's rate has few channels. There each block of samples, as many as the first stride, is one time
  step with that many times the channels: a kernel of 12 becomes one of 3 blocks.
- A transposed convolution and the convolution after it are one linear map, from the lower rate to a block of the higher
  one: their weights are multiplied out. What the encoder saw goes through the other half of that convolution.
- Convolutions are over images of height 1; what must be padded is padded before; all else is done on rows,
  shape (times, channels), where bringing the rate up is a change of shape.
- Attention has a matrix for each head; scales, gains and offsets are multiplied into the weights that follow.
- The two classes are one number: its sigmoid is the softmax of both.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from streamqrs.training.phases import spread_out
from streamqrs.training.unet import UNet
from streamqrs.types import WINDOW


class Predictor(nn.Module):
    """A UNet as it runs: batch norms folded, softmax inside.

    Parameters
    ----------
    network : UNet
        Is read, not changed.
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        network = deepcopy(network).eval().requires_grad_(False)
        strides = network.settings.strides
        self._block = strides[0]
        lengths = [WINDOW]
        for stride in strides:
            lengths.append(lengths[-1] // stride)
        self._length, self._width = lengths[1], strides[0] * network.settings.channels[0]
        self.encoder = nn.ModuleList()
        for level, stage in enumerate(network.encoder):
            parts = []
            for i, part in enumerate(stage):
                weight, bias = _folded(part)
                if level == 0 or (level == 1 and i == 0):
                    times = self._block if level == 0 else 1
                    weight, pad = _blocks(weight, part.pad[0], self._block, times)
                    parts.append(_Conv(weight, bias.repeat(times), pad))
                else:
                    parts.append(_Conv(weight, bias, part.pad, part.conv.stride[0]))
            self.encoder.append(nn.Sequential(*parts))
        levels = reversed(range(len(strides)))
        self.decoder = nn.ModuleList(
            _Up(up, strides[level], lengths[level], at_top=level == 0)
            for level, up in zip(levels, network.decoder, strict=True)
        )
        self.attention = nn.ModuleDict(
            {level: _Attention(part, lengths[int(level)]) for level, part in network.attention.items()}
        )
        weight, bias = network.head.weight[:, :, 0], network.head.bias
        self.head = _Linear(
            torch.block_diag(*[(weight[1:] - weight[:1])] * self._block), (bias[1:] - bias[:1]).repeat(self._block)
        )

    def forward(self, ecg: Tensor) -> Tensor:
        """Return probabilities, shape (b, 2, 750), of windows, shape (b, 1, 750), float32, normalised."""
        x = _image(ecg.reshape(-1, 1, self._length, self._block))
        seen = []
        for stage in self.encoder:
            x = stage(x)
            seen.append(x)
        rows = _rows(seen.pop())
        for level, up in zip(reversed(range(len(self.decoder))), self.decoder, strict=True):
            rows = up(rows, seen.pop())
            if str(level) in self.attention:
                rows = self.attention[str(level)](rows)
        p = torch.sigmoid(self.head(rows.reshape(-1, self._width))).reshape(-1, 1, WINDOW)
        return torch.cat((1 - p, p), dim=1)


class _Conv(nn.Module):
    """Convolution of images of height 1, and ReLU."""

    def __init__(self, weight: Tensor, bias: Tensor, pad: tuple[int, int], stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.pad, self.stride, self.relu = pad, stride, relu
        self.weight, self.bias = nn.Parameter(weight.unsqueeze(2).contiguous()), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.pad
        if left != right:  # else within the convolution, where a few blocks of padding cost less than a copy
            x, right = functional.pad(x, self.pad), 0
        x = functional.conv2d(x, self.weight, self.bias, (1, self.stride), (0, right))
        return functional.relu(x) if self.relu else x


class _Linear(nn.Module):
    """Linear layer on rows, shape (n, n_in)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.T.contiguous()), nn.Parameter(bias.contiguous())

    def forward(self, rows: Tensor) -> Tensor:
        return torch.addmm(self.bias, rows, self.weight)


class _Up(nn.Module):
    """Bring rows to the next higher rate, join what the encoder saw there."""

    def __init__(self, up: nn.Module, stride: int, length: int, at_top: bool) -> None:
        super().__init__()
        self.at_top = at_top
        raised, offset = up.up.weight.double(), up.up.bias.double()  # (n_in, n_out, stride)
        weight, bias = _folded(up.join)
        n_out = len(weight)
        below, beside = weight[:, :n_out].double(), weight[:, n_out:]
        (left, right), times = up.join.pad, stride if at_top else 1
        blocks, pad = _blocks(below, left, stride, stride)
        whole = torch.einsum("oicd,nci->ond", blocks.unflatten(1, (stride, n_out)), raised)
        self.from_below = _Conv(whole.float(), torch.zeros(len(whole)), pad, relu=False)
        if at_top:
            blocks, pad = _blocks(beside, left, stride, stride)
            self.from_beside = _Conv(blocks, bias.repeat(stride), pad, relu=False)
        else:
            self.from_beside = _Conv(beside, bias, (left, right), relu=False)
        # the bias of the transposed convolution, where it is not padding
        ones = functional.pad(offset[None, :, None].expand(1, n_out, length), (left, right))
        self.offset = nn.Parameter(functional.conv1d(ones, below)[0].T.float().reshape(1, length // times, -1))

    def forward(self, rows: Tensor, seen: Tensor) -> Tensor:
        """Take rows, shape (b, 1, t, n_in), and an image, shape (b, n_out, 1, t · stride); return rows."""
        below, beside = self.from_below(_image(rows)), self.from_beside(seen)
        if self.at_top:  # both are in blocks
            return functional.relu(_rows(beside + below) + self.offset)
        return functional.relu(_rows(beside) + _rows(below).reshape(-1, *self.offset.shape) + self.offset)


class _Attention(nn.Module):
    """Attention and feed-forward layer on rows, shape (b, 1, length, width)."""

    def __init__(self, part: nn.Module, length: int) -> None:
        super().__init__()
        width = part.project.in_features
        self.heads, self.width, self.length = part.heads, width, length
        self.size = size = width // part.heads
        # query, key, value of each head: the norm's gain and offset, the place and the scale are in them
        weight = (part.project.weight * part.norm_in.weight).unflatten(0, (3, part.heads, size))
        bias = (part.norm_in.bias + part.place) @ part.project.weight.T + part.project.bias
        bias = bias.unflatten(1, (3, part.heads, size))
        weight[0] *= size**-0.5
        bias[:, 0] *= size**-0.5
        self.weight = nn.ParameterList(nn.Parameter(w.T.contiguous()) for w in weight.flatten(0, 1))
        self.place = nn.ParameterList(nn.Parameter(b.contiguous()) for b in bias.flatten(1, 2).unbind(1))
        self.bias = nn.ParameterList(nn.Parameter(b.contiguous()) for b in part.bias[:, part.distance])
        self.join = nn.ParameterList(nn.Parameter(w.contiguous()) for w in part.join.weight.T.split(size))
        self.offset = nn.Parameter(part.join.bias)
        first, _, last = part.feed
        self.first = _Linear(first.weight * part.norm_out.weight, first.weight @ part.norm_out.bias + first.bias)
        self.last = _Linear(last.weight, last.bias)

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows.reshape(-1, self.width)
        x = functional.layer_norm(rows, (self.width,)).reshape(-1, self.length, self.width)
        rows = rows + self.offset
        for head in range(self.heads):
            query, key, value = (x @ self.weight[i] + self.place[i] for i in range(head, 3 * self.heads, self.heads))
            mixed = torch.softmax(query @ key.transpose(1, 2) + self.bias[head], -1) @ value
            rows = torch.addmm(rows, mixed.reshape(-1, self.size), self.join[head])
        x = functional.layer_norm(rows, (self.width,))
        rows = rows + self.last(functional.relu(self.first(x)))
        return rows.reshape(-1, 1, self.length, self.width)


def _folded(part: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight, shape (n_out, n_in, k), and bias of a convolution with its batch norm."""
    folded = fuse_conv_bn_eval(part.conv, part.norm)
    return folded.weight.detach(), folded.bias.detach()


def _blocks(weight: Tensor, left: int, block: int, times: int) -> tuple[Tensor, tuple[int, int]]:
    """Give the convolution that does on blocks of samples what another one does on samples.

    Parameters
    ----------
    weight : torch.Tensor
        Shape (n_out, n_in, k).
    left : int
        Samples of padding in front.
    block : int
        Samples in a block.
    times : int
        Outputs for each block: as many as it has samples, or only the one for its first.

    Returns
    -------
    torch.Tensor
        Shape (times · n_out, block · n_in, blocks): sample by sample, the channels of each together.
    tuple of int
        Blocks of padding in front and behind.
    """
    wide, pad = spread_out(weight, left, block, times)
    return wide.permute(1, 0, 3, 2, 4).flatten(2, 3).flatten(0, 1), pad


def _image(rows: Tensor) -> Tensor:
    """Rows, shape (b, 1, t, n), as images, shape (b, n, 1, t)."""
    return rows.permute(0, 3, 1, 2)


def _rows(image: Tensor) -> Tensor:
    """Images, shape (b, n, 1, t), as rows, shape (b, 1, t, n)."""
    return image.permute(0, 2, 3, 1)
