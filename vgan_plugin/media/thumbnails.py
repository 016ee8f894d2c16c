"""Small JPEG pictures of frames, for people to look at: scaled and encoded by FFmpeg, no further package."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from vgan_plugin.media.frames import from_av, to_av
from vgan_plugin.types import Frame

_QUALITY = "5"
"""The encoder's quantiser, 1 (best) to 31: at 5 most pictures of 320 columns take less than 10 kB."""


def jpeg(frame: Frame, side: int = 320, *, aspect: Fraction | None = None, rotation: int = 0) -> bytes:
    """A frame as a JPEG file whose longer side is at most `side`; matrix and range undone, transfer as it is.

    Args:
        frame: any supported format; alpha is ignored.
        side: columns or rows, whichever are more; a smaller frame keeps its size.
        aspect: sample aspect ratio; None = square.
        rotation: degrees by which players turn the picture, counterclockwise.
    """
    width, height = frame.width * (aspect or 1), Fraction(frame.height)
    scale = min(Fraction(1), Fraction(side) / max(width, height))
    columns, rows = (max(1, round(length * scale)) for length in (width, height))
    # Scaled as planes: FFmpeg's own way to RGB takes all grey for full range.
    small = from_av(to_av(frame).reformat(columns, rows, interpolation=Interpolation.AREA), 0, frame.time_base)
    codes = replace(small, colour=frame.colour).rgb().transpose(1, 2, 0) * 255 + 0.5
    turned = np.rot90(codes.clip(0, 255).astype(np.uint8), round(rotation / 90))
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(turned), format="rgb24").reformat(
        format="yuvj420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.JPEG
    )
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qmin": _QUALITY, "qmax": _QUALITY}
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])
