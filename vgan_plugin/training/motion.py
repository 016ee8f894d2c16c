"""The built-in motion: from two pictures to one velocity per pixel of a third, with no learned parameter.

The generator starts from this field and learns what it gets wrong. One convention serves interpolation at any time,
prediction and the time before the start: `velocity` is the displacement (dy, dx) over the whole span from reference a
to reference b, given on the *target's* own grid. A target pixel p is seen in a at p + ca * velocity and in b at
p + cb * velocity, with ca = oa / (ob - oa), cb = ob / (ob - oa) for the signed times oa, ob of the references relative
to the target.

Coarse search by oriented-gradient descriptors at 1/16, then robust Gauss-Newton steps (weights as in Black and Anandan,
1996): at 1/16 and 1/8 with smoothing by diffusion (Horn and Schunck, "Determining optical flow", 1981), on pictures at
1/4, 1/2 and full size with smoothing by windows (Lucas and Kanade, 1981) on a field of half their resolution, which is
as fine as windows can tell. Everything is made of operators that export to ONNX opset 20 with dynamic height and width,
few and large ones: on a CPU a small operator costs as much as its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vgan_plugin.training.layers import weighed
from vgan_plugin.training.search import search

ALPHA = 2e-3  # weight of smoothness against the data, for intensities in [0, 1]
HOLD = 4e-5  # weight of the field as it is against the data in a window
MOMENTUM = 0.4  # of the diffusion: as smooth in half of the iterations
ROBUST = 0.02  # residual at which a pixel's weight has fallen to 0.7
CALM = (5, 9)  # windows over which the motion is made calmer, in cells
WENT_ON, UNSURE = 2.5, 5e-5  # the motion going on may match so many times worse than what was found, and so much
PRECISE = 1e-4  # squared difference below which a better match says nothing: noise matches too
WORSE, SLACK = 1.6, 5e-5  # the calmer motion may match so many times worse, and so much
FADE = 0.25  # of what a motion's mismatch may be, over which it is taken less and less
CUBIC = -0.7  # the a of cubic interpolation: sharper than Catmull-Rom's -0.5, as two blurred pictures are averaged
SHARPER = -1.1  # with which made frames have nine tenths of their neighbours' detail, for 0.1 dB
LONGEST_STEP = 4.0  # largest change of one Gauss-Newton step, in cells
LUMA = (0.299, 0.587, 0.114)
# What halves a picture. Means of 2x2 let through what is too fine for the half, and fine facades, fences and cloth then
# move as they alias: another way. The first half, of what is finest, is a binomial filter; the others keep more.
FIRST_HALF = (0.125, 0.375, 0.375, 0.125)
HALF = (-0.03, 0.12, 0.41, 0.41, 0.12, -0.03)


class Level(NamedTuple):
    """One pass of the pyramid: stride of its pictures, Gauss-Newton steps, iterations of the diffusion in each."""

    stride: int
    steps: int
    iterations: int = 0


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


def luma(rgb: Tensor) -> Tensor:
    """Brightness, (n, 1, H, W), of (n, 3, H, W)."""
    return weighed(rgb, LUMA)


def halve(x: Tensor, taps: Sequence[float]) -> Tensor:
    """A one-channel picture at half its size, low-passed by `taps` each way, edges replicated."""
    k = torch.tensor(taps).to(x)
    x = F.pad(x, (len(taps) // 2 - 1,) * 4, mode="replicate")
    return F.conv2d(x, (k.view(-1, 1) * k).view(1, 1, len(taps), len(taps)), stride=2)


def evidence(luma: Tensor) -> Evidence:
    """Everything the search needs of one picture, from its luma (n, 1, H, W) in [0, 1]; H, W multiples of 16."""
    y2 = halve(luma, FIRST_HALF)
    y4 = halve(y2, HALF)
    y8 = halve(y4, HALF)
    y16 = halve(y8, HALF)
    g = derivatives(y4)
    mean = y16
    energy = shrink(torch.cat((g.relu(), (-g).relu()), 1), 4)
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


def linearise(y: Tensor, v: Tensor, ca: Tensor, cb: Tensor, *, whole: bool) -> Tensor:
    """Robust normal equations of every pixel: what a change of the velocity does to the difference of a and b.

    Args:
        y: (2n, c, h, w) luma, and its derivatives or not, of a, then of b.
        v: (n, 2, h, w) velocity in cells.
        ca: share towards a.
        cb: share towards b.
        whole: against the whole velocity instead of its change.

    Returns: (n, 5 c, h, w), terms of each of the c pictures: weighted gy gy, gy gx, gx gx, gy e, gx e.
    """
    a, b = warp(y, sides(v, ca, cb)).chunk(2)
    r, c = b - a, y.shape[1]
    g = F.conv2d(cb * b - ca * a, slopes(c, v), padding=1)
    gy, gx = g.chunk(2, 1)
    power = r * r if c == 1 else weighed(r * r, (1.0,) * c)
    # The outermost pixels have no derivative; nothing pulls there.
    weight = inside(v) * ROBUST / (power + ROBUST**2).sqrt()
    e = r - gy * v[:, :1] - gx * v[:, 1:] if whole else r
    wy, wx = gy * weight, gx * weight
    return torch.cat((gy * wy, gy * wx, gx * wx, e * wy, e * wx), 1)


def window(size: int, sigma: float, like: Tensor) -> Tensor:
    """Gaussian window (1, 1, size, size). Zeros are outside: what is compared or divided is weighted alike there."""
    k = gaussian(size, sigma)
    return (k.view(-1, 1) * k).view(1, 1, size, size).to(like)


def windowed(x: Tensor, size: int, sigma: float) -> Tensor:
    """Sums over a Gaussian window around every pixel; of each channel alone, rows after columns. Zeros are outside."""
    c, kernel = x.shape[1], gaussian(size, sigma).to(x)
    x = F.conv2d(x, kernel.view(1, 1, size, 1).expand(c, 1, size, 1), padding=(size // 2, 0), groups=c)
    return F.conv2d(x, kernel.view(1, 1, 1, size).expand(c, 1, 1, size), padding=(0, size // 2), groups=c)


def slopes(count: int, like: Tensor) -> Tensor:
    """Central differences of so many channels as one filter: d/dy of each, then d/dx of each."""
    kernel = torch.zeros(2 * count, count, 3, 3)
    for c in range(count):
        kernel[c, c, 0, 1], kernel[c, c, 2, 1] = -0.5, 0.5
        kernel[count + c, c, 1, 0], kernel[count + c, c, 1, 2] = -0.5, 0.5
    return kernel.to(like)


def inside(like: Tensor) -> Tensor:
    """(1, 1, h, w): 0 for the outermost pixels, else 1."""
    h, w = like.shape[-2:]
    at = grid(like)
    last = torch.tensor([h - 1, w - 1], device=like.device, dtype=torch.float32).view(1, 2, 1, 1)
    edge: Tensor = torch.minimum(at, last - at).amin(1, keepdim=True).clamp(max=1)
    return edge


def summed(count: int, size: int, sigma: float, like: Tensor) -> Tensor:
    """Sums each term of `linearise` over its c pictures and a Gaussian window: a filter (5, 5 c, size, size)."""
    each = torch.kron(torch.eye(5), torch.ones(1, count)).view(5, 5 * count, 1, 1)
    return each.to(like) * window(size, sigma, like)


def refine(y: Tensor, v: Tensor, ca: Tensor, cb: Tensor, iterations: int) -> Tensor:
    """One robust Gauss-Newton step on luma and its gradient, with Horn-Schunck smoothing around it.

    The update w solves (G + alpha I) w = -g + alpha (smooth(v + w) - v) by Jacobi iterations with momentum, G and g the
    windowed normal equations. Written as w <- D smooth(w) + k, with D, k fixed, so that one iteration is one small
    convolution and a few sums. Outside the picture nothing pulls: the smoothing window is renormalised.
    """
    terms = linearise(y, v, ca, cb, whole=False)
    yy, yx, xx, ry, rx = F.conv2d(terms, summed(y.shape[1], 5, 1.2, v), padding=2).chunk(5, 1)
    yy, xx = yy + ALPHA, xx + ALPHA
    det = yy * xx - yx * yx
    iyy, iyx, ixx = xx / det, -yx / det, yy / det
    eight = SMOOTH.to(v)
    share = 1 / F.conv2d(torch.ones_like(v[:1, :1]), eight.view(1, 1, 3, 3), padding=1)
    # smooth(u)[own axis], smooth(u)[other axis] in one convolution from the four products of the last iteration
    pairs = torch.zeros(4, 4, 3, 3, dtype=v.dtype, device=v.device)
    for out, axis in enumerate((0, 1, 1, 0)):
        pairs[out, axis] = pairs[out, axis + 2] = eight
    d = ALPHA * share * torch.cat((iyy, ixx, iyx, iyx), 1)
    pull = share * F.conv2d(v, eight.view(1, 1, 3, 3).expand(2, 1, 3, 3), padding=1, groups=2) - v
    ky = iyy * (ALPHA * pull[:, :1] - ry) + iyx * (ALPHA * pull[:, 1:] - rx)
    kx = iyx * (ALPHA * pull[:, :1] - ry) + ixx * (ALPHA * pull[:, 1:] - rx)
    k = torch.cat((ky, kx, torch.zeros_like(ky), torch.zeros_like(kx)), 1)
    last, q = torch.zeros_like(k), k
    for _ in range(iterations - 1):
        last, q = q, d * F.conv2d(q, pairs, padding=1) + k + MOMENTUM * (q - last)
    return v + (q[:, :2] + q[:, 2:]).clamp(-LONGEST_STEP, LONGEST_STEP)


SMOOTH = torch.tensor([[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]]) / 12


def track(y: Tensor, v: Tensor, ca: Tensor, cb: Tensor) -> Tensor:
    """One robust Gauss-Newton step for a field half as fine as the pictures: one velocity for each window of them.

    Args:
        y: (2n, c, 2h, 2w) luma, and its derivatives or not, of a, then of b.
        v: (n, 2, h, w) velocity in its own cells.
        ca: share towards a.
        cb: share towards b.
    """
    terms = F.conv2d(linearise(y, double(v), ca, cb, whole=True), summed(y.shape[1], 2, 1e9, v), stride=2)
    terms = windowed(terms, 5, 1.0)
    yy, yx, xx, ry, rx = terms.chunk(5, 1)
    yy, xx = yy + HOLD, xx + HOLD
    ry, rx = ry - 2 * HOLD * v[:, :1], rx - 2 * HOLD * v[:, 1:]
    found = torch.cat((yx * rx - xx * ry, yx * ry - yy * rx), 1) / (2 * (yy * xx - yx * yx))
    return v + (found - v).clamp(-LONGEST_STEP / 2, LONGEST_STEP / 2)


def double(v: Tensor) -> Tensor:
    """A field in cells on the next finer grid: twice the size, twice the length."""
    return F.interpolate(2 * v, scale_factor=2, mode="bilinear", align_corners=False)


def calm(y: Tensor, v: Tensor, ca: Tensor, cb: Tensor) -> Tensor:
    """The mean motion around every pixel in its place, wherever it matches nearly as well.

    Gauss-Newton steps also fit what is noise: compression, waves, grain. The mean of the neighbours' motions, each
    weighted by how well it matches (as DIS flow weights its patches: Kroeger et al., 2016), does not; where it matches
    clearly worse an edge of the motion lies, and stays.

    Args:
        y: (2n, 1, h, w) luma of a, then of b.
        v: (n, 2, h, w) velocity in cells.
        ca: share towards a.
        cb: share towards b.
    """
    now = mismatch(y, v, ca, cb)
    for size in CALM:
        weight = 1 / (now + PRECISE)
        sums = windowed(torch.cat((v * weight, weight), 1), size, size / 4)
        calmer = sums[:, :2] / sums[:, 2:]
        then = mismatch(y, calmer, ca, cb)
        taken = acceptance(then, WORSE * now + SLACK)
        v, now = v + taken * (calmer - v), now + taken * (then - now)
    return v


def acceptance(then: Tensor, allowed: Tensor) -> Tensor:
    """How much of a motion to take that matches as `then` where `allowed` would do: 1 if well within, 0 if well beyond.

    It fades from one to the other over `FADE` of what is allowed: a choice would fall the other way by a rounding.
    """
    return ((0.5 + 1 / FADE) - then / (FADE * allowed)).clamp(0, 1)


def mismatch(y: Tensor, v: Tensor, ca: Tensor, cb: Tensor) -> Tensor:
    """Squared difference of a and b along a motion, mean of a small window: (n, 1, h, w).

    Args:
        y: (2n, c, h, w) what is compared of a, then of b.
        v: (n, 2, h, w) velocity in cells.
        ca: share towards a.
        cb: share towards b.
    """
    a, b = warp(y, sides(v, ca, cb)).chunk(2)
    return F.conv2d((a - b).square(), window(5, 1.2, v).expand(1, y.shape[1], 5, 5), padding=2)


def prefer(y: Tensor, v: Tensor, others: Sequence[tuple[Tensor, Tensor]], ca: Tensor, cb: Tensor) -> Tensor:
    """The motion that others propose, wherever it matches nearly as well as what was found, or better.

    Over a long gap or a repeated texture a search finds what matches by chance; what moved before moves on.

    Args:
        y: (2n, 3, h, w) luma and derivatives of a, then of b.
        v: (n, 2, h, w) velocity in cells.
        others: the same, and where it is known.
        ca: share towards a.
        cb: share towards b.
    """
    now = mismatch(y, v, ca, cb)
    for other, known in others:
        then = mismatch(y, other, ca, cb)
        taken = known * acceptance(then, WENT_ON * now + UNSURE)
        v, now = v + taken * (other - v), now + taken * (then - now)
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
    for _ in range(level.steps):
        v = refine(y, v, ca, cb, level.iterations)
    return v


def estimate(
    a: Evidence,
    b: Evidence,
    luma: Tensor,
    ca: Tensor,
    cb: Tensor,
    levels: tuple[Level, ...],
    others: Sequence[tuple[Tensor, Tensor]] = (),
) -> list[Tensor]:
    """Velocity over the span from a to b on the target's grid, coarse to fine.

    Args:
        a: evidence of reference a.
        b: evidence of reference b.
        luma: (2n, 1, H, W) of a, then of b.
        ca: share towards a, (n, 1, 1, 1).
        cb: share towards b.
        levels: at strides 16, 8, 4, 2 and 1.
        others: motions that `prefer` is shown at 1/8, such as those of `path.going_on`.

    Returns: for each level the settled velocity (n, 2, H/k, W/k), in its own cells.
    """
    v16, v8, v = approach(a, b, ca, cb, levels, search(a.d16, b.d16, ca, cb), others)
    y4, y2 = torch.cat((a.y4, b.y4)), torch.cat((a.y2, b.y2))
    v = v4 = double(v)
    for _ in range(levels[3].steps):
        v = track(y2, v, ca, cb)
    v = double(calm(y4[:, :1], v, ca, cb))
    if levels[4].steps:
        for _ in range(levels[4].steps):
            v = track(luma, v, ca, cb)
        v = calm(y2[:, :1], v, ca, cb)
    return [v16, v8, v4, v]


def approach(
    a: Evidence,
    b: Evidence,
    ca: Tensor,
    cb: Tensor,
    levels: tuple[Level, ...],
    found: Tensor,
    others: Sequence[tuple[Tensor, Tensor]] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """The first three levels of `estimate`, from what `search` found: v16, v8, and v8 tracked at 1/4, in cells."""
    v16 = settle(torch.cat((a.y16, b.y16)), found, ca, cb, levels[0])
    y8, y4 = torch.cat((a.y8, b.y8)), torch.cat((a.y4, b.y4))
    v = prefer(y8, double(v16), others, ca, cb) if others else double(v16)
    v = v8 = settle(y8, v, ca, cb, levels[1])
    for _ in range(levels[2].steps):
        v = track(y4, v, ca, cb)
    return v16, v8, v


def mean(x: Tensor, size: int) -> Tensor:
    """Mean of a window around every pixel, of what of it lies in the picture; of each channel alone."""
    c = x.shape[1]
    ones = x.new_ones(1, 1, size, size)
    there = F.conv2d(torch.ones_like(x[:1, :1]), ones, padding=size // 2)  # a convolution is faster than a pooling
    return F.conv2d(x, ones.expand(c, 1, size, size), padding=size // 2, groups=c) / there


def shrink(x: Tensor, factor: int) -> Tensor:
    """Mean of blocks of factor x factor; of each channel alone. On a CPU faster than a pooling."""
    c = x.shape[1]
    share = torch.full((1, 1, factor, factor), 1 / factor**2).to(x)
    return F.conv2d(x, share.expand(c, 1, factor, factor), stride=factor, groups=c)


def sharpen(x: Tensor, valid: Tensor, flow: Tensor, a: float = CUBIC) -> Tensor:
    """Cubic interpolation from what a bilinear warp gave, wherever all that it needs is valid.

    Subtracting q times the second difference, with q = -a phase (1 - phase) for each axis, turns linear into cubic
    interpolation (Keys, 1981, with his outer weights for any a, without the cross term). Second differences of the
    warped picture are the warped second differences wherever the flow is smooth.

    Args:
        x: (n, C, H, W) the warped pictures.
        valid: (n, 1, H, W) their warped validity.
        flow: (n, 2, H, W) the flow that they were read along.
        a: of the interpolation.
    """
    c = x.shape[1]
    second = torch.tensor([1.0, -2.0, 1.0]).to(x)
    phase = flow - flow.floor()
    whole = inside(x) * -F.max_pool2d(-valid, 3, 1, 1)  # not across a damaged edge, nor the picture's
    q = -a * whole * phase * (1 - phase)
    down = F.conv2d(x, second.view(1, 1, 3, 1).expand(c, 1, 3, 1), padding=(1, 0), groups=c)
    across = F.conv2d(x, second.view(1, 1, 1, 3).expand(c, 1, 1, 3), padding=(0, 1), groups=c)
    return x - q[:, :1] * down - q[:, 1:] * across
