"""VapourSynth: clips with missing frames made, at a higher rate, with masked pixels made, or longer than they were.

    from vgan_plugin.hosts import vapoursynth as vgan

    clip = vgan.fill(core.bs.VideoSource("broken.mkv"))

Each function reads its clip once when it is called (times, scene changes, faults) and gives a clip whose frames can be
asked for in any order. Frames that are kept are the source's own. Made frames carry `VGanMade` (1), `VGanMethod`,
`VGanConfidence` (0..1) and `VGanSource`, the frame that a player shows there without us.

A function raises `vs.Error` with its name, what is wrong, why, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import vapoursynth as vs

from vgan_plugin.errors import UsageError, VganError
from vgan_plugin.fill import Say, Scene
from vgan_plugin.fill.background import around
from vgan_plugin.gaps import GapPolicy, extension_plan, interpolation_plan
from vgan_plugin.hookspecs import PlanRequest
from vgan_plugin.hosts.vsframes import Clip, Samples
from vgan_plugin.hosts.vsnodes import Inpainted, Masks, Planned, opened
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import OpenRequest

__all__ = ["box", "extend", "fill", "inpaint", "interpolate"]


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
        source = _looked_at(clip, detect)
        plan = get_plugin_manager().plan_gaps(PlanRequest(source.timeline, tuple(source.events), policy))
        _tell(f"not repaired: {lost.event.kind} at frame {lost.event.first}: {lost.why}" for lost in plan.unrepaired)
        _tell(
            f"not repaired: parts of frame {event.first} are damaged: mend them with inpaint"
            for event in plan.events
            if event.boxes
        )
        opening = OpenRequest(generator, model, device, size=(clip.height, clip.width), lanes=None)
        return Planned(source, plan, lambda: opened(opening, "fill"), min_confidence, _logger()).node(source.node.fps)


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
        source = _looked_at(clip)
        cuts = [event.first for event in source.events if event.kind == "cut"]
        plan = interpolation_plan(source.timeline, cuts, factor, rate)
        opening = OpenRequest(generator, model, device, size=(clip.height, clip.width), lanes=None)
        return Planned(source, plan, lambda: opened(opening, "interpolate"), min_confidence, _logger()).node(
            rate if rate is not None else source.node.fps * factor, None if rate is None else 1 / rate
        )


def inpaint(
    clip: vs.VideoNode,
    mask: vs.VideoNode,
    *,
    min_confidence: float = 0.0,
    model: str = "base",
    generator: str | None = None,
    device: str = "auto",
) -> vs.VideoNode:
    """Make the masked pixels anew: logos, subtitles, scratches, objects. All others stay as they are, bit for bit.

    What other frames show of what is hidden, up to 40 frames away, is found there; the generator makes the rest.

    Args:
        clip: as for `fill`.
        mask: grey or YUV, of the clip's size; white (more than half) = make this pixel. One frame for each of the
            clip's, or one for all of them, for example a `box`.
        min_confidence: as for `fill`.
        model: as for `fill`.
        generator: as for `fill`.
        device: as for `fill`.

    Raises:
        vs.Error: as for `fill`, and a mask of another size or length.
    """
    with _errors("inpaint"):
        _check_share(min_confidence)
        masks = _masks(mask, _source(clip).node)
        source = _looked_at(clip)
        area = masks.survey()
        if area is None:
            return source.node
        cuts = tuple(event.first for event in source.events if event.kind == "cut")
        scene = Scene(source.timeline.period_seconds, around(area), cuts=cuts)
        opening = OpenRequest(generator, model, device, size=(clip.height, clip.width))
        return Inpainted(source, masks, scene, opened(opening, "inpaint"), min_confidence, _logger()).node()


def extend(
    clip: vs.VideoNode,
    n: int,
    before: bool = False,
    *,
    min_confidence: float = 0.0,
    model: str = "base",
    generator: str | None = None,
    device: str = "auto",
) -> vs.VideoNode:
    """Predict frames past the end, each from the last two frames, or before the start.

    Args:
        clip: as for `fill`.
        n: how many; after about eight they are guesses.
        before: before the start instead.
        min_confidence: as for `fill`.
        model: as for `fill`.
        generator: as for `fill`.
        device: as for `fill`.

    Raises:
        vs.Error: as for `fill`.
    """
    with _errors("extend"):
        _check_share(min_confidence)
        count = _at_least(1, "n", n) or 0
        extension_plan(Timeline((0,), Fraction(1, 25)), (), count)  # what is wrong is told before the work
        source = _looked_at(clip)
        cuts = [event.first for event in source.events if event.kind == "cut"]
        plan = extension_plan(source.timeline, cuts, count, before=before)
        opening = OpenRequest(generator, model, device, size=(clip.height, clip.width), lanes=None)
        return Planned(source, plan, lambda: opened(opening, "predict"), min_confidence, _logger()).node(
            source.node.fps, source.timeline.period_seconds
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


def _looked_at(clip: Any, detect: bool = True) -> Clip:
    """The clip, read once."""
    source, manager = _source(clip), get_plugin_manager()
    source.look(manager.detectors() if detect else ())
    _tell(map(str, manager.problems))
    return source


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


def _masks(mask: Any, clip: Any) -> Masks:
    """The masks, if they fit the clip."""
    if not isinstance(mask, vs.VideoNode) or mask.format.id == 0 or mask.format.color_family == vs.RGB:
        raise UsageError("The mask is not a clip of grey or YUV frames", "its first plane is what counts", "give one")
    if (mask.width, mask.height) != (clip.width, clip.height):
        raise UsageError(
            f"The mask is {mask.width}x{mask.height}", f"the clip is {clip.width}x{clip.height}", "scale or crop it"
        )
    if mask.num_frames not in (1, clip.num_frames):
        raise UsageError(
            f"The mask has {mask.num_frames} frames",
            f"the clip has {clip.num_frames}",
            "give one for each of them, or one for all",
        )
    return Masks(_downloaded(mask))


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
    say = _logger()
    for line in lines:
        say(line)


def _logger() -> Say:
    """Takes lines for VapourSynth's log, from whatever thread."""
    core = vs.core.core
    return lambda line: core.log_message(vs.MESSAGE_TYPE_WARNING, f"vgan: {line}")


@contextmanager
def _errors(function: str) -> Iterator[None]:
    """Our errors in the host's manner: `vs.Error`, with the function's name in front."""
    try:
        yield
    except VganError as error:
        raise vs.Error(f"{function}: {error}") from error
