"""What nobody shows, closed smoothly: a membrane spanned over a hole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vgan_plugin.pixels.flow import Field, double
from vgan_plugin.types import Frame, Mask

_RELAXED, _ROUGHLY = 24, 4
"""Steps towards the membrane on each grid: for eyes, and for whoever looks for motion."""
_SEEN = 32
"""Pixels around holes that are looked at."""
_DEPTH = 4
"""Pixels from a hole's edge at which `laid` has a third of the edge's difference left."""


def closed(frame: Frame, known: Mask) -> Frame:
    """A frame with its holes closed roughly in luma, or in R, G and B: their edges then are none that stand still, and
    what is looked for of motion around them is the scene's.

    Args:
        frame: the frame, of any content where it is not known.
        known: (H, W), where it is known.
    """
    rows, columns = (np.flatnonzero(~known.all(axis)) for axis in (1, 0))
    if not rows.size:
        return frame
    box = tuple(slice(max(0, int(x[0]) - _SEEN), int(x[-1]) + 1 + _SEEN) for x in (rows, columns))
    planes = list(frame.planes)
    for i in range(3 if frame.format.family == "rgb" else 1):
        part = spanned(planes[i][box].astype(np.float32), known[box], _ROUGHLY)
        planes[i] = planes[i].copy()
        planes[i][box] = np.floor(part + 0.5).astype(frame.format.dtype)
    return replace(frame, planes=tuple(planes))


def spanned(plane: Field, known: Mask, steps: int = _RELAXED) -> Field:
    """Unknown samples as a membrane spanned over the hole, from coarse grids to fine; with none known, as it is.

    At the picture's edge the membrane hangs free: what lies there goes on from its one side.

    Args:
        plane: (H, W).
        known: (H, W), where it is known.
        steps: towards the membrane on each grid.
    """
    rows, columns = known.shape
    if known.all() or not known.any():
        return plane
    padding = ((0, rows % 2), (0, columns % 2))
    blocks = ((rows + 1) // 2, 2, (columns + 1) // 2, 2)
    weight = np.pad(known.astype(np.float32), padding).reshape(blocks).sum((1, 3))
    total = np.pad(plane * known, padding).reshape(blocks).sum((1, 3))
    coarse = spanned(total / np.maximum(weight, np.float32(1)), weight > 0, steps)
    mixed: Field = np.where(known, plane, double(coarse[None])[0, :rows, :columns])
    for _ in range(steps):
        mixed = np.where(known, plane, _around(mixed))
    return mixed


def laid(bed: Field, plane: Field, known: Mask) -> Field:
    """Unknown samples as a bed has them, without a step at the hole's edge: what is known there differs from the bed by
    so much, and that fades within a few pixels (the membrane, held to the bed by springs).

    Args:
        bed: (H, W), everywhere.
        plane: (H, W).
        known: (H, W), where it is known.
    """
    held = np.float32(1 / (1 + 4 * _DEPTH**2))
    mixed: Field = np.where(known, plane, bed)
    for _ in range(3 * _DEPTH):
        mixed = np.where(known, plane, _around(mixed) + held * (bed - _around(mixed)))
    return mixed


def _around(x: Field) -> Field:
    """Mean of the four neighbours, edges replicated."""
    p = np.pad(x, 1, mode="edge")
    mean: Field = (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2]) * np.float32(0.25)
    return mean
