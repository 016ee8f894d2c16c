"""The coarse search of the built-in motion: every displacement on a grid, as few and large products of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from vgan_plugin.training.layers import weighed

RADIUS = 7  # of the coarse search, in cells of 16 px: +-112 px over the span
PULL = 0.005  # cost of a cell's length: still scenes stay still
SHARPNESS = 33.1  # of the softmax over candidates


def hat(places: Tensor, size: int) -> Tensor:
    """Linear interpolation as a matrix: (..., p) places -> (..., p, size) weights; outside is zero."""
    return (1 - (places.unsqueeze(-1) - torch.arange(size, device=places.device, dtype=torch.float32)).abs()).relu()


def box(size: int, radius: int, device: torch.device) -> Tensor:
    """Mean over the neighbours within `radius` that are there, as a matrix (size, size)."""
    k = torch.arange(size, device=device, dtype=torch.float32)
    near = ((k.view(-1, 1) - k).abs() <= radius).float()
    return near / near.sum(1, keepdim=True)


def search(a: Tensor, b: Tensor, ca: Tensor, cb: Tensor | None) -> Tensor:
    """Velocity on the target's 1/16 grid, in cells: expectation of a softmax over (2R + 1)^2 displacements.

    Displacements lie on a grid, so that reading at all of them is two small matrix products, first over rows, then
    over columns; the means over neighbours are two more.

    Args:
        a: (n, 5, h, w) descriptors of reference a.
        b: the same of b.
        ca: share of the velocity towards a, (n, 1, 1, 1).
        cb: the same towards b; None: b is the target itself.
    """
    n, c, h, w = a.shape
    side = 2 * RADIUS + 1
    reach = torch.arange(-RADIUS, RADIUS + 1, device=a.device, dtype=torch.float32)
    lines = torch.arange(h, device=a.device, dtype=torch.float32)
    columns = torch.arange(w, device=a.device, dtype=torch.float32)

    def read(d: Tensor, share: Tensor | None) -> Tensor:
        if share is None:
            return d.view(n, c, 1, h, 1, w)
        s = share.view(n, 1, 1)
        down = hat((s * reach.view(-1, 1) + lines).view(n, 1, side * h), h)
        across = hat((s * reach.view(-1, 1) + columns).view(n, 1, side * w), w)
        # Outside is zero, not the clamped edge: clamped copies would match themselves and win.
        return (down @ d @ across.transpose(-1, -2)).view(n, c, side, h, side, w)

    apart = (read(a, ca) - read(b, cb)).abs().view(n, c, side * h, side * w)
    flat = weighed(apart, (-1.0,) * c).view(n * side, h, side * w)
    means = []
    for radius, share in ((1, 0.7), (3, 0.5)):
        tall = (share * box(h, radius, a.device)) @ flat  # (n * side, h, side * w)
        means.append(tall.view(n * side * h * side, w) @ box(w, radius, a.device).T)
    far = (reach.view(-1, 1).square() + reach.square()).sqrt()
    score = (means[0] + means[1]).view(n, side, h, side, w) - PULL * far.view(1, side, 1, side, 1)
    p = (SHARPNESS * (score - score.amax(1, keepdim=True).amax(3, keepdim=True))).exp()
    # Sums of p, p dy and p dx: over the rows' displacements as a product of matrices, then over the columns'.
    moments = torch.stack((torch.ones_like(reach), reach))
    rows = (moments @ p.view(n, side, h * side * w)).view(n, 2, h, side, w)
    both = moments @ rows  # (n, 2, h, 2, w)
    return torch.cat((both[:, 1:, :, 0], both[:, :1, :, 1]), 1) / both[:, :1, :, 0]
