from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from clips import join, moving_frames

from vgan_plugin.detect import Cuts, scan
from vgan_plugin.types import Frame

MOVING = moving_frames(24, speed=(2, 1))


def cuts(frames: Sequence[Frame]) -> list[int]:
    return [e.first for e in scan(frames, [Cuts])[1]]


@pytest.mark.parametrize("size", [(64, 48), (160, 90), (320, 180)])
def test_every_new_shot_begins_with_a_cut(size: tuple[int, int]):
    shots = [moving_frames(8, *size, seed=seed) for seed in (1, 2, 3)]
    assert cuts(join(*shots)) == [8, 16]


def test_a_cut_can_come_right_after_another():
    shots = [moving_frames(n, 160, 90, seed=seed) for n, seed in ((8, 1), (2, 2), (8, 3))]
    assert cuts(join(*shots)) == [8, 10]


def test_motion_and_holes_in_it_are_no_cut():
    assert cuts(MOVING) == []
    assert cuts([*MOVING[:8], *MOVING[11:]]) == []


def test_a_fast_pan_is_no_cut():
    assert cuts(moving_frames(20, 320, 180, speed=(30, 6))) == []


def test_a_flash_of_light_is_no_cut():
    frames = list(MOVING)
    bright = np.clip(frames[9].planes[0].astype(np.uint16) * 2, 0, 235).astype(np.uint8)
    frames[9] = replace(frames[9], planes=(bright, *frames[9].planes[1:]))
    assert cuts(frames) == []


def test_a_cut_with_a_hole_is_a_cut():
    frames = join(MOVING[:10], moving_frames(14, seed=4))
    assert cuts([*frames[:8], *frames[12:]]) == [8]


def test_a_damaged_frame_is_no_cut():
    frames = list(MOVING)
    noise = np.random.default_rng(0).integers(0, 255, frames[9].planes[0].shape, dtype=np.uint8)
    frames[9] = replace(frames[9], planes=(noise, *frames[9].planes[1:]), corrupt=True)
    assert cuts(frames) == []


def test_a_shot_of_another_size_is_another_shot():
    assert cuts(join(MOVING, moving_frames(6, 80, 48))) == [24]
