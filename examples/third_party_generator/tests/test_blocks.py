"""vgan's own conformance suite, and a promise of this generator's own."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from vgan_plugin import FillRequest, OpenRequest, get_plugin_manager
from vgan_plugin.testing import GeneratorConformance, moving


class TestBlocks(GeneratorConformance):
    generator = "blocks"


@pytest.mark.parametrize("gap", [1, 3])
def test_what_moves_is_followed(gap: int) -> None:
    """On a texture that moves two pixels a frame it is far nearer to the truth than the mean of the neighbours."""
    frames = moving(gap + 2, 96, 64, speed=2)
    times = tuple(frame.time for frame in frames[1:-1])
    errors = {}
    for name in ("blocks", "blend"):
        request = FillRequest((frames[0],), (frames[-1],), times, Fraction(1, 25), open=OpenRequest(generator=name))
        made = get_plugin_manager().fill_gap(request).frames
        inside = (slice(16, -16), slice(16, -16))  # the texture wraps around at the border
        pairs = [(m.planes[0][inside], t.planes[0][inside]) for m, t in zip(made, frames[1:-1], strict=True)]
        errors[name] = np.mean([np.abs(one.astype(float) - other).mean() for one, other in pairs])
    assert errors["blocks"] < errors["blend"] / 4
