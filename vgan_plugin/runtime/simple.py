"""The two declared fallbacks, `repeat` and `blend`: generators without a network, a memory or a claim of confidence.

They answer when nothing better can, and always say so: whoever gets their frames finds the name in the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from vgan_plugin.pixels.planes import composite
from vgan_plugin.types import Frame, GeneratorInfo, Made, Mask, Plane, Reference, RenderRequest

_BETWEEN = ("fill", "interpolate", "inpaint")
REPEAT = GeneratorInfo("repeat", "the nearest good frame again", (*_BETWEEN, "predict"), "Apache-2.0")
BLEND = GeneratorInfo("blend", "both neighbours, weighted by time", _BETWEEN, "Apache-2.0")

_ONE = 1 << 16
"""Weights are integers of 16 bits: the error stays under half a code even of 16-bit samples, and uint32 holds it."""


class Simple:
    """A `FrameGenerator` that works on the planes as they are. Confidence is 0: it knows nothing of motion.

    Args:
        info: `REPEAT` or `BLEND`.
    """

    block = 0
    lead = 0

    def __init__(self, info: GeneratorInfo) -> None:
        self.info = info
        self.provenance: Mapping[str, Any] = {"model": {}, "provider": {"engine": "numpy", "device": "cpu"}}

    def encode(self, frame: Frame, valid: Mask | None = None) -> None:
        """Nothing to know."""

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> None:
        """Nothing to remember."""

    def render(self, request: RenderRequest) -> Made:
        """Repeat the nearest reference, or mix both when the target lies between them.

        Raises:
            ValueError: there is no reference at all.
        """
        a, b = request.a, request.b
        before, after = request.offsets
        if self.info is BLEND and a is not None and b is not None and before < 0 < after:
            planes = mix(a.frame, b.frame, -before / (after - before))
        else:
            planes = nearest(a, b, request.offsets).frame.planes
        frame = replace(request.like, planes=planes, pts=request.pts, time_base=request.time_base, corrupt=False)
        if request.mask is not None and request.known is not None:
            frame = composite(frame, request.known, request.mask)
        return Made(frame, 0.0)

    def close(self) -> None:
        """Nothing to free."""


def nearest(a: Reference | None, b: Reference | None, offsets: tuple[Fraction, Fraction]) -> Reference:
    """The reference nearer in time; the first one when both are as near.

    Raises:
        ValueError: there is none.
    """
    there = [(abs(offset), ref) for offset, ref in zip(offsets, (a, b), strict=True) if ref is not None]
    if not there:
        raise ValueError("a frame is made from at least one reference")
    return min(there, key=lambda item: item[0])[1]


def mix(a: Frame, b: Frame, weight: Fraction) -> tuple[Plane, ...]:
    """(1 - weight) a + weight b of each plane, in integers, rounded half up."""
    to_b = round(weight * _ONE)
    planes: list[Plane] = []
    for first, second in zip(a.planes, b.planes, strict=True):
        total = first * np.uint32(_ONE - to_b)
        total += second * np.uint32(to_b)
        total += np.uint32(_ONE >> 1)
        total >>= np.uint32(16)
        planes.append(total.astype(a.format.dtype))
    return tuple(planes)
