"""What the detectors see of a frame: its luma, box-averaged to about 160 columns, computed once a frame.

Averaging takes most of the coding noise away and leaves motion; at this size all detectors together cost well under a
millisecond a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.types import Frame, Plane

COLUMNS = 160
CELL = 4
"""Side of the cells, in samples of the small picture, whose largest change must be small in a repeat."""
_GREEN, _BLUE, _RED = np.float32(0.7152), np.float32(0.0722), np.float32(0.2126)
_FLAT = 16.0

Small = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Look:
    """A frame as the detectors see it.

    Attributes:
        luma: (rows, columns) float32 in 8-bit levels, 0..255.
    """

    luma: Small

    @cached_property
    def mean(self) -> float:
        """Mean level."""
        return float(self.luma.mean())

    @cached_property
    def spread(self) -> float:
        """Range of levels without the outermost half percent on each side."""
        flat = np.sort(self.luma, axis=None)
        cut = flat.size // 200
        return float(flat[-1 - cut] - flat[cut])

    @property
    def flat(self) -> bool:
        """Whether the picture is one uniform colour, coding noise aside."""
        return self.spread <= _FLAT


@dataclass(frozen=True)
class Change:
    """How much two pictures differ, in 8-bit levels.

    Attributes:
        mean: mean absolute difference.
        peak: the same of the cell that only one in a hundred exceeds: small things move there.
    """

    mean: float
    peak: float


NONE = Change(0.0, 0.0)


def change(a: Look, b: Look) -> Change:
    """How much two pictures differ; pictures of different size differ by everything."""
    if a.luma.shape != b.luma.shape:
        return Change(255.0, 255.0)
    difference = np.abs(a.luma - b.luma)
    rows, columns = (max(side // CELL, 1) for side in difference.shape)
    part = difference[: rows * CELL, : columns * CELL]
    cells = np.add.reduceat(np.add.reduceat(part, range(0, part.shape[0], CELL), 0), range(0, part.shape[1], CELL), 1)
    rank = cells.size - 1 - cells.size // 100
    peak = float(np.partition(cells, rank, axis=None)[rank]) / CELL**2
    return Change(float(difference.mean()), peak)


_looks: WeakKeyDictionary[Frame, Look] = WeakKeyDictionary()


def look(frame: Frame) -> Look:
    """The look of a frame; detectors that ask for the same frame share it."""
    found = _looks.get(frame)
    if found is None:
        _looks[frame] = found = Look(_small(frame))
    return found


def _small(frame: Frame) -> Small:
    factor = max(1, round(frame.width / COLUMNS))
    factor = min(factor, frame.height, frame.width)
    boxes = _boxes(frame.planes[0], factor)
    if frame.format.family == "rgb":
        boxes = _GREEN * boxes + _BLUE * _boxes(frame.planes[1], factor) + _RED * _boxes(frame.planes[2], factor)
    level: Small = boxes * np.float32(2.0 ** (8 - frame.format.bits))
    return level


def _boxes(plane: Plane, factor: int) -> Small:
    """Means over boxes of factor x factor; what is left over at the right and bottom is not looked at."""
    rows, columns = plane.shape[0] // factor, plane.shape[1] // factor
    plane = plane[: rows * factor, : columns * factor]
    if factor == 1:
        return plane.astype(np.float32)
    tall = plane[0::factor].astype(np.uint32)
    for i in range(1, factor):
        tall += plane[i::factor]
    wide = tall[:, 0::factor].copy()
    for i in range(1, factor):
        wide += tall[:, i::factor]
    return wide.astype(np.float32) * np.float32(1 / factor**2)
