"""Inpainting: holes in every frame of a clip, and what simple means make of them.

Where a hole is, methods get grey; what was there is for the comparison alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.evaluate import metrics, motion
from vgan_plugin.evaluate.methods import Method
from vgan_plugin.evaluate.sets import Picture, from_rgb8, rgb8
from vgan_plugin.pixels.colour import from_rgb
from vgan_plugin.pixels.flow import double
from vgan_plugin.pixels.planes import composite
from vgan_plugin.types import Frame, Mask

SPEED = 2
"""Pixels a frame by which the box moves."""
STRIP = 0.12
"""Share of the rows that the subtitle strip covers."""
BLOCK, LOST = 16, 0.05
"""Side of a macroblock, and the share of them that is lost."""
SLICE = 0.125
"""Share of the rows that a slice holds."""
Holes = Callable[[int, int, int], list[Mask]]
"""Masks for a number of frames of (rows, columns)."""


def box(count: int, rows: int, columns: int) -> list[Mask]:
    """Half as wide and high as the picture, in its middle at first, to and fro by `SPEED` pixels a frame."""
    masks = []
    free = columns - columns // 2
    for i in range(count):
        place = (free // 2 + SPEED * i) % (2 * free) if free else 0
        left, top = min(place, 2 * free - place), (rows - rows // 2) // 2
        mask = np.zeros((rows, columns), np.bool_)
        mask[top : top + rows // 2, left : left + columns // 2] = True
        masks.append(mask)
    return masks


def strip(count: int, rows: int, columns: int) -> list[Mask]:
    """The rows at the bottom, always hidden."""
    mask = np.zeros((rows, columns), np.bool_)
    mask[rows - max(1, round(STRIP * rows)) :] = True
    return [mask] * count


def blocks(count: int, rows: int, columns: int) -> list[Mask]:
    """Macroblocks that a transmission lost, others in each frame."""
    rng = np.random.default_rng(0)
    cells = -(-rows // BLOCK), -(-columns // BLOCK)
    return [(rng.random(cells) < LOST).repeat(BLOCK, 0).repeat(BLOCK, 1)[:rows, :columns] for _ in range(count)]


def slices(count: int, rows: int, columns: int) -> list[Mask]:
    """A whole slice that a transmission lost, another one in each frame."""
    rng = np.random.default_rng(0)
    high = max(1, round(SLICE * rows / BLOCK)) * BLOCK
    masks = []
    for top in rng.integers(max(1, rows // BLOCK - high // BLOCK + 1), size=count) * BLOCK:
        mask = np.zeros((rows, columns), np.bool_)
        mask[top : top + high] = True
        masks.append(mask)
    return masks


SHAPES: dict[str, Holes] = {"box": box, "strip": strip, "blocks": blocks, "slices": slices}
"""Holes by name. A clip that has masks beside it has the hole ``object``, too."""


def hide(frame: Frame, mask: Mask) -> Frame:
    """The frame with grey in its hole."""
    grey = from_rgb(np.full((3, frame.height, frame.width), 0.5, np.float32), frame, frame.pts, frame.time_base)
    return composite(grey, frame, mask)


def outside(made: Frame, truth: Frame, mask: Mask) -> int:
    """How many samples outside the hole are not the source's own."""
    kept = composite(made, truth, mask)
    return sum(int(np.count_nonzero(a != b)) for a, b in zip(kept.planes, made.planes, strict=True))


def nearest(frames: Sequence[Frame], masks: Sequence[Mask], *, both: bool = False) -> list[Frame]:
    """Each hidden pixel as at the nearest time at which it was seen; where it never was, smoothly from around.

    Args:
        frames: with their holes.
        masks: True = hidden.
        both: the mean of the last time before and the first one after, weighted by how near they are.
    """
    pictures = np.stack([rgb8(frame) for frame in frames])
    hidden = np.stack(masks)
    index = np.arange(len(frames))[:, None, None]
    before = np.maximum.accumulate(np.where(hidden, -1, index), 0)
    after = np.minimum.accumulate(np.where(hidden, len(frames), index)[::-1], 0)[::-1]
    made = []
    for i, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        past, future = before[i], after[i]
        to_past = np.where(past < 0, np.inf, i - past)
        to_future = np.where(future >= len(frames), np.inf, future - i)
        ys, xs = np.nonzero(mask)
        there = [pictures[np.clip(at[ys, xs], 0, len(frames) - 1), :, ys, xs].T for at in (past, future)]
        near = np.stack((to_past[ys, xs], to_future[ys, xs]))
        known = np.isfinite(near).any(0)
        weights = 1 / np.maximum(near, 1)
        if not both:
            weights = ((near == near.min(0)) & np.isfinite(near)).astype(np.float64)
        total = np.maximum(weights.sum(0), 1e-9)
        values = (there[0] * weights[0] + there[1] * weights[1]) / total
        picture = pictures[i].astype(np.float32)
        picture[:, ys, xs] = values
        if not known.all():
            rest = np.zeros_like(mask)
            rest[ys[~known], xs[~known]] = True
            picture[:, rest] = smooth(picture, ~rest)[:, rest]
        codes: Picture = np.floor(np.clip(picture, 0, 255) + 0.5).astype(np.uint8)
        made.append(composite(from_rgb8(codes, frame.pts, frame), frame, mask))
    return made


def smooth(picture: NDArray[np.float32], known: Mask) -> NDArray[np.float32]:
    """Unknown pixels from around: means of known ones on ever coarser grids, brought back (push-pull)."""
    rows, columns = known.shape
    if known.all() or not known.any():
        return picture
    padding = ((0, rows % 2), (0, columns % 2))
    weight = np.pad(known.astype(np.float32), padding)
    total = np.pad(picture * known, ((0, 0), *padding))
    height, width = weight.shape[0] // 2, weight.shape[1] // 2
    small_weight = weight.reshape(height, 2, width, 2).sum((1, 3))
    small = total.reshape(3, height, 2, width, 2).sum((2, 4)) / np.maximum(small_weight, 1e-9)
    fine = double(smooth(small, small_weight > 0))[:, :rows, :columns]
    return np.where(known, picture, fine)


def measure(
    frames: Sequence[Frame], masks: Sequence[Mask], methods: Sequence[Method], *, flow: bool
) -> list[dict[str, Any]]:
    """Every method on one clip with holes: a record each, without windows for those that do not inpaint.

    ``mse`` is of the pixels in the hole; ``warping`` of those in the hole that the frame before shows, too; ``touched``
    counts samples outside the holes that changed, which must be none.

    Args:
        frames: the whole clip.
        masks: one a frame, True = hidden.
        methods: who makes what is hidden.
        flow: whether the warping error is measured.
    """
    hidden = [hide(frame, mask) for frame, mask in zip(frames, masks, strict=True)]
    truth = [rgb8(frame) for frame in frames]
    pairs = [motion.both_ways(a, b) for a, b in pairwise(truth)] if flow else []
    found: list[dict[str, Any]] = []
    for method in methods:
        answers = method.inpaint(hidden, masks)
        record: dict[str, Any] = {"windows": []}
        found.append(record)
        if answers is None:
            continue
        made = [rgb8(frame) for frame in answers]
        record["touched"] = sum(map(outside, answers, frames, masks))
        for i, mask in enumerate(masks):
            if not mask.any():
                continue
            window: dict[str, Any] = {"start": i, "motion": None}
            window["frames"] = [{"t": "0", "mse": round(metrics.mse(made[i], truth[i], mask), 5)}]
            if pairs and i:
                back, seen = pairs[i - 1]
                window["warping"] = round(motion.warping_error((made[i - 1], made[i]), back, seen & mask), 4)
            record["windows"].append(window)
    return found
