"""Every loss, with its formula. Y is the made frame before clamping, X the true one; means run over all elements.

Pixel losses pull towards the one true frame, adversarial losses towards the set of real frames; `train.py` weighs them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vgan_plugin.training.motion import LUMA

# --- pixels ---------------------------------------------------------------------------------------------------------


def mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean: sum(w v) / sum(w), `weight` broadcast to `values`; zero where nothing has weight."""
    weight = weight.expand_as(values)
    total: Tensor = (values * weight).sum() / weight.sum().clamp(min=1e-6)
    return total


def charbonnier(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Mean sqrt((Y - X)^2 + 1e-6) over the pixels of `weight` (n, 1, H, W); Charbonnier et al., 1994."""
    return mean(((y - x).square() + 1e-6).sqrt(), weight)


def fidelity(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Mean over the frames of log(mean (Y - X)^2 + 1e-5) / 2: what PSNR measures, each frame counting alike."""
    error = (weight * (y - x).square()).sum((1, 2, 3)) / (y.shape[1] * weight.sum((1, 2, 3))).clamp(min=1)
    return (error + 1e-5).log().mean() / 2


def laplacian(y: Tensor, x: Tensor, weight: Tensor, levels: int = 5) -> Tensor:
    """sum_i 2^i mean |Lap_i(Y) - Lap_i(X)|; the last level is the low-pass (Bojanowski et al., 2018, eq. 3).

    Pyramids are linear, so that of Y - X is taken. Levels stop where a side would fall under 2 pixels.
    """
    d, total = y - x, y.new_zeros(())
    for i in range(levels - 1):
        if min(d.shape[-2:]) < 4:
            levels = i + 1
            break
        low = F.avg_pool2d(d, 2)
        high = d - F.interpolate(low, d.shape[-2:], mode="bilinear", align_corners=False)
        total = total + float(2**i) * mean(high.abs(), weight)
        d, weight = low, F.avg_pool2d(weight, 2)
    return total + float(2 ** (levels - 1)) * mean(d.abs(), weight)


def ping_pong(there: Tensor, back: Tensor, weight: Tensor) -> Tensor:
    """Mean |Y - Y'|, Y made of a window in the order of time, Y' of the same window from its end to its beginning: what
    a memory carries along from one frame to the next it carries the other way, and so the two differ by it (Chu et al.,
    "Learning Temporal Coherence via Self-Supervision for GAN-based Video Generation", 2020).
    """
    return mean((there - back).abs(), weight)


def census(y: Tensor, x: Tensor, weight: Tensor, reach: int = 3) -> Tensor:
    """Mean d / (0.1 + d), d the mean squared distance of 7x7 soft ternary codes of 255 luma (Meister et al., 2018).

    A code's element is delta / sqrt(0.81 + delta^2) for the difference delta of a neighbour to the pixel itself. Of two
    opposite neighbours one is enough: the other's element belongs to another pixel, with the sign turned.
    """
    luma = 255 * y.new_tensor(LUMA).view(1, 3, 1, 1)
    both = (torch.cat((y, x)) * luma).sum(1, keepdim=True)
    h, w = (side - 2 * reach for side in both.shape[-2:])
    middle = both[:, :, reach : reach + h, reach : reach + w]
    d = torch.zeros_like(middle[: len(y)])
    side = 2 * reach + 1
    for i in range(side * side // 2):
        top, left = divmod(i, side)
        delta = both[:, :, top : top + h, left : left + w] - middle
        made, true = (delta * (0.81 + delta.square()).rsqrt()).chunk(2)
        d = d + (made - true).square()
    d = d / (side * side // 2)
    return mean(d / (0.1 + d), weight[:, :, reach : reach + h, reach : reach + w])


def flow(made: Tensor, true: Tensor, seen: Tensor) -> Tensor:
    """Mean sqrt(|F - F*|^2 + 1) - 1, where the motion F* is known and visible.

    Args:
        made: (n, 4, H, W) pixels, (dx, dy) towards a, then b.
        true: the same, exact.
        seen: (n, 2, H, W) 1 where a, where b shows the pixel.
    """
    squared = (made - true).square().view(len(made), 2, 2, *made.shape[2:]).sum(2)
    return mean((squared + 1).sqrt() - 1, seen)


def warped_only(warped: Tensor, x: Tensor, weights: Tensor) -> Tensor:
    """Mean (1 - occ) |W - X| of both warped references: each must be right by itself where neither is hidden.

    Args:
        warped: (n, 6, H, W) a, then b, warped to the target.
        x: (n, 3, H, W).
        weights: (n, 3, H, W) fusion weights of a, b and paint; occ = 1 - min(1, 2 min(w_a, w_b)), not trained through.
    """
    shared = (2 * weights[:, :2].amin(1, keepdim=True)).clamp(max=1).detach()
    return mean((warped - x.repeat(1, 2, 1, 1)).abs(), shared)


def confidence(scale: Tensor, y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Mean e / exp(s) + s with e = mean_c |Y - X|, not trained through: exp(s) becomes the expected absolute error.

    It is the negative log-likelihood of a Laplace distribution (Kendall and Gal, 2017). `scale`: s, (n, 1, H, W).
    """
    error = (y - x).abs().mean(1, keepdim=True).detach()
    return mean(error / scale.exp() + scale, weight)


# --- the adversarial game -------------------------------------------------------------------------------------------
# D's logits are p = D(.) and s is the sigmoid: s(p) is the textbook's "probability that it is real". log s(p) is
# -softplus(-p) and log(1 - s(p)) is -softplus(p), written so because they do not overflow.


def judge_loss(kind: str, real: Tensor, made: Tensor) -> Tensor:
    """What the discriminator minimises.

    =============  =====================================================================================
    minimax        -(E[log s(D(x))] + E[log(1 - s(D(G)))]): it ascends the textbook's L_GAN
    nonsaturating  the same
    hinge          E[max(0, 1 - D(x))] + E[max(0, 1 + D(G))] (Lim and Ye, 2017)
    relativistic   E[softplus(-(D(x) - D(G)))], x and G the same crop and time (Jolicoeur-Martineau, 2019)
    =============  =====================================================================================
    """
    if kind in ("minimax", "nonsaturating"):
        return F.softplus(-real).mean() + F.softplus(made).mean()
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + made).mean()
    return F.softplus(made - real).mean()


def generator_loss(kind: str, real: Tensor, made: Tensor) -> Tensor:
    """What the generator minimises.

    =============  =====================================================================================
    minimax        E[log(1 - s(D(G)))]: it descends the textbook's L_GAN; flat while D is sure
    nonsaturating  -E[log s(D(G))] (Goodfellow et al., 2014, section 3)
    hinge          -E[D(G)]
    relativistic   E[softplus(-(D(G) - D(x)))]
    =============  =====================================================================================
    """
    if kind == "minimax":
        return -F.softplus(made).mean()
    if kind == "nonsaturating":
        return F.softplus(-made).mean()
    if kind == "hinge":
        return -made.mean()
    return F.softplus(real - made).mean()


def gradient_penalty(logits: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """1/2 E |grad_x D(x)|^2, summed over the judges: R1 on real inputs, R2 on made ones (Mescheder et al., 2018).

    D is the mean over a judge's patches; the squares are summed over channels and pixels and averaged over the batch.
    """
    scores = [p.mean((1, 2, 3)).sum() for p in logits]
    slopes = torch.autograd.grad(scores, inputs, create_graph=True)
    return torch.stack([0.5 * s.square().sum((1, 2, 3)).mean() for s in slopes]).sum()


def feature_matching(made: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
    """sum_l mean |phi_l(Y) - phi_l(X)| / mean |phi_l(X)|, phi_l what a judge's layer l sees (Salimans et al., 2016)."""
    return torch.stack(
        [(y - x).abs().mean() / x.abs().mean().clamp(min=1e-6) for y, x in zip(made, true, strict=True)]
    ).sum()


def style(made: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
    """sum_l mean |G(phi_l(Y)) - G(phi_l(X))|, G = F F^T / (C h w) over the places (Gatys et al., 2016).

    Which features go together, wherever they are: displaced texture costs nothing, missing texture does.
    """

    def gram(x: Tensor) -> Tensor:
        flat = x.flatten(2)
        return flat @ flat.mT / (flat.shape[1] * flat.shape[2])

    return torch.stack([(gram(y) - gram(x)).abs().mean() for y, x in zip(made, true, strict=True)]).sum()


def diversity(made: Tensor, noise: Tensor) -> Tensor:
    """-min(1, mean |y(z1) - y(z2)| / (0.2 mean |z1 - z2|)): other noise must give another picture (Mao et al., 2019).

    Args:
        made: (n, ...) what was made.
        noise: (n, ...) what it was made from; each is compared with its neighbour in the batch.
    """
    apart = (made - made.roll(1, 0)).abs().mean() / (0.2 * (noise - noise.roll(1, 0)).abs().mean()).clamp(min=1e-6)
    return -apart.clamp(max=1)


def gated(gradient: Tensor, scale: Tensor, mask: Tensor) -> Tensor:
    """The adversarial gradient (n, 3, H, W) kept only where pixels cannot decide, in proportion.

    The gate is 1 where the expected absolute error exp(s) is a tenth of the range or more, and falls with it.

    Args:
        gradient: of the adversarial loss with respect to Y.
        scale: s, (n, 1, H, W).
        mask: (n, 1, H, W) 1 = made.
    """
    return gradient * (10 * scale.detach().exp()).clamp(max=1) * mask


def capped(gradient: Tensor, reference: Tensor, share: float) -> Tensor:
    """`gradient`, shrunk so that its norm is at most `share` of the norm of `reference`."""
    shrunk: Tensor = gradient * (share * reference.norm() / gradient.norm().clamp(min=1e-12)).clamp(max=1)
    return shrunk
