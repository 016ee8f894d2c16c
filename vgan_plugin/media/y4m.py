"""YUV4MPEG2 by hand: raw frames on a pipe, as FFmpeg, VapourSynth, x264 and mjpegtools write them.

A line of tags, then for every frame the word FRAME and its planes. Samples of more than 8 bits are little-endian
16-bit words. The order of the tags is free, and tags that are not known here are passed on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import BinaryIO

import numpy as np

from vgan_plugin.errors import InputDamaged, InputNotVideo, InputUnsupported
from vgan_plugin.types import Colour, Frame, PixelFormat, Plane

MAGIC = b"YUV4MPEG2"
_LINE = 1 << 12
"""Bytes of a line; garbage has no line ends."""
_SIDE = 1 << 16
_SPACE = re.compile(
    r"(?P<sub>420|422|444|440|411|410)(?P<place>jpeg|mpeg2|paldv|alpha)?(?:p(?P<bits>\d\d?))?|mono(?P<depth>\d\d?)?"
)
_PLACES = {"jpeg": 2, "mpeg2": 1, "paldv": 3}
"""Where 4:2:0 chroma lies, as FFmpeg numbers it: left, centre, top left."""
_INTERLACED = {"t": "top field first", "b": "bottom field first", "m": "mixed"}


@dataclass(frozen=True)
class Header:
    """The first line of a stream.

    Attributes:
        width: columns.
        height: rows.
        rate: frames a second; None when untold (``F0:0``).
        format: the pixel format.
        colour: what the tags say of colour: range and chroma position. Matrix, primaries and transfer have no tag.
        tags: all tags in their order, each with its letter, as they came.
        aspect: sample aspect ratio; None when untold (``A0:0``).
    """

    width: int
    height: int
    rate: Fraction | None
    format: PixelFormat
    colour: Colour
    tags: tuple[str, ...]
    aspect: Fraction | None

    @classmethod
    def parse(cls, line: bytes) -> Header:
        """Understand the first line of a stream.

        Raises:
            InputNotVideo: it is not YUV4MPEG2.
            InputUnsupported: it is, but of a kind vgan does not work on.
        """
        words = line.decode("ascii", "replace").split()
        if not line.startswith(MAGIC) or words[0] != MAGIC.decode() or not line.endswith(b"\n"):
            raise InputNotVideo(
                "Standard input is not YUV4MPEG2",
                f"it begins with {line[:20]!r}" if line else "it is empty",
                "write it with: ffmpeg -i IN -strict -1 -f yuv4mpegpipe -",
            )
        tags = tuple(words[1:])
        told = {tag[0]: tag[1:] for tag in tags if tag[0] != "X"}
        width, height = (int(text) if (text := told.get(letter, "")).isdecimal() else 0 for letter in "WH")
        if not (0 < width <= _SIDE and 0 < height <= _SIDE):
            raise InputNotVideo(
                "The YUV4MPEG2 header is damaged",
                f"it tells a size of {told.get('W', 'nothing')} by {told.get('H', 'nothing')}",
                "write the stream anew",
            )
        if told.get("I", "p") in _INTERLACED:
            raise InputUnsupported(
                f"The stream is interlaced ({_INTERLACED[told['I']]})",
                "its frames hold two fields of different moments",
                "deinterlace it first, for example: ffmpeg -i IN -vf bwdif -strict -1 -f yuv4mpegpipe -",
            )
        form, place = _format(told.get("C", "420jpeg"))
        ranges = {"XCOLORRANGE=FULL": True, "XCOLORRANGE=LIMITED": False}
        full = next((ranges[tag] for tag in tags if tag in ranges), None)
        colour = Colour(full_range=full, chroma_location=place)
        rate, aspect = (_ratio(told.get(letter, "0:0")) for letter in "FA")
        return cls(width, height, rate, form, colour, tags, aspect)

    def line(self, rate: Fraction | None = None) -> bytes:
        """The first line of a stream with the same tags, the unknown ones too.

        Args:
            rate: frames a second; None = the same.
        """
        rate = rate or self.rate
        tags = [tag for tag in self.tags if not tag.startswith("XLENGTH=")]  # how many come is not known
        if rate is not None:
            wanted = f"F{rate.numerator}:{rate.denominator}"
            tags = [wanted if tag[0] == "F" and rate != self.rate else tag for tag in tags]
            if not any(tag[0] == "F" for tag in tags):
                tags.append(wanted)
        return " ".join((MAGIC.decode(), *tags)).encode() + b"\n"


def _format(name: str) -> tuple[PixelFormat, int]:
    """The pixel format that a C tag names, and where chroma lies."""
    match = _SPACE.fullmatch(name)
    bits = int((match and (match["bits"] or match["depth"])) or 8)
    if match is None or not 8 <= bits <= 16 or (match["place"] in _PLACES and match["sub"] != "420"):
        raise InputUnsupported(
            f"YUV4MPEG2 of the kind C{name} is not supported",
            "vgan reads 420, 422, 444, 440, 411, 410 and mono of 8 to 16 bits, and alpha with 444",
            "convert first, for example: ffmpeg -i IN -pix_fmt yuv420p10le -strict -1 -f yuv4mpegpipe -",
        )
    deep = "" if bits == 8 else f"{bits}le"
    if match["sub"] is None:
        return PixelFormat.parse(f"gray{deep}"), 0
    alpha = "a" if match["place"] == "alpha" else ""
    return PixelFormat.parse(f"yuv{alpha}{match['sub']}p{deep}"), _PLACES.get(match["place"] or "", 0)


def _ratio(text: str) -> Fraction | None:
    parts = re.fullmatch(r"(\d{1,12}):(\d{1,12})", text)
    if parts is None or not int(parts[1]) or not int(parts[2]):
        return None
    return Fraction(int(parts[1]), int(parts[2]))


@dataclass(frozen=True)
class Cut:
    """A stream that ended within a frame: how many of its bytes came, of how many."""

    came: int
    whole: int


class Reader:
    """A stream that is read once, from its first byte.

    Args:
        source: where from; its `read` gives fewer bytes than asked for only at the end.

    Attributes:
        header: the first line.
        cut: set when the stream has ended within a frame.
        parameters: what stands behind the word FRAME of each frame that says something, by number.

    Raises:
        InputNotVideo: it is not YUV4MPEG2.
        InputUnsupported: it is of a kind vgan does not work on.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.header = Header.parse(source.readline(_LINE))
        self.cut: Cut | None = None
        self.parameters: dict[int, bytes] = {}

    def frames(self) -> Iterator[tuple[Plane, ...]]:
        """The planes of each frame, in arrays of their own.

        A last frame that is cut off is given with what came of it, the rest as the frame before it (zero where there
        is none); then `cut` says so.

        Raises:
            InputDamaged: something else than a frame follows.
        """
        header = self.header
        shapes = [header.format.plane_shape(i, header.width, header.height) for i in range(header.format.planes)]
        stored = np.dtype("u1" if header.format.bits == 8 else "<u2")
        sizes = [rows * columns * stored.itemsize for rows, columns in shapes]
        total, number, before = sum(sizes), 0, b""
        while line := self._source.readline(_LINE):
            word, _, parameters = line.rstrip(b"\n").partition(b" ")
            if word != b"FRAME" or not line.endswith(b"\n"):
                if b"FRAME".startswith(line):  # the end came within the word
                    self.cut = Cut(0, total)
                    return
                odd = header.width % 2 and header.format.bits > 8 and header.format.shift_x
                raise InputDamaged(
                    f"Standard input is damaged after frame {number}",
                    f"{line[:20]!r} stands where the next frame should begin",
                    "pad it to an even width: FFmpeg writes such odd ones wrongly" if odd else "write the stream anew",
                )
            if parameters:
                self.parameters[number] = parameters
            data = self._source.read(total)
            if len(data) < total:
                self.cut = Cut(len(data), total)
                data += before[len(data) :] or bytes(total - len(data))
            yield tuple(_planes(data, shapes, sizes, stored, header.format))
            number, before = number + 1, data
            if self.cut is not None:
                return


def _planes(
    data: bytes, shapes: list[tuple[int, int]], sizes: list[int], stored: np.dtype[np.generic], form: PixelFormat
) -> Iterator[Plane]:
    start = 0
    for shape, size in zip(shapes, sizes, strict=True):
        plane = np.frombuffer(data, stored, size // stored.itemsize, start).reshape(shape)
        yield plane.astype(form.dtype, copy=False)
        start += size


def frame_bytes(frame: Frame, parameters: bytes = b"") -> bytes:
    """One frame as it stands in a stream.

    Args:
        frame: of the stream's format and size.
        parameters: what stands behind the word FRAME.
    """
    stored = np.dtype("u1" if frame.format.bits == 8 else "<u2")
    line = b"FRAME" + (b" " + parameters if parameters else b"") + b"\n"
    return b"".join((line, *(np.ascontiguousarray(plane, stored).data.cast("B") for plane in frame.planes)))


def read_times(text: str) -> tuple[tuple[int, ...], Fraction]:
    """Times of frames as programs list them: (ticks, seconds a tick).

    Understood are "timestamp format v2" (``mkvextract``, ``vspipe -t``: milliseconds, a line each) and FFmpeg's
    ``-f framecrc`` and ``-f framehash`` (ticks of a stated time base, exact).

    Raises:
        InputNotVideo: it is neither.
        InputUnsupported: two frames have the same time.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        if lines and re.fullmatch(r"# time(?:stamp|code) format v2", lines[0]):
            times = [Fraction(line) / 1000 for line in lines[1:] if not line.startswith("#")]
            time_base = Fraction(1, math.lcm(1000, *(time.denominator for time in times)))
            ticks = [int(time / time_base) for time in times]
        else:
            time_base = Fraction(next(m[1] for line in lines if (m := re.fullmatch(r"#tb 0: (\d+/\d+)", line))))
            rows = [line.split(",") for line in lines if not line.startswith("#")]
            ticks = [int(row[2]) for row in rows if int(row[0]) == 0]
    except (StopIteration, ValueError, IndexError, ZeroDivisionError):
        raise InputNotVideo(
            "The timing file is not understood",
            "it is neither a list in timestamp format v2 nor FFmpeg's framecrc",
            "write it with: ffmpeg -i IN -map 0:v:0 -c copy -f framecrc FILE",
        ) from None
    ticks.sort()  # packets are listed as they are decoded
    if any(a == b for a, b in pairwise(ticks)):
        raise InputUnsupported("The timing file is unusable", "two frames have the same time", "write it anew")
    return tuple(ticks), time_base
