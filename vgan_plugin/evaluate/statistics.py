"""Paired differences with their interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_DRAWS = 10_000


def bootstrap(differences: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean, by drawing the clips anew (percentiles of 10,000 draws, always the same ones).

    Args:
        differences: one a clip.
        seed: of the draws.

    Raises:
        ValueError: there is none.
    """
    values = np.asarray(differences, np.float64)
    if not values.size:
        raise ValueError("no differences")
    chosen = np.random.default_rng(seed).integers(values.size, size=(_DRAWS, values.size))
    low, high = np.percentile(values[chosen].mean(1), (2.5, 97.5))
    return float(low), float(high)
