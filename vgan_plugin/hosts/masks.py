"""Masks from files: a picture that holds for all frames, a video or a folder of pictures with one a frame, a box."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import numpy as np

from vgan_plugin.errors import InputMissing, MaskUnusable
from vgan_plugin.gaps import Box
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame, Mask

_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".pbm"}


@dataclass(frozen=True)
class Holes:
    """Where the holes of a clip are.

    Attributes:
        masks: file or folder of the masks: white (more than half, or opaque) = make this pixel; None = `boxes` alone.
        boxes: by source index; under None those of every frame.
        start: seconds from which on there are holes; None = from the first frame.
        end: seconds before which there are holes; None = to the last frame.
        fit: scale masks of another size; of too few masks hold the last one, of too many leave out the surplus.
        grow: pixels by which every hole is wider each way: a mask that ends where a thing does leaves its outline.
    """

    masks: Path | None = None
    boxes: tuple[tuple[int | None, Box], ...] = ()
    start: Fraction | None = None
    end: Fraction | None = None
    fit: bool = False
    grow: int = 0

    def check(self, width: int, height: int) -> None:
        """Find out before the long part whether they fit a clip; see `read` for the errors."""
        for _, box in self.boxes:
            _draw(np.zeros((height, width), np.bool_), box)
        if self.masks is not None:
            self._fitted(_of(next(_read(self.masks))), width, height)

    def read(self, timeline: Timeline, width: int, height: int) -> Iterator[Mask | None]:
        """One mask a frame in order, (H, W), True = make this pixel; None where nothing is to be made.

        Raises:
            MaskUnusable: masks or boxes do not fit the clip.
            InputError: the masks cannot be read.
        """
        always = [box for index, box in self.boxes if index is None]
        some: dict[int, list[Box]] = {}
        for index, box in self.boxes:
            if index is not None:
                some.setdefault(index, []).append(box)
        pictures = self._pictures(len(timeline), width, height)
        last = grown = None  # a picture that holds for all frames is grown once
        for i in range(len(timeline)):
            mask = next(pictures)
            time = timeline.time(i)
            if (self.start is not None and time < self.start) or (self.end is not None and time >= self.end):
                yield None
                continue
            boxes = always + some.get(i, [])
            if boxes:
                mask = np.zeros((height, width), np.bool_) if mask is None else mask.copy()
                for box in boxes:
                    _draw(mask, box)
            if mask is not last or boxes:
                last, grown = mask, None if mask is None or not mask.any() else dilated(mask, self.grow)
            yield grown
        next(pictures, None)  # whether there are too many is known at the end

    def _pictures(self, count: int, width: int, height: int) -> Iterator[Mask | None]:
        if self.masks is None:
            yield from repeat(None, count)
            return
        frames = _read(self.masks)
        last: Mask | None = None
        still = False
        for i in range(count):
            frame = None if still else next(frames, None)
            if frame is not None:
                last = self._fitted(_of(frame), width, height)
            elif i == 1 and not still:
                still = True  # one picture alone holds for all frames
            elif not still and not self.fit:
                raise MaskUnusable(
                    f"{self.masks} has {i} masks for {count} frames",
                    "each frame needs its own, or one picture holds for all",
                    "give as many, or say --fit to hold the last one",
                )
            yield last
        if not still and not self.fit and next(frames, None) is not None:
            raise MaskUnusable(
                f"{self.masks} has more masks than the video has frames",
                f"the video has {count}",
                "give as many, or say --fit to leave out the surplus",
            )

    def _fitted(self, mask: Mask, width: int, height: int) -> Mask:
        rows, columns = mask.shape
        if (rows, columns) == (height, width):
            return mask
        if not self.fit:
            raise MaskUnusable(
                f"The mask {self.masks} is {columns}x{rows}",
                f"the video is {width}x{height}",
                "give one of the video's size, or say --fit to scale it",
            )
        y = (np.arange(height) * 2 + 1) * rows // (2 * height)
        x = (np.arange(width) * 2 + 1) * columns // (2 * width)
        fitted: Mask = mask[y[:, None], x[None]]
        return fitted


def dilated(mask: Mask, by: int) -> Mask:
    """(H, W), True wherever any pixel of the mask lies within `by` rows and columns."""
    if not by:
        return mask
    for axis in (0, 1):
        count = mask.shape[axis]
        sums = np.insert(np.cumsum(mask, axis, dtype=np.int32), 0, 0, axis)
        at = np.arange(count)
        mask = sums.take(np.minimum(at + by + 1, count), axis) > sums.take(np.maximum(at - by, 0), axis)
    return mask


def pictures_in(holes: Holes) -> int:
    """How many masks the file or folder holds; 1 where there is none, but boxes."""
    return 1 if holes.masks is None else sum(1 for _ in _read(holes.masks))


def _read(path: Path) -> Iterator[Frame]:
    """The pictures of a file or folder, in order."""
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _PICTURES)
        if not files:
            raise InputMissing(f"Cannot read {path}", "no picture is in the folder", "name a folder of masks")
    for file in files:
        with VideoReader(file) as reader:
            yield from reader.frames()


def _of(frame: Frame) -> Mask:
    """White, or opaque where there is alpha."""
    form = frame.format
    if form.alpha:
        opaque: Mask = frame.planes[-1] > ((1 << form.bits) - 1) // 2
        if not opaque.all():
            return opaque
    white: Mask = frame.rgb().mean(0) > 0.5
    return white


def _draw(mask: Mask, box: Box) -> None:
    left, top, width, height = box
    rows, columns = mask.shape
    if left >= columns or top >= rows or left + width <= 0 or top + height <= 0:
        raise MaskUnusable(
            f"The box {left},{top},{width},{height} lies outside",
            f"the video is {columns}x{rows}",
            "give left, top, width and height in pixels",
        )
    mask[max(top, 0) : top + height, max(left, 0) : left + width] = True


@dataclass(frozen=True)
class Survey:
    """All masks of a clip at a glance.

    Attributes:
        area: (H, W), the pixels that are masked in any frame; None = none is.
        frames: source indices of the frames that have a mask.
        whole: how many are masked in every pixel.
    """

    area: Mask | None
    frames: frozenset[int]
    whole: int


def survey(holes: Holes, timeline: Timeline, width: int, height: int) -> Survey:
    """Look at all masks once; see `Holes.read` for its errors."""
    area = np.zeros((height, width), np.bool_)
    frames, whole = set(), 0
    last: Mask | None = None
    all_of_last = False
    for index, mask in enumerate(holes.read(timeline, width, height)):
        if mask is None:
            continue
        if mask is not last:
            last, all_of_last = mask, bool(mask.all())
            area |= mask
        frames.add(index)
        whole += all_of_last
    return Survey(area if frames else None, frozenset(frames), whole)
