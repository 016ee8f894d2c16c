import gc
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from clips import blacken, drop, freeze, join, moving_frames

from vgan_plugin.detect import BUILTIN, Damage, resolve, scan
from vgan_plugin.detect.look import Look, change, look
from vgan_plugin.gaps import Event, Kind, plan_gaps
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame

MOVING = moving_frames(40, speed=(2, 1))
LINE = Timeline(tuple(range(40)), Fraction(1, 25))


def event(kind: Kind, first: int, last: int) -> Event:
    return Event(kind, first, last, first, last, first * LINE.time_base, last - first + 1, 1.0, "said")


def test_a_broken_clip_is_seen_as_it_was_broken():
    shots = join(MOVING, moving_frames(20, seed=3))
    frames = drop(blacken(freeze(shots, 10, 20, 21), 30), 34, 35, 50)
    timeline, events = scan(frames)
    assert [(e.kind, e.first_pts, e.last_pts, e.count) for e in events] == [
        ("duplicate", 10, 10, 1),
        ("frozen", 20, 21, 2),
        ("blank", 30, 30, 1),
        ("missing", 34, 35, 2),
        ("cut", 40, 40, 0),
        ("missing", 50, 50, 1),
    ]
    assert [t.pts for t in plan_gaps(timeline, events).targets] == [10, 20, 21, 30, 34, 35, 50]


def test_a_whole_clip_has_no_events():
    assert scan(MOVING)[1] == []


def test_a_stuck_frame_beside_a_hole_is_seen_with_it():
    frames = drop(freeze(MOVING, 20), 21, 22)
    assert [(e.kind, e.first_pts, e.count) for e in scan(frames)[1]] == [("duplicate", 20, 1), ("missing", 21, 2)]


def test_a_hole_at_a_cut_is_a_hole_and_a_cut():
    frames = drop(join(MOVING[:20], moving_frames(20, seed=3)), 19, 20)
    assert [(e.kind, e.first) for e in scan(frames)[1]] == [("missing", 18), ("cut", 19)]


def test_flagged_frames_are_one_event_a_run():
    frames = [replace(f, corrupt=i in (5, 6, 7, 20, 39)) for i, f in enumerate(MOVING)]
    assert [(e.kind, e.first, e.last) for e in scan(frames, [Damage])[1]] == [
        ("corrupt", 5, 7),
        ("corrupt", 20, 20),
        ("corrupt", 39, 39),
    ]


def test_no_frames_have_no_events():
    timeline, events = scan([])
    assert (timeline.pts, events) == ((), [])


def test_the_surer_kind_has_the_frame():
    events = resolve([event("frozen", 5, 9), event("corrupt", 7, 7), event("duplicate", 9, 9)], LINE)
    assert [(e.kind, e.first, e.last, e.count) for e in events] == [
        ("frozen", 5, 6, 2),
        ("corrupt", 7, 7, 1),
        ("frozen", 8, 9, 2),
    ]


def test_a_frame_that_is_not_what_it_should_be_begins_no_shot():
    events = resolve([event("cut", 7, 7), event("blank", 7, 8), event("cut", 9, 9), event("cut", 9, 9)], LINE)
    assert [(e.kind, e.first) for e in events] == [("blank", 7), ("cut", 9)]


@pytest.mark.parametrize("detector", BUILTIN)
def test_every_verdict_comes_within_its_lookahead(detector: type):
    frames = drop(blacken(freeze(join(MOVING, *[moving_frames(40, seed=3)] * 3), 10, 20, 21, 60), 30, 70), 34, 35)
    frames = [replace(f, corrupt=i in (25, 26)) for i, f in enumerate(frames)]
    made = detector()
    seen = 0
    for index, frame in enumerate(frames):
        for found in made.feed(index, frame):
            seen += 1
            assert index - found.last <= made.lookahead
    assert seen or list(made.finish())


def test_frames_are_let_go_after_they_have_been_seen():
    alive: list[weakref.ref[Frame]] = []

    def clip() -> Iterator[Frame]:
        for i in range(150):
            frame = replace(MOVING[i % 40], pts=i)
            alive.append(weakref.ref(frame))
            yield frame
            gc.collect(0)
            assert sum(ref() is not None for ref in alive) < 20

    scan(clip())


def test_a_look_is_made_once_a_frame():
    assert look(MOVING[0]) is look(MOVING[0])


@pytest.mark.parametrize("size", [(640, 360), (637, 359), (64, 48), (3, 2), (400, 2)])
def test_a_look_is_the_mean_of_boxes(size: tuple[int, int]):
    width, height = size
    frame = moving_frames(1, width, height, "gray")[0]
    factor = max(1, min(round(width / 160), width, height))
    rows, columns = height // factor, width // factor
    boxes = frame.planes[0][: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    assert np.allclose(look(frame).luma, boxes.mean((1, 3)), atol=1e-3)


def test_levels_do_not_depend_on_the_depth():
    eight, ten = (moving_frames(1, 64, 48, form)[0] for form in ("gray", "gray10le"))
    assert np.abs(look(eight).luma - look(ten).luma).max() <= 1


def test_pictures_of_different_size_differ_by_everything():
    a, b = (Look(np.zeros(shape, np.float32)) for shape in ((4, 4), (4, 5)))
    assert change(a, b).mean == 255


class Shouting:
    lookahead = 0

    def feed(self, index: int, frame: Frame) -> Iterable[Event]:
        return [event("blank", index, index)] if index == 3 else []

    def finish(self) -> Iterable[Event]:
        return []


def test_a_strangers_detector_is_heard():
    assert [e.kind for e in scan(MOVING[:6], [*BUILTIN, Shouting])[1]] == ["blank"]
