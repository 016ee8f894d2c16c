"""The layers that the generator's networks are made of. No normalisation; what corrects starts at zero."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1, std: float | None = None) -> nn.Conv2d:
    """A convolution with its bias at zero and its weights normal, He's by default (for LeakyReLU(0.1))."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2)
    if std is None:
        nn.init.kaiming_normal_(layer.weight, a=0.1)
    else:
        nn.init.normal_(layer.weight, std=std)
    layer.bias = nn.Parameter(torch.zeros(outputs))
    return layer


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and LeakyReLU(0.1), without normalisation."""
    return nn.Sequential(convolution(inputs, outputs, stride=stride), nn.LeakyReLU(0.1))


def zero(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    """A convolution that starts at zero: what it feeds starts as the built-in motion left it."""
    return convolution(inputs, outputs, size, std=0.0)


def unshuffle(x: Tensor, factor: int) -> Tensor:
    """`pixel_unshuffle`: first rows are parted, then columns. Each step copies whole runs, ten times as fast on a CPU.

    Args:
        x: (n, c, H, W).
        factor: divides H and W.

    Returns: (n, c * factor**2, H / factor, W / factor).
    """
    n, c, h, w = x.shape
    x = x.reshape(n * c, h // factor, factor, w).transpose(1, 2)
    x = x.reshape(n * c * factor, h // factor * (w // factor), factor).transpose(1, 2)
    return x.reshape(n, c * factor**2, h // factor, w // factor)


def shuffle(x: Tensor, factor: int) -> Tensor:
    """`pixel_shuffle`, the way back from `unshuffle`."""
    n, c, h, w = x.shape
    x = x.reshape(n * c // factor, factor, h * w).transpose(1, 2)
    x = x.reshape(n * c // factor**2, factor, h, w * factor).transpose(1, 2)
    return x.reshape(n, c // factor**2, h * factor, w * factor)


def unshuffled(weight: Tensor, factor: int) -> Tensor:
    """Weights over `pixel_unshuffle(x, factor)` as weights over x itself, for a stride of `factor`: no copy of x.

    Args:
        weight: (outputs, inputs * factor**2, k, k).
        factor: of the unshuffling.

    Returns: (outputs, inputs, k * factor, k * factor).
    """
    outputs, _, k, _ = weight.shape
    parts = weight.reshape(outputs, -1, factor, factor, k, k).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(outputs, -1, k * factor, k * factor)


class Residual(nn.Module):
    """x + conv(conv(x)), the second one without activation and small at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(width, width), convolution(width, width, std=0.01))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same shape."""
        return x + self.body(x)  # type: ignore[no-any-return]  # torch does not type its modules' calls


def weighed(x: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted sum of the channels, (n, 1, H, W): as a product of matrices, since a convolution that gives one channel
    gives a block of 16 on a CPU, and throws 15 away.
    """
    n, c, h, w = x.shape
    return (torch.tensor(weights).to(x).view(1, c) @ x.reshape(n, c, h * w)).view(n, 1, h, w)


def upsample(x: Tensor, factor: int = 2) -> Tensor:
    """Bilinear, half-pixel centres."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def even(x: Tensor) -> Tensor:
    """Filtered by 1, 2, 1 each way: what alternates from pixel to pixel is gone (Odena et al., "Deconvolution and
    Checkerboard Artifacts", 2016).
    """
    return F.avg_pool2d(F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 2, 1), 2, 1)
