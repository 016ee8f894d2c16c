"""How near a made frame comes to the truth."""

from __future__ import annotations

import math

import numpy as np

from vgan_plugin.types import Frame


def psnr(made: Frame, truth: Frame) -> float:
    """Of the RGB pictures, in dB, a range of 1; 100 where nothing differs."""
    error = float(np.square(made.rgb() - truth.rgb()).mean(dtype=np.float64))
    return 100.0 if error < 1e-10 else -10 * math.log10(error)
