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

LAYERS = 3
"""At most so many moving sheets over the background."""
CANVAS = 1.5
"""Side of a sheet in sides of the picture."""
OVERLAY = 0.1
"""Share of scenes whose last sheet is a caption or an emblem that stands still over everything."""


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
    """Random scenes.

    Args:
        rng: decides everything but the textures.
        textures: (n, L, 3, S, S) in [0, 1], the background's first.
        side: side of the pictures to make; S should be about 1.5 of it.
    """
    n, layers, _, size, _ = textures.shape
    # Displacement over the span is log-uniform; beyond a third of the picture little is left to learn from.
    length = np.exp(rng.uniform(np.log(0.5), np.log(side / 3), (n, layers)))
    angle = rng.uniform(0, 2 * np.pi, (n, layers))
    path = np.zeros((n, layers, 3, 2))
    path[:, 1:, 0] = rng.uniform(-0.45, 0.45, (n, layers - 1, 2)) * side
    path[:, :, 1] = length[..., None] * np.stack((np.sin(angle), np.cos(angle)), -1)
    path[:, :, 2] = rng.normal(0, 0.3, (n, layers, 2)) * length[..., None] * (rng.random((n, layers, 1)) < 0.4)
    still = rng.random(n) < (OVERLAY if layers > 1 else 0)
    path[still, -1, 1:] = 0
    turning = (rng.random((n, layers)) < 0.5) & ~(still[:, None] & (np.arange(layers) == layers - 1))
    growth = rng.normal(0, 0.06, (n, layers)) * turning
    turn = rng.normal(0, 0.1, (n, layers)) * turning
    shape = rng.choice(len(SHAPES), (n, layers - 1), p=(0.45, 0.25, 0.2, 0.1))
    shape[still, -1:] = rng.choice((1, 3), (int(still.sum()), min(1, layers - 1)))
    alpha = textures.new_ones(n, layers, 1, size, size)
    alpha[:, 1:] = _outlines(rng, shape.ravel(), size, side, textures.device).view(n, layers - 1, 1, size, size)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(textures)

    return Scene(textures, alpha, tensor(growth), tensor(turn), tensor(path), side)


def _outlines(rng: np.random.Generator, shapes: np.ndarray, size: int, side: int, device: torch.device) -> Tensor:
    """(n, S, S) alphas of sheets of these shapes, with an edge of one or two pixels."""
    line = torch.arange(size, device=device) - size / 2 + 0.5
    alphas = torch.zeros(len(shapes), size, size, device=device)
    for kind, distance in enumerate(SHAPES):
        rows = np.flatnonzero(shapes == kind)
        if len(rows):
            edge = _numbers(device, rng.uniform(1.5, 4, len(rows)))
            inside = distance(rng, line[:, None], line[None], len(rows), side)
            alphas[torch.from_numpy(rows).to(device)] = torch.sigmoid(inside * edge)
    return alphas


def _numbers(device: torch.device, values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32)).to(device).view(-1, 1, 1)


def _blob(rng: np.random.Generator, y: Tensor, x: Tensor, n: int, side: int) -> Tensor:  # noqa: ARG001
    """Smooth noise over a threshold: how far inside each pixel lies, about in pixels, (n, S, S)."""
    knots = torch.from_numpy(rng.standard_normal((n, 1, *[int(rng.integers(4, 9))] * 2)).astype(np.float32))
    noise = F.interpolate(knots.to(y.device), (len(y), len(y)), mode="bicubic", align_corners=False)[:, 0]
    slope = (noise[:, 1:, 1:] - noise[:, :-1, :-1]).abs().mean((1, 2)) + 1e-4
    return (noise - _numbers(y.device, rng.uniform(0.2, 0.7, n))) / slope.view(-1, 1, 1)


def _turned(rng: np.random.Generator, y: Tensor, x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    angle = rng.uniform(0, np.pi, n)
    cos, sin = (_numbers(y.device, f(angle)) for f in (np.cos, np.sin))
    return x * cos + y * sin, y * cos - x * sin


def _ellipse(rng: np.random.Generator, y: Tensor, x: Tensor, n: int, side: int) -> Tensor:
    radii = rng.uniform(0.08, 0.4, (2, n)) * side
    along, across = (p / _numbers(y.device, r) for p, r in zip(_turned(rng, y, x, n), radii, strict=True))
    return (1 - (along.square() + across.square()).sqrt()) * _numbers(y.device, radii.min(0))


def _bar(rng: np.random.Generator, y: Tensor, x: Tensor, n: int, side: int) -> Tensor:
    """Down to a pole or a wire."""
    along, across = _turned(rng, y, x, n)
    half = _numbers(y.device, np.exp(rng.uniform(np.log(0.7), np.log(side / 8), n)))
    return torch.minimum(half - across.abs(), _numbers(y.device, rng.uniform(0.2, 0.7, n) * side) - along.abs())


def _letters(rng: np.random.Generator, y: Tensor, x: Tensor, n: int, side: int) -> Tensor:
    """A row of boxes."""
    high = _numbers(y.device, rng.integers(5, max(6, side // 8), n))
    wide = _numbers(y.device, rng.integers(3, 7, n))
    box = torch.where((x / wide).floor() % 2 == 0, 1.0, -1.0)
    return torch.minimum(torch.minimum(box, high / 2 - y.abs()), side / 3 - x.abs())


SHAPES = (_blob, _ellipse, _bar, _letters)
"""How far inside each pixel lies, in pixels: called with rng, y (S, 1), x (1, S), n and side, they give (n, S, S)."""


def render(scene: Scene, times: Tensor) -> Tensor:
    """Pictures (n, T, 3, H, W) in [0, 1] at `times` (n, T); one unit of time is the span between the references."""
    sheets, places, pictures = torch.cat((scene.texture, scene.alpha), 2), _places(scene), []
    for u in times.unbind(1):
        seen = _read(sheets, _move(_backward(scene, u), places))
        picture = seen[:, 0, :3]
        for sheet in seen.unbind(1)[1:]:
            picture = torch.lerp(picture, sheet[:, :3], sheet[:, 3:])
        pictures.append(picture)
    return torch.stack(pictures, 1).clamp(0, 1)


def flow(scene: Scene, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Where every pixel of the pictures at `start` is at `end`, and whether it can be seen there.

    Args:
        scene: the scenes.
        start: (n,) times of the pixels.
        end: (n,) times to which they go.

    Returns:
        (n, 2, H, W) displacement (dx, dy) in pixels; (n, 1, H, W) 1 where the pixel lies inside the picture and under
        no other sheet at `end`.
    """
    places = _places(scene)
    sheet = _move(_backward(scene, start), places)
    solid = _read(scene.alpha, sheet)[:, :, 0] > 0.5  # (n, L, H, W)
    order = torch.arange(solid.shape[1], device=solid.device).view(1, -1, 1, 1)
    top = (solid * order).amax(1, keepdim=True)  # the background is solid everywhere
    landed = tuple(arrived.gather(1, top) for arrived in _move(_pose(scene, end), sheet))  # (n, 1, H, W) each
    above = _read(scene.alpha, _move(_backward(scene, end), landed))[:, :, 0] > 0.5
    hidden = (above & (order > top)).any(1, keepdim=True)
    inside = (landed[0].abs() <= scene.side / 2) & (landed[1].abs() <= scene.side / 2)
    return torch.cat([to - at for to, at in zip(landed, places, strict=True)], 1), (inside & ~hidden).float()


Points = tuple[Tensor, ...]
"""x and y from the middle in pixels, each (n or 1, L or 1, H or 1, W or 1)."""


def _places(scene: Scene) -> Points:
    """Every pixel of the picture."""
    line = torch.arange(scene.side, device=scene.path.device, dtype=torch.float32) - scene.side / 2 + 0.5
    return line.view(1, 1, 1, -1), line.view(1, 1, -1, 1)


def _pose(scene: Scene, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A(u) = [[cos, -sin], [sin, cos]] on (x, y) as scaled cos and sin, and p(u) as x and y; each (n, L, 1, 1)."""
    u = u.view(-1, 1)
    turned, scale = scene.turn * u, (1 + scene.growth * u).clamp(min=0.3)
    u = u.unsqueeze(-1)
    offset = scene.path[:, :, 0] + scene.path[:, :, 1] * u + scene.path[:, :, 2] * (u * u / 2)
    planes = (turned.cos() * scale, turned.sin() * scale, offset[..., 1], offset[..., 0])
    cos, sin, px, py = (plane[:, :, None, None] for plane in planes)
    return cos, sin, px, py


def _backward(scene: Scene, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """From the picture at u to the sheets: the inverse of a rotation times a scale is its transpose over scale^2."""
    cos, sin, px, py = _pose(scene, u)
    squared = cos.square() + sin.square()
    cos, sin = cos / squared, -sin / squared
    return cos, sin, sin * py - cos * px, -sin * px - cos * py


def _move(pose: tuple[Tensor, Tensor, Tensor, Tensor], points: Points) -> Points:
    """Points by each sheet's pose: (n, L, H, W) each. What depends on a row or a column alone is computed so."""
    cos, sin, px, py = pose
    x, y = points
    return cos * x + (px - sin * y), sin * x + (cos * y + py)


def _read(values: Tensor, sheet: Points) -> Tensor:
    """Sample (n, L, C, S, S) at points of the sheets, (n, L, H, W) each: (n, L, C, H, W)."""
    at = torch.stack(sheet, -1).mul_(2 / values.shape[-1])
    # Reflection is a function of the sheet alone, so what lies beyond its edge moves with it and stays exact.
    read = F.grid_sample(
        values.flatten(0, 1), at.flatten(0, 1), mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return read.view(*values.shape[:3], *at.shape[2:4])
