"""The built-in motion: from two pictures to one velocity per pixel of a third, with no learned parameter.

The generator starts from this field and learns what it gets wrong. One convention serves interpolation at any time,
prediction and the time before the start: `velocity` is the displacement (dy, dx) over the whole span from reference a
to reference b, given on the *target's* own grid. A target pixel p is seen in a at p + ca * velocity and in b at
p + cb * velocity, with ca = oa / (ob - oa), cb = ob / (ob - oa) for the signed times oa, ob of the references relative
to the target.

Coarse search by oriented-gradient descriptors at 1/16, then robust Gauss-Newton steps with Horn-Schunck smoothing
(Horn and Schunck, "Determining optical flow", 1981; weights as in Black and Anandan, 1996) at 1/16, 1/8, 1/4 and 1/2.
Everything is made of operators that export to ONNX opset 20 with dynamic height and width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 7  # of the coarse search, in cells of 16 px: +-112 px over the span
PULL = 0.005  # cost of a cell's length: still scenes stay still
SHARPNESS = 33.1  # of the softmax over candidates
ALPHA = 2e-3  # weight of smoothness against the data, for intensities in [0, 1]
ROBUST = 0.02  # residual at which a pixel's weight has fallen to 0.7
CALM = (5, 9)  # windows over which the motion is made calmer, in cells
PRECISE = 1e-4  # squared difference below which a better match says nothing: noise matches too
WORSE, SLACK = 1.6, 5e-5  # the calmer motion may match so many times worse, and so much
LONGEST_STEP = 4.0  # largest change of one Gauss-Newton step, in cells
LUMA = (0.299, 0.587, 0.114)


class Level(NamedTuple):
    """One pass of the pyramid: stride, Gauss-Newton steps, Jacobi iterations of each, whether neighbours are tried."""

    stride: int
    steps: int
    jacobi: int
    propagate: bool


class Evidence(NamedTuple):
    """What the motion search reads of one picture.

    Attributes:
        d16: (n, 5, H/16, W/16) normalised descriptors for the coarse search.
        y16, y8, y4, y2: (n, 3, H/k, W/k) luma and its two derivatives (d/dy, d/dx) at stride k.
    """

    d16: Tensor
    y16: Tensor
    y8: Tensor
    y4: Tensor
    y2: Tensor


def gaussian(size: int, sigma: float) -> Tensor:
    """Normalised 1-D Gaussian window, (size,)."""
    k = torch.exp(-((torch.arange(size) - size // 2).float() ** 2) / (2 * sigma * sigma))
    return k / k.sum()


def blur(x: Tensor, kernel: Tensor) -> Tensor:
    """Separable fixed filter on every channel, edges replicated."""
    c, n = x.shape[1], kernel.numel()
    kernel = kernel.to(x)
    x = F.pad(x, (n // 2,) * 4, mode="replicate")
    x = F.conv2d(x, kernel.view(1, 1, 1, n).expand(c, 1, 1, n), groups=c)
    return F.conv2d(x, kernel.view(1, 1, n, 1).expand(c, 1, n, 1), groups=c)


def fixed(x: Tensor, rows: list[float]) -> Tensor:
    """One fixed 3x3 filter on every channel, edges replicated."""
    c = x.shape[1]
    kernel = torch.tensor(rows).to(x).view(1, 1, 3, 3).expand(c, 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=c)


def derivatives(x: Tensor) -> Tensor:
    """Central differences of a one-channel picture: (n, 2, H, W) as (d/dy, d/dx), edges replicated."""
    kernel = torch.tensor([[0, -0.5, 0, 0, 0, 0, 0, 0.5, 0], [0, 0, 0, -0.5, 0, 0.5, 0, 0, 0]]).to(x)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel.view(2, 1, 3, 3))


def grid(x: Tensor) -> Tensor:
    """(1, 2, H, W): every pixel's own (row, column)."""
    h, w = x.shape[-2:]
    rows = torch.arange(h, device=x.device, dtype=torch.float32).view(1, 1, h, 1).expand(1, 1, h, w)
    columns = torch.arange(w, device=x.device, dtype=torch.float32).view(1, 1, 1, w).expand(1, 1, h, w)
    return torch.cat((rows, columns), 1)


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Read `x` at every pixel plus `flow`, bilinearly; positions outside are clamped to the picture's edge.

    Args:
        x: (n, C, H, W).
        flow: (n, 2, H, W), (dy, dx) in pixels of `x`.
    """
    c, h, w = x.shape[1:]
    at = grid(flow)
    # The bounds are relative to the pixel: no absolute coordinate is formed, so half precision stays exact.
    last = torch.tensor([h - 1, w - 1], device=x.device, dtype=torch.float32).view(1, 2, 1, 1)
    flow = torch.minimum(torch.maximum(flow, -at), last - at)
    if torch.onnx.is_in_onnx_export():
        # The only warp with a fast CPU kernel, an fp16 CUDA kernel and pixel offsets; grid_sample is its equal.
        weight = torch.ones(c, 1, 1, 1, dtype=x.dtype)
        return torch.onnx.ops.symbolic(
            "DeformConv",
            (x, weight, flow),
            {"kernel_shape": [1, 1], "group": c, "offset_group": 1},
            dtype=x.dtype,
            shape=x.shape,
            version=19,
        )
    y, x_ = (at + flow).unbind(1)
    places = torch.stack(((2 * x_ + 1) / w - 1, (2 * y + 1) / h - 1), -1).to(x)
    return F.grid_sample(x, places, mode="bilinear", padding_mode="zeros", align_corners=False)


def evidence(luma: Tensor) -> Evidence:
    """Everything the search needs of one picture, from its luma (n, 1, H, W) in [0, 1]; H, W multiples of 16."""
    y2 = F.avg_pool2d(luma, 2)
    y4 = F.avg_pool2d(y2, 2)
    y8 = F.avg_pool2d(y4, 2)
    y16 = F.avg_pool2d(y8, 2)
    g = derivatives(y4)
    mean = y16
    energy = F.avg_pool2d(torch.cat((g.relu(), (-g).relu()), 1), 4)
    d = blur(torch.cat((0.3 * (mean - blur(mean, gaussian(7, 2.0))), energy), 1), torch.tensor([0.25, 0.5, 0.25]))
    d = d / (blur(d.abs().sum(1, keepdim=True), gaussian(7, 2.0)) + 0.02)
    rest = [torch.cat((y, derivatives(y)), 1) for y in (y16, y8, y2)]
    return Evidence(d, rest[0], rest[1], torch.cat((y4, g), 1), rest[2])


def shares(offsets: Tensor) -> tuple[Tensor, Tensor]:
    """(ca, cb), each (n, 1, 1, 1): which share of the velocity leads to a and to b. `offsets`: (n, 2)."""
    span = (offsets[:, 1] - offsets[:, 0]).view(-1, 1, 1, 1)
    return offsets[:, 0].view(-1, 1, 1, 1) / span, offsets[:, 1].view(-1, 1, 1, 1) / span


def sides(velocity: Tensor, ca: Tensor, cb: Tensor) -> Tensor:
    """Flow towards a, then towards b, stacked on the batch: (2n, 2, h, w)."""
    return torch.cat((ca * velocity, cb * velocity))


def hat(places: Tensor, size: int) -> Tensor:
    """Linear interpolation as a matrix: (..., p) places -> (..., p, size) weights; outside is zero."""
    return (1 - (places.unsqueeze(-1) - torch.arange(size, device=places.device, dtype=torch.float32)).abs()).relu()


def box(size: int, radius: int, device: torch.device) -> Tensor:
    """Mean over the neighbours within `radius` that are there, as a matrix (size, size)."""
    k = torch.arange(size, device=device, dtype=torch.float32)
    near = ((k.view(-1, 1) - k).abs() <= radius).float()
    return near / near.sum(1, keepdim=True)


def search(a: Tensor, b: Tensor, ca: Tensor, cb: Tensor) -> Tensor:
    """Velocity on the target's 1/16 grid, in cells: expectation of a softmax over (2R + 1)^2 displacements.

    Displacements lie on a grid, so that reading at all of them is two small matrix products, first over rows, then
    over columns; the means over neighbours are two more.

    Args:
        a: (n, 5, h, w) descriptors of reference a.
        b: the same of b.
        ca: share of the velocity towards a, (n, 1, 1, 1).
        cb: the same towards b.
    """
    n, _, h, w = a.shape
    side = 2 * RADIUS + 1
    reach = torch.arange(-RADIUS, RADIUS + 1, device=a.device, dtype=torch.float32)
    rows = torch.arange(h, device=a.device, dtype=torch.float32)
    columns = torch.arange(w, device=a.device, dtype=torch.float32)

    def read(d: Tensor, share: Tensor) -> Tensor:
        s = share.view(n, 1, 1)
        down = hat((s * reach.view(-1, 1) + rows).view(n, 1, side * h), h)
        across = hat((s * reach.view(-1, 1) + columns).view(n, 1, side * w), w)
        # Outside is zero, not the clamped edge: clamped copies would match themselves and win.
        return down @ d @ across.transpose(-1, -2)  # (n, c, side * h, side * w)

    cost = -(read(a, ca) - read(b, cb)).abs().sum(1)
    flat = cost.view(n * side, h, side * w)
    means = []
    for radius, share in ((1, 0.7), (3, 0.5)):
        tall = (share * box(h, radius, a.device)) @ flat  # (n * side, h, side * w)
        means.append(tall.view(n * side * h * side, w) @ box(w, radius, a.device).T)
    far = (reach.view(-1, 1).square() + reach.square()).sqrt()
    score = (means[0] + means[1]).view(n, side, h, side, w) - PULL * far.view(1, side, 1, side, 1)
    p = (score.permute(0, 2, 4, 1, 3).reshape(n, h * w, side * side) * SHARPNESS).softmax(-1)
    both = torch.stack((reach.repeat_interleave(side), reach.repeat(side)), 1)
    return (p @ both).transpose(1, 2).reshape(n, 2, h, w)


def propagate(y: Tensor, v: Tensor, ca: Tensor, cb: Tensor) -> Tensor:
    """Each pixel keeps its own, a neighbour's or the zero velocity, whichever matches best in a 5x5 window.

    Args:
        y: (2n, 3, h, w) luma and derivatives of a, then of b.
        v: (n, 2, h, w) velocity in cells.
        ca: share towards a.
        cb: share towards b.
    """
    n, _, h, w = v.shape
    p = F.pad(v, (1, 1, 1, 1), mode="replicate")
    tries = [v, *(p[:, :, i : i + h, j : j + w] for i, j in ((0, 1), (2, 1), (1, 0), (1, 2))), torch.zeros_like(v)]
    kept, best = v, torch.zeros(())
    for i, u in enumerate(tries):
        m = warp(y, sides(u, ca, cb))
        error = blur((m[:n] - m[n:]).abs().sum(1, keepdim=True), gaussian(5, 1.5))
        if i:
            kept, best = torch.where(error < best, u, kept), torch.minimum(error, best)
        else:
            best = error
    return kept


def refine(y: Tensor, v: Tensor, ca: Tensor, cb: Tensor, jacobi: int) -> Tensor:
    """One robust Gauss-Newton step on luma and its gradient, with Horn-Schunck smoothing around it.

    The update w solves (G + alpha I) w = -g + alpha (smooth(v + w) - v) by Jacobi iterations, G and g the windowed
    normal equations. Written as w <- D smooth(w) + k, with D, k fixed, so that one iteration is one small
    convolution, one product and one sum. Outside the picture nothing pulls: the smoothing window is renormalised.
    """
    n = v.shape[0]
    m = warp(y, sides(v, ca, cb))
    a, b = m[:n], m[n:]
    r = b - a
    da, db = derivatives3(a), derivatives3(b)
    g = cb * db - ca * da  # (n, 6, h, w): d/dy of (Y, Yy, Yx), then d/dx of them
    gy, gx = g[:, :3], g[:, 3:]
    weight = ROBUST / (r.square().sum(1, keepdim=True) + ROBUST**2).sqrt()
    terms = torch.cat([(t.sum(1, keepdim=True)) for t in (gy * gy, gy * gx, gx * gx, gy * r, gx * r)], 1) * weight
    yy, yx, xx, ry, rx = blur(terms, gaussian(5, 1.2)).chunk(5, 1)
    yy, xx = yy + ALPHA, xx + ALPHA
    det = yy * xx - yx * yx
    iyy, iyx, ixx = xx / det, -yx / det, yy / det
    inside = torch.ones_like(det)
    eight = SMOOTH.to(v)
    share = 1 / F.conv2d(inside, eight.view(1, 1, 3, 3), padding=1)
    # smooth(u)[own axis], smooth(u)[other axis] in one convolution from the four products of the last iteration
    pairs = torch.zeros(4, 4, 3, 3, dtype=v.dtype, device=v.device)
    for out, axis in enumerate((0, 1, 1, 0)):
        pairs[out, axis] = pairs[out, axis + 2] = eight
    d = ALPHA * share * torch.cat((iyy, ixx, iyx, iyx), 1)
    pull = share * F.conv2d(v, eight.view(1, 1, 3, 3).expand(2, 1, 3, 3), padding=1, groups=2) - v
    ky = iyy * (ALPHA * pull[:, :1] - ry) + iyx * (ALPHA * pull[:, 1:] - rx)
    kx = iyx * (ALPHA * pull[:, :1] - ry) + ixx * (ALPHA * pull[:, 1:] - rx)
    k = torch.cat((ky, kx, torch.zeros_like(ky), torch.zeros_like(kx)), 1)
    q = k
    for _ in range(jacobi - 1):
        q = d * F.conv2d(q, pairs, padding=1) + k
    return v + (q[:, :2] + q[:, 2:]).clamp(-LONGEST_STEP, LONGEST_STEP)


SMOOTH = torch.tensor([[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]]) / 12


def derivatives3(x: Tensor) -> Tensor:
    """Central differences of three channels: (n, 6, H, W), d/dy of each, then d/dx of each; edges replicated."""
    kernel = torch.zeros(6, 1, 3, 3, dtype=x.dtype, device=x.device)
    kernel[:3, 0, 0, 1], kernel[:3, 0, 2, 1] = -0.5, 0.5
    kernel[3:, 0, 1, 0], kernel[3:, 0, 1, 2] = -0.5, 0.5
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return torch.cat((F.conv2d(x, kernel[:3], groups=3), F.conv2d(x, kernel[3:], groups=3)), 1)


def double(v: Tensor) -> Tensor:
    """A field in cells on the next finer grid: twice the size, twice the length."""
    return 2 * F.interpolate(v, scale_factor=2, mode="bilinear", align_corners=False)


def calm(y: Tensor, v: Tensor, ca: Tensor, cb: Tensor) -> Tensor:
    """The mean motion around every pixel in its place, wherever it matches nearly as well.

    Gauss-Newton steps also fit what is noise: compression, waves, grain. The mean of the neighbours' motions, each
    weighted by how well it matches (as DIS flow weights its patches: Kroeger et al., 2016), does not; where it matches
    clearly worse an edge of the motion lies, and stays.

    Args:
        y: (2n, 3, h, w) luma and derivatives of a, then of b.
        v: (n, 2, h, w) velocity in cells.
        ca: share towards a.
        cb: share towards b.
    """
    n = v.shape[0]

    def error(v: Tensor) -> Tensor:
        m = warp(y, sides(v, ca, cb))
        return blur((m[:n] - m[n:]).square().sum(1, keepdim=True), gaussian(5, 1.2))

    now = error(v)
    for size in CALM:
        weight = 1 / (now + PRECISE)
        mean = blur(torch.cat((v * weight, weight), 1), gaussian(size, size / 4))
        calmer = mean[:, :2] / mean[:, 2:]
        then = error(calmer)
        kept = then < WORSE * now + SLACK
        v, now = torch.where(kept, calmer, v), torch.where(kept, then, now)
    return v


def settle(y: Tensor, v: Tensor, ca: Tensor, cb: Tensor, level: Level) -> Tensor:
    """The built-in steps of one level: (n, 2, h, w) velocity in cells -> the same, better.

    Args:
        y: (2n, 3, h, w) luma and derivatives of a, then of b, at the level's stride.
        v: velocity in cells.
        ca: share towards a.
        cb: share towards b.
        level: which steps.
    """
    if level.propagate:
        v = propagate(y, v, ca, cb)
    for _ in range(level.steps):
        v = refine(y, v, ca, cb, level.jacobi)
    return calm(y, v, ca, cb)


def estimate(a: Evidence, b: Evidence, ca: Tensor, cb: Tensor, levels: tuple[Level, ...]) -> list[Tensor]:
    """Velocity over the span from a to b on the target's grid, coarse to fine.

    Args:
        a: evidence of reference a.
        b: evidence of reference b.
        ca: share towards a, (n, 1, 1, 1).
        cb: share towards b.
        levels: at strides 16, 8, 4 and 2.

    Returns: for each level the settled velocity (n, 2, H/k, W/k), in its own cells.
    """
    v = search(a.d16, b.d16, ca, cb)
    found = []
    for level, ya, yb in zip(levels, a[1:], b[1:], strict=True):
        v = settle(torch.cat((ya, yb)), v if level.stride == 16 else double(v), ca, cb, level)
        found.append(v)
    return found


def second_differences(x: Tensor) -> Tensor:
    """Second differences of three channels, (n, 6, H, W): along y of each, then along x; edges replicated."""
    return torch.cat((fixed(x, [0, 1, 0, 0, -2, 0, 0, 1, 0]), fixed(x, [0, 0, 0, 1, -2, 1, 0, 0, 0])), 1)


def sharpen(warped: Tensor, flow: Tensor) -> Tensor:
    """Catmull-Rom from a bilinear warp of [picture, its second differences]: (m, 9, H, W) -> (m, 3, H, W).

    Subtracting q * D with q = phase (1 - phase) / 2 for each axis turns linear into cubic interpolation (Keys, 1981,
    a = -1/2, without the cross term).
    """
    phase = flow - flow.floor()
    q = 0.5 * phase * (1 - phase)
    return warped[:, :3] - q[:, :1] * warped[:, 3:6] - q[:, 1:] * warped[:, 6:9]
