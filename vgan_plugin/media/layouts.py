"""Where the samples lie in FFmpeg's packed, semi-planar and big-endian formats: taken apart and put together by hand.

FFmpeg's scaler is not asked for these: for odd sizes and some packed formats it does not give the same samples back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.types import PixelFormat, Plane


@dataclass(frozen=True)
class Layout:
    """Memory of a format that is not planar.

    Attributes:
        planar: the planar format, little endian, that holds the same samples.
        planes: for each plane of memory, the letters of the samples that follow one another: ``y u v``, ``r g b``,
            ``a`` for alpha, ``x`` for what is not used. A letter that comes twice is two neighbours of a row.
        dtype: of one stored sample.
        shift: how far samples are shifted up in what is stored.
    """

    planar: str
    planes: tuple[str, ...]
    dtype: str = "u1"
    shift: int = 0


LAYOUTS: dict[str, Layout] = {
    "nv12": Layout("yuv420p", ("y", "uv")),
    "nv21": Layout("yuv420p", ("y", "vu")),
    "nv16": Layout("yuv422p", ("y", "uv")),
    "nv24": Layout("yuv444p", ("y", "uv")),
    "nv42": Layout("yuv444p", ("y", "vu")),
    "nv20le": Layout("yuv422p10le", ("y", "uv"), "<u2"),
    "yuyv422": Layout("yuv422p", ("yuyv",)),
    "uyvy422": Layout("yuv422p", ("uyvy",)),
    "yvyu422": Layout("yuv422p", ("yvyu",)),
    "y210le": Layout("yuv422p10le", ("yuyv",), "<u2", 6),
    "y212le": Layout("yuv422p12le", ("yuyv",), "<u2", 4),
    "y216le": Layout("yuv422p16le", ("yuyv",), "<u2"),
    "vuyx": Layout("yuv444p", ("vuyx",)),
    "vuya": Layout("yuva444p", ("vuya",)),
    "ayuv": Layout("yuva444p", ("ayuv",)),
    "uyva": Layout("yuva444p", ("uyva",)),
    "xv36le": Layout("yuv444p12le", ("uyvx",), "<u2", 4),
    "xv48le": Layout("yuv444p16le", ("uyvx",), "<u2"),
    "rgb24": Layout("gbrp", ("rgb",)),
    "bgr24": Layout("gbrp", ("bgr",)),
    "rgb0": Layout("gbrp", ("rgbx",)),
    "bgr0": Layout("gbrp", ("bgrx",)),
    "0rgb": Layout("gbrp", ("xrgb",)),
    "0bgr": Layout("gbrp", ("xbgr",)),
    "rgba": Layout("gbrap", ("rgba",)),
    "bgra": Layout("gbrap", ("bgra",)),
    "argb": Layout("gbrap", ("argb",)),
    "abgr": Layout("gbrap", ("abgr",)),
}
for _bits, _shift in ((10, 6), (12, 4), (16, 0)):
    for _name, _sub in (("0", "420"), ("2", "422"), ("4", "444")):
        LAYOUTS[f"p{_name}{_bits}le"] = Layout(f"yuv{_sub}p{_bits}le", ("y", "uv"), "<u2", _shift)
for _order, _dtype in (("le", "<u2"), ("be", ">u2")):
    for _rgb in ("rgb", "bgr"):
        LAYOUTS[f"{_rgb}48{_order}"] = Layout("gbrp16le", (_rgb,), _dtype)
        LAYOUTS[f"{_rgb}a64{_order}"] = Layout("gbrap16le", (f"{_rgb}a",), _dtype)

SCALED = {"pal8": "gbrap", "monow": "gray", "monob": "gray", "x2rgb10le": "gbrp10le", "x2bgr10le": "gbrp10le"}
"""Formats of single bits, palettes and packed words, which FFmpeg's scaler does give back exactly."""


def planar_name(name: str) -> str:
    """Name of the planar format, little endian, that holds the samples of `name` unchanged."""
    if name in LAYOUTS:
        return LAYOUTS[name].planar
    if name in SCALED:
        return SCALED[name]
    return re.sub(r"(?<=\d)be$", "le", name.replace("yuvj", "yuv"))


def layout_of(name: str) -> Layout:
    """How `name` is stored; planar formats of either byte order included."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    planar = planar_name(name)
    dtype = "u1" if PixelFormat.parse(planar).bits == 8 else ">u2" if name.endswith("be") else "<u2"
    return Layout(planar, tuple(_letters(PixelFormat.parse(planar))), dtype)


def unpack(memory: list[NDArray[Any]], layout: Layout, width: int, height: int) -> tuple[Plane, ...]:
    """The planes of the planar format: views where a plane of memory holds one, else copies.

    Args:
        memory: one array a plane of memory, (rows, stored samples), padding included, of `layout.dtype`.
        layout: how it is stored.
        width: columns of luma.
        height: rows of luma.
    """
    form = PixelFormat.parse(layout.planar)
    found = []
    for index, letter in enumerate(_letters(form)):
        rows, columns = form.plane_shape(index, width, height)
        lines, letters = next((m, p) for m, p in zip(memory, layout.planes, strict=True) if letter in p)
        if letters == letter and layout.shift == 0 and lines.dtype == form.dtype:
            found.append(lines[:rows, :columns])
            continue
        plane = np.empty((rows, columns), form.dtype)
        for target, stored in _walk(plane, lines, letters, letter):
            target[:] = stored >> layout.shift if layout.shift else stored
        found.append(plane)
    return tuple(found)


def pack(planes: tuple[Plane, ...], memory: list[NDArray[Any]], layout: Layout) -> None:
    """Write the planes of the planar format into memory; unused samples are set to all ones (opaque)."""
    for lines, letters in zip(memory, layout.planes, strict=True):
        if "x" in letters:
            lines[:] = np.iinfo(lines.dtype).max
    for letter, plane in zip(_letters(PixelFormat.parse(layout.planar)), planes, strict=True):
        lines, letters = next((m, p) for m, p in zip(memory, layout.planes, strict=True) if letter in p)
        for source, stored in _walk(plane, lines, letters, letter):
            stored[:] = source << layout.shift if layout.shift else source


def _letters(form: PixelFormat) -> str:
    return {"yuv": "yuv", "rgb": "gbr", "gray": "y"}[form.family] + "a" * form.alpha


def _walk(plane: Plane, lines: NDArray[Any], letters: str, letter: str) -> list[tuple[Any, Any]]:
    """(columns of the plane, the same samples as stored) for each place of the letter."""
    places = [i for i, found in enumerate(letters) if found == letter]
    pairs = []
    for k, place in enumerate(places):
        target = plane[:, k :: len(places)]
        stored = lines[: plane.shape[0], place :: len(letters)][:, : target.shape[1]]
        pairs.append((target, stored))
    return pairs
