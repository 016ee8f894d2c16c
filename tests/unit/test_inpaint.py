"""Holes in frames: what others show is found, the rest is made, what was seen stays bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from clips import join, moving_frames
from hypothesis import given
from hypothesis import strategies as st
from toy import Toy, digest

from vgan_plugin.errors import UsageError
from vgan_plugin.fill import Inpainter, Record, Scene, Steps, background, fill_gap, inpaint_stream
from vgan_plugin.fill.background import Background, Found, around
from vgan_plugin.fill.engine import Filled
from vgan_plugin.fill.inpaint import fused
from vgan_plugin.gaps import Target
from vgan_plugin.hosts.masks import Holes, dilated
from vgan_plugin.pixels.flow import Field, View, flow
from vgan_plugin.pixels.planes import chroma_mask
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.runtime.simple import BLEND, REPEAT, Simple
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import FillRequest, Frame, FrameGenerator, Made, Mask, OpenRequest, RenderRequest

W, H = 128, 80
PERIOD = Fraction(1, 25)


def box(top: int, left: int, height: int, width: int) -> Mask:
    mask = np.zeros((H, W), np.bool_)
    mask[top : top + height, left : left + width] = True
    return mask


def spoil(frame: Frame, mask: Mask | None) -> Frame:
    """A logo over the mask."""
    if mask is None:
        return frame
    planes = []
    for i, plane in enumerate(frame.planes):
        where = chroma_mask(mask, frame.format) if i and frame.format.family == "yuv" else mask
        planes.append(np.where(where, 1 << frame.format.bits - 1, plane).astype(plane.dtype))
    return replace(frame, planes=tuple(planes))


def inpaint(
    frames: Sequence[Frame], masks: Sequence[Mask | None], generator: FrameGenerator | None = None, **how: object
) -> list[tuple[Frame, Record | None]]:
    scene = Scene(PERIOD, around(np.logical_or.reduce([m for m in masks if m is not None])), **how)  # type: ignore[arg-type]
    return list(inpaint_stream(frames, Inpainter(scene, lambda i: masks[i], generator or Simple(REPEAT))))


def off(made: Frame, truth: Frame, mask: Mask) -> float:
    return float(np.abs(made.planes[0][mask].astype(int) - truth.planes[0][mask]).mean())


@pytest.mark.parametrize("form", ["yuv420p", "yuv422p10le", "gbrp", "gray"])
def test_a_logo_on_a_moving_scene_is_replaced_by_what_other_frames_show(form: str) -> None:
    frames = moving_frames(10, W, H, form, speed=(7, 0))
    mask = box(30, 50, 14, 20)
    out = inpaint([spoil(frame, mask) for frame in frames], [mask] * 10)
    assert [frame.pts for frame, _ in out] == [frame.pts for frame in frames]
    for (made, record), truth in zip(out, frames, strict=True):
        assert record is not None
        assert record.method == "background"
        assert off(made, truth, mask) < 0.2 * off(spoil(truth, mask), truth, mask)
        for i, (new, old) in enumerate(zip(made.planes, truth.planes, strict=True)):
            seen = ~(chroma_mask(mask, made.format) if i and made.format.family == "yuv" else mask)
            assert np.array_equal(new[seen], old[seen])


def test_without_a_later_frame_only_the_past_is_looked_at_and_nothing_waits() -> None:
    frames = moving_frames(8, W, H, speed=(7, 0))
    mask = box(30, 50, 14, 20)
    scene = Scene(PERIOD, around(mask), later=False)
    inpainter = Inpainter(scene, lambda _: mask, Simple(REPEAT))
    out = []
    for i, frame in enumerate(frames):
        out += list(inpainter.push(spoil(frame, mask)))
        assert len(out) == i + 1
    assert not list(inpainter.finish())
    assert off(out[7][0], frames[7], mask) < 8
    assert all(pts <= frame.pts for frame, record in out if record for pts in record.references)


def test_what_is_found_depends_on_the_frames_within_reach_alone() -> None:
    reach = 2
    frames = moving_frames(8, 64, 48, speed=(4, 0), seed=3)
    mask = np.zeros((48, 64), np.bool_)
    mask[16:30, 20:40] = True
    spoiled = [spoil_small(frame, mask) for frame in frames]

    def found(first: int) -> str:
        holder = Background(around(mask), reach)
        for i in range(first, len(frames)):
            holder.add(i, spoiled[i], mask)
        return digest(holder.find(spoiled[4:5], 4)[0].frame)

    assert found(0) == found(4 - reach)
    assert found(0) != found(3)


def spoil_small(frame: Frame, mask: Mask) -> Frame:
    return replace(frame, planes=(np.where(mask, 128, frame.planes[0]).astype(np.uint8), *frame.planes[1:]))


def test_another_pass_works_out_no_motion_again_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = moving_frames(6, W, H, speed=(7, 0))
    mask = box(30, 50, 14, 20)
    scene, steps, calls = Scene(PERIOD, around(mask)), Steps(), 0

    def counted(*views: View) -> Field:
        nonlocal calls
        calls += 1
        return flow(*views)

    def inpainted(steps: Steps | None) -> list[str]:
        inpainter = Inpainter(scene, lambda _: mask, Simple(REPEAT), steps=steps)
        return [digest(made) for made, _ in inpaint_stream([spoil(f, mask) for f in frames], inpainter)]

    monkeypatch.setattr(background, "flow", counted)
    first = inpainted(steps)
    assert calls == 2 * (len(frames) - 1)
    assert inpainted(steps) == first == inpainted(None)
    assert calls == 4 * (len(frames) - 1)
    assert inpainted(Steps(0)) == first


def test_nothing_is_looked_for_across_a_cut() -> None:
    mask = box(30, 50, 14, 20)
    first, second = moving_frames(4, W, H, speed=(7, 0)), moving_frames(4, W, H, speed=(7, 0), seed=7)
    frames = join(first, second)
    masks = [mask] * 8
    together = inpaint([spoil(f, mask) for f in frames], masks, cuts=(4,))
    alone = inpaint([spoil(f, mask) for f in first], masks)
    assert [digest(f) for f, _ in together[:4]] == [digest(f) for f, _ in alone]


def test_what_no_frame_shows_is_asked_of_the_generator_with_holes_left_out_of_its_memory() -> None:
    class Watching(Toy):
        def encode(self, frame: Frame, valid: Mask | None = None) -> object:
            trusted.append(valid)
            return super().encode(frame, valid)

    trusted: list[Mask | None] = []
    frames = moving_frames(9, W, H, speed=(0, 0))
    mask = box(20, 30, 16, 24)
    generator = Watching()
    out = inpaint([spoil(f, mask) for f in frames], [mask] * 9, generator)
    assert {record.method for _, record in out if record} == {"toy"}
    assert all(record.confidence == pytest.approx(0.5, abs=0.01) for _, record in out if record)
    assert trusted
    assert all(valid is not None and np.array_equal(valid, ~mask) for valid in trusted)
    middle = out[4][1]
    assert middle is not None
    assert (middle.references, middle.offsets) == ((3, 5), (-1, 1))
    assert all(np.array_equal(f.planes[0][~mask], g.planes[0][~mask]) for (f, _), g in zip(out, frames, strict=True))


def test_a_frame_that_is_hidden_whole_is_made_from_the_nearest_that_are_not() -> None:
    frames = moving_frames(9, W, H)
    masks: list[Mask | None] = [None] * 9
    masks[4] = masks[5] = np.ones((H, W), np.bool_)
    out = inpaint(frames, masks, Simple(BLEND))
    records = [record for _, record in out if record is not None]
    assert [record.index for record in records] == [4, 5]
    assert [record.references for record in records] == [(3, 6), (3, 6)]
    assert records[0].offsets == (-1, 2)


def test_a_generator_that_fails_costs_no_frame() -> None:
    def fails(call: str, _pts: int) -> None:
        if call == "render":
            raise RuntimeError("no")

    frames = moving_frames(9, W, H, speed=(0, 0))
    mask = box(20, 30, 16, 24)
    out = inpaint([spoil(f, mask) for f in frames], [mask] * 9, Toy(fails=fails))
    assert len(out) == 9
    assert all(record is not None and record.fallback for _, record in out)


def test_the_hook_mends_a_frame_that_is_known_in_parts() -> None:
    frames = moving_frames(9, W, H, speed=(2, 1))
    lost = box(16, 32, 16, 48)
    request = FillRequest(
        before=tuple(frames[:4]),
        after=tuple(frames[5:]),
        times=(frames[4].time,),
        period=PERIOD,
        masks=(lost,),
        known=(spoil(frames[4], lost),),
    )
    (made,) = fill_gap(request, Simple(REPEAT)).frames
    assert made.time == frames[4].time
    assert np.array_equal(made.planes[0][~lost], frames[4].planes[0][~lost])
    assert off(made, frames[4], lost) < 6


def test_the_hook_takes_a_still_alone() -> None:
    frame = moving_frames(1, W, H)[0]
    lost = box(16, 32, 16, 48)
    request = FillRequest((), (), (frame.time,), PERIOD, masks=(lost,), known=(spoil(frame, lost),))
    fill = fill_gap(request, Toy())
    assert fill.method == "toy"
    assert np.array_equal(fill.frames[0].planes[0][~lost], frame.planes[0][~lost])
    with pytest.raises(UsageError):
        fill_gap(replace(request, known=(), masks=()), Toy())


@pytest.mark.parametrize("generator", ["repeat", "base"])
def test_what_is_hidden_is_shown_to_nobody_and_comes_back_in_no_frame(generator: str) -> None:
    mask = box(24, 40, 20, 40)
    scene = moving_frames(5, W, H, speed=(1, 0))

    def inpainted(logo: int) -> list[str]:
        frames = []
        for frame in scene:
            planes = []
            for i, plane in enumerate(frame.planes):
                where = chroma_mask(mask, frame.format) if i else mask
                planes.append(np.where(where, logo, plane).astype(np.uint8))
            frames.append(replace(frame, planes=tuple(planes)))
        maker = get_plugin_manager().open_generator(
            OpenRequest(generator="repeat") if generator == "repeat" else OpenRequest(model="lite", device="cpu")
        )
        try:
            return [digest(frame) for frame, _ in inpaint(frames, [mask] * 5, maker)]
        finally:
            maker.close()

    assert inpainted(40) == inpainted(220)


def test_where_nobody_shows_a_pixel_the_generator_counts_if_it_sees_the_place_and_hardly_if_not() -> None:
    (frame,) = moving_frames(1, W, H, "gray")
    mask, blind = box(20, 20, 40, 80), box(0, 0, H, W // 2)
    closed = replace(frame, planes=(np.zeros((H, W), np.uint8),))
    found = Found(closed, mask, np.zeros((H, W), np.float32))
    white = replace(frame, planes=(np.full((H, W), 255, np.uint8),))
    target = Target(0, 0, 1, (Fraction(-1), Fraction(1)))
    made = Filled(white, 0.5, target, "toy", map=np.full((H, W), 0.5, np.float32))
    plane = fused(found, made, mask, blind).frame.planes[0]
    assert plane[mask & blind].max() < 0.05 * 255
    assert plane[mask & ~blind].min() > 0.9 * 255
    assert not plane[~mask].any()


def test_what_no_frame_shows_moves_with_the_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strip along the whole lower edge of a scene that moves sideways: nobody shows what it hides."""
    speed = 5
    frames = moving_frames(8, W, H, "gray", speed=(speed, 0))
    mask = box(60, 0, 20, W)

    def unrest(calm: int) -> float:
        monkeypatch.setattr(background, "CALM", calm)
        out = [made.planes[0].astype(int) for made, _ in inpaint([spoil(f, mask) for f in frames], [mask] * 8)]
        return float(np.mean([np.abs(b[60:, 32:-32] - a[60:, 32 - speed : -32 - speed]) for a, b in pairwise(out)]))

    assert unrest(3) < 0.85 * unrest(0)


def test_a_hole_that_hides_the_same_place_in_every_frame_is_closed_alike_whatever_the_generator_says() -> None:
    """A scene that stands still behind a logo that does, too: no frame shows what is behind."""
    frames = [replace(moving_frames(1, W, H)[0], pts=i) for i in range(4)]
    mask = box(30, 50, 20, 30)
    out = [made for made, _ in inpaint([spoil(frame, mask) for frame in frames], [mask] * 4, Flickering())]
    flicker = [off(a, b, mask) for a, b in pairwise(out)]
    assert max(flicker) < 6


class Flickering(Simple):
    """Says black and white in turn, and is sure of it."""

    def __init__(self) -> None:
        super().__init__(REPEAT)

    def render(self, request: RenderRequest) -> Made:
        made = super().render(request)
        planes = tuple(np.full_like(plane, 255 * (request.pts % 2)) for plane in made.frame.planes)
        return replace(made, frame=replace(made.frame, planes=planes), confidence=0.5)


@given(by=st.integers(0, 6), seed=st.integers(0, 99), height=st.integers(1, 9), width=st.integers(1, 9))
def test_a_grown_mask_is_what_lies_near_it(by: int, seed: int, height: int, width: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.1
    near = [
        [mask[max(y - by, 0) : y + by + 1, max(x - by, 0) : x + by + 1].any() for x in range(width)]
        for y in range(height)
    ]
    np.testing.assert_array_equal(dilated(mask, by), near)


def test_boxes_and_pictures_grow_and_what_is_empty_stays_so() -> None:
    line = Timeline((0, 1, 2), Fraction(1, 25))
    box = Holes(boxes=((1, (4, 3, 2, 1)),), grow=2)
    before, grown, after = box.read(line, 12, 10)
    assert before is after is None
    assert grown is not None
    assert grown.sum() == 6 * 5
    assert grown[1:6, 2:8].all()
