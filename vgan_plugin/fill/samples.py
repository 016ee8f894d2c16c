"""Single samples of planes, some of them hidden: where they lie, what is between them, and how they are written.

A *shift* is log2 of a plane's subsampling, (down, across).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.pixels.flow import Field, catmull_rom
from vgan_plugin.types import Frame, Mask, PixelFormat, Plane

Points = NDArray[np.intp]
Shift = tuple[int, int]


def shift_of(form: PixelFormat, plane: int) -> Shift:
    """Of a plane of a format."""
    return (form.shift_y, form.shift_x) if form.family == "yuv" and plane in (1, 2) else (0, 0)


def cut_out(frame: Frame, rows: slice, columns: slice) -> Frame:
    """A part of a frame; its corner lies on a sample of every plane."""
    planes = []
    for i, plane in enumerate(frame.planes):
        sy, sx = shift_of(frame.format, i)
        planes.append(plane[rows.start >> sy : -(-rows.stop >> sy), columns.start >> sx : -(-columns.stop >> sx)])
    return replace(frame, planes=tuple(planes))


def moved(pixels: tuple[Points, Points], to: Field, shift: Shift) -> tuple[Field, Field]:
    """Where pixels at (rows, columns) lie in a plane once they are moved by (2, n), (dy, dx) in pixels."""
    y, x = ((p >> s) + d / (1 << s) for p, d, s in zip(pixels, to, shift, strict=True))
    return y, x


def gathered(values: Field, some: Mask, shift: Shift) -> tuple[Field, Mask]:
    """Values of some pixels, (H, W), at a plane's samples: the mean of those under each; and which have any."""
    sy, sx = shift
    if not sy and not sx:
        return values, some
    rows, columns = -(-some.shape[0] >> sy), -(-some.shape[1] >> sx)
    pad = ((0, (rows << sy) - some.shape[0]), (0, (columns << sx) - some.shape[1]))
    blocks = (rows, 1 << sy, columns, 1 << sx)
    count = np.pad(some, pad).reshape(blocks).sum((1, 3))
    total = np.pad(values * some, pad).reshape(blocks).sum((1, 3))
    return (total / np.maximum(count, 1)).astype(np.float32), count > 0


def put(plane: Plane, values: Field, where: Mask, form: PixelFormat) -> None:
    """Write some values into a plane, rounded."""
    top = (1 << form.bits) - 1
    plane[where] = np.clip(np.floor(values[where] + 0.5), 0, top).astype(plane.dtype)


def read(plane: Plane, hidden: Mask, y: Field, x: Field) -> Field:
    """A plane at points, (n,): cubic (Catmull-Rom) where the sixteen samples around are seen, else bilinear over those
    of the nearest four that are. The nearest one must be.
    """
    height, width = plane.shape
    y, x = np.clip(y, 0, height - 1).astype(np.float32), np.clip(x, 0, width - 1).astype(np.float32)
    top, left = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    (cy, ly), (cx, lx) = (_weights(f) for f in (y - top, x - left))
    cubic, linear, share = (np.zeros(len(y), np.float32) for _ in range(3))
    whole = np.ones(len(y), np.bool_)
    for i in range(4):
        row = np.clip(top + i - 1, 0, height - 1)
        for j in range(4):
            column = np.clip(left + j - 1, 0, width - 1)
            value, seen, weight = plane[row, column].astype(np.float32), ~hidden[row, column], cy[i] * cx[j]
            whole &= seen | (weight == 0)
            cubic += weight * value
            weight = ly[i] * lx[j] * seen
            linear += weight * value
            share += weight
    found: Field = np.where(whole, cubic, linear / np.maximum(share, np.float32(0.01)))
    return found


def _weights(f: Field) -> tuple[Field, Field]:
    """Weights of the samples at -1, 0, 1, 2, each (4, n): Catmull-Rom's and linear ones."""
    f = f.astype(np.float32)
    none = np.zeros_like(f)
    return catmull_rom(f), np.stack((none, 1 - f, f, none))
