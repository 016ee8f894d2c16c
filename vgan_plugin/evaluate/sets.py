"""Finding and reading what is evaluated: video files, folders of pictures, triplets, and masks that lie beside them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from vgan_plugin.errors import DataUnusable, InputError, InputMissing, InputNotVideo
from vgan_plugin.media.frames import from_av, to_av
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.types import Colour, Frame, Mask, PixelFormat

Picture = NDArray[np.uint8]
"""(3, H, W), red, green, blue, 8 bit."""
PERIOD = Fraction(1, 25)
"""Frames are taken as equally far apart, whatever the file's clock says."""
PICTURES = (".png", ".webp", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
MASKS = "_mask"
_MATRICES = (1, 4, 5, 6, 7, 9)
"""Matrices, by their numbers in ITU-T H.273, that FFmpeg's scaler knows; what is untold it takes as BT.601."""
_UNTOLD = 5
_GBRP = PixelFormat.parse("gbrp")


@dataclass(frozen=True)
class Source:
    """Something to evaluate on, not read yet.

    Attributes:
        name: of the file or folder, for tables; unique in a run.
        files: one video file, or pictures in order.
        triplet: first, truth, last: the middle one is made, and nothing else.
        masks: pictures (or one video) of an object, white where it is, or empty.
    """

    name: str
    files: tuple[Path, ...]
    triplet: bool = False
    masks: tuple[Path, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all bytes, which results are remembered by."""
        digest = hashlib.sha256()
        for path in (*self.files, *self.masks):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def read(self) -> list[Frame]:
        """Every frame in order, restamped to one period each.

        Raises:
            InputError: a file cannot be read, or the sizes differ.
        """
        frames = _read(self.files)
        for frame in frames[1:]:
            if (frame.width, frame.height, frame.format) != (frames[0].width, frames[0].height, frames[0].format):
                raise InputError(
                    f"The pictures of {self.name} differ", f"{frames[0]!r} and {frame!r}", "make them of one kind"
                )
        return [replace(frame, pts=i, time_base=PERIOD) for i, frame in enumerate(frames)]

    def read_masks(self) -> list[Mask]:
        """One mask a frame, or an empty list."""
        return [frame.planes[0] > 0.5 * np.iinfo(frame.planes[0].dtype).max for frame in _read(self.masks)]


def find(paths: Iterable[Path]) -> tuple[list[Source], list[str]]:
    """Clips and triplets in files and folders, in order of their names.

    A folder of exactly three pictures is a triplet, of more a clip; anything else is looked through. `NAME_mask`, a
    folder or a video, holds the masks of `NAME`.

    Returns:
        what was found, and a line for each file that is neither video nor picture.

    Raises:
        InputMissing: a path is not there.
        DataUnusable: nothing was found.
    """
    found: list[Source] = []
    skipped: list[str] = []
    given = list(paths)
    for path in given:
        if not path.exists():
            raise InputMissing(f"Cannot read {path}", "there is no such file or folder", "check the path")
        found += _look(path, skipped)
    if not found:
        what = ", ".join(map(str, given))
        raise DataUnusable(
            f"{what} holds nothing to evaluate on",
            "no video, and no folder of three pictures or more, is in it",
            "name a folder of clips or triplets",
        )
    return _named(found), skipped


def _look(path: Path, skipped: list[str]) -> list[Source]:
    if path.is_file():
        return [Source(path.stem, (path,), masks=_masks(path))]
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    pictures = tuple(entry for entry in entries if entry.suffix.lower() in PICTURES and entry.is_file())
    if len(pictures) >= 3:
        triplet = len(pictures) == 3
        return [Source(path.name, pictures, triplet, () if triplet else _masks(path))]
    found = []
    for entry in entries:
        if entry.stem.endswith(MASKS) or entry in pictures:
            continue
        if entry.is_dir() or _is_video(entry):
            found += _look(entry, skipped)
        else:
            skipped.append(f"{entry} is left out: it is not a video")
    return found


def _is_video(path: Path) -> bool:
    try:
        VideoReader(path).close()
    except InputNotVideo:
        return False
    except InputError:  # a video, but a bad one: it is named when its turn comes
        return True
    return True


def _masks(path: Path) -> tuple[Path, ...]:
    for beside in sorted(path.parent.glob(path.stem + MASKS + "*")):
        if beside.is_file():
            return (beside,)
        return tuple(sorted(p for p in beside.iterdir() if p.suffix.lower() in PICTURES))
    return ()


def _named(found: list[Source]) -> list[Source]:
    """Sources of one name get the names of the folders they lie in."""
    names = [source.name for source in found]
    return [
        replace(source, name=f"{source.files[0].parent.name}/{source.name}") if names.count(source.name) > 1 else source
        for source in found
    ]


def _read(files: tuple[Path, ...]) -> list[Frame]:
    frames: list[Frame] = []
    for path in files:
        with VideoReader(path) as reader:
            frames += reader.frames()
    return frames


def rgb8(frame: Frame) -> Picture:
    """What is compared, and what baselines see: the 8 bit RGB that FFmpeg's scaler gives, for all of them alike.

    It is not as exact as vgan's own conversion, but what players and other tools show.
    """
    if frame.format == _GBRP:
        return np.stack([frame.planes[i] for i in (2, 0, 1)])
    packed = np.asarray(to_av(frame).to_ndarray(format="rgb24"), np.uint8)
    return np.ascontiguousarray(packed.transpose(2, 0, 1))


def from_rgb8(picture: Picture, pts: int = 0, like: Frame | None = None) -> Frame:
    """8 bit RGB as a frame: of its own format, or, by FFmpeg's scaler, of that of another frame."""
    red, green, blue = (np.ascontiguousarray(channel) for channel in picture)
    frame = Frame((green, blue, red), _GBRP, Colour(matrix=0, full_range=True), pts, PERIOD)
    if like is None or like.format == _GBRP:
        return frame
    matrix = like.colour.matrix if like.colour.matrix in _MATRICES else _UNTOLD
    scaled = to_av(frame, "rgb24").reformat(
        format=like.format.name,
        dst_colorspace=matrix,
        dst_color_range=ColorRange.JPEG if like.colour.full_range else ColorRange.MPEG,
    )
    return replace(from_av(scaled, pts, PERIOD), format=like.format, colour=like.colour)


def as_rgb(frame: Frame) -> Frame:
    """A frame converted to 8 bit RGB once, so that no method meets the clip's own pixel format."""
    return from_rgb8(rgb8(frame), frame.pts)


def label(path: str) -> str:
    """A model as tables name it: its name, or the last part of its path."""
    return os.path.basename(path.rstrip("/")).removesuffix(".zip") or path
