"""Tiles cover a frame, are of one size, and come together again without a seam."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from clips import moving_frames
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.pixels.tiling import MARGIN, STEP, Merger, crop, grid

SIZES = st.integers(16, 3000)


@given(SIZES, SIZES, st.integers(1, 4_000_000))
def test_tiles_cover_the_frame_at_even_places_and_hold_no_more_than_they_may(
    height: int, width: int, pixels: int
) -> None:
    cut = grid(height, width, pixels)
    for size, parts in ((height, cut.rows), (width, cut.columns)):
        assert parts[0][0] == 0
        assert parts[-1][0] + parts[-1][1] == size
        assert all(first % STEP == 0 for first, _ in parts)
        padded = {-(-count // STEP) for _, count in parts}
        assert len(padded) == 1  # one size for all: one session
        for (first, count), (after, _) in itertools.pairwise(parts):
            assert first < after <= first + count - MARGIN + STEP
    tile_height, tile_width = cut.largest
    if min(height, width) > 2 * MARGIN and pixels >= 4 * (2 * MARGIN + STEP) ** 2:
        assert tile_height * tile_width <= pixels
    if height * width <= pixels:
        assert len(cut.tiles) == 1


@pytest.mark.parametrize(
    ("form", "width", "height"),
    [
        ("yuv420p", 640, 360),
        ("yuv420p", 611, 353),
        ("yuv422p10le", 606, 401),
        ("gbrp", 513, 300),
        ("gray16le", 400, 700),
    ],
)
def test_the_parts_of_a_frame_make_the_frame_again_to_the_last_bit(form: str, width: int, height: int) -> None:
    (frame,) = moving_frames(1, width, height, form)
    cut = grid(height, width, 100_000)
    assert len(cut.tiles) > 1
    merger = Merger(cut, frame)
    sure = np.random.default_rng(0).random((height, width), dtype=np.float32)
    for tile in cut.tiles:
        part = crop(frame, tile)
        assert (part.height, part.width) == (tile.height, tile.width)
        merger.add(tile, part, sure[tile.window])
    for old, new in zip(frame.planes, merger.frame().planes, strict=True):
        np.testing.assert_array_equal(new, old)
    assert merger.map is not None
    np.testing.assert_allclose(merger.map, sure, atol=1e-5)


def test_where_two_tiles_differ_one_fades_into_the_other() -> None:
    (frame,) = moving_frames(1, 640, 64, "gray")
    cut = grid(64, 640, 400 * 64)
    merger = Merger(cut, frame)
    for i, tile in enumerate(cut.tiles):
        part = crop(frame, tile)
        merger.add(tile, type(part)((np.full((tile.height, tile.width), 40 + 60 * i, np.uint8),), part.format), None)
    steps = np.abs(np.diff(merger.frame().planes[0].astype(int), axis=1))
    assert steps.max() <= 4
    assert merger.map is None
