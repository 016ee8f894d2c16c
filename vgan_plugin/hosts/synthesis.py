"""Videos and pictures from a seed: what `vgan synthesize` calls."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Unpack

import numpy as np

from vgan_plugin.errors import InputUnsupported, TaskMissing, UsageError
from vgan_plugin.fill.synthesize import synthesize as made_from
from vgan_plugin.hosts.job import Asked, Encoding, Wishes, counted, timed
from vgan_plugin.hosts.opening import open_generator
from vgan_plugin.hosts.pictures import PicturesInPlace
from vgan_plugin.hosts.report import Report
from vgan_plugin.media.output import NULL, PartFile
from vgan_plugin.media.reader import VideoFacts, VideoReader
from vgan_plugin.media.stills import PICTURES, write_gif, write_picture
from vgan_plugin.media.writer import VideoWriter
from vgan_plugin.pixels.colour import from_rgb
from vgan_plugin.types import Colour, Frame, OpenRequest, PixelFormat, Synthesizer

MODEL = "dream"
SIZE = (64, 64)
"""Width and height unless said otherwise."""
MOST = 1000
SEEDS = 1 << 63
NOISE = Path("noise")
"""What a report names as the input where there is no file."""
_RGB = PixelFormat.parse("gbrp")
_VIDEO = PixelFormat.parse("yuv420p")
_BT709 = Colour(matrix=1, full_range=False, transfer=1, primaries=1)


def synthesize(
    output: Path,
    frames: int,
    seed: int,
    *,
    start: Path | None = None,
    size: tuple[int, int] | None = None,
    rate: Fraction = Fraction(25),
    **asked: Unpack[Asked],
) -> Report:
    """Make a video of noise and a seed, or of a first frame; the same seed makes the same.

    Args:
        output: a video, ``.gif``, for one frame a picture, or ``null:``.
        frames: how many, the first one included.
        seed: which, from 0 to 2^63 - 1.
        start: a picture (or a video, whose first frame counts) to begin with; None = noise.
        size: width and height; None = those of `start`, else `SIZE`.
        rate: frames a second.
        asked: see `hosts.job.Wishes`; without a generator it is the bundle `dream`.

    Raises:
        UsageError: numbers out of range.
        TaskMissing: the generator makes nothing of noise.
        VganError: as for `hosts.file.repair`.
    """
    wishes = Wishes(**asked)
    _check(output, frames, seed)
    first = None if start is None else _first(start, size)
    width, height = size or ((first.width, first.height) if first is not None else SIZE)
    inputs = () if start is None else (start,)
    if output != NULL:
        PartFile(output, *inputs, overwrite=wishes.encoding.overwrite).discard()
    like = from_rgb(np.zeros((3, height, width), np.float32), _blank(width, height), 0, 1 / rate)
    seconds: dict[str, float] = {}
    report = Report(start or NOISE, output, int(first is not None), 1 / rate, 1 / rate, (), (), seconds=seconds)
    report.pictures = PicturesInPlace(wishes.pictures) if wishes.pictures else None
    with timed(seconds, "open"):
        generator = open_generator(wishes.generator or OpenRequest(model=MODEL), "synthesize", (height, width))
    try:
        if not isinstance(generator, Synthesizer):
            raise TaskMissing(
                f"Generator {generator.info.name!r} cannot begin with noise", "it has no `seed`", "name another one"
            )

        def all_of_them() -> Iterator[Frame]:
            for frame, record in counted(made_from(generator, like, frames, seed, first), "make", frames, wishes.tick):
                if record is not None:
                    report.made.append(record)
                    if report.pictures is not None:
                        report.pictures.add(frame, record)
                report.frames_out += 1
                yield frame

        with timed(seconds, "make"):
            _write(output, all_of_them(), like, rate, wishes.encoding, report)
        report.ran(generator)
    finally:
        generator.close()
    return report


def _check(output: Path, frames: int, seed: int) -> None:
    if not 1 <= frames <= MOST:
        raise UsageError(f"{frames} frames cannot be made", f"1 to {MOST} can be", "name a number in between")
    if not 0 <= seed < SEEDS:
        raise UsageError(f"{seed} is no seed", f"seeds go from 0 to {SEEDS - 1}", "use one of them")
    if output.suffix.lower() in PICTURES and frames != 1:
        raise UsageError(
            f"{frames} frames do not go into one picture", f"{output} is one", "say --frames 1, or write a video or GIF"
        )


def _first(start: Path, size: tuple[int, int] | None) -> Frame:
    with VideoReader(start) as reader:
        frame = next(reader.frames())
    if size is not None and size != (frame.width, frame.height):
        raise InputUnsupported(
            f"{start} is {frame.width}x{frame.height}",
            f"{size[0]}x{size[1]} is asked for",
            "leave out --size, or scale the picture first",
        )
    return from_rgb(np.clip(frame.rgb(), 0, 1), _blank(frame.width, frame.height), 0, Fraction(1))


def _blank(width: int, height: int) -> Frame:
    planes = tuple(np.zeros((height, width), np.uint8) for _ in range(3))
    return Frame(planes, _RGB, Colour(matrix=0, full_range=True))


def _write(
    output: Path, frames: Iterator[Frame], like: Frame, rate: Fraction, encoding: Encoding, report: Report
) -> None:
    suffix = output.suffix.lower()
    if suffix in PICTURES:
        write_picture(output, next(frames), overwrite=encoding.overwrite)
        next(frames, None)
        return
    if suffix == ".gif":
        write_gif(output, frames, rate, overwrite=encoding.overwrite)
        return
    small = tuple(np.zeros(_VIDEO.plane_shape(i, like.width, like.height), np.uint8) for i in range(3))
    as_video = Frame(small, _VIDEO, _BT709, 0, like.time_base)
    facts = VideoFacts(
        path=NOISE, index=0, codec="h264", width=like.width, height=like.height, format=_VIDEO, stored=_VIDEO.name,
        colour=_BT709, time_base=like.time_base, rate=rate,
    )  # fmt: skip
    with VideoWriter(
        output,
        facts,
        time_base=like.time_base,
        rate=rate,
        codec=encoding.codec,
        options=encoding.options,
        overwrite=encoding.overwrite,
    ) as writer:
        for frame in frames:
            writer.write(from_rgb(frame.rgb(), as_video, frame.pts, frame.time_base))
        writer.last_duration = 1 / rate
        writer.close()
    report.notes += writer.notes
