"""What a finished file says of itself, beside what its source says: some containers drop things without a word."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from vgan_plugin.media.frames import frac
from vgan_plugin.media.reader import open_input

_PROGRAM_STREAM = "mpeg"
"""FFmpeg's demuxer of .mpg, .vob: only the first frame that begins in a packet has a time stamp (ISO/IEC 13818-1,
2.7.4); the others are shown at the rate that the video declares, if it does."""


class Look(NamedTuple):
    """What is asked for.

    Attributes:
        container: FFmpeg's name of the demuxer.
        aspect: sample aspect ratio, 1 when untold.
        rotation: degrees by which players turn the picture.
        start: time of the first frame in seconds.
    """

    container: str
    aspect: Fraction
    rotation: int
    start: Fraction


def look(path: Path) -> Look:
    """Open a file and decode its first frame.

    Raises:
        InputError: it cannot be opened.
        FFmpegError, IndexError, StopIteration: no video or no frame is in it.
    """
    with open_input(path) as file:
        stream = file.streams.video[0]
        first = next(file.decode(stream))
        start = first.pts if first.pts is not None else first.dts
        return Look(
            file.format.name,
            frac(stream.sample_aspect_ratio) or Fraction(1),
            int(first.rotation),
            (start or 0) * (frac(stream.time_base) or Fraction(0)),
        )


def lost(source: Look, made: Look) -> list[str]:
    """What the made file does not have, a few words each."""
    found = [f"sample aspect ratio {source.aspect}"] if made.aspect != source.aspect else []
    return found + ([f"rotation by {source.rotation} degrees"] if made.rotation != source.rotation else [])


def later(source: Look, made: Look) -> list[str]:
    """A line if the made file begins later."""
    seconds = float(made.start - source.start)
    if seconds <= 0.001:
        return []
    return [f"all streams start {seconds:.3f} s later, in step: the container begins elsewhere than the source"]


def unstamped(made: Look) -> list[str]:
    """A line if the container does not hold the time of every frame."""
    if made.container != _PROGRAM_STREAM:
        return []
    return ["an MPEG program stream does not hold the time of every small frame: players place some by the frame rate"]
