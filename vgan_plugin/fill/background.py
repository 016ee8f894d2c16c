"""Hidden pixels that other frames show: followed along the motion, forwards and backwards in time, until they are seen.

For each hidden pixel of a frame the motion leads to a place in the neighbouring frame. If that place is seen, it is
found; if it is hidden too, whatever was found for it serves. Displacements are added up and the frame that shows the
pixel is sampled once, however far away it is, so that nothing blurs on the way (propagation as in Xu et al., "Deep
flow-guided video inpainting", 2019, of displacements instead of pictures).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.pixels.flow import LUMA, Field, View, box, catmull_rom, double, flow, look, sample
from vgan_plugin.pixels.planes import chroma_mask
from vgan_plugin.types import Frame, Mask, PixelFormat, Plane

MARGIN = 96
"""Pixels around the holes in which motion is looked for: a hole's motion comes from its edge."""
FLOOR, PER_FRAME, UNSURE = 0.01, 0.002, 0.04
"""Expected error of a found pixel, of the range: least, for each frame that it is away, and twice what it is where only
one side shows it."""
_RELAXED = 24
"""Steps towards the membrane on each grid."""
APART, PART = 4.0, 0.05
"""Pixels, and share of its length, by which motion there and back may differ: beyond, it is not the same thing."""


@dataclass(frozen=True, eq=False)
class Found:
    """A frame as far as other frames show what it hides.

    Attributes:
        frame: seen pixels bit for bit, found ones in their places, the others smoothly from around: what is hidden is
            shown to nobody.
        rest: (H, W), hidden and not found.
        error: (H, W), expected absolute error of the found pixels, of the range; 0 elsewhere.
    """

    frame: Frame
    rest: Mask
    error: Field


@dataclass(frozen=True, eq=False)
class _Step:
    """From the n hidden pixels of a frame to its neighbour: displacements (2, n), and how far there and back differ."""

    to: Field
    apart: Field


@dataclass(frozen=True, eq=False)
class _Trace:
    """Where the n hidden pixels of a frame are seen: frame (-1: nowhere), displacement (2, n), doubt (in frames)."""

    source: NDArray[np.int32]
    shift: Field
    doubt: Field


class Background:
    """Frames of one shot in order of time, with their holes, and what of the holes other frames show.

    `add` them in order; `find` what a run of them hides, once the later frames that may show it are there; `forget`
    what lies too far back. What is found for a frame depends on the frames at most `reach` away from it, and on
    nothing else: neither on where the run begins nor on what was asked before.

    Args:
        area: rows and columns that hold all holes and enough around them, see `around`.
        reach: how many frames away a pixel is looked for.
    """

    def __init__(self, area: tuple[slice, slice], reach: int) -> None:
        self._rows, self._columns = area
        self.reach = reach
        self._frames: dict[int, Frame] = {}
        self._hidden: dict[int, Mask] = {}
        self._future: dict[int, _Step] = {}  # from a frame to the next one
        self._past: dict[int, _Trace] = {}
        self._view: View | None = None  # of the newest frame, once somebody wants it

    def add(self, index: int, frame: Frame, mask: Mask | None) -> None:
        """The next frame of the shot; `mask`: (H, W), True = hidden, None = nothing is."""
        cutting = cut_out(frame, self._rows, self._columns)
        hidden = np.zeros((cutting.height, cutting.width), np.bool_)
        if mask is not None:
            hidden |= mask[self._rows, self._columns]
        self._frames[index], self._hidden[index] = cutting, hidden
        before = index - 1
        view, self._view = self._view, None
        step = None
        if before in self._frames and (hidden.any() or self._hidden[before].any()):
            view = view or _look(self._frames[before], self._hidden[before])
            self._view = _look(cutting, hidden)
            there, back = flow(view, self._view), flow(self._view, view)
            self._future[before] = _step(self._hidden[before], there, back)
            step = _step(hidden, back, there)
        self._past[index] = self._trace(index, before, step, self._past.get(before))

    def forget(self, before: int) -> None:
        """Let go of all frames before that index, and of the traces of those before the newest that are not asked for
        any more.
        """
        for held in (self._frames, self._hidden, self._future, self._past):
            for index in [i for i in held if i < before]:
                held.pop(index)

    def find(self, frames: Sequence[Frame], first: int, *, later: bool) -> list[Found]:
        """What some frames hide and earlier ones show, and with `later` those after, too.

        Args:
            frames: as they were added, the first of them under the index `first`.
            first: see above.
            later: whether to look into later frames.
        """
        last = first + len(frames) - 1
        future: dict[int, _Trace] = {}
        if later:
            trace = None
            for index in range(min(max(self._frames), last + self.reach), first - 1, -1):
                trace = self._trace(index, index + 1, self._future.get(index), trace)
                if index <= last:
                    future[index] = trace
        return [
            self._found(frame, t, [trace for trace in (self._past[t], future.get(t)) if trace is not None])
            for t, frame in enumerate(frames, first)
        ]

    def _trace(self, t: int, neighbour: int, step: _Step | None, there: _Trace | None) -> _Trace:
        """Where the hidden pixels of a frame are seen, by way of a neighbour and its trace; None: there is none."""
        hidden = self._hidden[t]
        rows, columns = np.nonzero(hidden)
        count = len(rows)
        trace = _Trace(np.full(count, -1, np.int32), np.zeros((2, count), np.float32), np.zeros(count, np.float32))
        if step is None or there is None or not count:
            return trace
        height, width = hidden.shape
        y, x = (np.rint(p).astype(np.intp) for p in (rows + step.to[0], columns + step.to[1]))
        good = (y >= 0) & (y < height) & (x >= 0) & (x < width) & (step.apart < APART + PART * np.hypot(*step.to))
        at = np.flatnonzero(good)
        near = y[at] * width + x[at]
        covered = self._hidden[neighbour].ravel()
        number = np.cumsum(covered) - 1  # of a hidden pixel in its frame's trace
        hole = covered[near]
        beyond = number[near[hole]]
        source = np.full(len(at), neighbour, np.int32)
        shift, doubt = step.to[:, at].copy(), 1 + step.apart[at]
        source[hole] = there.source[beyond]
        shift[:, hole] += there.shift[:, beyond]
        doubt[hole] += there.doubt[beyond]
        seen = (source >= 0) & (np.abs(source - t) <= self.reach)
        for s in np.unique(source[seen]):  # fractions of pixels add up: a trace may end inside a hole after all
            mine = np.flatnonzero(seen & (source == s))
            ends = rows[at[mine]] + shift[0, mine], columns[at[mine]] + shift[1, mine]
            y, x = (np.clip(np.rint(p).astype(np.intp), 0, n - 1) for p, n in zip(ends, hidden.shape, strict=True))
            seen[mine] = ~self._hidden[int(s)][y, x]
        at = at[seen]
        trace.source[at], trace.shift[:, at], trace.doubt[at] = source[seen], shift[:, seen], doubt[seen]
        return trace

    def _found(self, frame: Frame, t: int, traces: Sequence[_Trace]) -> Found:
        hidden = self._hidden[t]
        rows, columns = np.nonzero(hidden)
        at = rows, columns
        weights = [np.where(trace.source >= 0, 1 / (0.5 + trace.doubt) ** 2, 0) for trace in traces]
        total = np.sum(weights, 0)
        found = total > 0
        got = np.zeros_like(hidden)
        got[at] = found
        planes = list(frame.planes)
        top = (1 << frame.format.bits) - 1
        apart = np.full(len(total), UNSURE * top, np.float32)  # what past and future show, where both show something
        lost = hidden & ~got
        for i in range(len(planes)):
            shift = shifts(frame.format, i)
            values = np.zeros((len(traces), len(total)), np.float32)
            for k, (trace, weight) in enumerate(zip(traces, weights, strict=True)):
                here = np.flatnonzero(weight)
                values[k, here] = self._sample(i, trace, here, (at[0][here], at[1][here]))
            if i == 0 and len(traces) == 2:
                two = (weights[0] > 0) & (weights[1] > 0)
                apart[two] = np.abs(values[0] - values[1])[two]
            dense = np.zeros(hidden.shape, np.float32)
            dense[at] = (values * weights).sum(0) / np.maximum(total, 1e-9)
            planes[i] = planes[i].copy()
            part = planes[i][self._rows.start >> shift[0] :, self._columns.start >> shift[1] :]
            _put(part, dense, got, shift, top)
            _close(part, lost, shift, frame.format)
        whole = frame.height, frame.width
        rest, error = np.zeros(whole, np.bool_), np.zeros(whole, np.float32)
        rest[self._rows, self._columns] = lost
        error[self._rows, self._columns] = np.where(got, self._error(at, apart / np.float32(top), traces, hidden), 0)
        return Found(replace(frame, planes=tuple(planes)), rest, error)

    @staticmethod
    def _error(at: tuple[Points, Points], apart: Field, traces: Sequence[_Trace], hidden: Mask) -> Field:
        """Expected absolute error of found pixels: what past and future disagree about, and how far away they are."""
        least = np.min([np.where(trace.source >= 0, trace.doubt, np.inf) for trace in traces], 0)
        dense = np.zeros(hidden.shape, np.float32)
        dense[at] = apart
        around = box(dense, 5) / np.maximum(box(hidden.astype(np.float32), 5), np.float32(0.01))
        error = np.zeros(hidden.shape, np.float32)
        error[at] = FLOOR + PER_FRAME * least + 0.5 * around[at]
        return error

    def _sample(self, plane: int, trace: _Trace, here: NDArray[np.intp], pixels: tuple[Points, Points]) -> Field:
        """Read a plane where the traces of some pixels lead."""
        source = trace.source[here]
        found = np.empty(len(source), np.float32)
        for s in np.unique(source):
            form = self._frames[s].format
            sy, sx = shifts(form, plane)
            mine = source == s
            y = (pixels[0][mine] >> sy) + trace.shift[0, here[mine]] / (1 << sy)
            x = (pixels[1][mine] >> sx) + trace.shift[1, here[mine]] / (1 << sx)
            hidden = chroma_mask(self._hidden[s], form) if sy or sx else self._hidden[s]
            found[mine] = read(self._frames[s].planes[plane], hidden, y, x)
        return found


Points = NDArray[np.intp]


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


def _put(plane: Plane, values: Field, got: Mask, shift: tuple[int, int], top: int) -> None:
    """Write the values of found pixels into a plane; a chroma sample is the mean of those found under it."""
    sy, sx = shift
    if sy or sx:
        rows, columns = -(-got.shape[0] >> sy), -(-got.shape[1] >> sx)
        pad = ((0, (rows << sy) - got.shape[0]), (0, (columns << sx) - got.shape[1]))
        blocks = (rows, 1 << sy, columns, 1 << sx)
        count = np.pad(got, pad).reshape(blocks).sum((1, 3))
        values = np.pad(values * got, pad).reshape(blocks).sum((1, 3)) / np.maximum(count, 1)
        got = count > 0
    part = plane[: got.shape[0], : got.shape[1]]
    part[got] = np.clip(np.floor(values[got] + 0.5), 0, top).astype(plane.dtype)


def _close(plane: Plane, lost: Mask, shift: tuple[int, int], form: PixelFormat) -> None:
    """Fill what is lost of a plane smoothly from around, in place."""
    unknown = chroma_mask(lost, form) if any(shift) else lost
    if unknown.any():
        part = plane[: unknown.shape[0], : unknown.shape[1]]
        around = _smooth(part.astype(np.float32), ~unknown)
        part[unknown] = np.floor(around[unknown] + 0.5).astype(plane.dtype)


def _smooth(plane: Field, known: Mask) -> Field:
    """Unknown samples as a membrane spanned over the hole, from coarse grids to fine; with none known, as it is.

    At the picture's edge the membrane hangs free: what lies there goes on from its one side.
    """
    rows, columns = known.shape
    if known.all() or not known.any():
        return plane
    padding = ((0, rows % 2), (0, columns % 2))
    blocks = ((rows + 1) // 2, 2, (columns + 1) // 2, 2)
    weight = np.pad(known.astype(np.float32), padding).reshape(blocks).sum((1, 3))
    total = np.pad(plane * known, padding).reshape(blocks).sum((1, 3))
    coarse = _smooth(total / np.maximum(weight, np.float32(1)), weight > 0)
    mixed: Field = np.where(known, plane, double(coarse[None])[0, :rows, :columns])
    for _ in range(_RELAXED):
        p = np.pad(mixed, 1, mode="edge")
        mean = (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2]) * np.float32(0.25)
        mixed = np.where(known, plane, mean)
    return mixed


def _look(cutting: Frame, hidden: Mask) -> View:
    return look(np.tensordot(np.array(LUMA, np.float32), cutting.rgb(), 1), ~hidden)


def _step(hidden: Mask, there: Field, back: Field) -> _Step:
    rows, columns = np.nonzero(hidden)
    to = there[:, rows, columns]
    return _Step(to, np.hypot(*(to + sample(back, rows + to[0], columns + to[1]))))


def cut_out(frame: Frame, rows: slice, columns: slice) -> Frame:
    """A part of a frame; its corner lies on a sample of every plane."""
    planes = []
    for i, plane in enumerate(frame.planes):
        sy, sx = shifts(frame.format, i)
        planes.append(plane[rows.start >> sy : -(-rows.stop >> sy), columns.start >> sx : -(-columns.stop >> sx)])
    return replace(frame, planes=tuple(planes))


def shifts(form: PixelFormat, plane: int) -> tuple[int, int]:
    """log2 of a plane's subsampling, (down, across)."""
    return (form.shift_y, form.shift_x) if form.family == "yuv" and plane in (1, 2) else (0, 0)


def around(mask: Mask) -> tuple[slice, slice]:
    """Rows and columns of the rectangle around a mask and `MARGIN` pixels more; it begins on multiples of 16."""
    found = []
    for line in (np.any(mask, 1), np.any(mask, 0)):
        where = np.flatnonzero(line)
        low, high = (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 1)
        found.append(slice(max(0, low - MARGIN) // 16 * 16, min(len(line), high + MARGIN)))
    return found[0], found[1]
