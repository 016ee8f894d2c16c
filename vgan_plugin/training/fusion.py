"""From two warped references to one picture: which to trust where, and what stands in where neither can be."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgan_plugin.training import motion
from vgan_plugin.training.layers import Residual, conv, convolution, unshuffled, upsample, weighed, zero

STEADY = 0.5  # weight of how steadily the motion goes on at a reference
FAINT = 1e-4  # power of detail below which it is not worth a judgement
HOLE = 1e-3  # share below which a pixel counts as unseen


class Fusion(nn.Module):
    """Which reference to trust where, what to draw, how sure: a small U-net on the two warped references.

    Without a width at 1/2 its finest level is at 1/4, where it reads pictures alone, and what it draws is for the
    paint, not for the picture.
    """

    def __init__(self, c4: int, c8: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        w2, w4, w8 = widths
        self.fine = w2 > 0
        if self.fine:
            self.enter2 = nn.Sequential(conv(32, w2), conv(w2, w2))
            self.enter4 = conv(w2, w4, 2)
            self.features4 = nn.Conv2d(2 * c4, w4, 1)
        else:
            self.enter4 = nn.Sequential(convolution(112, w4, 1), nn.LeakyReLU(0.1))
        self.enter8 = conv(w4, w8, 2)
        self.features8 = nn.Conv2d(2 * c8, w8, 1)
        self.known8 = zero(256, w8, 1)
        self.turns8 = zero(4, w8, 1)
        self.body8 = nn.Sequential(Residual(w8), Residual(w8))
        self.leave8 = nn.Conv2d(w8, w4, 1)
        self.body4 = Residual(w4)
        if self.fine:
            self.leave4 = nn.Conv2d(w4, w2, 1)
            self.body2 = conv(w2, w2)
            self.leave2 = zero(w2, 16)
        else:
            self.leave4 = zero(w4, 7)

    def forward(
        self,
        pictures: Tensor,
        covers: Tensor,
        seen4: Tensor,
        seen8: Tensor,
        motion8: Tensor,
        turns: Tensor,
        known: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Judge what is seen from the target.

        Args:
            pictures: (n, 7, H, W) warped references and their difference.
            covers: (n, 4, H/2, W/2) validity, times; read where there is a width at 1/2, as the next.
            seen4: (2n, c4, H/4, W/4) warped features of a, then of b.
            seen8: (2n, c8, H/8, W/8) the same at 1/8.
            motion8: (n, w8, H/8, W/8) what the flow head at 1/8 thought.
            turns: (n, 4, H/8, W/8) by how much the velocity changes at a, then at b, see `path.bend`.
            known: (n, 4, H, W) known part and mask.

        Returns: (n, 4, H/2, W/2), logits of a, b and paint, log scale of the error; what is drawn, (n, 12, H/2, W/2),
        unshuffled, or (n, 3, H/4, W/4).
        """
        if self.fine:
            x2 = self._entered(pictures, covers)
            x4 = self.enter4(x2) + self.features4(torch.cat(seen4.chunk(2), 1))
        else:
            entry: Any = self.enter4[0]
            x4 = self.enter4[1](F.conv2d(pictures, unshuffled(entry.weight, 4), entry.bias, 4))
        x8 = F.conv2d(known, unshuffled(self.known8.weight, 8), self.known8.bias, 8) + self.turns8(turns / 8)
        x8 = x8 + self.enter8(x4) + self.features8(torch.cat(seen8.chunk(2), 1)) + motion8
        x8 = self.body8(F.leaky_relu(x8, 0.1))
        x4 = self.body4(F.leaky_relu(x4 + upsample(self.leave8(x8)), 0.1))
        if self.fine:
            out: Tensor = self.leave2(self.body2(x2 + upsample(self.leave4(x4))))
            return out[:, :4], out[:, 4:]
        out = self.leave4(x4)
        return upsample(out[:, :4]), out[:, 4:]

    def _entered(self, pictures: Tensor, covers: Tensor) -> Tensor:
        """The first two layers: a convolution over the pictures unshuffled by 2 and the covers, and another."""
        entry: Any = self.enter2[0]
        first = entry[0].weight
        x = F.conv2d(pictures, unshuffled(first[:, :28], 2), entry[0].bias, 2, 2)
        found: Tensor = self.enter2[1](entry[1](x + F.conv2d(covers, first[:, 28:], padding=1)))
        return found


def grey(x: Tensor) -> Tensor:
    """Mean of three channels."""
    return weighed(x, (1 / 3,) * 3)


def smooth(fused: Tensor, cover: Tensor, given: Tensor, mask: Tensor) -> Tensor:
    """The picture without detail and without holes: means of what is there, coarser ones where nothing is (push-pull,
    Gortler et al., "The Lumigraph", 1996). What is there: the known part, and the references where they are valid.

    Args:
        fused: (n, 3, H, W).
        cover: (n, 1, H, W), 1 = a valid reference reaches this pixel.
        given: (n, 3, H, W), the known part, and zeros.
        mask: (n, 1, H, W), 1 = unknown.

    Returns: (n, 3, H/4, W/4).
    """
    unknown = mask * cover
    sums, shares = [motion.shrink(given + unknown * fused, 4)], [motion.shrink(1 - mask + unknown, 4)]
    for _ in range(2):
        sums.append(motion.shrink(sums[-1], 2))
        shares.append(motion.shrink(shares[-1], 2))
    for _ in range(2):  # the coarsest level reaches far
        sums[-1], shares[-1] = (motion.mean(t, 7) for t in (sums[-1], shares[-1]))
    picture = (sums[-1] + 0.5 * HOLE) / (shares[-1] + HOLE)  # grey where there is nothing at all
    for total, share in zip(sums[-2::-1], shares[-2::-1], strict=True):
        picture = total + (1 - share) * upsample(picture)
    return picture


def steadier(turns: Tensor) -> Tensor:
    """Logit by which a is trusted more than b before learning: the motion between them goes on from there, unbroken.

    What is hidden in one of the references was given the motion of something else there.

    Args:
        turns: (n, 4, h, w) by how much the velocity changes at a, then at b, see `path.bend`.

    Returns: (n, 1, h, w).
    """
    at_a, at_b = (turn.square().sum(1, keepdim=True).sqrt() + 1 for turn in turns.chunk(2, 1))
    return STEADY * (at_b / at_a).log()


def doubt(fused: Tensor, apart: Tensor) -> Tensor:
    """How much of the detail to give up before learning: Wiener's share of noise in it.

    Where the motion is wrong or hidden, the two warped references err independently: a quarter of the power of their
    difference is the power of the error in their mean. Beside the power of the mean's detail it says how much of that
    detail is wrong.

    Args:
        fused: (n, 3, H, W), mean of the warped references.
        apart: (n, 3, H, W), their difference.

    Returns: (n, 1, H/4, W/4) in 0.002..0.8.
    """

    def power(x: Tensor) -> Tensor:
        """Of what the smooth picture lacks: variance within cells of 4x4, over some 20x20 pixels."""
        x = grey(x)
        variance = motion.shrink(x * x, 4) - motion.shrink(x, 4).square()
        return motion.mean(variance, 5)

    share = 0.45 * power(apart) / (power(fused) + FAINT) - 0.3
    return share.clamp(0.002, 0.8)
