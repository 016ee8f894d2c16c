"""Dense motion between two pictures with holes in them: what is hidden moves as what surrounds it.

Coarse search by oriented-gradient descriptors, then robust Gauss-Newton steps with Horn-Schunck smoothing (Horn and
Schunck, "Determining optical flow", 1981; weights as in Black and Anandan, 1996), coarse to fine: the generator's
built-in motion, in NumPy, and with one thing more: pixels that are not to be trusted weigh nothing, so that inside a
hole smoothness alone decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.types import Mask

Field = NDArray[np.float32]
"""(..., H, W); a flow is (2, H, W): (dy, dx) in its own pixels."""

LUMA = (0.299, 0.587, 0.114)
CELL = 16  # stride of the coarsest level
RADIUS = 7  # of the coarse search, in cells
PULL = 0.005  # cost of a cell's length: still scenes stay still
SHARPNESS = 33.1  # of the softmax over candidates
ALPHA = 2e-3  # weight of smoothness against the data, for intensities in [0, 1]
ROBUST = np.float32(0.02)  # residual at which a pixel's weight has fallen to 0.7
LONGEST_STEP = 4.0  # largest change of one Gauss-Newton step, in cells
TINY = np.float32(1e-6)
LEVELS = ((16, 4, 40, True), (8, 3, 24, True), (4, 3, 16, False), (2, 3, 16, False))
"""Stride, Gauss-Newton steps, Jacobi iterations of each (many: a hole is filled from its edge), whether neighbours are
tried."""


@dataclass(frozen=True, eq=False)
class Level:
    """A picture at one stride: luma with its derivatives (d/dy, d/dx), (3, h, w), and how far to trust it, (h, w)."""

    y: Field
    trust: Field


@dataclass(frozen=True, eq=False)
class View:
    """What the search reads of one picture.

    Attributes:
        size: (H, W) of the picture.
        levels: by stride.
        descriptors: (5, H/16, W/16).
    """

    size: tuple[int, int]
    levels: dict[int, Level]
    descriptors: Field


def look(luma: Field, trust: Mask | None = None) -> View:
    """Prepare a picture for `flow`.

    Args:
        luma: (H, W) in [0, 1].
        trust: (H, W), False = a hole; None = no hole.
    """
    height, width = luma.shape
    rows, columns = -height % CELL, -width % CELL
    picture = np.pad(luma.astype(np.float32), ((0, rows), (0, columns)), mode="edge")
    there = np.ones((height, width), np.float32) if trust is None else trust.astype(np.float32)
    there = np.pad(there, ((0, rows), (0, columns)))  # what is beyond the picture is not trusted
    total, share = _half(picture * there), _half(there)
    levels: dict[int, Level] = {}
    lumas: dict[int, Field] = {}
    sums, shares = {2: total}, {2: share}
    for stride in (4, 8, 16, 32, 64):
        if min(sums[stride // 2].shape) < 2:
            break
        sums[stride], shares[stride] = _half(sums[stride // 2]), _half(shares[stride // 2])
    coarsest = max(sums)
    around = _over(box(sums[coarsest], 3), box(shares[coarsest], 3))
    for stride in sorted(sums, reverse=True):  # holes get the mean of what is near: no edge is seen where they begin
        mean = _over(sums[stride], shares[stride])
        if stride != coarsest:
            larger = lumas[stride * 2].repeat(2, 0).repeat(2, 1)
            short = [(0, max(0, n - m)) for n, m in zip(mean.shape, larger.shape, strict=True)]  # an odd one
            around = _blur(np.pad(larger, short, "edge")[: mean.shape[0], : mean.shape[1]], _GAUSS5)
        lumas[stride] = np.where(shares[stride] > 0.5, mean, around)
    for stride, *_ in LEVELS:
        whole = _least(shares[stride] > 0.99)  # a derivative reads both neighbours
        levels[stride] = Level(np.stack((lumas[stride], *_derivatives(lumas[stride]))), whole.astype(np.float32))
    return View((height, width), levels, _descriptors(lumas[4], lumas[16]))


def flow(a: View, b: View, alpha: float = ALPHA) -> Field:
    """Where each pixel of `a` is found in `b`: (2, H, W), (dy, dx) in pixels; `alpha` weighs smoothness."""
    v = _search(a, b)
    for stride, steps, jacobi, neighbours in LEVELS:
        if stride != CELL:
            v = 2 * double(v)
        la, lb = a.levels[stride], b.levels[stride]
        if neighbours:
            v = _propagate(la, lb, v)
        for _ in range(steps):
            v = _refine(la, lb, v, jacobi, np.float32(alpha))
    height, width = a.size
    return (2 * double(v))[:, :height, :width]


def misfit(a: View, b: View, v: Field) -> Field:
    """By how many pixels a flow from `a` to `b` misses, (H, W), as far as edges seen around a pixel tell: differences
    over slopes, those that are near counting most.
    """
    la, lb = a.levels[2], b.levels[2]
    height, width = la.trust.shape
    short = ((0, 0), (0, 2 * height - v.shape[1]), (0, 2 * width - v.shape[2]))
    moved, trust = _seen(lb, np.pad(v, short, mode="edge")[:, ::2, ::2] * np.float32(0.5))
    slope = np.hypot(la.y[1], la.y[2])
    told = np.stack((np.abs(moved[0] - la.y[0]) * slope, slope * slope)) * la.trust * trust
    missed, slopes = np.sum([box(told, size) / np.float32(size) for size in (9, 17, 33, 65)], 0)
    return double(2 * (missed / (slopes + TINY))[None])[0, : v.shape[1], : v.shape[2]]


def sample(planes: Field, y: Field, x: Field) -> Field:
    """Read (C, H, W) at points (n,) or (h, w), bilinearly, clamped to the edge: (C, ...)."""
    height, width = planes.shape[1:]
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = np.minimum(y.astype(np.int32), max(height - 2, 0)), np.minimum(x.astype(np.int32), max(width - 2, 0))
    fy, fx = (y - top).astype(np.float32), (x - left).astype(np.float32)
    flat, at = planes.reshape(len(planes), -1), top * width + left
    right, down = int(width > 1), width * int(height > 1)
    upper = flat[:, at] * (1 - fx) + flat[:, at + right] * fx
    lower = flat[:, at + down] * (1 - fx) + flat[:, at + down + right] * fx
    return (upper * (1 - fy) + lower * fy).astype(np.float32)


def cubic(planes: Field, y: Field, x: Field) -> Field:
    """Read (C, H, W) at points (h, w) by Catmull-Rom's kernel, clamped to the edge: (C, h, w)."""
    height, width = planes.shape[1:]
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = np.floor(y).astype(np.int32), np.floor(x).astype(np.int32)
    flat = planes.reshape(len(planes), -1)
    wy, wx = (catmull_rom((p - q).astype(np.float32)) for p, q in ((y, top), (x, left)))
    columns = [np.clip(left + j - 1, 0, width - 1) for j in range(4)]
    found = np.zeros((len(planes), *y.shape), np.float32)
    for i in range(4):
        row = np.clip(top + i - 1, 0, height - 1) * width
        line = np.zeros_like(found)
        for j in range(4):
            line += wx[j] * flat[:, row + columns[j]]
        found += wy[i] * line
    return found


def catmull_rom(f: Field) -> Field:
    """Weights of the samples at -1, 0, 1, 2 for a place 0..1 between the middle two: (4, ...)."""
    g, h = f * f, f * f * f
    weights: Field = np.float32(0.5) * np.stack((2 * g - f - h, 3 * h - 5 * g + 2, 4 * g - 3 * h + f, h - g))
    return weights


def blur(v: Field, pixels: float) -> Field:
    """Gaussian over about `pixels` (its deviation), by three boxes; edges count as far as they are there."""
    if not pixels:
        return v
    size = max(1, round(np.sqrt(4 * pixels * pixels + 1))) // 2 * 2 + 1
    share = np.ones(v.shape[-2:], np.float32)
    for _ in range(3):
        v, share = box(v, size), box(share, size)
    return (v / share).astype(np.float32)


_GAUSS5 = np.array([0.0625, 0.25, 0.375, 0.25, 0.0625], np.float32)
_NEAR = np.array([0.0752, 0.2494, 0.3508, 0.2494, 0.0752], np.float32)
_NEAR /= _NEAR.sum()


def _over(total: Field, share: Field) -> Field:
    """A mean from a sum and its weights."""
    return (total / np.maximum(share, TINY)).astype(np.float32)


def _half(x: Field) -> Field:
    """Means of 2x2; an odd last row or column is dropped."""
    rows, columns = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    x = x[:rows, :columns]
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) * np.float32(0.25)


def double(v: Field) -> Field:
    """Twice the size, bilinear, half-pixel centres."""
    for axis in (1, 2):
        p = np.pad(v, [(1, 1) if i == axis else (0, 0) for i in range(3)], mode="edge")
        n = v.shape[axis]
        middle, before, after = (np.take(p, range(k, k + n), axis) for k in (1, 0, 2))
        out = np.stack((0.75 * middle + 0.25 * before, 0.75 * middle + 0.25 * after), axis + 1)
        shape = list(v.shape)
        shape[axis] *= 2
        v = out.reshape(shape).astype(np.float32)
    return v


def _blur(x: Field, kernel: Field) -> Field:
    """Separable filter over the last two axes, edges replicated."""
    reach = len(kernel) // 2
    for axis in (-2, -1):
        p = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(reach, reach) if axis == k else (0, 0) for k in (-2, -1)], "edge")
        n = x.shape[axis]
        total = np.zeros_like(x)
        for k, weight in enumerate(kernel):
            total += weight * (p[..., k : k + n, :] if axis == -2 else p[..., k : k + n])
        x = total
    return x


def box(x: Field, size: int) -> Field:
    """Means over size x size, nothing beyond the edge."""
    reach = size // 2
    for axis in (-2, -1):
        pad = [(0, 0)] * (x.ndim - 2) + [(reach + 1, reach) if axis == k else (0, 0) for k in (-2, -1)]
        total = np.cumsum(np.pad(x, pad), axis, dtype=np.float32)
        n = x.shape[axis]
        if axis == -2:
            x = total[..., size : size + n, :] - total[..., :n, :]
        else:
            x = total[..., size : size + n] - total[..., :n]
    return x / np.float32(size * size)


def _least(x: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a pixel and its four neighbours are all true."""
    p = np.pad(x, 1, mode="edge")
    found: NDArray[np.bool_] = x & p[:-2, 1:-1] & p[2:, 1:-1] & p[1:-1, :-2] & p[1:-1, 2:]
    return found


def _derivatives(x: Field) -> tuple[Field, Field]:
    p = np.pad(x, 1, mode="edge")
    return (p[2:, 1:-1] - p[:-2, 1:-1]) * np.float32(0.5), (p[1:-1, 2:] - p[1:-1, :-2]) * np.float32(0.5)


def _descriptors(y4: Field, y16: Field) -> Field:
    wide = np.exp(-(np.arange(-3, 4, dtype=np.float32) ** 2) / 8)
    wide /= wide.sum()
    dy, dx = _derivatives(y4)
    energy = np.stack([np.maximum(g, 0) for g in (dy, dx, -dy, -dx)])
    energy = np.stack([_half(_half(e)) for e in energy])[:, : y16.shape[0], : y16.shape[1]]
    mean = np.float32(0.3) * (y16 - _blur(y16, wide))
    d = _blur(np.concatenate((mean[None], energy)), np.array([0.25, 0.5, 0.25], np.float32))
    return d / (_blur(np.abs(d).sum(0), wide) + np.float32(0.02))


def _search(a: View, b: View) -> Field:
    """Displacement in cells of the coarsest level: expectation of a softmax over (2R + 1)^2 candidates."""
    da, db = a.descriptors, b.descriptors
    ta, tb = a.levels[CELL].trust, b.levels[CELL].trust
    _, h, w = da.shape
    far = np.pad(db, ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)))  # outside is zero: a clamped edge would match itself
    trust = np.pad(tb, RADIUS, constant_values=1)
    steps = [(dy, dx) for dy in range(-RADIUS, RADIUS + 1) for dx in range(-RADIUS, RADIUS + 1)]
    score = np.empty((len(steps), h, w), np.float32)
    for k, (dy, dx) in enumerate(steps):
        rows, columns = slice(RADIUS + dy, RADIUS + dy + h), slice(RADIUS + dx, RADIUS + dx + w)
        seen = ta * trust[rows, columns] + TINY
        cost = np.abs(da - far[:, rows, columns]).sum(0) * seen
        near, wide = (box(cost, n) / np.maximum(box(seen, n), TINY) for n in (3, 7))
        score[k] = -(0.7 * near + 0.5 * wide) - PULL * np.hypot(dy, dx)
    score *= SHARPNESS
    score -= score.max(0)
    p = np.exp(score)
    p /= p.sum(0)
    return np.stack([np.tensordot(np.array([s[axis] for s in steps], np.float32), p, 1) for axis in (0, 1)])


def _seen(b: Level, v: Field) -> tuple[Field, Field]:
    """B as seen from a: (3, h, w), and how far to trust it there: (h, w)."""
    h, w = v.shape[1:]
    y = np.arange(h, dtype=np.float32)[:, None] + v[0]
    x = np.arange(w, dtype=np.float32)[None] + v[1]
    moved = sample(np.concatenate((b.y, b.trust[None])), y, x)
    inside = (y > -0.5) & (y < h - 0.5) & (x > -0.5) & (x < w - 0.5)
    return moved[:3], ((moved[3] > 0.99) & inside).astype(np.float32)


def _propagate(a: Level, b: Level, v: Field) -> Field:
    """Each cell keeps its own, a neighbour's or no displacement, whichever matches best around it."""
    p = np.pad(v, ((0, 0), (1, 1), (1, 1)), mode="edge")
    h, w = v.shape[1:]
    tries = [v, *(p[:, i : i + h, j : j + w] for i, j in ((0, 1), (2, 1), (1, 0), (1, 2))), np.zeros_like(v)]
    kept, best = v, np.zeros(())
    for k, u in enumerate(tries):
        moved, trust = _seen(b, u)
        weight = a.trust * trust
        share = _blur(weight, _NEAR)
        error = _blur(np.abs(moved - a.y).sum(0) * weight, _NEAR) / np.maximum(share, TINY)
        error = np.where(share > 0.1, error, np.inf).astype(np.float32)
        if k:
            better = error < best
            kept, best = np.where(better, u, kept), np.where(better, error, best)
        else:
            best = np.where(np.isinf(error), -1, error)  # nothing is known here: what came from coarser levels stays
    return kept.astype(np.float32)


def _refine(a: Level, b: Level, v: Field, jacobi: int, alpha: np.float32) -> Field:
    """One robust Gauss-Newton step on luma and its gradient, with Horn-Schunck smoothing around it.

    The update w solves (G + alpha I) w = -g + alpha (smooth(v + w) - v) by Jacobi iterations.
    """
    moved, trust = _seen(b, v)
    r = moved - a.y
    gy, gx = np.stack([_derivatives(mean) for mean in (moved + a.y) / 2], 1)
    weight = a.trust * trust * ROBUST / np.sqrt((r * r).sum(0) + ROBUST * ROBUST)
    terms = np.stack([(s * t).sum(0) for s, t in ((gy, gy), (gy, gx), (gx, gx), (gy, r), (gx, r))]) * weight
    yy, yx, xx, ry, rx = _blur(terms, _NEAR)
    yy, xx = yy + alpha, xx + alpha
    det = yy * xx - yx * yx
    iyy, iyx, ixx = xx / det, -yx / det, yy / det
    ky, kx = -(iyy * ry + iyx * rx), -(iyx * ry + ixx * rx)
    dyy, dyx, dxx = alpha * iyy, alpha * iyx, alpha * ixx
    w = np.zeros_like(v)
    for _ in range(jacobi):
        sy, sx = _around(v + w) - v
        w = np.stack((dyy * sy + dyx * sx + ky, dyx * sy + dxx * sx + kx))
    return (v + np.clip(w, -LONGEST_STEP, LONGEST_STEP)).astype(np.float32)


def _around(v: Field) -> Field:
    """Mean of the eight neighbours, the diagonal ones half as much."""
    p = np.pad(v, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = p[:, :, :-2] + 2 * p[:, :, 1:-1] + p[:, :, 2:]
    mean: Field = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:] - 4 * v) / np.float32(12)
    return mean
