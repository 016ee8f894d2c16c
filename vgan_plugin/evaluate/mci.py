"""FFmpeg's own answer, the filter minterpolate with its defaults (motion-compensated interpolation)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import av
import numpy as np

from vgan_plugin.errors import ExtraMissing
from vgan_plugin.evaluate.methods import Answer
from vgan_plugin.evaluate.sets import PERIOD
from vgan_plugin.evaluate.windows import Window
from vgan_plugin.media.frames import from_av, to_av
from vgan_plugin.pixels.colour import from_rgb, to_rgb
from vgan_plugin.types import Colour, Frame, Mask, PixelFormat

FILTER = "minterpolate"
_WORKS_IN = ("yuv420p", "yuv422p", "yuv444p")
_YUV = PixelFormat.parse("yuv444p")


class Mci:
    """The baseline. The filter looks at a second frame on either side; at a clip's end the last one stands in.

    Raises:
        ExtraMissing: PyAV's FFmpeg lacks the filter.
    """

    name = "mci"

    def __init__(self) -> None:
        if FILTER not in av.filter.filters_available:
            raise ExtraMissing(
                f"{FILTER} cannot be run", f"the FFmpeg of PyAV {av.__version__} lacks it", "use another"
            )
        self.identity = f"libavfilter {'.'.join(map(str, av.library_versions['libavfilter']))}"

    def make(self, window: Window) -> list[Answer] | None:
        """The frames between; nothing for predictions."""
        if not window.after:
            return None
        a, b = window.before[-1], window.after[0]
        first = window.before[-2] if len(window.before) > 1 else replace(a, pts=a.pts - 1)
        last = window.after[1] if len(window.after) > 1 else replace(b, pts=b.pts + 1)
        made = _run([_worked(frame) for frame in (first, a, b, last)], wanted={f.pts for f in window.truth})
        like = window.before[-1]
        return [Answer(_back(made[frame.pts], like)) for frame in window.truth]

    def inpaint(self, _frames: Sequence[Frame], _masks: Sequence[Mask]) -> list[Frame] | None:
        """It knows no holes."""
        return None

    def close(self) -> None:
        """Nothing is open."""


def _run(frames: list[Frame], wanted: set[int]) -> dict[int, Frame]:
    """The filter's frames by pts, of the times wanted; a time it left out is answered by the frame before it."""
    start = frames[0].pts
    pictures = [to_av(replace(frame, pts=frame.pts - start)) for frame in frames]
    graph = av.filter.Graph()
    entry = graph.add_buffer(
        width=pictures[0].width, height=pictures[0].height, format=pictures[0].format, time_base=PERIOD
    )
    graph.link_nodes(entry, graph.add(FILTER, f"fps={1 / PERIOD}"), graph.add("buffersink")).configure()
    made: dict[int, Frame] = {frame.pts: frame for frame in frames}
    for picture in [*pictures, None]:
        graph.push(picture)
        for out in _ready(graph):
            pts = int(out.pts * out.time_base / PERIOD) + start
            made.setdefault(pts, from_av(out, pts, PERIOD))
    return {pts: made[max(there for there in made if there <= pts)] for pts in wanted}


def _ready(graph: Any) -> list[Any]:
    out: list[Any] = []
    while True:
        try:
            out.append(graph.pull())
        except (av.BlockingIOError, av.EOFError):
            return out


def _worked(frame: Frame) -> Frame:
    """A frame of a format that the filter works in."""
    if frame.format.name in _WORKS_IN:
        return frame
    blank = np.zeros((frame.height, frame.width), np.uint8)
    like = Frame((blank,) * 3, _YUV, Colour(matrix=1, full_range=False))
    return from_rgb(to_rgb(frame), like, frame.pts, frame.time_base)


def _back(frame: Frame, like: Frame) -> Frame:
    """A frame of the window's own format again."""
    if frame.format == like.format:
        return replace(frame, colour=like.colour)
    return from_rgb(to_rgb(replace(frame, colour=Colour(matrix=1, full_range=False))), like, frame.pts, frame.time_base)
