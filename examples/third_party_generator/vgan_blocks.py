"""A generator for vgan in one file: block matching, as video codecs do it.

For each block of the frame to be made, the motion is sought along which the frames before and after agree best; both
are followed to the time wanted, and mixed. It remembers nothing, knows no occlusions, and sees no motion of more than
`REACH` pixels between its two frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgan_plugin import Frame, FrameGenerator, GeneratorInfo, Made, OpenRequest, RenderRequest, hookimpl

Luma = NDArray[np.float32]
Ways = NDArray[np.intp]

BLOCK = 8
REACH = 8
STILL = 0.02
"""Cost of a pixel of motion, in parts of the luma range per pixel of a block: flat areas stay where they are."""
DOUBT = 0.1
"""Where both sides differ by this part of the luma range, nothing is sure any more."""
INFO = GeneratorInfo("blocks", "block matching, in NumPy", ("fill", "interpolate"), "Apache-2.0")


@hookimpl
def vgan_generators() -> Iterable[GeneratorInfo]:
    """What is offered; nothing is loaded."""
    return [INFO]


@hookimpl
def vgan_open_generator(request: OpenRequest) -> FrameGenerator | None:
    """Only to its own name: None leaves every other request to others."""
    return Blocks() if request.generator == INFO.name else None


class Blocks:
    """The `FrameGenerator`."""

    info = INFO
    block = 0  # remembers nothing, so no chain is run
    lead = 0
    provenance = {"model": {}, "provider": {"engine": "numpy", "device": "cpu"}}  # noqa: RUF012

    def encode(self, frame: Frame, valid: Any = None) -> Luma:  # noqa: ARG002 only who inpaints needs to know
        """Luma in parts of its range, (H, W): made once a source frame."""
        return frame.planes[0].astype(np.float32) / ((1 << frame.format.bits) - 1)

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> None:
        """Nothing."""

    def render(self, request: RenderRequest) -> Made:
        """Between two frames: along the motion. Elsewhere: the nearest frame again, and no confidence in it."""
        a, b = request.a, request.b
        before, after = request.offsets
        if a is None or b is None or not before < 0 < after:
            sides = [
                (abs(offset), held) for offset, held in zip(request.offsets, (a, b), strict=True) if held is not None
            ]
            held = min(sides, key=lambda side: side[0])[1]
            frame = replace(held.frame, pts=request.pts, time_base=request.time_base, corrupt=False)
            return Made(frame, 0.0)
        part = float(-before / (after - before))
        to_a, to_b = motion(a.features, b.features, part)
        form, planes = request.like.format, []
        for i, (first, second) in enumerate(zip(a.frame.planes, b.frame.planes, strict=True)):
            chroma = form.family == "yuv" and i in (1, 2)
            shift = (form.shift_y, form.shift_x) if chroma else (0, 0)
            mixed = follow(first, to_a, shift) * (1 - part) + follow(second, to_b, shift) * part
            planes.append(np.rint(mixed).astype(form.dtype))
        unlike = np.abs(follow(a.features, to_a) - follow(b.features, to_b))
        sure = 1 - np.minimum(unlike / DOUBT, 1)
        frame = replace(request.like, planes=tuple(planes), pts=request.pts, time_base=request.time_base, corrupt=False)
        return Made(frame, float(sure.mean()), map=sure)

    def close(self) -> None:
        """Nothing to free."""


def motion(a: Luma, b: Luma, part: float) -> tuple[Ways, Ways]:
    """Where each block of the frame `part` of the way from a to b comes from: pixels down and right, in a and in b.

    Args:
        a: luma before, (H, W).
        b: luma after, (H, W).
        part: 0 = at a, 1 = at b.

    Returns: two arrays (2, blocks down, blocks across).
    """
    rows, columns = (-(-size // BLOCK) for size in a.shape)
    border = [(REACH, REACH + blocks * BLOCK - size) for blocks, size in zip((rows, columns), a.shape, strict=True)]
    a, b = np.pad(a, border, mode="edge"), np.pad(b, border, mode="edge")
    best = np.full((rows, columns), np.inf, np.float32)
    to_a, to_b = np.zeros((2, 2, rows, columns), np.intp)
    for step in sorted(np.ndindex(2 * REACH + 1, 2 * REACH + 1), key=lambda step: np.hypot(*np.subtract(step, REACH))):
        whole = np.subtract(step, REACH)
        back = np.rint(-part * whole).astype(int)
        error = np.abs(_seen(a, back) - _seen(b, back + whole)).reshape(rows, BLOCK, columns, BLOCK).sum((1, 3))
        error += STILL * np.hypot(*whole)
        better = error < best
        best[better] = error[better]
        to_a[:, better], to_b[:, better] = back[:, None], (back + whole)[:, None]
    return to_a, to_b


def _seen(padded: Luma, step: NDArray[np.int_]) -> Luma:
    """The inside of a padded picture, looked at so many pixels down and right."""
    down, right = step + REACH
    return padded[down : down + padded.shape[0] - 2 * REACH, right : right + padded.shape[1] - 2 * REACH]


def follow(plane: NDArray[Any], ways: Ways, shift: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
    """A plane with each block taken from where its way leads; `shift`: log2 of its subsampling, down and across."""
    at = np.indices(plane.shape)
    blocks = tuple((place << s) // BLOCK for place, s in zip(at, shift, strict=True))
    sources = [
        np.clip(place + (way[blocks] >> s), 0, size - 1)
        for place, way, s, size in zip(at, ways, shift, plane.shape, strict=True)
    ]
    return plane[tuple(sources)].astype(np.float32)
