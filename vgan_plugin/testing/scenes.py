"""Frames for the conformance suite: small, textured, moving, and read-only as a decoder's are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from vgan_plugin.types import Colour, Frame, PixelFormat


class NotConforming(AssertionError):
    """Something does not keep what the hooks promise. The words say what was expected and what came."""


def hold(condition: bool, words: str) -> None:
    """Go on only if it is so.

    Raises:
        NotConforming: it is not.
    """
    if not condition:
        raise NotConforming(words)


def moving(
    n: int,
    width: int = 64,
    height: int = 48,
    format: str = "yuv420p",  # noqa: A002 it is called so everywhere
    *,
    speed: int = 3,
    seed: int = 0,
    first: int = 0,
    time_base: Fraction = Fraction(1, 25),
) -> list[Frame]:
    """So many frames of one texture that moves `speed` pixels to the right a frame and wraps around, in limited range.

    Args:
        n: how many.
        width: columns.
        height: rows.
        format: FFmpeg's name of a pixel format.
        speed: pixels a frame.
        seed: which texture.
        first: pts of the first frame; each is one tick later than the one before.
        time_base: seconds a tick.
    """
    form = PixelFormat.parse(format)
    rng = np.random.default_rng(seed)
    coarse = rng.random((form.planes, -(-height // 4), -(-width // 4)))
    textures = np.repeat(np.repeat(coarse, 4, 1), 4, 2)[:, :height, :width] * 0.8
    textures += rng.random((form.planes, height, width)) * 0.2
    colour = Colour(matrix=0, full_range=True) if form.family == "rgb" else Colour(matrix=1, full_range=False)
    low, high = 16 << form.bits - 8, 235 << form.bits - 8
    frames = []
    for i in range(n):
        planes = []
        for p, texture in enumerate(np.roll(textures, speed * i, 2)):
            chroma = form.family == "yuv" and p in (1, 2)
            part = texture[:: 1 << form.shift_y, :: 1 << form.shift_x] * 0.5 + 0.25 if chroma else texture
            plane = np.rint(low + part * (high - low)).astype(form.dtype)
            plane.flags.writeable = False
            planes.append(plane)
        frames.append(Frame(tuple(planes), form, colour, first + i, time_base))
    return frames


def digest(frames: Sequence[Frame]) -> str:
    """A hash of the frames' samples."""
    found = hashlib.sha256()
    for frame in frames:
        for plane in frame.planes:
            found.update(np.ascontiguousarray(plane).tobytes())
    return found.hexdigest()
