"""A picture moved on along the motion that led to it: what comes next, as far as the pictures before show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vgan_plugin.pixels.flow import LUMA, Field, blur, cubic, flow, look, sample
from vgan_plugin.types import RGB, Mask

CALM = (0, 2, 4, 8, 16)
"""Pixels over which the motion is smoothed, in turn. Nobody knows how well it goes on: the mean of several guesses is
nearer to the truth than the best of them, and where they differ is where it is unsure."""
FLOOR, PER_PERIOD = 0.01, 0.004
"""Expected error, of the range: least, and for each span that is looked ahead."""


@dataclass(frozen=True, eq=False)
class Guess:
    """What may come.

    Attributes:
        rgb: (3, H, W).
        unseen: (H, W), what comes in from beyond the picture's edge.
        error: (H, W), expected absolute error.
    """

    rgb: RGB
    unseen: Mask
    error: Field


def extrapolate(near: RGB, far: RGB, spans: float) -> Guess:
    """Move a picture on.

    Args:
        near: the nearer picture in time, (3, H, W) in [0, 1].
        far: the other one, on the same side.
        spans: how far to move on, in spans between the two.
    """
    height, width = near.shape[1:]
    weights = np.array(LUMA, np.float32)
    motion = flow(*(look(np.tensordot(weights, picture, 1)) for picture in (near, far)))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    total, squares, count = np.zeros_like(near), np.zeros((height, width), np.float32), 0
    unseen = np.zeros((height, width), np.float32)
    for calm in CALM:
        v = blur(motion, calm) * np.float32(spans)
        for u in (v, sample(v, rows + v[0], columns + v[1])):  # the motion of where it comes from is the better guess
            y, x = rows + u[0], columns + u[1]
            picture = cubic(near, y, x)
            total += picture
            squares += np.square(picture.mean(0))
            unseen += (y < -0.5) | (y > height - 0.5) | (x < -0.5) | (x > width - 0.5)
            count += 1
    mean = total / np.float32(count)
    spread = np.sqrt(np.maximum(squares / np.float32(count) - np.square(mean.mean(0)), 0))
    error = (spread + np.float32(FLOOR + PER_PERIOD * abs(spans))).astype(np.float32)
    return Guess(mean, unseen > count / 2, error)
