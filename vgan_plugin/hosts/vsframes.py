"""VapourSynth's frames, times and properties as ours, and back.

Integer samples go through as they are. Float ones, half included, become 16-bit samples of limited range: that is
finer than half floats, and leaves 7 % below black and 9 % above white, where float clips have values too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from vgan_plugin.detect import Detector, resolve, scan
from vgan_plugin.errors import InputDamaged, InputUnsupported
from vgan_plugin.gaps import Event
from vgan_plugin.timeline import Timeline, half_up
from vgan_plugin.types import Colour, Family, Frame, PixelFormat, Plane

_FAMILIES: dict[int, Family] = {vs.YUV: "yuv", vs.RGB: "rgb", vs.GRAY: "gray"}
_CHROMA = {(1, 1): "420", (1, 0): "422", (0, 0): "444", (0, 1): "440", (2, 0): "411", (2, 2): "410"}
_FINE = Fraction(1, 705_600_000)
"""Seconds a tick while the clip's own time base is not known yet: whole ticks for every usual rate, and for ms."""
_FINEST = 10**12
"""Ticks a second beyond which durations have no common time base worth the name."""
_OFFSET, _LUMA, _CHROMA_ZERO, _CHROMA_SPAN = 4096.0, 56064.0, 32768.0, 57344.0


@dataclass(frozen=True)
class Samples:
    """How the samples of a clip lie in ours.

    Attributes:
        clip: VapourSynth's format.
        ours: the pixel format of our frames.
        order: for each of our planes, which of the clip's it is (theirs are R, G, B, ours G, B, R).
    """

    clip: Any
    ours: PixelFormat
    order: tuple[int, ...]

    @classmethod
    def of(cls, form: Any) -> Samples:
        """The samples of a constant format.

        Raises:
            InputUnsupported: more than 16 bits an integer, or a subsampling that nobody else has.
        """
        family = _FAMILIES.get(form.color_family)
        chroma = _CHROMA.get((form.subsampling_w, form.subsampling_h))
        floating = form.sample_type == vs.FLOAT
        bits = 16 if floating else form.bits_per_sample
        if family is None or chroma is None or not 8 <= bits <= 16:
            raise InputUnsupported(
                f"Format {form.name} is not supported",
                "integers of 8 to 16 bits and floats are, in YUV, RGB and grey",
                "convert first, for example: clip.resize.Bicubic(format=vs.YUV420P16)",
            )
        stem = {"yuv": f"yuv{chroma}p", "rgb": "gbrp", "gray": "gray"}[family]
        ours = PixelFormat.parse(stem if bits == 8 else f"{stem}{bits}le")
        return cls(form, ours, (1, 2, 0) if family == "rgb" else tuple(range(form.num_planes)))

    @property
    def floating(self) -> bool:
        """Whether the clip holds floats."""
        return bool(self.clip.sample_type == vs.FLOAT)

    def read(self, f: Any, pts: int, time_base: Fraction) -> Frame:
        """Our frame of a clip's frame: read-only views on its memory, which they keep alive; copies of floats."""
        planes = tuple(np.asarray(f[theirs]) for theirs in self.order)
        colour = _colour(f.props)
        if self.floating:
            planes = tuple(_to_integer(plane, *self._scale(i)) for i, plane in enumerate(planes))
            colour = replace(colour, full_range=False)
        return Frame(planes, self.ours, colour, pts, time_base)

    def write(self, frame: Frame, core: Any) -> Any:
        """A new frame of the clip's format with the samples of ours, and without properties."""
        out = core.create_video_frame(self.clip, frame.width, frame.height)
        for i, (theirs, plane) in enumerate(zip(self.order, frame.planes, strict=True)):
            target = np.asarray(out[theirs])
            if self.floating:
                offset, span = self._scale(i)
                target[:] = (plane - np.float32(offset)) * np.float32(1 / span)
            else:
                target[:] = plane
        return out

    def _scale(self, plane: int) -> tuple[float, float]:
        """(code of zero, codes of one) of a plane of floats."""
        return (_CHROMA_ZERO, _CHROMA_SPAN) if self.ours.family == "yuv" and plane else (_OFFSET, _LUMA)


def _to_integer(plane: NDArray[Any], offset: float, span: float) -> Plane:
    codes = plane.astype(np.float32)
    codes *= np.float32(span)
    codes += np.float32(offset + 0.5)  # the cast truncates
    np.nan_to_num(codes, copy=False)
    np.clip(codes, 0, 65535.5, out=codes)
    return codes.astype(np.uint16)


def _colour(props: Mapping[str, Any]) -> Colour:
    # `_Range` counts as H.273 does: 0 limited, 1 full. The old `_ColorRange` is never touched: it means one thing
    # when it is read and another when it is written.
    told = props.get("_Range")
    location = props.get("_ChromaLocation")
    return Colour(
        matrix=int(props.get("_Matrix", 2)),
        full_range=None if told is None else int(told) == 1,
        transfer=int(props.get("_Transfer", 2)),
        primaries=int(props.get("_Primaries", 2)),
        chroma_location=0 if location is None else int(location) + 1,
    )


def duration_of(props: Mapping[str, Any]) -> Fraction | None:
    """Seconds that a frame is shown, or None where it does not say."""
    over, under = int(props.get("_DurationNum", 0)), int(props.get("_DurationDen", 0))
    return Fraction(over, under) if over > 0 and under > 0 else None


@dataclass
class Clip:
    """A clip of constant format and size, looked through once.

    Attributes:
        node: the clip.
        samples: how its samples lie in ours.
        timeline: exact times of its frames; the first is shown at 0.
        durations: seconds that each frame is shown, None where it did not say.
        events: what was seen.
    """

    node: Any
    samples: Samples
    timeline: Timeline = field(default_factory=lambda: Timeline((), Fraction(1)))
    durations: list[Fraction | None] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def rate(self) -> Fraction | None:
        """Frames a second as the clip declares them; None where it does not."""
        return Fraction(self.node.fps) or None

    def frame(self, index: int) -> Frame:
        """Source frame i."""
        return self.samples.read(self.node.get_frame(index), self.timeline.pts[index], self.timeline.time_base)

    def look(self, detectors: Iterable[type[Detector]]) -> None:
        """Read every frame once: times, marks of scene changes, and what the detectors see.

        Raises:
            InputUnsupported: frames of fields.
            InputDamaged: neither a frame nor the clip says how long it is shown.
        """
        marks: dict[int, bool] = {}
        _, events = scan(self._pass(marks), detectors, self.rate)
        self.timeline = self._exact_times()
        if marks:  # somebody has looked for them already
            events = [event for event in events if event.kind != "cut"]
            events += [self._cut(index) for index, marked in marks.items() if marked]
        self.events = resolve([self._moved(event) for event in events], self.timeline)

    def _pass(self, marks: dict[int, bool]) -> Iterator[Frame]:
        """Every frame, at times in fine ticks."""
        time = Fraction(0)
        last = self.node.num_frames - 1
        for index, f in enumerate(self.node.frames()):
            props = f.props
            if props.get("_FieldBased", 0):
                raise InputUnsupported(
                    f"Frame {index} is interlaced", "vgan works on whole pictures", "deinterlace first"
                )
            for key, first in (("_SceneChangePrev", index), ("_SceneChangeNext", index + 1)):
                if key in props and 0 < first <= last:
                    marks[first] = marks.get(first, False) or bool(props[key])
            yield self.samples.read(f, half_up(time / _FINE), _FINE)
            duration = duration_of(props)
            self.durations.append(duration)
            if duration is None and index < last:
                duration = 1 / self.rate if self.rate else None
                if duration is None:
                    raise InputDamaged(
                        f"Frame {index} does not say how long it is shown",
                        "it has no _DurationNum and _DurationDen, and the clip has no frame rate",
                        "set one, for example with: clip.std.AssumeFPS(fpsnum=25)",
                    )
            time += duration or 0

    def _exact_times(self) -> Timeline:
        """The frames' times in ticks of the coarsest time base that holds them all."""
        given = [duration or 1 / (self.rate or Fraction(25)) for duration in self.durations[:-1]]
        ticks = math.lcm(*{duration.denominator for duration in given})
        base = Fraction(1, ticks) if 1 <= ticks <= _FINEST else _FINE
        pts, time = [0], Fraction(0)
        for duration in given:
            time += duration
            pts.append(half_up(time / base))
        return Timeline(tuple(pts), base, self.rate)

    def _cut(self, index: int) -> Event:
        return Event("cut", index, index, 0, 0, Fraction(0), 0, 1.0, "marked as a scene change")

    def _moved(self, event: Event) -> Event:
        """An event at the exact times of its frames. Those of a hole follow from the frames around it."""
        pts = self.timeline.pts
        return replace(
            event, first_pts=pts[event.first], last_pts=pts[event.last], time=self.timeline.time(event.first)
        )
