from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from clips import blacken, join, moving_frames

from vgan_plugin.detect import Blanks, Cuts, Repeats, scan
from vgan_plugin.types import Frame

MOVING = moving_frames(30, speed=(2, 1))


def said(frames: Sequence[Frame]) -> list[tuple[str, int, int]]:
    return [(e.kind, e.first, e.last) for e in scan(frames, [Blanks, Cuts, Repeats])[1]]


def dimmed(frame: Frame, share: float) -> Frame:
    luma = 16 + (frame.planes[0].astype(float) - 16) * share
    return replace(frame, planes=(luma.astype(np.uint8), *frame.planes[1:]))


@pytest.mark.parametrize("run", [(12,), (12, 13), (12, 13, 14, 15)])
def test_black_inside_a_shot_is_one_blank(run: tuple[int, ...]):
    assert said(blacken(MOVING, *run)) == [("blank", run[0], run[-1])]


def test_white_inside_a_shot_is_a_blank():
    frames = list(MOVING)
    frames[7] = replace(
        frames[7], planes=tuple(np.full_like(p, v) for p, v in zip(frames[7].planes, (235, 128, 128), strict=True))
    )
    (event,) = scan(frames, [Blanks])[1]
    assert "white for 1 frame inside a shot" in event.reason


def test_two_blanks_near_each_other_are_two():
    assert said(blacken(MOVING, 10, 12)) == [("blank", 10, 10), ("blank", 12, 12)]


def test_black_frames_between_two_shots_are_a_blank_and_a_cut():
    frames = join(MOVING[:15], moving_frames(15, seed=9))
    assert said(blacken(frames, 14, 15)) == [("blank", 14, 15), ("cut", 16, 16)]


def test_black_that_is_held_between_two_shots_is_meant():
    frames = blacken(join(MOVING[:15], moving_frames(20, seed=9)), *range(15, 25))
    assert [kind for kind, _, _ in said(frames)] == ["cut", "cut"]


def test_a_fade_through_black_is_no_blank():
    shares = [1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.05, 0, 0, 0.05, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1]
    assert said([dimmed(frame, share) for frame, share in zip(MOVING, shares, strict=False)]) == []


def test_black_at_the_start_and_the_end_is_no_blank():
    assert not [e for e in said(blacken(MOVING, 0, 1, 28, 29)) if e[0] == "blank"]


def test_a_dark_scene_is_no_blank():
    assert said([dimmed(frame, 0.03) for frame in MOVING]) == []
