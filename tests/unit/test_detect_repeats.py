from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from clips import freeze, join, moving_frames

from vgan_plugin.detect import Repeats, scan
from vgan_plugin.types import Frame


def spans(frames: Sequence[Frame]) -> list[tuple[str, int, int]]:
    return [(e.kind, e.first, e.last) for e in scan(frames, [Repeats])[1]]


def retimed(frames: Sequence[Frame]) -> list[Frame]:
    return [replace(frame, pts=i) for i, frame in enumerate(frames)]


def noisy(frames: Sequence[Frame], levels: float, seed: int = 1) -> list[Frame]:
    rng = np.random.default_rng(seed)
    out = []
    for frame in frames:
        luma = frame.planes[0] + rng.normal(0, levels, frame.planes[0].shape)
        out.append(replace(frame, planes=(np.clip(luma, 0, 255).astype(np.uint8), *frame.planes[1:])))
    return out


MOVING = moving_frames(40, speed=(2, 1))


@pytest.mark.parametrize("kind", ["yuv420p", "yuv422p10le", "gbrp", "gray"])
def test_a_repeat_in_a_moving_picture_is_a_duplicate(kind: str):
    assert spans(freeze(moving_frames(20, format=kind, speed=(2, 1)), 9)) == [("duplicate", 9, 9)]


def test_a_frozen_run_is_one_event():
    assert spans(freeze(MOVING, 20, 21, 22)) == [("frozen", 20, 22)]


def test_an_event_says_what_was_seen():
    (event,) = scan(freeze(MOVING, 20), [Repeats])[1]
    assert event.score == 1.0
    assert "same picture as frame 19" in event.reason
    assert (event.count, event.first_pts, event.time) == (1, 20, Fraction(20, 25))


def test_repeats_under_the_noise_are_found():
    assert spans(noisy(freeze(MOVING, 12, 25, 26), 2.0)) == [("duplicate", 12, 12), ("frozen", 25, 26)]


def test_a_moving_picture_has_no_repeats():
    assert spans(MOVING) == []
    assert spans(noisy(MOVING, 3.0)) == []


def test_stuck_frames_at_a_regular_distance_are_found_when_something_is_lost():
    assert len(spans(freeze(MOVING, *range(4, 38, 5)))) == len(range(4, 38, 5))


def test_a_conversion_that_repeats_every_fifth_picture_is_left_alone():
    assert spans(retimed([MOVING[i - i // 5] for i in range(45)])) == []


def test_a_conversion_with_uneven_steps_is_left_alone():
    wide = moving_frames(80, 160, 96, speed=(1, 0))
    places = np.cumsum([2, 3] * 14)
    assert spans(retimed([wide[p] for i, p in enumerate(places) for _ in range(1 + (i + 1) % 2)])) == []


def test_a_small_step_among_other_small_ones_is_no_repeat():
    wide = moving_frames(140, 160, 96, speed=(1, 0))
    places = np.cumsum([6] * 12 + [1, 6, 6, 2] + [6] * 8)
    assert spans([replace(wide[p], pts=i) for i, p in enumerate(places)]) == []


@pytest.mark.parametrize("hold", [2, 3])
def test_animation_on_twos_or_threes_is_left_alone(hold: int):
    assert spans(retimed([MOVING[i // hold] for i in range(60)])) == []


def test_animation_on_twos_is_left_alone_however_uneven_its_motion():
    wide = moving_frames(80, 160, 96, speed=(1, 0))
    places = [0, 2, 3, 4, 4, 13, 14, 15, 25, 26, 31, 38, 47, 48, 53, 54]
    assert spans(retimed([wide[place] for place in places for _ in range(2)])) == []


def test_pull_down_is_left_alone():
    shown = [i for i in range(24) for _ in range(2 + i % 2)]
    assert spans(retimed([MOVING[i] for i in shown])) == []


def test_one_repeat_with_nothing_lost_is_left_alone():
    assert spans(retimed([*MOVING[:20], MOVING[19], *MOVING[20:]])) == []


def test_a_still_scene_is_no_freeze():
    assert spans(retimed([MOVING[0]] * 30)) == []
    assert spans(noisy(retimed([MOVING[0]] * 30), 2.0)) == []


def test_motion_that_stops_and_starts_again_is_no_freeze():
    assert spans(retimed([*MOVING[:15], *[MOVING[15]] * 20, *MOVING[15:30]])) == []


def test_pages_that_turn_are_no_freeze():
    pages = [moving_frames(1, seed=seed)[0] for seed in range(6)]
    assert spans(retimed([page for page in pages for _ in range(12)])) == []


def test_a_picture_held_to_the_end_is_no_freeze():
    assert spans(retimed([*MOVING[:20], *[MOVING[20]] * 10])) == []


def test_the_last_frame_but_one_can_be_stuck():
    assert spans(freeze(MOVING, 38)) == [("duplicate", 38, 38)]


def test_a_stuck_frame_before_a_cut_is_found():
    other = moving_frames(20, seed=5)
    assert spans(join(freeze(MOVING[:20], 19), other)) == [("duplicate", 19, 19)]


def test_a_quieter_shot_after_a_cut_has_its_own_scale():
    shot = moving_frames(24, seed=5, speed=(1, 0))
    quiet = [replace(f, planes=(f.planes[0] // 4 + 96, *f.planes[1:])) for f in shot]
    assert spans(join(MOVING[:20], freeze(quiet, 12))) == [("duplicate", 32, 32)]


def test_flagged_frames_are_not_judged():
    frames = freeze(MOVING, 20)
    frames[20] = replace(frames[20], corrupt=True)
    assert spans(frames) == []


def test_memory_stays_small_over_a_long_freeze():
    detector = Repeats()
    held = [replace(MOVING[0], pts=i) for i in range(2000)]
    for i, frame in enumerate(held):
        assert detector.feed(i, frame) == []
    assert len(detector._pictures) == 1
