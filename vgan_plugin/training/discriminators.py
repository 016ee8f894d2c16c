"""The judges: one looks at single frames, one at a frame between its motion-compensated neighbours; where videos are
made from noise, one looks at whole clips instead.

All give one logit per 16x16 patch, large for real. No normalisation: the gradient penalties of `losses.py` keep them
tame; with the hinge loss their convolutions are spectrally normalised instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vgan_plugin.training.motion import warp

CLIP = 4
"""Frames that the judge of clips sees."""


class Judge(nn.Module):
    """A patch discriminator: 4 strided convolutions, then one that gives the logits.

    Args:
        channels: of the input.
        widths: of the four layers.
        spectral: normalise every convolution by its largest singular value.
    """

    def __init__(self, channels: int, widths: tuple[int, int, int, int], spectral: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((channels, *widths)):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(widths[-1], 1, 3, 1, 1))
        if spectral:
            layers = [spectral_norm(layer) if isinstance(layer, nn.Conv2d) else layer for layer in layers]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, H, W) with values around [-1, 1] -> logits (n, 1, H/16, W/16)."""
        logits: Tensor = self.layers(x)
        return logits

    def features(self, x: Tensor) -> list[Tensor]:
        """What the four layers see in x, (n, width, H/2, W/2) to (n, width, H/16, W/16)."""
        found = []
        for layer in list(self.layers)[:-1]:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                found.append(x)
        return found


class Condition(NamedTuple):
    """What the judges are shown beside the frame itself, as in a conditional GAN: the same for real and made.

    Attributes:
        mask: (n, 1, H, W) 1 = this pixel was made.
        a: (n, 3, H, W) first reference; b: second.
        b: see `a`.
        flow: (n, 4, H, W) the generator's motion (dx, dy) towards a, then b, in pixels; never trained through a judge.
        offsets: (n, 2) times of a and b minus the frame's, in source-frame periods.
    """

    mask: Tensor
    a: Tensor
    b: Tensor
    flow: Tensor
    offsets: Tensor


class Judges(nn.Module):
    """The judges of one game. `look` and `watch` build their inputs; penalties are taken with respect to those.

    Args:
        spectral: for the hinge loss.
        width: factor on the number of channels.
        clips: judge clips (`watch`) and not frames between others (`look`).
    """

    def __init__(self, spectral: bool = False, width: float = 1.0, clips: bool = False) -> None:
        super().__init__()

        def widths(*full: int) -> tuple[int, int, int, int]:
            w1, w2, w3, w4 = (max(8, int(w * width)) for w in full)
            return w1, w2, w3, w4

        self.frame = Judge(4, widths(32, 64, 96, 128), spectral)
        if clips:
            self.clip = Judge(3 * CLIP, widths(48, 96, 144, 192), spectral)
        else:
            self.triplet = Judge(20, widths(48, 96, 144, 192), spectral)

    def look(self, frame: Tensor, condition: Condition) -> dict[str, Tensor]:
        """What `frame` and `triplet` see of `frame` (n, 3, H, W) in [0, 1]: (n, 4, H, W) and (n, 20, h, w).

        The triplet holds [a, frame, b] twice, warped to the frame's time and as they are, without an eighth of the
        picture at each border, where the warp has nothing to read.
        """
        flow, a, b = condition.flow.detach(), condition.a, condition.b
        aligned = (warp(a, flow[:, :2].flip(1)), frame, warp(b, flow[:, 2:].flip(1)))  # warp reads (dy, dx)
        pictures = torch.cat((*aligned, a, frame, b), 1) * 2 - 1
        n, _, h, w = frame.shape
        distance = (condition.offsets.abs() / 8).view(n, 2, 1, 1).expand(n, 2, h, w)
        inner = slice(h // 8, h - h // 8), slice(w // 8, w - w // 8)
        return {
            "frame": torch.cat((frame * 2 - 1, condition.mask), 1),
            "triplet": torch.cat((pictures, distance), 1)[:, :, *inner],
        }

    def watch(self, clips: Tensor) -> dict[str, Tensor]:
        """What `frame` and `clip` see of clips (n, M, 3, H, W) in [0, 1]: (n * M, 4, H, W) and (n, 12, H/2, W/2).

        `frame` sees every frame, all of it made; `clip` sees `CLIP` frames over the whole length, at half the size:
        what moves, and how. A clip shorter than that is judged by its frames alone.
        """
        n, count, _, h, w = clips.shape
        frames = clips.flatten(0, 1) * 2 - 1
        seen = {"frame": torch.cat((frames, torch.ones_like(frames[:, :1])), 1)}
        if count >= CLIP:
            some = clips[:, :: count // CLIP][:, :CLIP].reshape(n, 3 * CLIP, h, w)
            seen["clip"] = F.avg_pool2d(some * 2 - 1, 2)
        return seen

    def forward(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The logits of each judge for what `look` or `watch` gave."""
        return {name: self.get_submodule(name)(x) for name, x in seen.items()}

    def features(self, seen: Mapping[str, Tensor]) -> list[Tensor]:
        """What the layers of all judges see."""
        judges = {name: judge for name, judge in self.named_children() if isinstance(judge, Judge)}
        return [feature for name, x in seen.items() for feature in judges[name].features(x)]
