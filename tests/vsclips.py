"""VapourSynth clips of frames made in the tests, and a generator whose answers depend on everything they may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import vapoursynth as vs
from toy import Abreast, Toy

from vgan_plugin import hookimpl
from vgan_plugin.types import Colour, Frame, GeneratorInfo, Made, OpenRequest, RenderRequest

core = vs.core
TASKS = ("fill", "interpolate", "inpaint", "predict")
FAMILIES = {"yuv": vs.YUV, "rgb": vs.RGB, "gray": vs.GRAY}


def clip_of(
    frames: Sequence[Frame],
    props: dict[int, dict[str, Any]] | None = None,
    *,
    fps: Fraction = Fraction(25),
    durations: bool = True,
    sample: Any = vs.INTEGER,
    bits: int | None = None,
) -> Any:
    """A clip of these frames, shown at their times; the last says no duration, as bestsource's last does not.

    Args:
        frames: frames of one format and size.
        props: more properties, by frame.
        fps: the clip's declared rate; 0 = variable.
        durations: whether the frames say how long they are shown.
        sample: `vs.FLOAT` makes floats of them (planes / 65535, chroma around 0).
        bits: of the floats.
    """
    form = frames[0].format
    theirs = core.query_video_format(FAMILIES[form.family], sample, bits or form.bits, form.shift_x, form.shift_y)
    base = core.std.BlankClip(
        format=theirs.id, width=frames[0].width, height=frames[0].height, length=len(frames), keep=True
    )
    if fps:
        base = base.std.AssumeFPS(fpsnum=fps.numerator, fpsden=fps.denominator)
    else:
        base = core.std.Splice([base.std.AssumeFPS(fpsnum=24)[:1], base.std.AssumeFPS(fpsnum=30)[1:]])
    order = (1, 2, 0) if form.family == "rgb" else range(form.planes)

    def picture(n: int, f: Any) -> Any:
        out = f.copy()
        for i, (there, plane) in enumerate(zip(order, frames[n].planes, strict=True)):
            if sample == vs.FLOAT:
                plane = plane.astype(np.float64) / ((1 << form.bits) - 1) - (0.5 if form.family == "yuv" and i else 0)
            np.asarray(out[there])[:] = plane
        for key in ("_DurationNum", "_DurationDen"):
            out.props.pop(key, None)
        if durations and n + 1 < len(frames):
            shown = frames[n + 1].time - frames[n].time
            out.props["_DurationNum"], out.props["_DurationDen"] = shown.numerator, shown.denominator
        for key, value in colour_props(frames[n].colour).items() if sample == vs.INTEGER else ():
            out.props[key] = value
        for key, value in (props or {}).get(n, {}).items():
            out.props[key] = value
        return out

    return base.std.ModifyFrame(base, picture)


def colour_props(colour: Colour) -> dict[str, int]:
    """The properties that say the same."""
    found = {"_Matrix": colour.matrix, "_Transfer": colour.transfer, "_Primaries": colour.primaries}
    if colour.full_range is not None:
        found["_Range"] = int(vs.RANGE_FULL if colour.full_range else vs.RANGE_LIMITED)
    return found


def planes(f: Any) -> list[np.ndarray]:
    """A frame's planes, copied."""
    return [np.array(f[p]) for p in range(f.format.num_planes)]


def bytes_of(f: Any) -> bytes:
    """A frame's samples."""
    return b"".join(plane.tobytes() for plane in planes(f))


def duration(f: Any) -> Fraction | None:
    """How long a frame says that it is shown."""
    return Fraction(f.props["_DurationNum"], f.props["_DurationDen"]) if "_DurationNum" in f.props else None


class Identity(Toy):
    """Gives the nearest reference's picture the long way, through RGB: what it does to colours, the way does."""

    def render(self, request: RenderRequest) -> Made:
        from vgan_plugin.pixels.colour import from_rgb, to_rgb

        near = request.a or request.b
        frame = from_rgb(to_rgb(near.frame), request.like, request.pts, request.time_base)
        return Made(frame, self.confidence)


class Plugin:
    """Offers ``toy``, ``abreast`` (three frames at once) and ``identity``; keeps what it opened."""

    def __init__(self) -> None:
        self.opened: list[Toy] = []

    @hookimpl
    def vgan_generators(self) -> list[GeneratorInfo]:
        return [GeneratorInfo(name, "a toy", TASKS, "Apache-2.0") for name in ("toy", "abreast", "identity")]

    @hookimpl
    def vgan_open_generator(self, request: OpenRequest) -> Toy | None:
        kind = {"toy": Toy, "abreast": partial(Abreast, 3), "identity": Identity}.get(request.generator or "")
        if kind is None:
            return None
        made = kind(block=16, lead=4)
        made.info = replace(made.info, name=str(request.generator), tasks=TASKS)
        self.opened.append(made)
        return made
