"""VapourSynth's nodes: frames made when they are asked for, in whatever order, by as many threads as there are."""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import vapoursynth as vs

from vgan_plugin.errors import MaskUnusable, TaskMissing
from vgan_plugin.fill import Engine, Filled, Inpainter, Order, Record, Say, Scene, Steps, start_of
from vgan_plugin.gaps import Plan, Target
from vgan_plugin.hosts.vsframes import Clip, duration_of
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.types import Concurrent, Frame, FrameGenerator, GeneratorInfo, Made, Mask, OpenRequest, RenderRequest

_FRAME_ONLY = frozenset({"_PictType", "_DurationNum", "_DurationDen", "_AbsoluteTime", "_Combed"})
"""Properties that say something of one frame only: a made frame does not have them from its reference."""
_KEPT = 8
"""Made frames that a clip keeps, besides one a thread."""


class Planned:
    """A clip's frames as a plan shows them.

    Args:
        source: the clip, looked through.
        plan: what to make and what to keep.
        generator: who makes it; asked for only where something is to be made.
        min_confidence: see `Engine`.
        say: see `Engine`.
    """

    def __init__(
        self, source: Clip, plan: Plan, generator: Callable[[], FrameGenerator], min_confidence: float, say: Say
    ) -> None:
        self._source, self._plan = source, plan
        self._core = vs.core.core
        self._engine = None
        if plan.targets:
            self._engine = Engine(plan, generator(), source.frame, min_confidence=min_confidence, say=say)
        gone = plan.dropped | {target.replaces for target in plan.targets}
        shown: list[tuple[int, int | Target]] = [
            (pts * plan.scale, i) for i, pts in enumerate(source.timeline.pts) if i not in gone
        ]
        shown += [(target.pts, target) for target in plan.targets]
        shown.sort(key=lambda item: item[0])
        self._shown = shown
        self._targets = {target.pts: k for k, target in enumerate(plan.targets)}
        self._newest = -1
        self._made: OrderedDict[int, Filled] = OrderedDict()
        self._begun: dict[int, tuple[Order, Future[tuple[Made, Frame]] | None]] = {}
        self._lanes = 1
        if self._engine is not None and isinstance(self._engine.generator, Concurrent):
            self._lanes = self._engine.generator.lanes
        self._pool: ThreadPoolExecutor | None = None
        if self._lanes > 1:
            self._pool = ThreadPoolExecutor(self._lanes, "vgan-lane")  # its threads end with it
        self._last: Fraction | None = None

    def node(self, fps: Fraction, last: Fraction | None = None) -> vs.VideoNode:
        """The clip.

        Args:
            fps: its frame rate; 0 = variable.
            last: seconds that its last frame is shown; None = as long as the source's last.
        """
        if self._engine is None and not self._plan.dropped and fps == self._source.node.fps:
            return self._source.node
        self._last = last or self._source.durations[-1]
        clip = self._source.node
        base = clip.std.BlankClip(length=len(self._shown), keep=True)
        if fps:
            base = base.std.AssumeFPS(fpsnum=fps.numerator, fpsden=fps.denominator)
        # What a frame is made like, or kept: an input, so that it is fetched ahead and in parallel.
        near = [_nearest(item) for _, item in self._shown]
        nearby = clip
        if near != list(range(clip.num_frames)):
            nearby = base.std.FrameEval(lambda n: clip[near[n]], clip_src=clip)
        return base.std.ModifyFrame(nearby, self._frame)

    def _frame(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        """Frame n; `f` is the source frame that is kept there, or the nearest reference."""
        pts, item = self._shown[n]
        props: dict[str, Any] = self._scene(n, f.props)
        duration = self._duration(n)
        if isinstance(item, int):
            if duration is not None and duration != duration_of(f.props):
                props |= {"_DurationNum": duration.numerator, "_DurationDen": duration.denominator}
            if not props:
                return f
            out = f.copy()
        else:
            filled = self._make(self._targets[item.pts])
            out = self._source.samples.write(filled.frame, self._core)
            _set(out, {key: value for key, value in f.props.items() if key not in _FRAME_ONLY})
            if duration is not None:
                props |= {"_DurationNum": duration.numerator, "_DurationDen": duration.denominator}
            if "_AbsoluteTime" in f.props:
                later = pts * self._plan.time_base - self._source.timeline.time(_nearest(item))
                props["_AbsoluteTime"] = f.props["_AbsoluteTime"] + float(later)
            shown = self._shown_instead(item)
            props |= _told(filled, f if shown == _nearest(item) else self._source.node.get_frame(shown))
        _set(out, props)
        return out

    def _make(self, k: int) -> Filled:
        """Target k of the plan. Threads ask in almost the right order: those just before it are made first and kept.
        Where several can be made at once, those after it are begun with.
        """
        if k in self._made:
            self._made.move_to_end(k)
            return self._made[k]
        threads, last = self._core.num_threads, k
        if self._newest < k <= self._newest + threads:
            wanted = range(self._newest + 1, k + 1)
            last = min(k + self._lanes, len(self._plan.targets)) - 1
        else:
            wanted = range(k, k + 1)
            self._begun.clear()
        for j in range(wanted[0], last + 1):
            self._begin(j)
        for j in wanted:
            if j not in self._made:
                self._made[j] = self._finished(j)
        self._newest = k
        while len(self._made) > threads + _KEPT:
            self._made.popitem(last=False)
        return self._made[k]

    def _begin(self, k: int) -> None:
        assert self._engine is not None  # noqa: S101 - there are targets
        if k not in self._begun and k not in self._made:
            order = self._engine.order(self._plan.targets[k])
            begun = None if self._pool is None or order.work is None else self._pool.submit(order.work)
            self._begun[k] = order, begun

    def _finished(self, k: int) -> Filled:
        assert self._engine is not None  # noqa: S101 - there are targets
        order, made = self._begun.pop(k)
        return replace(self._engine.finish(order, order.work if made is None else made.result), map=None)

    def _shown_instead(self, target: Target) -> int:
        """Source index of the frame that a player shows where a made one stands."""
        if target.replaces is not None:
            return target.replaces
        return max(0, bisect_right(self._source.timeline.pts, target.pts // self._plan.scale) - 1)

    def _duration(self, n: int) -> Fraction | None:
        """Seconds that frame n is shown; None where the source does not say of its last."""
        if n + 1 == len(self._shown):
            return self._last
        return (self._shown[n + 1][0] - self._shown[n][0]) * self._plan.time_base

    def _scene(self, n: int, props: Mapping[str, Any]) -> dict[str, Any]:
        """The marks of scene changes that frame n must have and `props` do not have."""
        return {
            key: int(new)
            for key, new in (("_SceneChangePrev", self._opens_shot(n)), ("_SceneChangeNext", self._opens_shot(n + 1)))
            if (new or key in props) and props.get(key) != int(new)
        }

    def _opens_shot(self, n: int) -> bool:
        if not 0 < n < len(self._shown):
            return False
        before, now = (_nearest(self._shown[i][1]) for i in (n - 1, n))
        return any(before < cut <= now for cut in self._plan.cuts)


def _nearest(item: int | Target) -> int:
    """Source index of a kept frame, or of a target's nearest reference."""
    if isinstance(item, int):
        return item
    return min(item.references, key=lambda reference: abs(reference[1]))[0]


class Masks:
    """A clip of masks: white (more than half) = make this pixel.

    Args:
        clip: of grey or YUV frames, as many as there are to mask, or one for all of them.

    Attributes:
        whole: whether some hide whole frames; known after `survey`.
    """

    def __init__(self, clip: vs.VideoNode) -> None:
        self._clip = clip
        form = clip.format
        self._half = 0.5 if form.sample_type == vs.FLOAT else (1 << form.bits_per_sample) - 1 >> 1
        self._still = self._read(0) if clip.num_frames == 1 else None
        self.whole = False

    def of(self, index: int) -> Mask | None:
        """The mask of frame i, (H, W), True = make this pixel; None where nothing is to be made."""
        mask = self._read(index) if self._still is None else self._still
        return mask if mask.any() else None

    def survey(self) -> Mask | None:
        """Look at all masks once: the pixels that are masked in any frame; None = none is.

        Raises:
            MaskUnusable: every pixel of every frame is.
        """
        area, shown = np.zeros((self._clip.height, self._clip.width), np.bool_), False
        for f in self._clip.frames(close=True):
            mask = np.asarray(f[0]) > self._half
            area |= mask
            self.whole = self.whole or bool(mask.all())
            shown = shown or not mask.all()
        if not shown:
            raise MaskUnusable(
                "The mask hides every pixel of every frame",
                "nothing is left that the rest could be made from",
                "mask less",
            )
        return area if area.any() else None

    def _read(self, index: int) -> Mask:
        white: Mask = np.asarray(self._clip.get_frame(index)[0]) > self._half
        return white


class Inpainted:
    """A clip's frames with their masked pixels made.

    Args:
        source: the clip, looked through.
        masks: where.
        scene: what is known of the clip.
        generator: who makes it.
        min_confidence: see `Engine`.
        say: see `Engine`.
    """

    def __init__(
        self,
        source: Clip,
        masks: Masks,
        scene: Scene,
        generator: FrameGenerator,
        min_confidence: float,
        say: Say,
    ) -> None:
        self._source, self._masks, self._scene, self._generator = source, masks, scene, generator
        self._min_confidence, self._say = min_confidence, say
        self._core = vs.core.core
        self._inpainter: Inpainter | None = None
        self._steps = Steps()  # passes overlap where frames are asked for out of order
        self._items: Iterator[tuple[Frame, Record | None]] = iter(())
        self._pushed = self._left = 0  # the next frame to go in, and the next one to come out
        self._made: OrderedDict[int, tuple[Frame, Record]] = OrderedDict()

    def node(self) -> vs.VideoNode:
        """The clip."""
        return self._source.node.std.ModifyFrame(self._source.node, self._frame)

    def _frame(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        if self._masks.of(n) is None:
            return f
        frame, record = self._make(n)
        out = self._source.samples.write(frame, self._core)
        _set(out, {**f.props, **_told(record, f)})
        return out

    def _make(self, n: int) -> tuple[Frame, Record]:
        """Frame n, from the pass that is under way if it leads there, else from one that begins before it."""
        if n in self._made:
            self._made.move_to_end(n)
            return self._made[n]
        start = start_of(n, self._scene.cuts, self._generator, whole=self._masks.whole)
        if self._inpainter is None or self._left > n or start > self._pushed:
            self._inpainter = Inpainter(
                self._scene,
                self._masks.of,
                self._generator,
                min_confidence=self._min_confidence,
                say=self._say,
                first=start,
                wanted=n,
                steps=self._steps,
            )
            self._items, self._pushed, self._left = iter(()), start, start
        try:
            while self._left <= n:
                frame, record = self._next(self._inpainter)
                if record is not None:
                    self._made[self._left] = frame, record
                self._left += 1
        except BaseException:
            self._inpainter = None  # half a step was taken
            raise
        while len(self._made) > self._core.num_threads + _KEPT:
            self._made.popitem(last=False)
        return self._made[n]

    def _next(self, inpainter: Inpainter) -> tuple[Frame, Record | None]:
        """What the pass gives next."""
        while (item := next(self._items, None)) is None:
            if self._pushed < self._source.node.num_frames:
                self._items = inpainter.push(self._source.frame(self._pushed))
                self._pushed += 1
            else:
                self._items = inpainter.finish()
        return item


def _told(made: Filled | Record, before: vs.VideoFrame) -> dict[str, Any]:
    """What a made frame says of itself."""
    return {
        "VGanMade": 1,
        "VGanMethod": made.method,
        "VGanConfidence": made.confidence,
        "VGanSource": before,
    }


def _set(out: vs.VideoFrame, props: Mapping[str, Any]) -> None:
    for key, value in props.items():
        out.props[key] = value


class _Shared:
    """A generator that several clips use, as many calls at once as it may have; closed when the last clip is gone."""

    def __init__(self, inner: FrameGenerator) -> None:
        self._inner = inner
        self.lanes = inner.lanes if isinstance(inner, Concurrent) else 1
        self._lock = threading.BoundedSemaphore(self.lanes)
        self._alone = threading.Lock() if self.lanes > 1 else self._lock
        self.info: GeneratorInfo = inner.info
        self.block, self.lead = inner.block, inner.lead
        self._finalizer = weakref.finalize(self, inner.close)

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self._inner.provenance

    def encode(self, frame: Frame, valid: Mask | None = None) -> Any:
        with self._alone:
            return self._inner.encode(frame, valid)

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> Any:
        with self._alone:
            return self._inner.remember(features, previous, dt, state)

    def render(self, request: RenderRequest) -> Made:
        with self._lock:  # of one lane: nobody encodes meanwhile
            return self._inner.render(request)

    def close(self) -> None:
        """Close the generator now."""
        self._finalizer()


_open: weakref.WeakValueDictionary[OpenRequest, _Shared] = weakref.WeakValueDictionary()


def opened(request: OpenRequest, task: str) -> FrameGenerator:
    """The generator asked for; clips that ask for the same one share it."""
    shared = _open.get(request)
    if shared is None:
        _open[request] = shared = _Shared(get_plugin_manager().open_generator(request))
    if task not in shared.info.tasks:
        raise TaskMissing(
            f"Generator {shared.info.name!r} is not made for {task!r}",
            f"it can do: {', '.join(shared.info.tasks) or 'nothing'}",
            "name another generator or model",
        )
    return shared
