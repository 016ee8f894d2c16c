"""Small pictures: what they show, which are kept, and how little is held on the way."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction

import av
import clips
import numpy as np
import pytest

from vgan_plugin.fill import Record, fill_stream
from vgan_plugin.gaps import Plan, Target
from vgan_plugin.hosts import pictures
from vgan_plugin.hosts.pictures import Pictures, PicturesInPlace, PlannedPictures, Strip
from vgan_plugin.media.thumbnails import jpeg
from vgan_plugin.pixels.colour import from_rgb
from vgan_plugin.runtime.simple import BLEND, Simple
from vgan_plugin.types import Colour, Frame, Made, RenderRequest

TICK = Fraction(1, 25)


def picture(data: bytes) -> np.ndarray:
    """(H, W, 3) RGB of a JPEG file."""
    with av.open(io.BytesIO(data), format="mjpeg") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("colour", [(0.8, 0.2, 0.1), (0.1, 0.6, 0.3), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("yuv420p", Colour(matrix=1, full_range=False)),
        ("yuv420p", Colour()),
        ("yuv444p10le", Colour(matrix=9, full_range=True)),
        ("gbrp12le", Colour(matrix=0)),
        ("yuva422p", Colour(matrix=5)),
        ("gray", Colour()),
    ],
)
def test_a_picture_has_the_colours_of_its_frame(name: str, meaning: Colour, colour: tuple[float, float, float]) -> None:
    like = clips.moving_frames(1, 64, 48, name, colour=meaning)[0]
    flat = np.broadcast_to(np.array(colour, np.float32)[:, None, None], (3, 48, 64)).copy()
    frame = from_rgb(flat, like, 0, TICK)
    shown = picture(jpeg(frame))[8:40, 8:56].mean((0, 1)) / 255
    np.testing.assert_allclose(shown, frame.rgb()[:, 24, 32], atol=0.02)


def test_a_picture_is_small_square_pixelled_and_turned_as_a_player_turns_it() -> None:
    frame = clips.moving_frames(1, 640, 360)[0]
    assert picture(jpeg(frame)).shape == (180, 320, 3)
    assert picture(jpeg(frame, aspect=Fraction(4, 3))).shape == (135, 320, 3)
    upright, turned = (picture(jpeg(frame, rotation=degrees)).astype(int) for degrees in (0, 90))
    assert turned.shape == (320, 180, 3)
    assert np.abs(turned - np.rot90(upright)).mean() < 6
    assert picture(jpeg(clips.moving_frames(1, 33, 17)[0])).shape == (17, 33, 3)


def gaps(count: int, why: str = "missing") -> tuple[list[Frame], Plan]:
    """`count` gaps of one frame each, in place or between, and the frames that are there."""
    frames = clips.moving_frames(2 * count + 1, 48, 32)
    inserted = why == "missing"
    targets = []
    for k in range(count):
        a, b = (k, k + 1) if inserted else (2 * k, 2 * k + 2)
        offsets = (Fraction(-1), Fraction(1))
        targets.append(Target(2 * k + 1, a, b, offsets, None if inserted else 2 * k + 1, why))
    source = frames[::2] if inserted else frames
    bad = frozenset(() if inserted else range(1, 2 * count, 2))
    return source, Plan(TICK, len(source), TICK, targets=tuple(targets), bad=bad)


class Sure(Simple):
    """`blend` with a confidence of its own for each frame."""

    def __init__(self, sure: list[float]) -> None:
        super().__init__(BLEND)
        self._sure = sure

    def render(self, request: RenderRequest) -> Made:
        return replace(super().render(request), confidence=self._sure[request.pts // 2])


def taken(frames: list[Frame], plan: Plan, most: int, sure: list[float]) -> tuple[Pictures, list[Strip]]:
    found = PlannedPictures(plan, most)
    for frame, record in fill_stream(found.watch(frames), plan, Sure(sure)):
        if record is not None:
            found.add(frame, record)
    return found, found.strips


def test_a_strip_shows_the_frame_between_its_neighbours() -> None:
    frames, plan = gaps(3)
    _, strips = taken(frames, plan, 10, [0.5, 0.4, 0.3])
    assert [strip.number for strip in strips] == [0, 1, 2]
    for k, strip in enumerate(strips):
        assert strip.before == jpeg(frames[k])
        assert strip.after == jpeg(frames[k + 1])
        assert strip.was is None
        mean = (picture(strip.before or b"").astype(int) + picture(strip.after or b"")) / 2
        assert np.abs(picture(strip.made) - mean).mean() < 8


@pytest.mark.parametrize(("why", "shown"), [("corrupt", True), ("at", True), ("frozen", False), ("blank", False)])
def test_what_was_there_is_shown_where_it_is_a_picture(why: str, shown: bool) -> None:
    frames, plan = gaps(2, why)
    _, strips = taken(frames, plan, 10, [0.5, 0.5])
    assert [strip.was for strip in strips] == ([jpeg(frames[1]), jpeg(frames[3])] if shown else [None, None])


def test_the_least_sure_are_kept_and_of_equals_the_earlier() -> None:
    sure = [0.9, 0.2, 0.5, 0.2, 0.8, 0.2, 0.1]
    frames, plan = gaps(len(sure))
    assert [strip.number for strip in taken(frames, plan, 3, sure)[1]] == [1, 3, 6]
    assert [strip.number for strip in taken(frames, plan, 2, [0.0] * 7)[1]] == [0, 1]


def test_of_many_frames_little_is_held_and_few_are_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = 0

    def count(frame: Frame, **options: object) -> bytes:
        nonlocal encoded
        encoded += 1
        return b"x"

    monkeypatch.setattr(pictures, "jpeg", count)
    frames, plan = gaps(60)
    found = PlannedPictures(plan, 5)
    most = 0
    for frame, record in fill_stream(found.watch(frames), plan, Sure([i / 60 for i in range(60)])):
        most = max(most, len(found._sources))
        if record is not None:
            found.add(frame, record)
    assert len(found.strips) == 5
    assert most <= 3
    assert encoded == 11  # five made frames and the six around them
    assert not found._sources
    assert not found._was


def test_a_frame_predicted_from_two_on_one_side_has_only_that_neighbour() -> None:
    frames = clips.moving_frames(3, 48, 32)
    target = Target(3, 1, 2, (Fraction(-2), Fraction(-1)), why="extend")
    plan = Plan(TICK, 3, TICK, targets=(target,))
    (strip,) = taken(frames, plan, 5, [0.5, 0.5])[1]
    assert strip.before == jpeg(frames[2])
    assert strip.after is None


def records(frames: list[Frame], made: set[int]) -> list[tuple[Frame, Record]]:
    return [(f, Record(i, f.pts, f.time_base, "toy", (), (), 0.5, "mask")) for i, f in enumerate(frames) if i in made]


def test_frames_made_in_place_are_shown_beside_what_was_there_also_long_after_it_went_by() -> None:
    frames = clips.moving_frames(60, 48, 32)
    found = PicturesInPlace(10)
    for _ in found.watch(frames[:50]):  # whoever makes them looks far ahead
        pass
    for frame, record in records(frames, {3, 4, 40}):
        found.add(frame, record)
    assert [strip.was for strip in found.strips] == [jpeg(frames[i]) for i in (3, 4, 40)]
    assert all(strip.before is strip.after is None for strip in found.strips)


def test_of_a_long_clip_in_which_nothing_is_made_little_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "jpeg", lambda *_, **__: b"x")
    found = PicturesInPlace(10)
    frame = clips.moving_frames(1, 16, 16)[0]
    for _ in found.watch(replace(frame, pts=i) for i in range(1000)):
        pass
    assert len(found._was) <= pictures._BEHIND
    found.add(*records([replace(frame, pts=998)], {0})[0])
    assert list(found._was) == [Fraction(999, 25)]
