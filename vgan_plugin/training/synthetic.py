"""Layered motion made from pictures, with exact flow and occlusion at any time.

A scene is a background and a few layers, each a textured sheet with a soft outline. A sheet's motion is affine with an
accelerated path: at time u a point q of the sheet lies in the picture at

    x(q, u) = A(u) q + p(u),  A(u) = (1 + g u) R(w u),  p(u) = p0 + v u + a u^2 / 2,

so the picture at any u, the flow between any two times and who hides whom follow from algebra, without estimation.
Everything runs on the device of the textures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vgan_plugin.training.masks import smooth_noise

LAYERS = 3
"""Moving sheets over the background; some stay empty."""
CANVAS = 1.5
"""Side of a sheet in sides of the picture."""


class Scene(NamedTuple):
    """n scenes of L sheets, the background first; lengths in pixels, origin in the picture's middle.

    Attributes:
        texture: (n, L, 3, S, S) in [0, 1].
        alpha: (n, L, 1, S, S) in [0, 1]; all 1 for the background.
        growth: (n, L) g of A(u).
        turn: (n, L) w of A(u), radians.
        path: (n, L, 3, 2) p0, v and a, each (y, x).
        side: side of the picture.
    """

    texture: Tensor
    alpha: Tensor
    growth: Tensor
    turn: Tensor
    path: Tensor
    side: int


def draw(rng: np.random.Generator, textures: Tensor, side: int) -> Scene:
    """A random scene.

    Args:
        rng: decides everything but the textures.
        textures: (n, 1 + LAYERS, 3, S, S) in [0, 1].
        side: side of the pictures to make; S should be about 1.5 of it.
    """
    n, layers, _, size, _ = textures.shape
    alpha = textures.new_ones(n, layers, 1, size, size)
    for i in range(n):
        for k in range(1, layers):
            alpha[i, k] = _outline(rng, size, side, textures.device)
    # Displacement over the span is log-uniform; beyond a third of the picture little is left to learn from.
    length = np.exp(rng.uniform(np.log(0.5), np.log(side / 3), (n, layers)))
    angle = rng.uniform(0, 2 * np.pi, (n, layers))
    path = np.zeros((n, layers, 3, 2))
    path[:, 1:, 0] = rng.uniform(-0.45, 0.45, (n, layers - 1, 2)) * side
    path[:, :, 1] = length[..., None] * np.stack((np.sin(angle), np.cos(angle)), -1)
    path[:, :, 2] = rng.normal(0, 0.3, (n, layers, 2)) * length[..., None] * (rng.random((n, layers, 1)) < 0.4)
    still = rng.random(n) < 0.1
    path[still, -1, 1:] = 0  # a caption or emblem that stands still over everything
    turning = (rng.random((n, layers)) < 0.5) & ~(still[:, None] & (np.arange(layers) == layers - 1))
    growth = rng.normal(0, 0.06, (n, layers)) * turning
    turn = rng.normal(0, 0.1, (n, layers)) * turning

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(textures)

    return Scene(textures, alpha.to(textures), tensor(growth), tensor(turn), tensor(path), side)


def _outline(rng: np.random.Generator, size: int, side: int, device: torch.device) -> Tensor:
    """One sheet's (1, S, S) alpha: blob, ellipse, bar, letter boxes or nothing, with an edge of one or two pixels."""
    kind = rng.choice(5, p=(0.4, 0.2, 0.15, 0.05, 0.2))
    line = torch.arange(size, device=device) - size / 2 + 0.5
    y, x = line[:, None], line[None]
    turned = float(rng.uniform(0, np.pi))
    along, across = x * np.cos(turned) + y * np.sin(turned), y * np.cos(turned) - x * np.sin(turned)
    if kind == 0:
        noise = smooth_noise(rng, 1, size, size, int(rng.integers(4, 9)))[0, 0].to(device)
        slope = (noise[1:, 1:] - noise[:-1, :-1]).abs().mean() + 1e-4
        distance = (noise - float(rng.uniform(0.2, 0.7))) / slope
    elif kind == 1:
        ry, rx = (float(r) for r in rng.uniform(0.08, 0.4, 2) * side)
        distance = (1 - ((along / rx) ** 2 + (across / ry) ** 2).sqrt()) * min(ry, rx)
    elif kind == 2:  # down to a pole or a wire
        half, reach = float(np.exp(rng.uniform(0, np.log(side / 8)))), float(rng.uniform(0.2, 0.7)) * side
        distance = torch.minimum(half - across.abs(), reach - along.abs())
    elif kind == 3:
        high, wide = int(rng.integers(5, max(6, side // 8))), int(rng.integers(3, 7))
        letters = torch.where((x.long() // wide) % 2 == 0, 1.0, -1.0)
        distance = torch.minimum(torch.minimum(letters, high / 2 - y.abs()), side / 3 - x.abs())
    else:
        return torch.zeros(1, size, size, device=device)
    return torch.sigmoid(distance * float(rng.uniform(1.5, 4)))[None]


def render(scene: Scene, times: Tensor) -> Tensor:
    """Pictures (n, T, 3, H, W) in [0, 1] at `times` (n, T); one unit of time is the span between the references."""
    pictures = []
    for u in times.unbind(1):
        sheets = _read(torch.cat((scene.texture, scene.alpha), 2), _to_sheet(scene, _grid(scene), u), scene)
        picture = sheets[:, 0, :3]
        for sheet in sheets.unbind(1)[1:]:
            picture = torch.lerp(picture, sheet[:, :3], sheet[:, 3:])
        pictures.append(picture)
    return torch.stack(pictures, 1).clamp(0, 1)


def flow(scene: Scene, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Where every pixel of the pictures at `start` is at `end`, and whether it can be seen there.

    Args:
        scene: the scene.
        start: (n,) times of the pixels.
        end: (n,) times to which they go.

    Returns:
        (n, 2, H, W) displacement (dx, dy) in pixels; (n, 1, H, W) 1 where the pixel lies inside the picture and under
        no other sheet at `end`.
    """
    places = _grid(scene)  # (n, L, H, W, 2), the same for every sheet
    sheet = _to_sheet(scene, places, start)
    solid = _read(scene.alpha, sheet, scene)[:, :, 0] > 0.5  # (n, L, H, W)
    order = torch.arange(solid.shape[1], device=solid.device).view(1, -1, 1, 1)
    top = (solid * order).amax(1, keepdim=True)  # the background is solid everywhere
    arrived = _to_picture(scene, sheet, end)
    landed = arrived.gather(1, top[..., None].expand(-1, 1, -1, -1, 2))  # (n, 1, H, W, 2)
    above = _read(scene.alpha, _to_sheet(scene, landed.expand_as(places), end), scene)[:, :, 0] > 0.5
    hidden = (above & (order > top)).any(1, keepdim=True)
    half = scene.side / 2
    inside = (landed.abs() <= half).all(-1)
    return (landed - places[:, :1])[:, 0].flip(-1).permute(0, 3, 1, 2), (inside & ~hidden).float()


def _grid(scene: Scene) -> Tensor:
    """Every pixel's (y, x) from the middle: (n, L, H, W, 2)."""
    line = torch.arange(scene.side, device=scene.path.device, dtype=torch.float32) - scene.side / 2 + 0.5
    places = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
    return places.expand(*scene.growth.shape, *places.shape)


def _pose(scene: Scene, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A(u) = [[cos, sin], [-sin, cos]] on (y, x) as scaled cos and sin, (n, L, 1, 1), and p(u), (n, L, 1, 1, 2)."""
    u = u.view(-1, 1)
    turned, scale = scene.turn * u, (1 + scene.growth * u).clamp(min=0.3)
    cos, sin = turned.cos() * scale, turned.sin() * scale
    u = u.unsqueeze(-1)
    offset = scene.path[:, :, 0] + scene.path[:, :, 1] * u + scene.path[:, :, 2] * (u * u / 2)
    return cos[..., None, None], sin[..., None, None], offset[:, :, None, None]


def _to_picture(scene: Scene, sheet: Tensor, u: Tensor) -> Tensor:
    cos, sin, offset = _pose(scene, u)
    y, x = sheet.unbind(-1)
    return torch.stack((cos * y + sin * x, cos * x - sin * y), -1) + offset


def _to_sheet(scene: Scene, places: Tensor, u: Tensor) -> Tensor:
    cos, sin, offset = _pose(scene, u)
    y, x = (places - offset).unbind(-1)
    squared = cos.square() + sin.square()  # the inverse of a rotation times a scale is its transpose over scale^2
    cos, sin = cos / squared, sin / squared
    return torch.stack((cos * y - sin * x, cos * x + sin * y), -1)


def _read(values: Tensor, sheet: Tensor, scene: Scene) -> Tensor:
    """Sample (n, L, C, S, S) at (n, L, H, W, 2) points of the sheets: (n, L, C, H, W)."""
    n, layers, channels, size, _ = values.shape
    at = (sheet.flip(-1) * (2 / size)).flatten(0, 1)
    # Reflection is a function of the sheet alone, so what lies beyond its edge moves with it and stays exact.
    read = F.grid_sample(values.flatten(0, 1), at, mode="bilinear", padding_mode="reflection", align_corners=False)
    return read.view(n, layers, channels, scene.side, scene.side)
