"""NumPy pictures with their times, as OpenCV loops have them: `fill_arrays` is a generator for a loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import takewhile
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.errors import InputUnsupported
from vgan_plugin.fill import Item, Record, Say
from vgan_plugin.gaps import GapPolicy
from vgan_plugin.hosts.live import LiveFill, tick_for
from vgan_plugin.hosts.opening import open_generator
from vgan_plugin.types import Colour, Frame, OpenRequest, PixelFormat

Order = Literal["bgr", "rgb"]
Time = TypeVar("Time", float, Fraction)
Picture = NDArray[Any]
_GBR = {"bgr": (1, 0, 2), "rgb": (1, 2, 0)}
_COLOUR = Colour(matrix=0, full_range=True)


def fill_arrays(
    frames: Iterable[tuple[Time, Picture]],
    *,
    order: Order = "bgr",
    generator: OpenRequest | None = None,
    policy: GapPolicy | None = None,
    rate: Fraction | None = None,
    min_confidence: float = 0.0,
    on_made: Callable[[Record], object] = lambda _: None,
    say: Say = lambda _: None,
) -> Iterator[tuple[Time, Picture]]:
    """Repair a stream of pictures on its way; see `Live` for the delay.

    Args:
        frames: (time in seconds, picture) in the order in which they are shown. A picture is uint8 or uint16, (H, W) or
            (H, W, 3), or (H, W, 4) with alpha last; it is copied, so that a loop may use one buffer for all.
        order: of the colours of a picture.
        generator: which generator, model and device; None = ours, where it runs best.
        policy: what may be made.
        rate: frames a second as the source declares them, a hint.
        min_confidence: a made frame less sure than this becomes a repeat, and is named.
        on_made: takes the record of each made frame just before the frame itself.
        say: lines for people.

    Yields:
        (time, picture) of every frame: those that came with their very times, made ones to the millisecond (finer at
        more than 125 frames a second).

    Raises:
        InputUnsupported: what comes is no picture, changes its size or kind, or does not go on in time.
        VganError: the generator cannot be opened.
    """
    opened, tick = open_generator(generator, "fill"), tick_for(rate)
    try:
        live = LiveFill(opened, policy=policy, rate=rate, min_confidence=min_confidence, say=say)
        came: dict[Frame, tuple[Time, Picture]] = {}
        exact = False

        def leave(items: Iterable[Item]) -> Iterator[tuple[Time, Picture]]:
            for frame, record in items:
                for older in list(takewhile(lambda other: other.pts < frame.pts, came)):  # noqa: B023 used at once
                    del came[older]  # it was replaced
                if record is None:
                    yield came.pop(frame)
                else:
                    on_made(record)
                    yield (frame.time if exact else float(frame.time)), picture_of(frame, order)  # type: ignore[misc]

        for time, picture in frames:
            exact = isinstance(time, Fraction)
            own = np.array(picture)
            frame = frame_of(own, order, round(Fraction(time) / tick), tick)
            came[frame] = time, own
            yield from leave(live.push(frame))
        yield from leave(live.finish())
    finally:
        opened.close()


def frame_of(picture: Picture, order: Order, pts: int, time_base: Fraction) -> Frame:
    """A picture as a frame: views on it.

    Raises:
        InputUnsupported: it is no picture.
    """
    deep = {np.dtype(np.uint8): "", np.dtype(np.uint16): "16le"}.get(picture.dtype)
    channels = 1 if picture.ndim == 2 else picture.shape[2] if picture.ndim == 3 else 0
    if deep is None or channels not in (1, 3, 4) or 0 in picture.shape:
        raise InputUnsupported(
            f"An array of {picture.dtype} {picture.shape} is no picture",
            "pictures are uint8 or uint16, (H, W), (H, W, 3) or (H, W, 4)",
            "convert it first",
        )
    if channels == 1:
        planes: tuple[Picture, ...] = (picture.reshape(picture.shape[:2]),)
    else:
        planes = tuple(picture[..., i] for i in (*_GBR[order], 3)[:channels])
    name = {1: "gray", 3: "gbrp", 4: "gbrap"}[channels] + deep
    return Frame(planes, PixelFormat.parse(name), _COLOUR, pts, time_base)


def picture_of(frame: Frame, order: Order) -> Picture:
    """A frame as a picture of its own."""
    if frame.format.family == "gray":
        return frame.planes[0].copy()
    places = np.argsort((*_GBR[order], 3)[: len(frame.planes)])
    return np.stack([frame.planes[i] for i in places], axis=-1)
