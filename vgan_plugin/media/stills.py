"""Pictures and GIFs: what is no video file, written by FFmpeg's encoders."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np

from vgan_plugin.errors import OutputError
from vgan_plugin.media.output import PartFile, output_error
from vgan_plugin.types import Frame

PICTURES = {".png": ("png", "rgb24"), ".bmp": ("bmp", "bgr24"), ".tif": ("tiff", "rgb24"), ".tiff": ("tiff", "rgb24")}
"""Lossless kinds of pictures by extension: FFmpeg's encoder and the pixel format that it gets."""


def write_picture(path: Path, frame: Frame, *, overwrite: bool = False) -> None:
    """One frame as a picture, RGB of 8 bit, without loss.

    Raises:
        OutputError: its extension is none of `PICTURES`, or it cannot be written.
    """
    if path.suffix.lower() not in PICTURES:
        raise OutputError(
            f"Cannot write {path}", "its extension names no lossless picture", f"use {', '.join(PICTURES)}"
        )
    codec, form = PICTURES[path.suffix.lower()]
    part = PartFile(path, overwrite=overwrite)
    try:
        picture = _rgb(frame).reformat(format=form)
        encoder: Any = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, form
        encoder.time_base = Fraction(1, 25)
        data = b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])
        part.path.write_bytes(data)
        part.commit()
    except (OSError, av.FFmpegError) as error:
        raise error if isinstance(error, OutputError) else output_error(path, error) from error
    finally:
        part.discard()


def write_gif(path: Path, frames: Iterable[Frame], rate: Fraction, *, overwrite: bool = False) -> None:
    """Frames as a GIF that plays for ever, in the 256 colours that suit them best.

    Args:
        path: where to.
        frames: all are held until the colours are chosen.
        rate: frames a second; a GIF knows hundredths of a second.
        overwrite: replace an existing file.

    Raises:
        OutputError: it cannot be written.
    """
    part = PartFile(path, overwrite=overwrite)
    try:
        pictures = [_rgb(frame) for frame in frames]
        with av.open(str(part.path.absolute()), "w", format="gif") as out:
            stream = out.add_stream("gif", rate=rate)
            stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, "pal8"
            for number, picture in enumerate(_in_few_colours(pictures, rate)):
                picture.pts, picture.time_base = number, 1 / rate
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
        part.commit()
    except (OSError, av.FFmpegError) as error:
        raise error if isinstance(error, OutputError) else output_error(path, error) from error
    finally:
        part.discard()


def _rgb(frame: Frame) -> av.VideoFrame:
    codes = np.clip(frame.rgb().transpose(1, 2, 0) * 255 + 0.5, 0, 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(codes), format="rgb24")


def _in_few_colours(pictures: list[av.VideoFrame], rate: Fraction) -> list[Any]:
    graph: Any = av.filter.Graph()
    first = pictures[0]
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=1 / rate)
    split, palette, use = graph.add("split"), graph.add("palettegen"), graph.add("paletteuse")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for number, picture in enumerate(pictures):
        picture.pts, picture.time_base = number, 1 / rate
        source.push(picture)
    source.push(None)
    found = []
    while True:
        try:
            found.append(sink.pull())
        except av.error.EOFError:
            return found
