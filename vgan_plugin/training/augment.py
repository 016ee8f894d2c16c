"""What is done to the pixels of training windows, for a whole batch on its device; all frames of a window alike."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

TURNED = 0.3
"""Share of windows that are scaled and turned. The others keep their pixels, because resampling softens."""
ROOM = 1.4
"""Sides of the box that a crop is turned in, in sides of the crop."""


def turn(rng: np.random.Generator, boxes: Tensor, crop: int) -> Tensor:
    """(n, K, 3, S, S) float in [0, 1] scaled by 0.8 to 1.25 and turned by up to 5 degrees, each window by its own
    affine map, with a cubic kernel: (n, K, 3, crop, crop).
    """
    n, count, _, box, _ = boxes.shape
    angle = np.radians(rng.uniform(-5, 5, n))
    scale = np.exp(rng.uniform(np.log(0.8), np.log(1.25), n))
    scale = np.minimum(scale, box / (crop * (np.cos(angle) + np.abs(np.sin(angle))))) * crop / box
    cos, sin, zero = np.cos(angle) * scale, np.sin(angle) * scale, np.zeros(n)
    rows = np.stack((cos, -sin, zero, sin, cos, zero), 1).reshape(n, 2, 3)
    theta = torch.from_numpy(rows).to(boxes).repeat_interleave(count, 0)
    grid = F.affine_grid(theta, [n * count, 3, crop, crop], align_corners=False)
    turned = F.grid_sample(boxes.flatten(0, 1), grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return turned.clamp_(0, 1).view(n, count, 3, crop, crop)


def mirror(rng: np.random.Generator, pictures: Tensor, upright: bool = False) -> Tensor:
    """(n, K, 3, S, S), each window mirrored, put upside down and transposed with even odds; `upright` only mirrored."""
    chosen = torch.from_numpy(rng.random((3, len(pictures), 1, 1, 1, 1)) < 0.5).to(pictures.device)
    pictures = torch.where(chosen[0], pictures.flip(-1), pictures)
    if upright:
        return pictures
    pictures = torch.where(chosen[1], pictures.flip(-2), pictures)
    return torch.where(chosen[2], pictures.mT, pictures)


def colour(rng: np.random.Generator, pictures: Tensor) -> Tensor:
    """(n, K, 3, H, W) in [0, 1], half of the windows in other colours, a few with permuted channels or with a light
    that fades over time.
    """
    n, count = pictures.shape[:2]
    recoloured, swapped, fading = rng.random((3, n)) < np.array([[0.5], [0.1], [0.05]])
    gain = np.where(recoloured[:, None], np.exp(rng.normal(0, 0.1, (n, 3))), 1.0)
    gamma = np.where(recoloured, np.exp(rng.normal(0, 0.15, n)), 1.0)
    fade = np.where(fading, rng.normal(0, 0.1, n), 0.0)[:, None] * np.linspace(-1, 1, count)
    channels = np.where(swapped[:, None], rng.permuted(np.tile(np.arange(3), (n, 1)), axis=1), np.arange(3))
    rows = np.flatnonzero(recoloured | swapped | fading)
    if not len(rows):
        return pictures
    gains = torch.from_numpy(gain[rows, None] * (1 + fade[rows])[..., None]).to(pictures)[..., None, None]
    powers = torch.from_numpy(gamma[rows]).to(pictures).view(-1, 1, 1, 1, 1)
    order = torch.from_numpy(channels[rows]).to(pictures.device)[:, None, :, None, None]
    where = _index(rows, pictures)
    chosen = pictures[where]
    chosen = chosen.clamp_(min=1e-4).pow_(powers).mul_(gains).clamp_(max=1)
    return pictures.index_copy(0, where, chosen.gather(2, order.expand_as(chosen)))


def compress(rng: np.random.Generator, frames: Tensor) -> Tensor:
    """(n, T, 3, H, W), one window in twenty with the noise of a weak JPEG: 8x8 cosine coefficients are rounded."""
    rows = np.flatnonzero(rng.random(len(frames)) < 0.05)
    strength = torch.from_numpy(rng.uniform(0.5, 2.5, len(rows)) / 255).to(frames)
    if not len(rows) or not frames.shape[1]:
        return frames
    k = torch.arange(8, dtype=torch.float32)
    basis = torch.cos((k[None] + 0.5) * k[:, None] * torch.pi / 8) / 2
    basis[0] /= 2**0.5
    basis = basis.to(frames)
    step = (1 + k[:, None] + k[None]).to(frames) * strength.view(-1, 1, 1, 1, 1, 1, 1)
    where = _index(rows, frames)
    chosen = frames[where]
    blocks = chosen.unfold(3, 8, 8).unfold(4, 8, 8)  # (k, T, 3, H/8, W/8, 8, 8)
    rounded = (basis @ blocks @ basis.T / step).round() * step
    whole = (basis.T @ rounded @ basis).transpose(4, 5).reshape(chosen.shape).clamp(0, 1)
    return frames.index_copy(0, where, whole)


def _index(rows: NDArray[np.int64], like: Tensor) -> Tensor:
    return torch.from_numpy(rows).to(like.device)
