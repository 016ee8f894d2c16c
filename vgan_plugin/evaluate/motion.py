"""What needs optical flow: the DIS baseline, and the figures of how made frames move. Needs OpenCV.

DIS (Kroeger et al. 2016), OpenCV's medium preset, on BT.601 luma. Flows are float32 (H, W, 2), right and down, in
pixels: flow(a, b) says where each pixel of a is in b.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.errors import ExtraMissing
from vgan_plugin.evaluate.sets import Picture

Flow = NDArray[np.float32]
CLASSES = (("slow", 0.0, 2.0), ("medium", 2.0, 8.0), ("fast", 8.0, float("inf")))
"""Classes of motion: mean length, in pixels, of the flow across the gap."""
_AGREE = 1.0
"""A pixel is seen in both frames where flow there and back end within this many pixels."""


def opencv() -> ModuleType:
    """The module `cv2`.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise ExtraMissing("Optical flow needs OpenCV", f"{error}", 'pip install "vgan[evaluate]"') from error
    module: ModuleType = cv2
    return module


@lru_cache(maxsize=1)
def _dis() -> Any:
    cv2 = opencv()
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def flow(a: Picture, b: Picture) -> Flow:
    """Where each pixel of a is in b."""
    cv2 = opencv()
    grey = [cv2.cvtColor(np.ascontiguousarray(x.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY) for x in (a, b)]
    found: Flow = _dis().calc(*grey, None)
    return found


def warp(picture: NDArray[Any], to: Flow) -> NDArray[np.float32]:
    """The picture sampled where `to` leads, bicubic, its border replicated: float32 (3, H, W)."""
    cv2 = opencv()
    height, width = picture.shape[1:]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    sampled = cv2.remap(
        np.ascontiguousarray(picture.transpose(1, 2, 0)),
        x + to[..., 0],
        y + to[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    moved: NDArray[np.float32] = sampled.transpose(2, 0, 1).astype(np.float32)
    return moved


def between(a: Picture, b: Picture, t: float) -> Picture:
    """Both pictures warped to t by linear motion (Super SloMo, eq. 4), mixed by time."""
    ab, ba = flow(a, b), flow(b, a)
    to_a = -(1 - t) * t * ab + t * t * ba
    to_b = (1 - t) ** 2 * ab - t * (1 - t) * ba
    return _rounded(warp(a, to_a) * (1 - t) + warp(b, to_b) * t)


def beyond(a: Picture, b: Picture, t: float) -> Picture:
    """The second picture moved on, t periods, by the motion that led to it."""
    return _rounded(warp(b, t * flow(b, a)))


def length(of: Flow) -> float:
    """Mean length in pixels."""
    return float(np.mean(np.hypot(of[..., 0], of[..., 1]), dtype=np.float64))


def class_of(pixels: float) -> str:
    """Name of the class of motion."""
    return next(name for name, _, top in CLASSES if pixels < top)


def both_ways(a: Picture, b: Picture) -> tuple[Flow, NDArray[np.bool_]]:
    """Flow from b back to a, and which pixels of b are seen in a: there and back ends where it began."""
    back, forth = flow(b, a), flow(a, b)
    there = warp(forth.transpose(2, 0, 1), back).transpose(1, 2, 0)
    return back, np.hypot(*np.moveaxis(back + there, -1, 0)) < _AGREE


def warping_error(made: tuple[Picture, Picture], back: Flow, seen: NDArray[np.bool_]) -> float:
    """Mean squared difference, in squared code values, of the second picture and the first moved onto it by the
    motion of the true frames, where both show the same.
    """
    if not seen.any():
        return 0.0
    error = made[1][:, seen] - warp(made[0], back)[:, seen]
    return float(np.mean(np.square(error), dtype=np.float64))


def flow_error(made: Flow, truth: Flow) -> float:
    """TOF: mean length, in pixels, of the difference of two flows."""
    return length(made - truth)


def _rounded(picture: NDArray[np.float32]) -> Picture:
    codes: Picture = np.clip(picture + np.float32(0.5), 0, 255).astype(np.uint8)
    return codes
