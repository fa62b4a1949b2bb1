"""Phases: convolutions of long narrow signals, as convolutions of short wide ones.

At the full rate a network is 8 channels wide and 750 samples long, which processors are slow at, above all backwards.
In phases, sample n·u + p of channel c stands at u in channel n·c + p: 48 channels of 125 samples for n = 6. There the
same convolution is one with three taps whose weights are the same ones, each in several places, and zeros. That is half
as many products again, made several times as fast; the numbers are the same but for rounding.

References
----------
Bellanger, Bonnerot, Coudreuse, "Digital filtering by polyphase network", IEEE Trans. ASSP 24, 1976.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def split(x: Tensor, phases: int) -> Tensor:
    """Part a signal, shape (b, c, n), into phases: shape (b, c * phases, n / phases)."""
    b, c, n = x.shape
    return x if phases == 1 else x.reshape(b, c, n // phases, phases).transpose(2, 3).reshape(b, c * phases, -1)


def join(x: Tensor, phases: int) -> Tensor:
    """Put the phases together again: what `split` was given."""
    b, c, n = x.shape
    return x if phases == 1 else x.reshape(b, c // phases, phases, n).transpose(2, 3).reshape(b, c // phases, -1)


def convolve(x: Tensor, weight: Tensor, before: int, stride: int, phases: int) -> Tensor:
    """Convolve a signal in phases.

    Parameters
    ----------
    x : torch.Tensor
        Shape (b, c * phases, n / phases).
    weight : torch.Tensor
        Shape (k, c, taps): of the convolution of the signal as it is.
    before : int
        Zeros that it has before the signal; after it, as many as make n / stride samples of n.
    stride : int
        1, or the number of phases.

    Returns
    -------
    torch.Tensor
        With stride 1 in phases, shape (b, k * phases, n / phases); else as it is, shape (b, k, n / phases).
    """
    spread, (first, last) = spread_out(weight, before, phases, phases if stride == 1 else 1)
    spread = spread.flatten(2, 3).flatten(0, 1)
    if first == last:
        return functional.conv1d(x, spread, padding=first)
    return functional.conv1d(functional.pad(x, (first, last)), spread)


def spread_out(weight: Tensor, before: int, phases: int, outputs: int) -> tuple[Tensor, tuple[int, int]]:
    """Make the weights of a convolution of all phases from those of the signal as it is.

    Parameters
    ----------
    weight, before
        As in `convolve`.
    outputs : int
        Phases that come out: all, or the first alone.

    Returns
    -------
    torch.Tensor
        Shape (k, outputs, c, phases, taps).
    tuple of int
        Zeros that are needed before and after each phase.
    """
    where, ends = _places(weight.shape[2], before, phases, outputs)
    # what no weight comes to is the zero behind the last one
    return functional.pad(weight, (0, 1))[..., where.to(weight.device)].transpose(1, 2), ends


def stretch(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Bring a signal, shape (b, c, n), to a higher rate, in phases: a transposed convolution whose taps do not overlap.

    Parameters
    ----------
    weight : torch.Tensor
        Shape (c, k, phases).
    bias : torch.Tensor, optional
        Shape (k,).

    Returns
    -------
    torch.Tensor
        Shape (b, k * phases, n).
    """
    phases = weight.shape[2]
    each = None if bias is None else bias.repeat_interleave(phases)
    return functional.conv1d(x, weight.permute(1, 2, 0).reshape(-1, len(weight), 1), each)


def _places(taps: int, before: int, phases: int, outputs: int) -> tuple[Tensor, tuple[int, int]]:
    """Which tap leads from a phase to an output, shape (outputs, phases, taps), and the zeros before and after."""
    to = torch.arange(outputs)[:, None, None]
    first, last = -(-before // phases), (outputs + taps - 2 - before) // phases
    tap = torch.arange(-first, last + 1) * phases + torch.arange(phases)[:, None] - to + before
    return torch.where((tap >= 0) & (tap < taps), tap, taps), (first, last)
