"""Comparing pictures. NumPy only; what needs optical flow is in `motion`.

Pictures are (3, H, W) uint8 RGB. Every figure is of one frame; how frames are pooled is for `tables` to say.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.evaluate.sets import Picture
from vgan_plugin.types import Mask

CAP = 100.0
"""PSNR of identical pictures, in dB."""
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def mse(made: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Mean squared error in squared code values, over all pixels or those of the mask, and the three channels."""
    difference = made.astype(np.int32) - truth
    if mask is not None:
        difference = difference[:, mask]
    return float(np.mean(np.square(difference), dtype=np.float64))


def psnr(error: float) -> float:
    """In dB, of an `mse` of 8 bit samples."""
    return min(CAP, 10 * float(np.log10(255**2 / error))) if error > 0 else CAP


def ssim_rgb(made: Picture, truth: Picture) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian 11x11, sigma 1.5, windows inside the picture, channels' mean.

    Pictures smaller than the window are one window.
    """
    total = 0.0
    for a8, b8 in zip(made, truth, strict=True):
        a, b = a8.astype(np.float32), b8.astype(np.float32)
        mean_a, mean_b, aa, bb, ab = (_smooth(x) for x in (a, b, a * a, b * b, a * b))
        product, squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
        top = (2 * product + _C1) * (2 * (ab - product) + _C2)
        bottom = (squares + _C1) * (aa + bb - squares + _C2)
        total += float(np.mean(top / bottom, dtype=np.float64))
    return total / 3


def sharpness(picture: Picture) -> float:
    """Variance of the Laplacian (4 neighbours) of luma, the picture's border left out."""
    y = luma(picture)
    inner = y[1:-1, 1:-1]
    laplacian = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:] - 4 * inner
    return float(np.var(laplacian, dtype=np.float64))


def flicker(made: tuple[Picture, Picture], truth: tuple[Picture, Picture]) -> float:
    """Mean | |change of the made pair| - |change of the true pair| | in code values."""
    change = [np.abs(second.astype(np.int16) - first) for first, second in (made, truth)]
    return float(np.mean(np.abs(change[0] - change[1]), dtype=np.float64))


def luma(picture: Picture) -> NDArray[np.float32]:
    """BT.601 luma, float32 (H, W) in code values."""
    y: NDArray[np.float32] = np.tensordot(_LUMA, picture.astype(np.float32), 1)
    return y


@lru_cache(maxsize=16)
def _weights(size: int) -> NDArray[np.float32]:
    x = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * np.square(x / _SIGMA))
    normed: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return normed


def _smooth(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The Gaussian's mean of each window that lies inside."""
    for axis in (0, 1):
        weights = _weights(min(_WINDOW, x.shape[axis]))
        length = x.shape[axis] - len(weights) + 1
        part = np.empty((length, x.shape[1]) if axis == 0 else (x.shape[0], length), np.float32)
        total = np.zeros_like(part)
        for k, weight in enumerate(weights):
            np.multiply(x[k : k + length] if axis == 0 else x[:, k : k + length], weight, out=part)
            total += part
        x = total
    return x
