"""Hidden pixels that other frames show: followed along the motion, forwards and backwards in time, until they are seen.

For each hidden pixel of a frame the motion leads to a place in the neighbouring frame. If that place is seen, it is
found; if it is hidden too, whatever was found for it serves. Displacements are added up and the frame that shows the
pixel is sampled once, however far away it is, so that nothing blurs on the way (propagation as in Xu et al., "Deep
flow-guided video inpainting", 2019, of displacements instead of pictures).

What no frame shows is closed smoothly, in each frame from around, and then it is the mean of what a few frames before
and after have there, followed along the motion as well: what is closed moves with the scene and does not flicker.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.fill.membrane import laid, spanned
from vgan_plugin.fill.samples import Points, cut_out, gathered, moved, put, read, shift_of
from vgan_plugin.pixels.flow import LUMA, Field, View, box, flow, look, misfit, sample
from vgan_plugin.pixels.planes import chroma_mask
from vgan_plugin.types import Frame, Mask, Plane

MARGIN = 96
"""Pixels around the holes in which motion is looked for: a hole's motion comes from its edge."""
FLOOR, PER_FRAME, UNSURE = 0.01, 0.002, 0.04
"""Expected error of a found pixel, of the range: least, for each frame that it is away, and twice what it is where only
one side shows it."""
CALM = 3
"""Frames to either side over whose closed holes is averaged."""
OFF, PART = 4.0, 0.05
"""Pixels, and share of its length, by which motion may be off: beyond, it does not lead to the same thing."""


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
    """From the n hidden pixels of a frame to its neighbour: displacements (2, n), and by how much they may be off: by
    what there and back differ, and by what the motion misses of what is seen around.
    """

    to: Field
    off: Field


@dataclass(frozen=True, eq=False)
class _Trace:
    """Where the n hidden pixels of a frame are seen: frame (-1: nowhere), displacement (2, n), doubt (in frames)."""

    source: NDArray[np.int32]
    shift: Field
    doubt: Field


@dataclass(frozen=True, eq=False)
class _Shown:
    """What other frames show of a frame's hidden pixels: its planes, the found pixels in their places, those that are
    lost all the same, and the expected error of the found ones, as in `Found`.
    """

    planes: tuple[Plane, ...]
    lost: Mask
    error: Field


class Steps:
    """Motion between neighbouring frames, for whoever goes through a clip again: it depends on the two frames, on their
    holes and on nothing else.

    Args:
        most: bytes that are kept at most; what was used last stays.
    """

    def __init__(self, most: int = 1 << 28) -> None:
        self._kept: OrderedDict[int, tuple[_Step, _Step]] = OrderedDict()
        self._bytes, self._most = 0, most

    def get(self, index: int) -> tuple[_Step, _Step] | None:
        """From the frame before `index` to it, and back."""
        if index in self._kept:
            self._kept.move_to_end(index)
        return self._kept.get(index)

    def keep(self, index: int, pair: tuple[_Step, _Step]) -> None:
        """Take what was worked out."""
        self._kept[index] = pair
        self._bytes += _size(pair)
        while self._bytes > self._most:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(pair: tuple[_Step, _Step]) -> int:
    return sum(step.to.nbytes + step.off.nbytes for step in pair)


class Background:
    """Frames of one shot in order of time, with their holes, and what of the holes other frames show.

    `add` them in order; `find` what a run of them hides, once the later frames that may show it are there; `forget`
    what is asked for no more. What is found for a frame depends on the frames at most `reach` away from it, and on
    nothing else: neither on where the run begins nor on what was asked before.

    Args:
        area: rows and columns that hold all holes and enough around them, see `around`.
        reach: how many frames away a pixel is looked for.
        later: whether to look into later frames, too.
        steps: of the same clip, masks and area; None = nothing is kept.
    """

    def __init__(
        self, area: tuple[slice, slice], reach: int, *, later: bool = True, steps: Steps | None = None
    ) -> None:
        self._rows, self._columns = area
        self._steps = steps or Steps(0)
        self._reach, self._later = reach, later
        self._calm = min(CALM, reach // 2)
        self._frames: dict[int, Frame] = {}
        self._hidden: dict[int, Mask] = {}
        self._next: dict[int, _Step] = {}  # from a frame to the one after it
        self._last: dict[int, _Step] = {}  # and to the one before
        self._past: dict[int, _Trace] = {}
        self._future: dict[int, _Trace] = {}  # as far as it was asked for
        self._shown: dict[int, _Shown] = {}  # likewise
        self._closed: dict[int, list[Field]] = {}  # planes of those, what is lost closed from around
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
        if before in self._frames and (hidden.any() or self._hidden[before].any()):
            steps = self._steps.get(index)
            if steps is None:
                view = view or _look(self._frames[before], self._hidden[before])
                self._view = _look(cutting, hidden)
                there, back = flow(view, self._view), flow(self._view, view)
                steps = (
                    _step(self._hidden[before], there, back, misfit(view, self._view, there)),
                    _step(hidden, back, there, misfit(self._view, view, back)),
                )
                self._steps.keep(index, steps)
            self._next[before], self._last[index] = steps
        self._past[index] = self._trace(index, before, self._last.get(index), self._past.get(before))

    def forget(self, before: int) -> None:
        """Let go of all that serves only frames before that index."""
        old = before - self._calm
        for held in (self._next, self._last, self._past, self._future, self._shown, self._closed):
            for index in [i for i in held if i < old]:
                held.pop(index)
        for index in [i for i in self._frames if i < before - self._reach]:
            del self._frames[index], self._hidden[index]

    def find(self, frames: Sequence[Frame], first: int) -> list[Found]:
        """What some frames hide and others show.

        Args:
            frames: as they were added, the first of them under the index `first`.
            first: see above.
        """
        last = first + len(frames) - 1
        if self._later:
            trace = None
            for index in range(min(max(self._frames), last + self._reach), first - 1, -1):
                trace = self._trace(index, index + 1, self._next.get(index), trace)
                if index <= last + self._calm:
                    self._future[index] = trace
        return [self._found(frame, t) for t, frame in enumerate(frames, first)]

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
        good = (y >= 0) & (y < height) & (x >= 0) & (x < width) & (step.off < OFF + PART * np.hypot(*step.to))
        at = np.flatnonzero(good)
        near = y[at] * width + x[at]
        covered = self._hidden[neighbour].ravel()
        number = np.cumsum(covered) - 1  # of a hidden pixel in its frame's trace
        hole = covered[near]
        beyond = number[near[hole]]
        source = np.full(len(at), neighbour, np.int32)
        shift, doubt = step.to[:, at].copy(), 1 + step.off[at]
        source[hole] = there.source[beyond]
        shift[:, hole] += there.shift[:, beyond]
        doubt[hole] += there.doubt[beyond]
        seen = (source >= 0) & (np.abs(source - t) <= self._reach - self._calm)
        for s in np.unique(source[seen]):  # fractions of pixels add up: a trace may end inside a hole after all
            mine = np.flatnonzero(seen & (source == s))
            ends = rows[at[mine]] + shift[0, mine], columns[at[mine]] + shift[1, mine]
            y, x = (np.clip(np.rint(p).astype(np.intp), 0, n - 1) for p, n in zip(ends, hidden.shape, strict=True))
            seen[mine] = ~self._hidden[int(s)][y, x]
        at = at[seen]
        trace.source[at], trace.shift[:, at], trace.doubt[at] = source[seen], shift[:, seen], doubt[seen]
        return trace

    def _found(self, frame: Frame, t: int) -> Found:
        shown = self._show(t)
        planes = list(frame.planes)
        lost = np.nonzero(shown.lost)
        closed = self._calmed(t, (lost[0], lost[1])) if len(lost[0]) and not self._hidden[t].all() else None
        for i, plane in enumerate(shown.planes):
            sy, sx = shift = shift_of(frame.format, i)
            part = plane
            if closed is not None:
                bed = np.zeros(shown.lost.shape, np.float32)
                bed[lost] = closed[i]
                bed, unknown = gathered(bed, shown.lost, shift)
                part = plane.copy()
                put(part, laid(bed, plane.astype(np.float32), ~unknown), unknown, frame.format)
            planes[i] = planes[i].copy()
            top, left = self._rows.start >> sy, self._columns.start >> sx
            planes[i][top : top + part.shape[0], left : left + part.shape[1]] = part
        whole = frame.height, frame.width
        rest, error = np.zeros(whole, np.bool_), np.zeros(whole, np.float32)
        rest[self._rows, self._columns] = shown.lost
        error[self._rows, self._columns] = shown.error
        return Found(replace(frame, planes=tuple(planes)), rest, error)

    def _show(self, t: int) -> _Shown:
        if t in self._shown:
            return self._shown[t]
        frame, hidden = self._frames[t], self._hidden[t]
        traces = [traces[t] for traces in (self._past, self._future) if t in traces]
        rows, columns = at = np.nonzero(hidden)
        weights = [np.where(trace.source >= 0, 1 / (0.5 + trace.doubt) ** 2, 0) for trace in traces]
        total = np.sum(weights, 0)
        got = np.zeros_like(hidden)
        got[at] = total > 0
        top = (1 << frame.format.bits) - 1
        apart = np.full(len(total), UNSURE * top, np.float32)  # what past and future show, where both show something
        planes = []
        for i, plane in enumerate(frame.planes):
            values = np.zeros((len(traces), len(total)), np.float32)
            for k, (trace, weight) in enumerate(zip(traces, weights, strict=True)):
                here = np.flatnonzero(weight)
                values[k, here] = self._sample(i, trace, here, (rows[here], columns[here]))
            if i == 0 and len(traces) == 2:
                two = (weights[0] > 0) & (weights[1] > 0)
                apart[two] = np.abs(values[0] - values[1])[two]
            dense = np.zeros(hidden.shape, np.float32)
            dense[at] = (values * weights).sum(0) / np.maximum(total, 1e-9)
            filled = plane.copy()
            put(filled, *gathered(dense, got, shift_of(frame.format, i)), frame.format)
            planes.append(filled)
        error = np.where(got, self._error((rows, columns), apart / np.float32(top), traces, hidden), 0)
        self._shown[t] = _Shown(tuple(planes), hidden & ~got, error)
        return self._shown[t]

    def _calmed(self, t: int, lost: tuple[Points, Points]) -> list[Field]:
        """Every plane at the lost pixels of a frame, (n,): as they are closed in it and in the frames around it."""
        form = self._frames[t].format
        total = [np.zeros(len(lost[0]), np.float32) for _ in self._frames[t].planes]
        share = np.zeros(len(lost[0]), np.float32)
        for s, here, to in self._followed(t, lost):
            share[here] += 1
            for i, plane in enumerate(self._close(s)):
                y, x = moved((lost[0][here], lost[1][here]), to, shift_of(form, i))
                total[i][here] += sample(plane[None], y, x)[0]
        return [plane / share for plane in total]

    def _close(self, t: int) -> list[Field]:
        """A frame's planes, what is lost closed from around."""
        if t not in self._closed:
            shown, form = self._show(t), self._frames[t].format
            self._closed[t] = [
                spanned(
                    plane.astype(np.float32), ~(chroma_mask(shown.lost, form) if any(shift_of(form, i)) else shown.lost)
                )
                for i, plane in enumerate(shown.planes)
            ]
        return self._closed[t]

    def _followed(self, t: int, pixels: tuple[Points, Points]) -> Iterator[tuple[int, Points, Field]]:
        """Hidden pixels of a frame in it and in those around it, as long as they are hidden there, too: the index of a
        frame, which pixels, and how far away, (2, n).
        """
        every, none = np.arange(len(pixels[0])), np.zeros((2, len(pixels[0])), np.float32)
        yield t, every, none
        for steps, way in ((self._last, -1), (self._next, 1))[: 1 + self._later]:
            s, here, to = t, every, none
            at = pixels
            while abs(s - t) < self._calm and s in steps and not self._hidden[s + way].all():
                number = np.cumsum(self._hidden[s]).reshape(self._hidden[s].shape) - 1  # of a hidden pixel in a step
                to = to + steps[s].to[:, number[at]]
                s += way
                y, x = (np.rint(p[here] + d).astype(np.intp) for p, d in zip(pixels, to, strict=True))
                hidden = self._hidden[s]
                stays = (y >= 0) & (y < hidden.shape[0]) & (x >= 0) & (x < hidden.shape[1])
                stays[stays] = hidden[y[stays], x[stays]]
                here, to, at = here[stays], to[:, stays], (y[stays], x[stays])
                if not len(here):
                    break
                yield s, here, to

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

    def _sample(self, plane: int, trace: _Trace, here: Points, pixels: tuple[Points, Points]) -> Field:
        """Read a plane where the traces of some pixels lead."""
        source = trace.source[here]
        found = np.empty(len(source), np.float32)
        for s in np.unique(source):
            form = self._frames[s].format
            shift, mine = shift_of(form, plane), source == s
            y, x = moved((pixels[0][mine], pixels[1][mine]), trace.shift[:, here[mine]], shift)
            hidden = chroma_mask(self._hidden[s], form) if any(shift) else self._hidden[s]
            found[mine] = read(self._frames[s].planes[plane], hidden, y, x)
        return found


def _look(cutting: Frame, hidden: Mask) -> View:
    return look(np.tensordot(np.array(LUMA, np.float32), cutting.rgb(), 1), ~hidden)


def _step(hidden: Mask, there: Field, back: Field, missed: Field) -> _Step:
    rows, columns = np.nonzero(hidden)
    to = there[:, rows, columns]
    return _Step(to, np.hypot(*(to + sample(back, rows + to[0], columns + to[1]))) + missed[rows, columns])


def around(mask: Mask) -> tuple[slice, slice]:
    """Rows and columns of the rectangle around a mask and `MARGIN` pixels more; it begins on multiples of 16."""
    found = []
    for line in (np.any(mask, 1), np.any(mask, 0)):
        where = np.flatnonzero(line)
        low, high = (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 1)
        found.append(slice(max(0, low - MARGIN) // 16 * 16, min(len(line), high + MARGIN)))
    return found[0], found[1]
