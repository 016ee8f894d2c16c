"""Video from noise: how the generator dreams, in training just as in use, and how far dreams are from footage.

Nothing pairs a dream with a true clip, so there is no PSNR: whole sets of clips are compared.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vgan_plugin.training.generator import NOISE, STRIDE, Generator

OFFSETS = (-2.0, -1.0)
"""Times of the two frames before, which each new frame follows."""


def draw_noise(clips: int, frames: int, side: int, random: torch.Generator) -> Tensor:
    """Standard normal (clips, 1 + frames, NOISE, side/16, side/16), on the CPU: for the seed, then for each frame."""
    cells = side // STRIDE
    return torch.randn(clips, 1 + frames, NOISE, cells, cells, generator=random)


def dream(generator: Generator, noise: Tensor, first: Tensor | None = None) -> Tensor:
    """Make clips from noise; each frame is made from the two before it, the state and its own noise.

    Args:
        generator: one that synthesises.
        noise: (n, 1 + M, NOISE, H/16, W/16), of the seed, then of each frame.
        first: (n, 3, H, W) in [0, 1], frame 0; None = it is made as well.

    Returns:
        (n, M, 3, H, W), not clamped; with `first` as it is at the beginning.
    """
    n, count, _, h, w = noise.shape
    one = noise.new_ones(n, 1, h * STRIDE, w * STRIDE)
    black = torch.zeros_like(one).expand(-1, 3, -1, -1)
    offsets = noise.new_tensor([OFFSETS]).expand(n, 2)
    state = generator.seed(noise[:, 0])
    frames: list[Tensor] = []
    before = after = generator.encode(black, torch.zeros_like(one))
    for k in range(count - 1):
        if k == 0 and first is not None:
            frame = first
        else:
            frame = generator.render(before, after, state, offsets, black, one, noise[:, 1 + k]).rgb
        frames.append(frame)
        if k == count - 2:
            break
        # Each frame answers for itself: through the pictures before it a gradient would grow from frame to frame.
        now = generator.encode(frame.detach().clamp(0, 1), one)
        previous = after if k else now  # a chain's first frame has none before it
        state = generator.remember(now, previous, noise.new_full((n,), float(k > 0)), state)
        before, after = (after if k else now.absent()), now
    return torch.stack(frames, 1)


class Likeness(NamedTuple):
    """A set of dreams beside a set of true clips, both (n, M, 3, H, W).

    Attributes:
        distance: how far the two sets are apart, 0 = alike: see `likeness`.
        variety: mean difference of two dreams over that of two true clips, by their first frames.
        motion: mean change from frame to frame over that of true clips; 1 where there is one frame only.
        sharpness: power of the finest detail over that of true clips.
    """

    distance: float
    variety: float
    motion: float
    sharpness: float


@torch.no_grad()
def likeness(made: Tensor, true: Tensor) -> Likeness:
    """Compare two sets of clips.

    The distance is Frechet's between the two sets' normal distributions of features, with variances but without
    covariances: |mean - mean|^2 + |deviation - deviation|^2, over features of a fixed random network (so that it needs
    no weights from elsewhere, and compares with no published figure) of frames and of differences of frames.
    """
    made = made.clamp(0, 1)
    distance = 0.0
    for one, other in zip(_views(made), _views(true), strict=True):
        a, b = _features(one), _features(other)
        scale = b.std(0).square().sum().clamp(min=1e-9)
        gap = (a.mean(0) - b.mean(0)).square().sum() + (a.std(0) - b.std(0)).square().sum()
        distance += float(gap / scale)
    ratios = [_ratio(measure(made), measure(true)) for measure in (_spread, _change, _detail)]
    return Likeness(distance, *ratios)


def _ratio(made: float, true: float) -> float:
    return made / true if true > 0 else 1.0


def _views(clips: Tensor) -> list[Tensor]:
    """Frames, and where there are several the change from each to the next: (N, 3, H, W) each."""
    views = [clips.flatten(0, 1) - 0.5]
    if clips.shape[1] > 1:
        views.append(4 * clips.diff(dim=1).flatten(0, 1))
    return views


def _features(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 3 x 96): means and deviations over the picture, of a fixed random network's three layers."""
    random = torch.Generator().manual_seed(0)
    x, found = pictures, []
    for inputs, outputs in ((3, 32), (32, 48), (48, 64)):
        weight = torch.randn(outputs, inputs, 4, 4, generator=random).to(x) * (2 / (16 * inputs)) ** 0.5
        x = F.leaky_relu(F.conv2d(x, weight, stride=2, padding=1), 0.2)
        found += [x.mean((2, 3)), x.std((2, 3))]
    return torch.cat(found, 1)


def _spread(clips: Tensor) -> float:
    """Mean |x - y| over all pairs of first frames, made small so that it is a matter of content and not of detail."""
    small = F.avg_pool2d(clips[:, 0], 4).flatten(1)
    return float(F.pdist(small, 1).mean() / small.shape[1])


def _change(clips: Tensor) -> float:
    return float(clips.diff(dim=1).abs().mean()) if clips.shape[1] > 1 else 0.0


def _detail(clips: Tensor) -> float:
    frames = clips.flatten(0, 1)
    return float((frames - F.avg_pool2d(frames, 3, 1, 1, count_include_pad=False)).square().mean())
