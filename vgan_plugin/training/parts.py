"""The learned parts of the generator beside its cell and its fusion: what sees, what corrects, how a dream begins."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgan_plugin.training import path
from vgan_plugin.training.layers import Residual, conv, convolution, unshuffle, zero
from vgan_plugin.training.path import Bend

SMALL = 16  # channels of the few small maps (motion, times), zeros included


class Encoder(nn.Module):
    """Learned features of one frame at 1/4, 1/8 and 1/16."""

    def __init__(self, c4: int, c8: int, c16: int) -> None:
        super().__init__()
        self.s4 = nn.Sequential(conv(64, c4), Residual(c4))
        self.s8 = nn.Sequential(conv(c4, c8, 2), Residual(c8))
        self.s16 = nn.Sequential(conv(c8, c16, 2), Residual(c16))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 4, H, W) -> features at 1/4, 1/8, 1/16. Invalid pixels are exactly zero and flagged."""
        f4 = self.s4(unshuffle(x, 4))
        f8 = self.s8(f4)
        return f4, f8, self.s16(f8)


class FlowHead(nn.Module):
    """Reads both references as seen along the present flows, and says how each flow is wrong."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.enter = conv(2 * inputs + SMALL, width)
        self.body = Residual(width)
        self.leave = zero(width, 4)

    def forward(self, seen: Tensor, small: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Correct the flows of one level.

        Args:
            seen: (2n, inputs, h, w) features of a, then of b, warped.
            small: (n, SMALL, h, w) the motion and the times, padded with zeros.
            context: (n, width, h, w) from the coarser level or the state.

        Returns: hidden (n, width, h, w); correction (n, 4, h, w) in cells, (dy, dx) towards a, then towards b.
        """
        x = self.body(self.enter(torch.cat((*seen.chunk(2), small), 1)) + context)
        return x, self.leave(x)


class Belief(nn.Module):
    """How much of what the state says of the path between the references to believe: where it lies in time is what two
    pictures alone cannot tell.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = conv(SMALL, width)
        self.body = Residual(width)
        self.leave = zero(width, 3)

    def forward(self, bend: Bend, context: Tensor) -> Tensor:
        """Correct how far things lie off the straight line.

        Args:
            bend: the built-in answer.
            context: (n, width, h, w) what the flow head thought.

        Returns: (n, 2, h, w) in cells: at most once as much as each part of `said` is added, or taken away.
        """
        signs = F.pad(bend.signs, (0, 0, 0, 0, 0, SMALL - path.SIGNS))
        shares = self.leave(self.body(self.enter(signs) + context)).tanh()
        parts = zip(shares.chunk(3, 1), bend.said.chunk(3, 1), strict=True)
        off: Tensor = sum((share * said for share, said in parts), bend.off)
        return off


class Seed(nn.Module):
    """Noise -> the state from which a video begins that has no frame yet.

    Beside each cell's own noise every cell sees the sum of all noise over the root of their number, which is standard
    normal again: what a whole picture has in common, at any size.
    """

    def __init__(self, noise: int, state: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(2 * noise, 2 * state), conv(2 * state, 2 * state), convolution(2 * state, state))

    def forward(self, noise: Tensor) -> Tensor:
        """Standard normal (n, noise, h, w) -> hidden state (n, state, h, w)."""
        common = noise.sum((2, 3), keepdim=True) / (noise.shape[2] * noise.shape[3]) ** 0.5
        hidden: Tensor = self.body(torch.cat((noise, common.expand_as(noise)), 1)).tanh()
        return hidden
