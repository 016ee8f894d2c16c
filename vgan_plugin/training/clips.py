"""A folder of clips and stills becomes footage: uint8 frames in memory, the shots they fall into, how much they move.

Decoding happens once. A file that cannot be used is named with its reason and skipped; a folder without any usable
clip is `DataUnusable`. Which crops a training step sees is decided in `tasks.py`, not here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vgan_plugin.errors import DataUnusable, ExtraMissing, InputDamaged, VganError
from vgan_plugin.training.motion import LUMA
from vgan_plugin.training.windows import SHORTEST

log = logging.getLogger(__name__)

Picture = NDArray[np.uint8]
"""(3, H, W) RGB."""

CLIPS = frozenset([".mp4", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".m4v", ".ts", ".gif", ".y4m", ".ogv"])
STILLS = frozenset([".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"])
THUMB = 8
"""Side of the luma cells that cuts and motion are judged by, in pixels."""
STILL = 0.3
"""Mean change of luma from frame to frame, in code values, under which nothing moves."""
CUT = 0.5
"""Chi-square distance of neighbouring luma histograms (each sums to 1) above which a new shot begins."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip in memory.

    Attributes:
        name: file name, for messages.
        frames: (F, 3, H, W) uint8 RGB.
        thumbs: (F, H // 8, W // 8) uint8: mean luma of 8x8 cells.
        shots: half-open ranges of frames without a cut.
    """

    name: str
    frames: Tensor
    thumbs: NDArray[np.uint8]
    shots: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Footage:
    """Everything there is to train on.

    Attributes:
        clips: at least one.
        stills: (3, H, W) uint8 pictures, textures for synthetic motion.
        skipped: (file, reason) of what could not be used.
        fingerprint: changes when the files in use change.
    """

    clips: tuple[Clip, ...]
    stills: tuple[Tensor, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    fingerprint: str = field(default="", compare=False)

    def to(self, device: torch.device) -> Footage:
        """The same footage with its pixels on `device`."""
        clips = tuple(Clip(c.name, c.frames.to(device), c.thumbs, c.shots) for c in self.clips)
        return Footage(clips, tuple(s.to(device) for s in self.stills), self.skipped, self.fingerprint)

    def split(self, share: float) -> tuple[Footage, Footage]:
        """Hold out about `share` of the clips: (training, held out). `walk_0` and `walk_1` stay on one side.

        With one stem only, the end of each clip is held out instead, so that no frame is on both sides.
        """
        stems = sorted({_stem(c.name) for c in self.clips}, key=lambda s: hashlib.sha256(s.encode()).digest())
        if len(stems) > 1:
            held = set(stems[: max(1, round(share * len(stems)))])
            kept = tuple(c for c in self.clips if _stem(c.name) not in held)
            return (
                Footage(kept, self.stills, self.skipped, self.fingerprint),
                Footage(tuple(c for c in self.clips if _stem(c.name) in held)),
            )
        parts = [(_part(c, 0, at), _part(c, at, len(c.frames))) for c in self.clips for at in [_tail(c, share)]]
        return (
            Footage(tuple(p for p, _ in parts), self.stills, self.skipped, self.fingerprint),
            Footage(tuple(p for _, p in parts)),
        )


def load(
    folder: Path, *, crop: int, licences: str = "", max_side: int = 640, still_side: int = 768, stills: bool = True
) -> Footage:
    """Decode every clip and still under `folder`, several at a time.

    Args:
        folder: searched recursively; names decide the order.
        crop: side of training crops; smaller clips are skipped with a word.
        licences: letters of the licence classes to keep (`AB`), by `licence_class` in an `index.json` in the folder
            or above it; empty = everything. A file that the index does not list is then left out.
        max_side: clips are shrunk to this long side, never enlarged; so are stills, to `still_side`.
        still_side: see `max_side`.
        stills: whether to load stills at all.

    Raises:
        DataUnusable: no such folder, or no clip in it can be used.
    """
    if not folder.is_dir():
        raise DataUnusable(f"No training folder at {folder}", "it is not a folder", "give a folder of video clips")
    allowed = _licensed(folder, licences) if licences else None
    files = [p for p in folder.rglob("*") if p.suffix.lower() in (CLIPS | STILLS if stills else CLIPS) and p.is_file()]
    chosen = sorted(p for p in files if allowed is None or p.resolve() in allowed)
    barred = len(files) - len(chosen)
    clips: list[Clip] = []
    textures: list[Tensor] = []
    skipped: list[tuple[str, str]] = []
    digest = hashlib.sha256(f"{crop} {max_side} {still_side}".encode())

    def read(path: Path) -> Clip | Tensor | str:
        try:
            if path.suffix.lower() in CLIPS:
                return _read_clip(path, path.relative_to(folder).as_posix(), crop, max_side)
            return _read_still(path, crop, still_side)
        except (_Unusable, VganError, OSError) as error:
            return error.why if isinstance(error, VganError) else str(error)

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:  # decoders leave Python alone meanwhile
        for path, found in zip(chosen, pool.map(read, chosen), strict=True):
            name = path.relative_to(folder).as_posix()
            if isinstance(found, str):
                skipped.append((name, found))
                log.warning("skipped %s: %s", name, found)
                continue
            digest.update(f"{name} {path.stat().st_size}".encode())
            if isinstance(found, Clip):
                clips.append(found)
            else:
                textures.append(found)
    if barred:
        log.info("%d files are not of licence class %s", barred, " or ".join(licences))
    if not clips:
        alone = f"of {len(textures)} pictures none moves" if textures else "it holds no video file"
        listed = "; ".join(f"{n}: {why}" for n, why in skipped[:5]) or alone
        raise DataUnusable(
            f"Nothing to train on in {folder}", listed, f"give clips of at least {SHORTEST} frames and {crop} lines"
        )
    if not any(_moves(clip) for clip in clips):
        log.warning("nothing moves in %s: only synthetic windows can teach motion", folder)
    return Footage(tuple(clips), tuple(textures), tuple(skipped), digest.hexdigest())


class _Unusable(Exception):
    """A file that is skipped, with the reason."""


def _moves(clip: Clip) -> bool:
    """Whether some frame differs from the one before it, cuts aside."""
    changes = np.abs(np.diff(clip.thumbs.astype(np.int16), axis=0)).mean((1, 2))
    return any(bool((changes[first : last - 1] > STILL).any()) for first, last in clip.shots)


def _stem(name: str) -> str:
    """`walk_0.mp4` and `walk_1.mp4` come from one source."""
    return re.sub(r"_\w?\d*$", "", Path(name).stem) or name


def _tail(clip: Clip, share: float) -> int:
    """First frame of the held-out end: at least `SHORTEST` frames, at most half."""
    frames = len(clip.frames)
    return frames - min(max(SHORTEST, round(share * frames)), frames // 2)


def _part(clip: Clip, first: int, last: int) -> Clip:
    shots = tuple((max(s, first) - first, min(e, last) - first) for s, e in clip.shots if s < last and e > first)
    return Clip(clip.name, clip.frames[first:last], clip.thumbs[first:last], shots)


def _licensed(folder: Path, classes: str) -> set[Path]:
    """Paths whose class is wanted, from the first index.json in `folder` or above it."""
    for place in (folder.resolve(), *folder.resolve().parents):
        index = place / "index.json"
        if index.is_file():
            try:
                rows = json.loads(index.read_text("utf-8"))
                return {(place / row["file"]).resolve() for row in rows if row["licence_class"] in classes}
            except (ValueError, KeyError, TypeError) as error:
                raise DataUnusable(
                    f"{index} cannot be understood", f"{error}", "give a list of objects with file and licence_class"
                ) from error
    raise DataUnusable(
        f"No licence classes are known for {folder}",
        "no index.json lies in it or above it",
        "leave out the option licences, or add an index.json",
    )


def _read_clip(path: Path, name: str, crop: int, max_side: int) -> Clip:
    frames: list[Tensor] = []
    damaged = ""
    try:
        for picture in _decoder()(path):
            frame = _fit(torch.from_numpy(picture), max_side)
            if frames and frame.shape != frames[0].shape:
                raise _Unusable("its pictures change size")
            frames.append(frame)
    except InputDamaged as error:  # what was decoded before the damage is still good
        damaged = f", then: {error.why}"
    if len(frames) < SHORTEST:
        raise _Unusable(f"only {len(frames)} frames can be decoded{damaged}")
    if min(frames[0].shape[1:]) < crop:
        raise _Unusable(f"{frames[0].shape[2]}x{frames[0].shape[1]} is smaller than the crop of {crop}")
    lumas = [_luma(f) for f in frames]
    shots = tuple((first, last) for first, last in _shots(lumas) if last - first >= SHORTEST)
    if not shots:
        raise _Unusable(f"no shot in it has {SHORTEST} frames")
    return Clip(name, torch.stack(frames), np.stack([_thumb(luma) for luma in lumas]), shots)


def _read_still(path: Path, crop: int, max_side: int) -> Tensor:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ExtraMissing(
            "Stills cannot be read", "Pillow is not installed", 'install the training extra: pip install "vgan[train]"'
        ) from error
    try:
        with Image.open(path) as image:
            picture = np.array(image.convert("RGB"))
    except UnidentifiedImageError as error:
        raise _Unusable("it is not a picture") from error
    still = _fit(torch.from_numpy(picture).permute(2, 0, 1), max_side)
    if min(still.shape[1:]) < crop:
        raise _Unusable(f"{still.shape[2]}x{still.shape[1]} is smaller than the crop of {crop}")
    return still


def _fit(picture: Tensor, max_side: int) -> Tensor:
    """Shrink a (3, H, W) uint8 picture by area averaging to a long side of at most `max_side`; contiguous."""
    h, w = picture.shape[1:]
    if max(h, w) <= max_side:
        return picture.contiguous()
    scale = max_side / max(h, w)
    small = F.interpolate(picture[None].float(), (round(h * scale), round(w * scale)), mode="area")[0]
    return small.round().to(torch.uint8)


def _thumb(luma: Tensor) -> NDArray[np.uint8]:
    return cast("NDArray[np.uint8]", F.avg_pool2d(luma[None], THUMB)[0, 0].round().to(torch.uint8).numpy())


def _luma(frame: Tensor) -> Tensor:
    """(1, H, W) float, 0..255."""
    return (frame.float() * torch.tensor(LUMA).view(3, 1, 1)).sum(0, keepdim=True)


def _shots(lumas: Iterable[Tensor]) -> Iterator[tuple[int, int]]:
    """Ranges between cuts: a cut is a jump of the 32-bin luma histogram (chi-square distance over `CUT`)."""
    first, before, i = 0, None, 0
    for i, luma in enumerate(lumas):  # the count is needed after the loop
        now = torch.histc(luma, 32, 0, 256) / luma.numel()
        if before is not None and ((now - before).square() / (now + before + 1e-6)).sum() > CUT:
            yield first, i
            first = i
        before = now
    yield first, i + 1


def _decoder() -> Callable[[Path], Iterator[Picture]]:
    """PyAV when it is installed, else OpenCV: training boxes often have only the latter."""
    if importlib.util.find_spec("av"):
        return _decode_media
    return _decode_cv2


def _decode_media(path: Path) -> Iterator[Picture]:
    """The same RGB as in use: what `Frame.rgb` gives, in 8 bits. Stops where the decoder meets damage."""
    from vgan_plugin.media.reader import VideoReader

    with VideoReader(path) as reader:
        for frame in reader.frames():
            if frame.corrupt:
                raise InputDamaged(f"{path} is damaged", "the decoder flags a frame as corrupt", "leave it out")
            yield (frame.rgb() * 255 + 0.5).clip(0, 255).astype(np.uint8)


def _decode_cv2(path: Path) -> Iterator[Picture]:
    try:
        import cv2
    except ImportError as error:
        raise ExtraMissing(
            "Clips cannot be decoded", "neither PyAV nor OpenCV can be imported", "pip install av"
        ) from error
    video = cv2.VideoCapture(str(path))
    try:
        while True:
            good, picture = video.read()
            if not good:
                return
            yield np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1))
    finally:
        video.release()
