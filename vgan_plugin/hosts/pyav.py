"""PyAV: `fill_frames` is a generator for people with a decoding loop of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain, takewhile

import av

from vgan_plugin.errors import InputUnsupported
from vgan_plugin.fill import Item, Record, Say
from vgan_plugin.gaps import GapPolicy
from vgan_plugin.hosts.live import LiveFill
from vgan_plugin.hosts.opening import open_generator
from vgan_plugin.media.frames import frac, from_av, to_av
from vgan_plugin.media.layouts import SCALED
from vgan_plugin.media.times import increasing, notes
from vgan_plugin.types import Frame, OpenRequest


def fill_frames(
    frames: Iterable[av.VideoFrame],
    *,
    generator: OpenRequest | None = None,
    policy: GapPolicy | None = None,
    rate: Fraction | None = None,
    min_confidence: float = 0.0,
    on_made: Callable[[Record], object] = lambda _: None,
    say: Say = lambda _: None,
) -> Iterator[av.VideoFrame]:
    """Repair decoded frames on their way to wherever they go; see `Live` for the delay.

    Frames that were fine leave as the very objects that came. They are still references of frames to be made: copy one
    before you write into it. Made ones are new, of the same format, colour and time base.

    Args:
        frames: in the order in which they are shown, as ``container.decode(video=0)`` gives them. Pass damaged ones,
            too: they are made anew.
        generator: which generator, model and device; None = ours, where it runs best.
        policy: what may be made.
        rate: frames a second, ``stream.average_rate``; a hint.
        min_confidence: a made frame less sure than this becomes a repeat, and is named.
        on_made: takes the record of each made frame just before the frame itself.
        say: lines for people.

    Raises:
        InputUnsupported: interlaced, a pixel format that vgan does not work on, or the size or format changes.
        VganError: the generator cannot be opened.
    """
    rate = frac(rate)
    opened = open_generator(generator, "fill")
    try:
        live = LiveFill(opened, policy=policy, rate=rate, min_confidence=min_confidence, say=say)
        came: dict[Frame, av.VideoFrame] = {}
        name = ""
        period = 0

        def leave(items: Iterable[Item]) -> Iterator[av.VideoFrame]:
            for frame, record in items:
                for older in list(takewhile(lambda other: other.pts < frame.pts, came)):  # noqa: B023 used at once
                    del came[older]  # it was replaced
                if record is None:
                    yield came.pop(frame)
                else:
                    on_made(record)
                    made = to_av(frame, name)
                    made.duration = period
                    yield made

        seen: Counter[str] = Counter()
        for pts, picture, time_base in _stamped(frames, rate, seen):
            if not name:
                name = _checked(picture)
            elif picture.format.name != name:
                raise InputUnsupported(
                    f"The stream changes from {name} to {picture.format.name}", "it has one pixel format", "convert it"
                )
            period = picture.duration or period
            frame = from_av(picture, pts, time_base)
            came[frame] = picture
            yield from leave(live.push(frame))
        yield from leave(live.finish())
        for line in notes(seen):
            say(line)
    finally:
        opened.close()


def _stamped(
    frames: Iterable[av.VideoFrame], rate: Fraction | None, seen: Counter[str]
) -> Iterator[tuple[int, av.VideoFrame, Fraction]]:
    """Frames with time stamps that increase; missing ones are spread between their neighbours."""
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        return
    base = frac(first.time_base) or 1 / (rate or Fraction(25))

    def all_frames() -> Iterator[tuple[int | None, av.VideoFrame]]:
        for picture in chain((first,), iterator):
            yield _stamp(picture), picture

    step = max(1, round(1 / (rate or 25) / base))
    for pts, picture in increasing(all_frames(), step, seen):
        if picture.pts != pts:
            picture.pts, picture.time_base = pts, base
        yield pts, picture, frac(picture.time_base) or base


def _stamp(picture: av.VideoFrame) -> int | None:
    return picture.pts if picture.pts is not None else picture.dts


def _checked(picture: av.VideoFrame) -> str:
    """The stream's pixel format.

    Raises:
        InputUnsupported: interlaced, or stored as no made frame can be.
    """
    if picture.interlaced_frame:
        raise InputUnsupported(
            "The stream is interlaced", "its frames hold two fields of different moments", "deinterlace it first"
        )
    name = picture.format.name
    if name in SCALED:
        raise InputUnsupported(
            f"Pixel format {name!r} is not supported", "made frames cannot be written in it", "reformat frames first"
        )
    return name
