"""PyAV's frames to ours and back, plane by plane, on PyAV 18 and 19. No sample changes its value here."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from vgan_plugin.media.layouts import SCALED, Layout, layout_of, pack, planar_name, unpack
from vgan_plugin.types import Colour, Frame, PixelFormat

_RANGES = {0: None, 1: False, 2: True}


def frac(value: Any) -> Fraction | None:
    """A rational of PyAV 18 (Fraction or None) or 19 (AVRational, unset is 0/1) as Fraction or None."""
    return Fraction(int(value.numerator), int(value.denominator)) if value else None


def from_av(source: av.VideoFrame, pts: int, time_base: Fraction) -> Frame:
    """Our frame of a decoder's frame: read-only views on its memory, which they keep alive, wherever it is planar.

    Raises:
        InputUnsupported: no planar integer format holds its samples.
    """
    name = source.format.name
    form = PixelFormat.parse(planar_name(name))
    colour = Colour(
        matrix=int(source.colorspace),
        full_range=True if name.startswith("yuvj") else _RANGES.get(int(source.color_range)),
        transfer=int(source.color_trc),
        primaries=int(source.color_primaries),
        chroma_location=int(getattr(source, "chroma_location", 0) or 0),
    )
    corrupt = bool(source.is_corrupt)
    if name in SCALED:
        source = source.reformat(format=form.name)
    layout = layout_of(source.format.name)
    planes = unpack(_memory(source, layout), layout, source.width, source.height)
    for plane in planes:
        plane.flags.writeable = False
    return Frame(planes, form, colour, pts, time_base, corrupt)


def to_av(frame: Frame, name: str | None = None) -> av.VideoFrame:
    """A fresh PyAV frame with the same samples, colour tags and time: nothing of the source's hints is left in it.

    Args:
        frame: what to copy.
        name: format of the copy, one whose samples are those of the frame's format (``rgb24`` for ``gbrp``).
    """
    made = av.VideoFrame(frame.width, frame.height, name or frame.format.name)
    layout = layout_of(made.format.name)
    pack(frame.planes, _memory(made, layout), layout)
    made.pts, made.time_base = frame.pts, frame.time_base
    set_colour(made, frame.colour)
    return made


def set_colour(target: Any, colour: Colour) -> None:
    """Write the colour tags on a PyAV frame or codec context."""
    target.colorspace, target.color_trc = colour.matrix, colour.transfer
    target.color_primaries = colour.primaries
    target.color_range = {None: 0, False: 1, True: 2}[colour.full_range]
    if colour.chroma_location and hasattr(type(target), "chroma_location"):  # PyAV 19
        target.chroma_location = colour.chroma_location


def _memory(frame: av.VideoFrame, layout: Layout) -> list[NDArray[Any]]:
    """Writable views on the memory of each plane, (rows, stored samples) with the padding."""
    dtype = np.dtype(layout.dtype)
    found = []
    for plane, _ in zip(frame.planes, layout.planes, strict=True):
        lines = np.frombuffer(memoryview(cast(Any, plane)), dtype).reshape(-1, abs(plane.line_size) // dtype.itemsize)
        found.append(lines[::-1] if plane.line_size < 0 else lines)  # negative: stored from the bottom up
    return found


@dataclass(frozen=True)
class Hdr:
    """HDR10's static metadata.

    Attributes:
        primaries: x and y of red, green, blue and white, CIE 1931.
        luminance: least and greatest of the mastering display, cd/m2.
        light: greatest content and frame-average light level, cd/m2.
    """

    primaries: tuple[Fraction, ...] | None = None
    luminance: tuple[Fraction, Fraction] | None = None
    light: tuple[int, int] | None = None


def side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """Side data by name. Iterating gives the items on PyAV 18 and their types on 19."""
    held: Any = frame.side_data
    items = list(held)
    if items and not hasattr(items[0], "type"):
        items = list(held.values())
    return {item.type.name: bytes(item) for item in items}


def hdr_of(data: dict[str, bytes]) -> Hdr | None:
    """HDR10 metadata from a frame's side data, or None."""
    primaries = luminance = light = None
    if len(raw := data.get("MASTERING_DISPLAY_METADATA", b"")) >= 88:
        numbers = struct.unpack("<22i", raw[:88])  # ten rationals, then: has primaries, has luminance
        values = [Fraction(n, d) if d else Fraction(0) for n, d in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
        primaries = tuple(values[:8]) if numbers[20] else None
        luminance = (values[8], values[9]) if numbers[21] else None
    if len(raw := data.get("CONTENT_LIGHT_LEVEL", b"")) >= 8:
        light = struct.unpack("<2I", raw[:8])
    return Hdr(primaries, luminance, light) if primaries or luminance or light else None
