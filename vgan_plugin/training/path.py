"""Motion over time: what the state knows of how things moved before a gap and after it, and the path between.

No learned parameter, as in `motion.py`, whose fields and conventions these are: how much of it to believe is learned
in `parts.Belief`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vgan_plugin.training import motion

DISSENT = 0.3  # weight of what the two sides of a gap disagree in about the path between, over its periods
TRUST = 0.5  # in what one side alone says
UNSEEN = 0.002  # squared pixels off the line that the noise of the motion may be, over its squared periods
NEAR, FAR = 5, 13  # cells over which it is evened out, and over which it is compared
LEAST = 1e-3  # squared pixels that count as none
LONG_AGO = 2.5  # periods from a reference, beyond which nothing is known of its velocity


class Bend(NamedTuple):
    """How far things lie off the straight line between the references at the time of the target.

    Attributes:
        off: (n, 2, h, w) in cells; zero where neither side is known, or the target is not between a and b.
        turns: (n, 4, h, w) by how much the velocity changes at a, then at b, in pixels a period; zero where not both
            sides are known.
        said: (n, 6, h, w) what the velocity before a says of it, then what the one after b does (zero where not known),
            and what is said farther around, less `off`.
        signs: (n, SIGNS, h, w) by which to judge how much of it to believe, none of which depends on a direction:
            logarithms of the powers of `off`, of what either side says, of what they disagree in, of what is said
            farther around and of the motion over the span; the shares of the span from a and to b; the span.
    """

    off: Tensor
    turns: Tensor
    said: Tensor
    signs: Tensor


SIGNS = 9


def going_on(
    past: Tensor, later: Tensor, offsets: Tensor, ca: Tensor, cb: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Velocity over the span if things move on as they came to a, and if they came to b as they move on from there.

    Args:
        past: (n, 6, h, w) `State.motion` after b.
        later: (n, 6, h, w) the same after the frame that follows b; zeros = not known.
        offsets: (n, 2) times of a and b minus the target's.
        ca: share towards a.
        cb: share towards b.

    Returns: twice (n, 2, h, w) in cells of the target's grid at 1/8, and where it is known.
    """
    span = (offsets[:, 1:] - offsets[:, :1]).view(-1, 1, 1, 1)
    since, u, p = past[:, 2:3], past[:, 3:5], past[:, 5:]
    v, q = later[:, :2], later[:, 2:3]
    before, after = span * u, span * v
    for _ in range(2):  # where on a's grid, on that of the frame after b, does it lie? A fixed point, nearly at once
        before = span * motion.warp(u, ca * before)
        after = span * motion.warp(v, (cb + q / span) * after)
    knows_past = ((since - span).abs() < 0.01) & (p > 0.01) & (p < LONG_AGO)
    return (before, knows_past), (after, (q > 0.01) & (q < LONG_AGO))


def bend(to_a: Tensor, to_b: Tensor, past: Tensor, later: Tensor, offsets: Tensor) -> Bend:
    """How far things lie off the straight line between the references at the time of the target: motion is not uniform.

    With d the displacement from a to b over T periods and u the velocity at a before the gap, seen over p periods,
    x(0) = 0, x(T) = d and x(-p) = -u p fix a parabola (Xu et al., "Quadratic Video Interpolation", 2019), which leaves
    the line by -beta k (T - k) at time k, beta = (d / T - u) / (T + p). With v the velocity after b, over q periods, it
    is beta = (v - d / T) / (T + q). The cubic through all four points has a beta that goes evenly from the one at -p to
    the other at T + q. It counts as far as both agree, one side alone as far as `TRUST` says, and nothing that is lost
    in the noise of the motion.

    Args:
        to_a: (n, 2, h, w) flow from the target to a, at 1/8, in cells.
        to_b: the same to b.
        past: (n, 6, h, w) `State.motion` after b.
        later: (n, 6, h, w) the same after the frame that follows b; zeros = not known.
        offsets: (n, 2) times of a and b minus the target's.
    """
    oa, ob = offsets.view(-1, 2, 1, 1).chunk(2, 1)
    span, d = ob - oa, to_b - to_a
    between = (oa < 0) & (ob > 0)
    past = motion.warp(past, to_a)
    since, u, p = past[:, 2:3], past[:, 3:5], past[:, 5:]
    knows_past = between & ((since - span).abs() < 0.01) & (p > 0.01) & (p < LONG_AGO)
    q = later[:, 2:3]
    knows_later = between & (q > 0.01) & (q < LONG_AGO)
    v = motion.warp(later[:, :2], to_b + q * d / span)  # where things are then if they go on as they were
    turns = torch.cat((d / span - u, v - d / span), 1)
    beta = turns / torch.cat((span + p, span.expand_as(p) + q), 1).clamp(min=0.01).repeat_interleave(2, 1)
    off = oa * ob * motion.windowed(beta, NEAR, NEAR / 4)
    before, after = off.chunk(2, 1)
    cubic = before + (p - oa) / (span + p + q).clamp(min=0.01) * (after - before)
    unseen = UNSEEN * span.square()

    def power(off: Tensor) -> Tensor:
        return (64 * off * off).sum(1, keepdim=True)

    def share(off: Tensor, against: Tensor) -> Tensor:
        return power(off) / (power(off) + against)

    nothing = torch.zeros_like(off)
    both = knows_past & knows_later
    said = torch.where(torch.cat((knows_past, knows_later), 1).repeat_interleave(2, 1), off, nothing)
    alone = said[:, :2] + said[:, 2:]
    agreed = cubic * share(cubic, DISSENT / span * power(before - after) + unseen)
    off = torch.where(both, agreed, TRUST * alone * share(alone, unseen / TRUST))
    said = torch.cat((said, motion.windowed(off, FAR, FAR / 4) - off), 1)
    powers = [power(x) for x in (off, *said.chunk(3, 1), said[:, :2] - said[:, 2:4], d)]
    when = torch.cat((-oa / span, ob / span, span / 8), 1)
    signs = torch.cat(((torch.cat(powers, 1) + LEAST).log(), when.expand(-1, -1, *d.shape[2:])), 1)
    return Bend(off, torch.where(both, 8 * turns, torch.zeros_like(turns)), said, signs)
