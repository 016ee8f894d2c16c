"""Frames too large for the memory, cut into tiles of one size that overlap, and laid together again without a seam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.types import Frame, Mask, Plane

MARGIN = 128
"""Pixels that neighbouring tiles share: what moves less than that is seen by one of them on its whole way."""
STEP = 16
"""Tiles begin at multiples of this, so that no subsampled sample is cut."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of a frame, in luma pixels.

    Attributes:
        top: first row.
        left: first column.
        height: rows.
        width: columns.
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Its part of an array at luma resolution."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Grid:
    """How a frame is cut: every row of tiles with every column of them.

    Attributes:
        rows: (first, count) of each row of tiles, in luma pixels.
        columns: the same of each column.
    """

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Row by row."""
        return tuple(Tile(top, left, height, width) for top, height in self.rows for left, width in self.columns)

    @property
    def largest(self) -> tuple[int, int]:
        """(height, width) of a tile that is not cut by the frame's end."""
        return self.rows[0][1], self.columns[0][1]


def grid(height: int, width: int, pixels: int) -> Grid:
    """The fewest tiles that hold no more than so many pixels each; one, when the frame does.

    Args:
        height: of the frame.
        width: of the frame.
        pixels: how many a tile may hold. Tiles are never smaller than twice the margin each way.
    """
    best: Grid | None = None
    for rows in range(1, max(1, height // MARGIN) + 1):
        down = _cut(height, rows)
        columns = 1
        while down[0][1] * _cut(width, columns)[0][1] > pixels and columns < width // MARGIN:
            columns += 1
        found = Grid(down, _cut(width, columns))
        fits = math.prod(found.largest) <= pixels
        if best is None or (fits, -len(found.tiles)) > (math.prod(best.largest) <= pixels, -len(best.tiles)):
            best = found
        if fits and columns == 1:
            break
    assert best is not None  # noqa: S101 the loop runs at least once
    return best


def _cut(size: int, parts: int) -> tuple[tuple[int, int], ...]:
    """(first, count) of parts that share `MARGIN` with their neighbours, all of one size but for the last one's end."""
    if parts == 1:
        return ((0, size),)
    padded = -(-size // STEP) * STEP
    each = -(-(padded + (parts - 1) * MARGIN) // parts // STEP) * STEP
    each = min(padded, max(each, 2 * MARGIN))
    firsts = [round(i * (padded - each) / (parts - 1) / STEP) * STEP for i in range(parts)]
    return tuple((first, min(each, size - first)) for first in dict.fromkeys(firsts))


def crop(frame: Frame, tile: Tile) -> Frame:
    """The tile's part of a frame: views, no copies."""
    form, planes = frame.format, []
    for i, plane in enumerate(frame.planes):
        down, across = _shift(frame, i)
        rows, columns = form.plane_shape(i, tile.width, tile.height)
        top, left = tile.top >> down, tile.left >> across
        planes.append(plane[top : top + rows, left : left + columns])
    return replace(frame, planes=tuple(planes))


def crop_mask(mask: Mask | None, tile: Tile) -> Mask | None:
    """The tile's part of a mask."""
    return None if mask is None else mask[tile.window]


class Merger:
    """Lays made tiles into one frame; where they overlap, one fades into the next.

    Args:
        cut: how the frame was cut.
        like: a frame of the size and format of the whole.
    """

    def __init__(self, cut: Grid, like: Frame) -> None:
        self._like = like
        self._planes = [np.zeros(plane.shape, np.float32) for plane in like.planes]
        self._map = np.zeros((like.height, like.width), np.float32)
        self._down, self._across = _fades(cut.rows, like.height), _fades(cut.columns, like.width)
        self._whole_map = True

    def add(self, tile: Tile, made: Frame, confidence: NDArray[np.float32] | None) -> None:
        """A tile's frame, and its confidence (H, W)."""
        down, across = self._down[tile.top], self._across[tile.left]
        for i, plane in enumerate(made.planes):
            shift_y, shift_x = _shift(made, i)
            rows, columns = plane.shape
            top, left = tile.top >> shift_y, tile.left >> shift_x
            weight = down[:: 1 << shift_y][:rows, None] * across[:: 1 << shift_x][None, :columns]
            self._planes[i][top : top + rows, left : left + columns] += weight * plane
        if confidence is None:
            self._whole_map = False
        else:
            self._map[tile.window] += down[:, None] * across[None, :] * confidence

    def frame(self) -> Frame:
        """The whole, rounded once."""
        planes: list[Plane] = [
            np.rint(total).astype(self._like.format.dtype)  # in range: a mean of codes
            for total in self._planes
        ]
        return replace(self._like, planes=tuple(planes))

    @property
    def map(self) -> NDArray[np.float32] | None:
        """Confidence of each pixel; None when a tile had none."""
        return self._map if self._whole_map else None


def _fades(parts: Sequence[tuple[int, int]], size: int) -> dict[int, NDArray[np.float32]]:
    """By its first pixel: the weights of a part along one axis; those of all parts sum to one everywhere.

    Weights change at multiples of `STEP` only by what a block of subsampled samples shares: they are constant over 4.
    """
    ramps = {}
    total = np.zeros(size, np.float32)
    for first, count in parts:
        place = np.arange(count) // 4 * 4 + 2.0
        ramp = np.minimum(place if first else np.inf, count - place if first + count < size else np.inf)
        ramps[first] = np.clip(ramp / MARGIN, 1e-3, 1).astype(np.float32)
        total[first : first + count] += ramps[first]
    return {first: ramps[first] / total[first : first + count] for first, count in parts}


def _shift(frame: Frame, plane: int) -> tuple[int, int]:
    form = frame.format
    return (form.shift_y, form.shift_x) if form.family == "yuv" and plane in (1, 2) else (0, 0)
