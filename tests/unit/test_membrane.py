"""Holes closed smoothly, for whoever looks for motion."""

from __future__ import annotations

import numpy as np
from clips import moving_frames
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.pixels.membrane import closed
from vgan_plugin.types import Frame, PixelFormat


@given(st.integers(0, 60), st.integers(0, 44), st.integers(1, 64), st.integers(1, 48))
def test_what_is_known_stays_and_the_rest_is_between_what_is_around_it(
    left: int, top: int, wide: int, high: int
) -> None:
    frame = moving_frames(1, 64, 48)[0]
    known = np.ones((48, 64), np.bool_)
    known[top : top + high, left : left + wide] = False
    filled = closed(frame, known)
    assert np.array_equal(filled.planes[0][known], frame.planes[0][known])
    assert all(np.array_equal(*pair) for pair in zip(filled.planes[1:], frame.planes[1:], strict=True))
    if known.any():
        rest, seen = filled.planes[0][~known], frame.planes[0][known]
        assert seen.min() <= rest.min() <= rest.max() <= seen.max()


def test_the_edge_of_a_hole_is_gone_in_every_kind_of_picture() -> None:
    known = np.ones((48, 64), np.bool_)
    known[16:32, 20:44] = False
    for name, deep in (("yuv420p10le", np.uint16), ("gbrp", np.uint8), ("gray", np.uint8)):
        form = PixelFormat.parse(name)
        planes = [np.full(form.plane_shape(i, 64, 48), 100, deep) for i in range(form.planes)]
        bright = planes if form.family == "rgb" else planes[:1]
        for plane in bright:
            plane[~known] = 0
        filled = closed(Frame(tuple(planes), form), known)
        assert all((plane == 100).all() for plane in filled.planes)
