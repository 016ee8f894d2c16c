"""MoviePy 2: the effects `Fill` and `Interpolate`, for `clip.with_effects([...])`.

MoviePy asks for pictures by time, in any order, so the clip is looked through once when the effect is applied, and then
frames are made as they are asked for. MoviePy itself works in 8-bit RGB at a constant rate that it rounds, and drops
subtitles and attachments: `vgan fill` keeps all that.
"""

from __future__ import annotations

import math
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from moviepy import Effect

from vgan_plugin.detect import scan
from vgan_plugin.errors import InputUnsupported
from vgan_plugin.fill import Engine, Say
from vgan_plugin.gaps import GapPolicy, Plan, Target, interpolation_plan
from vgan_plugin.hookspecs import PlanRequest
from vgan_plugin.hosts.arrays import Picture, frame_of, picture_of
from vgan_plugin.hosts.opening import open_generator
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.types import Frame, OpenRequest

_KEPT = 8
"""Made pictures that are kept, because MoviePy asks for the same time more than once."""
_EARLY = Fraction(1, 1000)
"""Share of a frame by which a time may lie before its frame: float seconds are rounded."""


@dataclass
class Fill(Effect):  # type: ignore[misc]  # moviepy has no types
    """Make repeated and blank frames anew; the number of frames and the duration stay.

    Lost frames are repeats here, because MoviePy fills holes with copies.

    Attributes:
        generator: which generator, model and device; None = ours, where it runs best.
        policy: what may be made.
        min_confidence: a made frame less sure than this becomes a repeat.
        say: takes one line for people.
    """

    generator: OpenRequest | None = None
    policy: GapPolicy | None = None
    min_confidence: float = 0.0
    say: Say = print

    def apply(self, clip: Any) -> Any:
        """The repaired clip.

        Raises:
            InputUnsupported: the clip has no rate, no end or no frames, or changes its size.
            VganError: the generator cannot be opened.
        """
        source = _Source(clip)
        manager = get_plugin_manager()
        timeline, events = scan(source.frames(), manager.detectors(), source.rate)
        plan = manager.plan_gaps(PlanRequest(timeline, tuple(events), self.policy or GapPolicy()))
        for lost in plan.unrepaired:
            self.say(f"vgan: not repaired: {lost.event.kind} at {float(lost.event.time):.3f} s: {lost.why}")
        targets = {target.replaces: target for target in plan.targets}
        return _clip(clip, source, self, "fill", plan, source.rate, lambda index: targets.get(index, index))


@dataclass
class Interpolate(Effect):  # type: ignore[misc]  # moviepy has no types
    """Raise the frame rate by a whole factor; nothing is made across a cut, and the last frame is held.

    MoviePy rounds the rate that it writes to two decimals. Where `clip.fps` has more, give `write_videofile` the
    parameters of `exact_rate`, or sound and picture drift apart.

    Attributes:
        factor: frames out for each frame in.
        generator: as for `Fill`.
        min_confidence: as for `Fill`.
        say: as for `Fill`.
    """

    factor: int = 2
    generator: OpenRequest | None = None
    min_confidence: float = 0.0
    say: Say = print

    def apply(self, clip: Any) -> Any:
        """The clip at its new rate.

        Raises:
            VganError: as for `Fill`; UsageError when the factor is below 2.
        """
        source = _Source(clip)
        timeline, events = scan(source.frames(), get_plugin_manager().detectors(), source.rate)
        cuts = [event.first for event in events if event.kind == "cut"]
        plan = interpolation_plan(timeline, cuts, self.factor)
        targets = {target.pts: target for target in plan.targets}

        def find(number: int) -> Target | int:
            return targets.get(number, min(number // self.factor, source.count - 1))

        return _clip(clip, source, self, "interpolate", plan, source.rate * self.factor, find)


def exact_rate(clip: Any) -> list[str]:
    """`ffmpeg_params` for `write_videofile` that give the file the clip's exact rate, such as 48000/1001."""
    rate = _rational(clip.fps)
    return ["-vf", f"settb=AVTB,setpts=N*{rate.denominator}/{rate.numerator}/TB", "-r", f"{rate}"]


class _Source:
    """A clip's frames by number."""

    def __init__(self, clip: Any) -> None:
        if not getattr(clip, "fps", None) or not clip.duration:
            raise InputUnsupported(
                "The clip has no frames of its own",
                f"its fps is {getattr(clip, 'fps', None)} and its duration {clip.duration}",
                "give it both: clip.with_fps(25).with_duration(10)",
            )
        self.rate = _rational(clip.fps)
        self.count = max(1, round(Fraction(float(clip.duration)) * self.rate))
        self._get = clip.get_frame
        self._size: tuple[int, ...] | None = None

    def frame(self, index: int) -> Frame:
        """Frame `index`, asked for in the middle of its time."""
        picture: Picture = self._get(float((index + Fraction(1, 2)) / self.rate))
        self._size = self._size or picture.shape
        if picture.shape != self._size:
            raise InputUnsupported(
                f"The clip changes its size from {self._size} to {picture.shape}", "it has one size", "resize it first"
            )
        return frame_of(picture.copy(), "rgb", index, 1 / self.rate)

    def frames(self) -> Iterator[Frame]:
        """All of them."""
        return map(self.frame, range(self.count))


def _rational(fps: float) -> Fraction:
    """23.976... is 24000/1001: MoviePy keeps rates as floats."""
    return Fraction(float(fps)).limit_denominator(1001)


def _clip(
    clip: Any,
    source: _Source,
    effect: Fill | Interpolate,
    task: str,
    plan: Plan,
    rate: Fraction,
    find: Callable[[int], Target | int],
) -> Any:
    """The clip whose frames are those that `find` says: a target to make, or a frame of the source."""
    size = source.frame(0)
    generator = open_generator(effect.generator, task, (size.height, size.width))
    engine = Engine(plan, generator, source.frame, min_confidence=effect.min_confidence, say=effect.say)
    made: OrderedDict[int, Picture] = OrderedDict()

    def frame(time: float) -> Picture:
        number = max(0, math.floor(Fraction(float(time)) * rate + _EARLY))
        wanted = find(number)
        if isinstance(wanted, int):
            picture: Picture = clip.get_frame(float((min(wanted, source.count - 1) + Fraction(1, 2)) / source.rate))
            return picture
        if number not in made:
            made[number] = picture_of(engine.make(wanted).frame, "rgb")
            while len(made) > _KEPT:
                made.popitem(last=False)
        return made[number]

    new = clip.with_updated_frame_function(frame)
    new.fps = clip.fps if rate == source.rate else float(rate)
    weakref.finalize(frame, generator.close)  # copies of the clip share it
    return new
