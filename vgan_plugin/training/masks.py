"""Damage for training: which pixels of a frame are gone. 1 = gone (make this pixel), as everywhere.

Every function takes a NumPy generator for its few random choices, so that the same seed gives the same damage.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def smooth_noise(rng: np.random.Generator, n: int, height: int, width: int, cells: int) -> Tensor:
    """(n, 1, H, W): normal noise of unit variance at `cells` knots a side, bicubic between them."""
    knots = torch.from_numpy(rng.standard_normal((n, 1, cells, cells)).astype(np.float32))
    return F.interpolate(knots, (height, width), mode="bicubic", align_corners=False)


def box(rng: np.random.Generator, frames: int, side: int) -> Tensor:
    """A rectangle of a fifth to a half of the side that drifts up to 3 pixels a frame: (frames, 1, side, side)."""
    h, w = rng.integers(side // 5, side // 2 + 1, 2)
    top, left = rng.integers(0, side - h + 1), rng.integers(0, side - w + 1)
    dy, dx = rng.integers(-3, 4, 2)
    mask = torch.zeros(frames, 1, side, side)
    for i in range(frames):
        y, x = max(0, top + i * dy), max(0, left + i * dx)
        mask[i, :, y : y + h, x : x + w] = 1
    return mask


def blob(rng: np.random.Generator, frames: int, side: int) -> Tensor:
    """Thresholded smooth noise, an object's outline, drifting up to 3 pixels a frame: (frames, 1, side, side)."""
    room = 3 * frames
    noise = smooth_noise(rng, 1, side + 2 * room, side + 2 * room, int(rng.integers(3, 7)))[0]
    shape = (noise > float(rng.uniform(0.4, 0.9))).float()
    dy, dx = rng.integers(-3, 4, 2)
    corners = [(room + i * dy, room + i * dx) for i in range(frames)]
    return torch.stack([shape[:, y : y + side, x : x + side] for y, x in corners])


def strip(rng: np.random.Generator, frames: int, side: int) -> Tensor:
    """A subtitle: a row of letter boxes that stands still: (frames, 1, side, side)."""
    h = int(rng.integers(max(4, side // 12), max(5, side // 6)))
    top = int(rng.integers(side // 2, side - h + 1))
    mask = torch.zeros(1, side, side)
    x = int(rng.integers(0, side // 4))
    while x < side:
        w = int(rng.integers(2, h))
        mask[:, top : top + h, x : x + w] = 1
        x += w + int(rng.integers(1, 4))
    return mask.expand(frames, 1, side, side).clone()


def blocks(rng: np.random.Generator, frames: int, side: int) -> Tensor:
    """Lost 16x16 macroblocks, alone and in runs along a row, other ones in each frame: (frames, 1, side, side)."""
    cells = -(-side // 16)
    lost = rng.random((frames, 1, cells, cells)) < rng.uniform(0.02, 0.1)
    for i in range(frames):
        row, first = rng.integers(0, cells, 2)
        lost[i, 0, row, first : first + rng.integers(0, cells)] = True
    whole = torch.from_numpy(lost.astype(np.float32))
    return F.interpolate(whole, scale_factor=16, mode="nearest")[..., :side, :side]


def damage(rng: np.random.Generator, frames: int, side: int) -> Tensor:
    """One of the four kinds for a run of frames, never empty in the middle one: (frames, 1, side, side) of 0 and 1."""
    kind = (box, blob, strip, blocks)[rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))]
    mask = kind(rng, frames, side)
    if not mask[frames // 2].any():  # a box may have drifted out, blocks may have been spared
        mask[frames // 2, :, side // 4 : side // 2, side // 4 : side // 2] = 1
    return mask
