"""Does a maker know how sure it may be? Rank correlation of confidence with the true error, and calibration.

Both are taken over blocks of 8x8 pixels, and kept as a table of counts that adds up over frames and clips: rows are
classes of the error that the confidence stands for, columns classes of the true one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.evaluate.sets import Picture

BLOCK = 8
BINS = 24
EDGES = np.geomspace(1 / 4080, 0.5, BINS - 1)
"""Edges between classes of error, in parts of the full range: a sixteenth of a code value to half of the range."""
SCALE = 50.0
"""Confidence c stands for an expected absolute error of (1 / c - 1) / 50 of the full range (`docs/training.md`)."""


def expected(confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean absolute error, in parts of the full range, that a confidence stands for."""
    odds = 1 / np.maximum(confidence, np.float32(1e-4)) - 1
    return (odds / SCALE).astype(np.float32)


def count(sure: NDArray[np.float32], made: Picture, truth: Picture) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """One frame's blocks.

    Args:
        sure: float32 (H, W), confidence of each pixel.
        made: the made frame.
        truth: the true one.

    Returns:
        (BINS, BINS) counts, and (BINS, 2) sums of expected and true error, by class of expected error.
    """
    error = np.abs(made.astype(np.int16) - truth).mean(0, dtype=np.float32) / np.float32(255)
    said, was = (_blocks(plane) for plane in (expected(sure), error))
    rows, columns = np.searchsorted(EDGES, said), np.searchsorted(EDGES, was)
    counts = np.bincount(rows * BINS + columns, minlength=BINS * BINS).reshape(BINS, BINS)
    sums = [np.bincount(rows, weights=values, minlength=BINS) for values in (said, was)]
    return counts.astype(np.int64), np.stack(sums, 1)


def rank_correlation(counts: NDArray[np.int64]) -> float:
    """Spearman's rho of expected and true error, of a table of counts (classes share the mean of their ranks).

    NaN when either is always the same.
    """
    total = counts.sum()
    ranks = []
    for axis in (1, 0):
        sizes = counts.sum(axis)
        ranks.append(np.cumsum(sizes) - sizes / 2 - total / 2)  # around their mean
    covariance = float(ranks[0] @ counts @ ranks[1])
    spread = float(counts.sum(1) @ ranks[0] ** 2) * float(counts.sum(0) @ ranks[1] ** 2)
    return covariance / spread**0.5 if spread > 0 else float("nan")


def _blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of blocks; what does not fill one at the right and bottom is left out, unless there is nothing else."""
    rows, columns = (max(1, size // BLOCK) for size in plane.shape)
    height, width = (min(BLOCK, size) for size in plane.shape)
    cut = plane[: rows * height, : columns * width]
    means: NDArray[np.float32] = cut.reshape(rows, height, columns, width).mean((1, 3)).ravel()
    return means
