"""VapourSynth: clips with missing frames made, at a higher rate, with masked pixels made, or longer than they were.

    from vgan_plugin.hosts import vapoursynth as vgan

    clip = vgan.fill(core.bs.VideoSource("broken.mkv"))

Each function reads its clip once when it is called (times, scene changes, faults) and gives a clip whose frames can be
asked for in any order. Frames that are kept are the source's own. Made frames carry `VGanMade` (1), `VGanMethod`,
`VGanConfidence` (0..1) and `VGanSource`, the frame that a player shows there without us.

A function raises `vs.Error` with its name, what is wrong, why, and what to do.
"""

from __future__ import annotations

import functools
import threading
import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import vapoursynth as vs

from vgan_plugin.errors import TaskMissing, UsageError, VganError
from vgan_plugin.fill import Engine, Filled
from vgan_plugin.gaps import GapPolicy, Plan, Target, interpolation_plan
from vgan_plugin.hookspecs import PlanRequest
from vgan_plugin.hosts.vsframes import Clip, Samples, duration_of
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame, FrameGenerator, GeneratorInfo, Made, Mask, OpenRequest, RenderRequest

__all__ = ["box", "fill", "interpolate"]

_FRAME_ONLY = frozenset({"_PictType", "_DurationNum", "_DurationDen", "_AbsoluteTime", "_Combed"})
"""Properties that say something of one frame only: a made frame does not have them from its reference."""
_KEPT = 8
"""Made frames that a clip keeps, besides one a thread."""


def fill(
    clip: vs.VideoNode,
    at: int | Sequence[int | tuple[int, int]] | None = None,
    detect: bool = True,
    *,
    max_gap: int | None = None,
    min_confidence: float = 0.0,
    model: str = "base",
    generator: str | None = None,
    device: str = "auto",
) -> vs.VideoNode:
    """Find and repair missing, repeated, frozen and blank frames.

    Frames that stand in for others are replaced; lost ones, of which the durations tell, are inserted, and the frame
    before them is no longer shown in their place. The clip lasts as long as it did.

    Args:
        clip: 8 to 16 bit integers or floats, in YUV, RGB or grey.
        at: frames to make anew whatever is seen: an index, or a list of indices and pairs (first, last).
        detect: look for faults; False = only `at`.
        max_gap: longest gap in frames that is made; None = 24 or one second, whichever is longer.
        min_confidence: a made frame less sure than this becomes a repeat, and `VGanMethod` says so.
        model: name or path of a bundle.
        generator: name of a generator; None = the model's.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        vs.Error: the clip, an argument or the model cannot be used.
    """
    with _errors("fill"):
        _check_share(min_confidence)
        policy = GapPolicy(max_gap=_at_least(1, "max_gap", max_gap), at=_ranges(at))
        source = _source(clip)
        manager = get_plugin_manager()
        source.look(manager.detectors() if detect else ())
        _tell(map(str, manager.problems))
        plan = manager.plan_gaps(PlanRequest(source.timeline, tuple(source.events), policy))
        _tell(f"not repaired: {lost.event.kind} at frame {lost.event.first}: {lost.why}" for lost in plan.unrepaired)
        opening = OpenRequest(generator, model, device, size=(clip.height, clip.width))
        return _Filled(source, plan, opening, "fill", min_confidence).node(source.node.fps)


def interpolate(
    clip: vs.VideoNode,
    factor: int | None = None,
    fps: int | Fraction | tuple[int, int] | None = None,
    *,
    min_confidence: float = 0.0,
    model: str = "base",
    generator: str | None = None,
    device: str = "auto",
) -> vs.VideoNode:
    """Raise the frame rate; repairs nothing, and makes nothing across a scene change.

    Args:
        clip: as for `fill`.
        factor: n frames become factor * (n - 1) + 1, the last one keeps its duration; or
        fps: frames a second, exact: 60, Fraction(60000, 1001) or (60000, 1001).
        min_confidence: as for `fill`.
        model: as for `fill`.
        generator: as for `fill`.
        device: as for `fill`.

    Raises:
        vs.Error: as for `fill`.
    """
    with _errors("interpolate"):
        _check_share(min_confidence)
        rate = _rate(fps)
        if factor is not None and (isinstance(factor, bool) or not isinstance(factor, int)):
            raise UsageError(f"A factor of {factor!r} is not one", "it is a whole number", "use 2 or more, or fps")
        interpolation_plan(Timeline((), Fraction(1, 25)), (), factor, rate)  # what is wrong is told before the work
        source = _source(clip)
        manager = get_plugin_manager()
        source.look(manager.detectors())
        _tell(map(str, manager.problems))
        cuts = [event.first for event in source.events if event.kind == "cut"]
        plan = interpolation_plan(source.timeline, cuts, factor, rate)
        opening = OpenRequest(generator, model, device, size=(clip.height, clip.width))
        return _Filled(source, plan, opening, "interpolate", min_confidence).node(
            rate if rate is not None else source.node.fps * factor, None if rate is None else 1 / rate
        )


def box(clip: vs.VideoNode, x: int, y: int, width: int, height: int) -> vs.VideoNode:
    """A mask of one rectangle for all frames of a clip, to `inpaint` with: one frame of `vs.GRAY8`, 255 inside.

    Args:
        clip: gives the size.
        x: left edge, in pixels from 0.
        y: upper edge.
        width: pixels across.
        height: pixels down.

    Raises:
        vs.Error: the rectangle does not lie in the picture.
    """
    with _errors("box"):
        if x < 0 or y < 0 or width < 1 or height < 1 or x + width > clip.width or y + height > clip.height:
            raise UsageError(
                f"A box of {width}x{height} at {x},{y} is not in the picture",
                f"that is {clip.width}x{clip.height}",
                "give x, y, width and height in pixels",
            )
        inside = vs.core.std.BlankClip(format=vs.GRAY8, width=width, height=height, length=1, color=255, keep=True)
        right, bottom = clip.width - x - width, clip.height - y - height
        return inside.std.AddBorders(left=x, right=right, top=y, bottom=bottom)


class _Filled:
    """A clip's frames as a plan shows them.

    Args:
        source: the clip, looked through.
        plan: what to make and what to keep.
        opening: who makes it.
        task: what the generator must be able to do.
        min_confidence: see `Engine`.
    """

    def __init__(self, source: Clip, plan: Plan, opening: OpenRequest, task: str, min_confidence: float) -> None:
        self._source, self._plan = source, plan
        self._core = vs.core.core
        self._engine = None
        if plan.targets:
            self._engine = Engine(
                plan,
                _opened(opening, task),
                source.frame,
                min_confidence=min_confidence,
                say=functools.partial(_say, self._core),
            )
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
            for key, value in f.props.items():
                if key not in _FRAME_ONLY:
                    out.props[key] = value
            if duration is not None:
                props |= {"_DurationNum": duration.numerator, "_DurationDen": duration.denominator}
            if "_AbsoluteTime" in f.props:
                later = pts * self._plan.time_base - self._source.timeline.time(_nearest(item))
                props["_AbsoluteTime"] = f.props["_AbsoluteTime"] + float(later)
            props |= {"VGanMade": 1, "VGanMethod": filled.method, "VGanConfidence": filled.confidence}
            shown = self._shown_instead(item)
            props["VGanSource"] = f if shown == _nearest(item) else self._source.node.get_frame(shown)
        for key, value in props.items():
            out.props[key] = value
        return out

    def _make(self, k: int) -> Filled:
        """Target k of the plan. Threads ask in almost the right order: those just before it are made first and kept."""
        assert self._engine is not None  # noqa: S101 - there are targets
        if k in self._made:
            self._made.move_to_end(k)
            return self._made[k]
        threads = self._core.num_threads
        for j in range(self._newest + 1 if self._newest < k <= self._newest + threads else k, k + 1):
            self._made[j] = replace(self._engine.make(self._plan.targets[j]), map=None)
        self._newest = k
        while len(self._made) > threads + _KEPT:
            self._made.popitem(last=False)
        return self._made[k]

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


class _Shared:
    """A generator that several clips use: one call at a time, closed when the last clip is gone."""

    def __init__(self, inner: FrameGenerator) -> None:
        self._inner, self._lock = inner, threading.Lock()
        self.info: GeneratorInfo = inner.info
        self.block, self.lead = inner.block, inner.lead
        self._finalizer = weakref.finalize(self, inner.close)

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self._inner.provenance

    def encode(self, frame: Frame, valid: Mask | None = None) -> Any:
        with self._lock:
            return self._inner.encode(frame, valid)

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> Any:
        with self._lock:
            return self._inner.remember(features, previous, dt, state)

    def render(self, request: RenderRequest) -> Made:
        with self._lock:
            return self._inner.render(request)

    def close(self) -> None:
        """Close the generator now."""
        self._finalizer()


_open: weakref.WeakValueDictionary[OpenRequest, _Shared] = weakref.WeakValueDictionary()


def _opened(request: OpenRequest, task: str) -> FrameGenerator:
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


def _source(clip: Any) -> Clip:
    """The clip in main memory, if its frames are all alike."""
    if not isinstance(clip, vs.VideoNode):
        raise UsageError(f"A {type(clip).__name__} is not a video clip", "frames are made of frames", "give a clip")
    # A variable format is a format all the same, with id 0; a variable size is 0.
    if clip.format.id == 0 or clip.width == 0 or clip.height == 0:
        raise UsageError(
            "The clip's format or size is variable",
            "a frame cannot be made of frames that differ in it",
            "convert it first, for example: clip.resize.Bicubic(width=W, height=H, format=vs.YUV420P8)",
        )
    clip = _downloaded(clip)
    return Clip(clip, Samples.of(clip.format))


def _downloaded(clip: Any) -> Any:
    """The clip with its frames in main memory."""
    return clip.std.GPUDownload() if getattr(clip, "gpu_resident", False) else clip


def _ranges(at: Any) -> tuple[tuple[int, int], ...]:
    """What `at` names, as pairs (first, last)."""
    wrong = UsageError(
        f"at = {at!r} names no frames",
        "an index or a list of indices and pairs does",
        "for example at=[300, (120, 124)]",
    )
    if at is None:
        return ()
    if isinstance(at, int):
        at = [at]
    if isinstance(at, str | bytes) or not isinstance(at, Sequence):
        raise wrong
    pairs = []
    for item in at:
        pair = (item, item) if isinstance(item, int) else item
        if not isinstance(pair, Sequence) or len(pair) != 2 or not all(type(i) is int for i in pair):
            raise wrong
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _rate(fps: Any) -> Fraction | None:
    """What `fps` names."""
    try:
        if isinstance(fps, tuple) and len(fps) == 2:
            return Fraction(*fps)
        if fps is None or (isinstance(fps, int | Fraction) and not isinstance(fps, bool)):
            return None if fps is None else Fraction(fps)
    except (TypeError, ZeroDivisionError):
        pass
    raise UsageError(
        f"fps = {fps!r} is not a rate", "a float is not exact", "use for example 60, or (60000, 1001) for 59.94"
    )


def _at_least(least: int, name: str, value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < least):
        raise UsageError(f"{name} = {value!r} is out of range", f"it is a whole number from {least}", "change it")
    return value


def _check_share(confidence: Any) -> None:
    if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise UsageError(f"min_confidence = {confidence!r} is out of range", "it lies between 0 and 1", "change it")


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        _say(vs.core.core, line)


def _say(core: Any, line: str) -> None:
    core.log_message(vs.MESSAGE_TYPE_WARNING, f"vgan: {line}")


@contextmanager
def _errors(function: str) -> Iterator[None]:
    """Our errors in the host's manner: `vs.Error`, with the function's name in front."""
    try:
        yield
    except VganError as error:
        raise vs.Error(f"{function}: {error}") from error
