"""What nobody shows, closed smoothly: a membrane spanned over a hole."""

from __future__ import annotations

import numpy as np

from vgan_plugin.pixels.flow import Field, double
from vgan_plugin.types import Mask

_RELAXED = 24
"""Steps towards the membrane on each grid."""
_DEPTH = 4
"""Pixels from a hole's edge at which `laid` has a third of the edge's difference left."""


def spanned(plane: Field, known: Mask) -> Field:
    """Unknown samples as a membrane spanned over the hole, from coarse grids to fine; with none known, as it is.

    At the picture's edge the membrane hangs free: what lies there goes on from its one side.

    Args:
        plane: (H, W).
        known: (H, W), where it is known.
    """
    rows, columns = known.shape
    if known.all() or not known.any():
        return plane
    padding = ((0, rows % 2), (0, columns % 2))
    blocks = ((rows + 1) // 2, 2, (columns + 1) // 2, 2)
    weight = np.pad(known.astype(np.float32), padding).reshape(blocks).sum((1, 3))
    total = np.pad(plane * known, padding).reshape(blocks).sum((1, 3))
    coarse = spanned(total / np.maximum(weight, np.float32(1)), weight > 0)
    mixed: Field = np.where(known, plane, double(coarse[None])[0, :rows, :columns])
    for _ in range(_RELAXED):
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
