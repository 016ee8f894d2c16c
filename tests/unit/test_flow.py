"""Motion between pictures with holes: what is seen is matched, what is hidden moves as what surrounds it."""

from __future__ import annotations

import numpy as np
import pytest
from clips import moving_frames

from vgan_plugin.pixels.flow import flow, look, misfit, sample

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luma(frame: object) -> np.ndarray:
    return np.tensordot(LUMA, frame.rgb(), 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("speed", [(3, 1), (-5, 4), (0, 0), (14, -9)])
def test_a_moving_texture_is_followed(speed: tuple[int, int]) -> None:
    a, b = (luma(frame) for frame in moving_frames(2, 160, 112, speed=speed))
    found = flow(look(a), look(b))
    inner = found[:, 32:-32, 32:-32]
    assert np.abs(inner[0] - speed[1]).mean() < 0.25
    assert np.abs(inner[1] - speed[0]).mean() < 0.25


def test_a_hole_that_stands_still_takes_the_motion_around_it() -> None:
    a, b = (luma(frame).copy() for frame in moving_frames(2, 160, 112, speed=(4, 2)))
    hole = np.zeros(a.shape, np.bool_)
    hole[44:68, 60:100] = True
    a[hole] = b[hole] = 0.9
    inside = flow(look(a, ~hole), look(b, ~hole))[:, hole]
    assert np.abs(inside - np.array([[2], [4]])).mean() < 0.4
    blind = flow(look(a), look(b))[:, hole]  # the same, not told of the hole: it follows what stands still
    assert np.abs(blind - np.array([[2], [4]])).mean() > 1


def test_sizes_that_fit_no_cell_work() -> None:
    a, b = (luma(frame) for frame in moving_frames(2, 61, 43, speed=(2, 0)))
    found = flow(look(a), look(b))
    assert found.shape == (2, 43, 61)
    assert np.abs(found[1, 12:-12, 16:-16] - 2).mean() < 0.5


def test_reading_at_whole_places_gives_the_samples_themselves() -> None:
    picture = np.random.default_rng(0).random((2, 5, 7)).astype(np.float32)
    y, x = np.mgrid[:5, :7].astype(np.float32)
    assert np.array_equal(sample(picture, y, x), picture)
    assert np.array_equal(sample(picture, y - 9, x + 9), np.broadcast_to(picture[:, :1, -1:], picture.shape))


def test_a_flow_that_misses_is_known_by_what_is_seen() -> None:
    a, b = (look(luma(frame)) for frame in moving_frames(2, 160, 112, speed=(4, 2)))
    true = np.empty((2, 112, 160), np.float32)
    true[0], true[1] = 2, 4
    inner = (slice(16, -16), slice(16, -16))
    assert misfit(a, b, true)[inner].mean() < 0.3
    assert misfit(a, b, true + 2)[inner].mean() > 1
