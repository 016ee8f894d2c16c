"""Frames with holes in, whole frames out: what other frames show is found, the rest is made by the generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.fill.background import Background, Found, Steps
from vgan_plugin.fill.engine import Engine, Filled, Say
from vgan_plugin.fill.stream import Record, fill_stream
from vgan_plugin.gaps import Plan, Target
from vgan_plugin.pixels.flow import box
from vgan_plugin.pixels.planes import chroma_mask
from vgan_plugin.types import Frame, FrameGenerator, Mask, PixelFormat, Plane

BACKGROUND = "background"
"""The method of a frame whose hidden pixels were all found in other frames."""
REACH = 40
"""How many frames away hidden pixels are looked for."""
_CHUNK = 8
"""Frames that are made at once: looking into the future begins anew for each chunk."""

CLOSED, BLIND = 0.1, 0.0025
"""What the generator's error is weighed against where nobody shows a pixel, and the hole is closed smoothly: where it
sees the place in a reference, and where it does not. It is then less sure than it says, and says something else in
each frame.
"""
_NEAR = 16
"""Pixels around a hole of a reference in which its motion is not to be relied on."""
_TRIFLE = 0.05
"""Share of the generator below which a frame is not called its work."""

Masks = Callable[[int], Mask | None]
"""Gives the mask of source frame i, (H, W), True = make this pixel; None = nothing. Asked in order, once a frame."""


@dataclass(frozen=True)
class Scene:
    """What is known of the frames before they come.

    Attributes:
        period: one source-frame period in seconds.
        area: rows and columns that hold all holes, see `background.around`.
        cuts: source indices of the first frame of every new shot.
        bad: source indices of frames that show nothing of use.
        later: look into later frames, too; else only into the past, and nothing waits.
        why: what a record says.
    """

    period: Fraction
    area: tuple[slice, slice]
    cuts: tuple[int, ...] = ()
    bad: frozenset[int] = frozenset()
    later: bool = True
    why: str = "mask"


class Inpainter:
    """Makes the masked pixels of frames that come in order: `push` each, then `finish`.

    What a frame hides is followed through at most `REACH` frames to either side (`later` False: into the past alone);
    what nobody shows is made by the generator from both neighbours, and from its memory of the frames before, holes
    left out. All pixels outside the masks leave as they came, bit for bit.

    Args:
        scene: see `Scene`.
        masks: see `Masks`.
        generator: who makes what cannot be found. The caller opened it and closes it.
        min_confidence: see `Engine`.
        seed: of the noise; None = none.
        say: see `Engine`.
        first: source index of the frame that is pushed first: 0, or what `start_of` gives for `wanted`.
        wanted: source index of the first frame that is made; those before it leave as they came.
        steps: of the same scene and masks, for one pass after another; None = there is one.
    """

    def __init__(
        self,
        scene: Scene,
        masks: Masks,
        generator: FrameGenerator,
        *,
        min_confidence: float = 0.0,
        seed: int | None = None,
        say: Say = lambda _: None,
        first: int = 0,
        wanted: int = 0,
        steps: Steps | None = None,
    ) -> None:
        self._scene, self._masks, self._min_confidence, self._seed = scene, masks, min_confidence, seed
        self._steps = steps
        self._ahead = REACH if scene.later else 0
        self._plan = Plan(Fraction(1, 25), 0, scene.period, cuts=scene.cuts, bad=scene.bad)
        self._engine = Engine(
            self._plan,
            generator,
            lambda i: self._done[i].frame,
            say=say,
            valid=lambda i: ~self._done[i].rest if self._done[i].rest.any() else None,
        )
        self._cuts = frozenset(scene.cuts)
        self._keep = max(REACH, generator.block + generator.lead) + _CHUNK + 2
        self._background: Background | None = None
        self._shot = self._next = first  # first frame of the shot; first frame that is not searched yet
        self._frames: dict[int, Frame] = {}
        self._masked: dict[int, Mask | None] = {}
        self._done: dict[int, Found] = {}  # searched
        self._made = first  # first frame that has not left
        self._first = self._count = first
        self._wanted = wanted

    @property
    def latency(self) -> int:
        """How many frames later than its own a frame leaves, at most."""
        return self._ahead + _CHUNK if self._scene.later else 0

    def cut(self, index: int) -> None:
        """A new shot begins at source frame `index`, which the scene did not know; said before that frame is pushed."""
        self._cuts |= {index}
        self._engine.plan = self._plan = replace(self._plan, cuts=(*self._plan.cuts, index))

    def push(self, frame: Frame) -> Iterator[tuple[Frame, Record | None]]:
        """Take the next frame in order of presentation; give those that are ready. Exhaust the answer."""
        index = self._count
        if index in self._cuts:
            yield from self._leave(index)
            self._background, self._shot = None, index
        if index == self._first:
            self._engine.plan = self._plan = replace(self._plan, time_base=frame.time_base)
        self._count += 1
        if self._background is None:
            self._background = Background(self._scene.area, REACH, later=self._scene.later, steps=self._steps)
        mask = self._masks(index)
        self._masked[index] = mask if mask is not None and mask.any() else None
        if index in self._scene.bad:
            self._background.add(index, frame, np.ones((frame.height, frame.width), np.bool_))
        else:
            self._background.add(index, frame, mask)
        self._frames[index] = frame
        while self._next <= index - self._ahead - (_CHUNK - 1 if self._scene.later else 0):
            self._search(self._next + (_CHUNK if self._scene.later else 1))
        # b of a frame is the one after it; without looking ahead it is the one before it
        yield from self._make(self._next - 1 if self._scene.later else self._next, index + 1)

    def finish(self) -> Iterator[tuple[Frame, Record | None]]:
        """There are no more frames: give all that is left. Exhaust the answer."""
        yield from self._leave(self._count)

    def _leave(self, end: int) -> Iterator[tuple[Frame, Record | None]]:
        """All frames before `end`, which is the end of the shot."""
        while self._next < end:
            self._search(min(end, self._next + _CHUNK))
        yield from self._make(end, end)

    def _search(self, end: int) -> None:
        first, self._next = self._next, end
        background = self._background
        assert background is not None  # noqa: S101 - there are frames
        frames = [self._frames[i] for i in range(first, end)]
        for i, frame in enumerate(frames, first):
            none = np.zeros((frame.height, frame.width), np.bool_)
            self._done[i] = Found(frame, none, none.astype(np.float32))
        holes = [i for i in range(first, end) if self._masked[i] is not None and i not in self._scene.bad]
        if holes:
            some = frames[holes[0] - first : holes[-1] + 1 - first]
            for i, found in enumerate(background.find(some, holes[0]), holes[0]):
                mask = self._masked[i]
                if mask is not None and mask.all():  # nothing is known of its motion: the generator knows better
                    self._done[i] = Found(self._frames[i], mask, found.error * 0)
                elif i in holes:
                    self._done[i] = found
        background.forget(end)

    def _make(self, end: int, known: int) -> Iterator[tuple[Frame, Record | None]]:
        """Frames up to `end` leave, made whole; `known`: where the shot ends as far as that is known."""
        while self._made < end:
            index = self._made
            if index >= self._wanted and self._masked.get(index) is not None and index not in self._scene.bad:
                yield self._filled(index, known)
            else:
                yield self._frames[index], None
            self._made += 1
            del self._frames[index], self._masked[index]
            self._done.pop(index - self._keep, None)

    def _filled(self, index: int, known: int) -> tuple[Frame, Record]:
        """A frame made whole: what was found and what the generator makes, each as far as it is sure."""
        found, mask = self._done[index], self._masked[index]
        assert mask is not None  # noqa: S101 - asked before
        target = self._target(index, known)
        made = self._engine.make(target, found.frame, mask, self._seed)
        holes = np.stack([self._done[i].rest for i, _ in target.references]).astype(np.float32)
        blind: Mask = np.all(box(holes, 2 * _NEAR + 1) > 0, axis=0)
        filled = fused(found, made, mask, blind)
        if filled.confidence < self._min_confidence and not filled.fallback:
            repeat = self._engine.repeat(target, found.frame, mask)
            why = f"confidence {filled.confidence:.3f} is below the minimum {self._min_confidence:g}"
            filled = replace(repeat, fallback=why)
        return filled.frame, self._record(filled, index)

    def _shows(self, index: int) -> bool:
        """Whether a frame is of use to its neighbours."""
        return index not in self._scene.bad and not self._done[index].rest.all()

    def _target(self, index: int, known: int) -> Target:
        """The frame, to be made from its neighbours of the shot: those around it, else two on one side."""
        pts = self._frames[index].pts
        before = [i for i in range(index - 1, max(self._shot, index - REACH) - 1, -1) if self._shows(i)][:2]
        after: list[int] = []
        if self._scene.later:
            end = min(known, self._next)
            after = [i for i in range(index + 1, min(end, index + REACH)) if self._shows(i)][:2]
        pair: list[int | None]
        if before and after:
            pair = [before[0], after[0]]
        elif len(before) == 2 or len(after) == 2:
            pair = [before[1], before[0]] if before else [after[0], after[1]]
        else:
            pair = [before[0] if before else None, after[0] if after else None]
        if pair == [None, None]:
            pair = [index, None]  # a frame alone: what is left of it is all there is
        offsets = [
            Fraction(0) if i is None else (self._done[i].frame.pts - pts) * self._plan.time_base / self._scene.period
            for i in pair
        ]
        return Target(pts, pair[0], pair[1], (offsets[0], offsets[1]), index, self._scene.why)

    def _record(self, filled: Filled, index: int) -> Record:
        target = filled.target
        return Record(
            index=index,
            pts=target.pts,
            time_base=self._plan.time_base,
            method=filled.method,
            references=tuple(self._done[i].frame.pts for i, _ in target.references),
            offsets=tuple(offset for _, offset in target.references),
            confidence=filled.confidence,
            why=target.why,
            fallback=filled.fallback,
        )


def start_of(index: int, cuts: Sequence[int], generator: FrameGenerator, *, whole: bool = False) -> int:
    """Where frames must begin for an `Inpainter` to give frame `index` as it does in a pass over all of them.

    The frame's references and those of its block's chain are made of what is seen up to `REACH` frames before them, and
    frames are searched in chunks, which are counted from the first frame of the shot.

    Args:
        index: the frame that is wanted.
        cuts: source indices of the first frame of every new shot, in order.
        generator: who makes it.
        whole: whether masks hide whole frames: the next one that shows something may be far away then.
    """
    shot = max((cut for cut in cuts if cut <= index), default=0)
    nearest = first = index - (REACH if whole else 1)  # reference of the last frame of a shot
    if generator.block:
        first = nearest // generator.block * generator.block - generator.lead
    first = min(first, index - REACH) - REACH
    return max(shot, shot + (first - shot) // _CHUNK * _CHUNK)


def fused(found: Found, made: Filled, mask: Mask, blind: Mask) -> Filled:
    """Two guesses at the hidden pixels, weighted by how far off each may be; one alone where the other has none.

    Args:
        found: what other frames show.
        made: the same frame by the generator, all of the mask.
        mask: (H, W), what is hidden.
        blind: (H, W), what no reference of the generator shows at that place or near it.
    """
    if made.map is None:
        off = np.full(mask.shape, _error_of(np.float32(made.confidence)), np.float32)
    else:
        off = _error_of(made.map)
    there = mask & ~found.rest
    square = np.square(np.where(there, found.error, np.where(blind, np.float32(BLIND), np.float32(CLOSED))))
    share = (square / (square + np.square(off) + 1e-12)).astype(np.float32)  # of what was made
    if found.rest.all():  # nothing is known of such a frame, not even around a hole
        share[:] = 1
    if made.fallback:
        share[there] = 0
    planes: list[Plane] = []
    form = made.frame.format
    for i, (first, second) in enumerate(zip(found.frame.planes, made.frame.planes, strict=True)):
        small, where = share, mask
        if form.family == "yuv" and i in (1, 2):
            small, where = _coarse(share, mask, form), chroma_mask(mask, form)
        mixed = first + small * (second.astype(np.float32) - first)
        plane: Plane = np.where(where, np.floor(mixed + 0.5), first).astype(form.dtype)
        planes.append(plane)
    error = np.where(there, np.minimum(found.error, off), off)[mask]
    confidence = float(np.mean(1 / (1 + 50 * error))) if not made.fallback or there.any() else made.confidence
    frame = replace(made.frame, planes=tuple(planes), corrupt=False)
    if not found.rest.any() and share[mask].mean() < _TRIFLE:
        return Filled(frame, confidence, made.target, BACKGROUND)
    return replace(made, frame=frame, confidence=confidence, map=None)


def _error_of(confidence: Any) -> Any:
    """The expected absolute error that a confidence stands for."""
    return (1 / np.maximum(confidence, np.float32(1e-3)) - 1) / 50


def _coarse(share: NDArray[np.float32], mask: Mask, form: PixelFormat) -> NDArray[np.float32]:
    """Means over the masked pixels under each chroma sample."""
    sizes = form.plane_shape(1, share.shape[1], share.shape[0])
    down, across = 1 << form.shift_y, 1 << form.shift_x
    pad = tuple((0, n * k - m) for n, k, m in zip(sizes, (down, across), share.shape, strict=True))
    blocks = (sizes[0], down, sizes[1], across)
    count = np.pad(mask, pad).reshape(blocks).sum((1, 3))
    total = np.pad(share * mask, pad).reshape(blocks).sum((1, 3))
    mean: NDArray[np.float32] = (total / np.maximum(count, 1)).astype(np.float32)
    return mean


def inpaint_stream(frames: Iterable[Frame], inpainter: Inpainter) -> Iterator[tuple[Frame, Record | None]]:
    """A whole stream through an `Inpainter`: every frame leaves, those made with a record."""
    for frame in frames:
        yield from inpainter.push(frame)
    yield from inpainter.finish()


def mend_stream(
    frames: Iterable[Frame],
    plan: Plan,
    generator: FrameGenerator,
    inpainter: Inpainter | None = None,
    *,
    min_confidence: float = 0.0,
    say: Say = lambda _: None,
) -> Iterator[tuple[Frame, Record | None]]:
    """`fill_stream` of frames that are damaged in parts: those are mended first, and serve as references then.

    Args:
        frames: every source frame in presentation order.
        plan: what to make whole.
        generator: who makes it.
        inpainter: mends; None = nothing is to be mended.
        min_confidence: see `Engine`.
        say: see `Engine`.
    """
    mended: dict[int, Record] = {}

    def first() -> Iterator[Frame]:
        if inpainter is None:
            yield from frames
            return
        for frame, record in inpaint_stream(frames, inpainter):
            if record is not None:
                mended[record.pts * plan.scale] = record
            yield frame

    filled = fill_stream(first(), plan, generator, min_confidence=min_confidence, say=say)
    for index, (frame, record) in enumerate(filled):
        part = mended.pop(frame.pts, None)
        yield frame, replace(part, index=index) if record is None and part is not None else record
