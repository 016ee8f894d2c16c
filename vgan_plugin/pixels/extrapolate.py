"""A picture moved on along the motion that led to it: what comes next, as far as the pictures before show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vgan_plugin.pixels.flow import LUMA, Field, blur, cubic, flow, look, sample
from vgan_plugin.types import RGB, Mask

GUESSES = ((2e-3, (0, 2, 8)), (8e-3, (0, 4, 16)))
"""Weights of smoothness, and pixels over which the motion is blurred then. Nobody knows how well it goes on: the mean
of several guesses is nearer to the truth than the best of them, and where they differ is where it is unsure."""
FLOOR, PER_PERIOD = 0.01, 0.004
"""Expected error, of the range: least, and for each span that is looked ahead."""


_WHOLE = 0.999


@dataclass(frozen=True, eq=False)
class Guess:
    """What may come.

    Attributes:
        rgb: (3, H, W).
        unseen: (H, W), what comes in from beyond the picture's edge, or from where it is not to be trusted.
        error: (H, W), expected absolute error.
    """

    rgb: RGB
    unseen: Mask
    error: Field


def extrapolate(
    near: RGB, far: RGB, spans: float, near_valid: Mask | None = None, far_valid: Mask | None = None
) -> Guess:
    """Move a picture on.

    Args:
        near: the nearer picture in time, (3, H, W) in [0, 1].
        far: the other one, on the same side.
        spans: how far to move on, in spans between the two.
        near_valid: (H, W), which of its pixels to trust; None = all. The others are not moved on: they count as unseen.
        far_valid: the same of the other one.
    """
    height, width = near.shape[1:]
    weights = np.array(LUMA, np.float32)
    views = [
        look(np.tensordot(weights, picture, 1), valid) for picture, valid in ((near, near_valid), (far, far_valid))
    ]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    total, squares, share = (np.zeros(shape, np.float32) for shape in (near.shape, (height, width), (height, width)))
    trust = None if near_valid is None else near_valid.astype(np.float32)[None]
    motions = [(flow(views[0], views[1], alpha), calms) for alpha, calms in GUESSES]
    guesses = [blur(motion, calm) for motion, calms in motions for calm in calms]
    for guess in guesses:
        v = guess * np.float32(spans)
        for u in (v, sample(v, rows + v[0], columns + v[1])):  # the motion of where it comes from is the better guess
            y, x = rows + u[0], columns + u[1]
            seen = (y >= -0.5) & (y <= height - 0.5) & (x >= -0.5) & (x <= width - 0.5)
            if trust is not None:
                seen &= sample(trust, y, x)[0] > _WHOLE
            picture = cubic(near, y, x) if trust is None else sample(near, y, x)  # no kernel reaches into a hole
            total += picture * seen
            squares += np.square(picture.mean(0)) * seen
            share += seen
    count = np.maximum(share, 1)
    mean = np.where(share > 0, total / count, near)
    spread = np.sqrt(np.maximum(squares / count - np.square(mean.mean(0)), 0))
    error = (spread + np.float32(FLOOR + PER_PERIOD * abs(spans))).astype(np.float32)
    unseen: Mask = share < len(guesses)  # each is read twice: less than half of them
    if near_valid is None:  # beyond an edge nothing leaks in: what is there goes on
        mean = np.where(share > 0, mean, cubic(near, rows + v[0], columns + v[1]))
    return Guess(mean.astype(np.float32), unseen, error)
