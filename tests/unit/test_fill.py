"""The engine: the window rule, the same bytes in any order, kept frames untouched, failures told and survived."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from clips import drop, join, moving_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Toy, digest

from vgan_plugin.errors import PlanUnusable, UsageError
from vgan_plugin.fill import Engine, fill_gap, fill_stream
from vgan_plugin.gaps import Plan, Target, interpolation_plan, plan_gaps
from vgan_plugin.gaps.values import Event
from vgan_plugin.runtime.simple import BLEND, REPEAT, Simple
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import FillRequest, Frame, FrameGenerator, Made, RenderRequest


def clip(n: int) -> list[Frame]:
    return moving_frames(n, 16, 8)


def holes(frames: list[Frame], *lost: int, cuts: tuple[int, ...] = (), bad: tuple[int, ...] = ()) -> Plan:
    """A plan for what the planner would see when those frames of a full clip are lost."""
    timeline = Timeline(tuple(f.pts for f in frames), frames[0].time_base)
    events = [
        Event("missing", i, i + 1, f.pts + 1, g.pts - 1, (f.pts + 1) * f.time_base, g.pts - f.pts - 1, 1.0, "hole")
        for i, (f, g) in enumerate(pairwise(frames))
        if g.pts - f.pts > 1
    ]
    events += [Event("cut", i, i, frames[i].pts, frames[i].pts, frames[i].time, 0, 1.0, "cut") for i in cuts]
    events += [Event("corrupt", i, i, frames[i].pts, frames[i].pts, frames[i].time, 1, 1.0, "damaged") for i in bad]
    plan = plan_gaps(timeline, sorted(events, key=lambda e: e.first))
    assert len(plan.targets) >= len(lost)
    return plan


def bytes_of(frames: list[tuple[Frame, object]]) -> list[str]:
    return [digest(frame) for frame, record in frames if record is not None]


def test_kept_frames_keep_their_very_arrays_and_lost_ones_come_back_at_their_times() -> None:
    whole = clip(12)
    frames = drop(whole, 4, 7, 8)
    out = list(fill_stream(frames, holes(frames, 4, 7, 8), Toy()))
    assert [frame.pts for frame, _ in out] == [frame.pts for frame in whole]
    assert [record.index for _, record in out if record] == [4, 7, 8]
    kept = [frame for frame, record in out if record is None]
    assert all(a.planes[i] is b.planes[i] for a, b in zip(kept, frames, strict=True) for i in range(3))


def test_a_bad_frame_is_replaced_where_it_stands() -> None:
    frames = clip(9)
    out = list(fill_stream(frames, holes(frames, bad=(5,)), Toy()))
    assert len(out) == 9
    (record,) = [record for _, record in out if record]
    assert (record.index, record.why, record.method) == (5, "corrupt", "toy")
    assert record.references == (frames[4].pts, frames[6].pts)


@given(
    lost=st.sets(st.integers(1, 28), max_size=9),
    cut=st.integers(2, 27),
    block=st.integers(1, 9),
    lead=st.integers(0, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_every_made_frame_is_the_same_in_order_at_random_and_alone(
    lost: set[int], cut: int, block: int, lead: int, seed: int
) -> None:
    whole = join(moving_frames(cut, 16, 8), moving_frames(30 - cut, 16, 8, seed=1))
    frames = drop(whole, *lost)
    plan = holes(frames, *lost, cuts=tuple(i for i, f in enumerate(frames) if f.pts >= whole[cut].pts)[:1])
    in_order = bytes_of(list(fill_stream(frames, plan, Toy(block, lead))))
    shuffled = list(enumerate(plan.targets))
    random.Random(seed).shuffle(shuffled)
    engine = Engine(plan, Toy(block, lead), frames.__getitem__)
    at_random = {i: digest(engine.make(target).frame) for i, target in shuffled}
    alone = [digest(Engine(plan, Toy(block, lead), frames.__getitem__).make(t).frame) for t in plan.targets]
    assert [at_random[i] for i in range(len(plan.targets))] == in_order == alone


def test_the_state_starts_w_frames_before_the_block_of_the_later_reference() -> None:
    frames = drop(clip(40), 21)  # references are the source frames 20 and 21; 21 // 8 = block 2, 16 - 3 = 13
    toy = Toy(block=8, lead=3)
    list(fill_stream(frames, holes(frames, 21), toy))
    assert toy.remembered == [frames[i].pts for i in range(13, 23)]  # and the frame after, 22
    assert toy.encoded == toy.remembered


def test_a_frame_before_the_window_changes_nothing_and_one_inside_it_does() -> None:
    frames = drop(clip(40), 21)
    plan = holes(frames, 21)

    def made(changed: int) -> list[str]:
        other = [
            replace(f, planes=tuple(255 - p for p in f.planes)) if i == changed else f for i, f in enumerate(frames)
        ]
        return bytes_of(list(fill_stream(other, plan, Toy(block=8, lead=3))))

    assert made(12) == made(23) == made(-1)
    assert made(13) != made(-1) != made(22)


@pytest.mark.parametrize(("block", "known"), [(8, True), (7, True), (0, False)])
def test_how_things_move_on_after_the_gap_is_known_unless_a_cut_a_bad_frame_or_the_end_comes(
    block: int, known: bool
) -> None:
    whole = clip(12)  # of the source frames 5 and 6 around the gap, 7 follows; with B = 7 in the next block
    later: list[object] = []

    class Watched(Toy):
        def render(self, request: RenderRequest) -> Made:
            later.append(request.later)
            return super().render(request)

    def fill(frames: list[Frame], plan: Plan) -> None:
        list(fill_stream(frames, plan, Watched(block, 2)))
        Engine(plan, Watched(block, 2), frames.__getitem__).make(plan.targets[0])

    frames = drop(whole, 6)
    plan = holes(frames, 6)
    fill(frames, plan)
    fill(frames[:8], replace(plan, frames=8))
    assert [found is not None for found in later] == [known] * 4
    assert len(set(later)) == 1
    later.clear()
    fill(frames[:7], replace(plan, frames=7))
    fill(frames, replace(plan, cuts=(7,)))
    fill(frames, replace(plan, bad=frozenset({7})))
    fill(frames, replace(plan, targets=(replace(plan.targets[0], offsets=(Fraction(-3), Fraction(-1))),)))
    assert later == [None] * 8


def test_a_cut_starts_the_state_anew_and_does_not_move_the_grid() -> None:
    whole = join(moving_frames(14, 16, 8), moving_frames(26, 16, 8, seed=1))
    frames = drop(whole, 21)
    toy = Toy(block=8, lead=3)
    list(fill_stream(frames, holes(frames, 21, cuts=(14,)), toy))
    assert toy.remembered == [frames[i].pts for i in range(14, 23)]


def test_chains_that_no_target_needs_are_not_run() -> None:
    frames = drop(clip(200), 3, 150)
    toy = Toy(block=8, lead=2)
    list(fill_stream(frames, holes(frames, 3, 150), toy))
    assert len(toy.encoded) == 5 + 9  # 0..4, and from 142 to 150 (150 lost, one source index lost before)


def test_a_plan_without_targets_never_meets_the_generator() -> None:
    def fails(call: str, pts: int) -> None:
        raise AssertionError(call)

    frames = clip(6)
    assert len(list(fill_stream(frames, holes(frames), Toy(fails=fails)))) == 6


def test_interpolation_encodes_each_frame_once_and_remembers_the_lead_twice() -> None:
    frames = clip(33)
    toy = Toy(block=8, lead=2)
    timeline = Timeline(tuple(f.pts for f in frames), frames[0].time_base)
    out = list(fill_stream(frames, interpolation_plan(timeline, (), factor=3), toy))
    assert len(out) == 3 * 32 + 1
    assert toy.encoded == [f.pts for f in frames]
    assert len(toy.remembered) == 33 + (2 + 1) * 4  # the lead-in of each later block, and the frame after each block
    times = [frame.time for frame, _ in out]
    assert times == [Fraction(i, 75) for i in range(97)]


def test_bad_frames_are_not_remembered() -> None:
    frames = clip(12)
    toy = Toy(block=16, lead=0)
    list(fill_stream(frames, holes(frames, bad=(3, 8)), toy))
    assert toy.remembered == [frames[i].pts for i in range(11) if i not in (3, 8)]


def test_the_time_between_remembered_frames_is_exact_and_in_periods() -> None:
    frames = drop(clip(14), 6)
    toy = Toy(block=16, lead=0)
    list(fill_stream(frames, holes(frames, 6, bad=(3, 9)), toy))
    assert toy.steps == [0, 1, 1, 2, 1, 2, 1, 1, 2, 1]  # 6 is lost, 3 and 10 are bad


def test_a_frame_predicted_from_the_past_waits_for_the_kept_ones_before_it() -> None:
    frames = clip(8)
    target = Target(5, 2, 3, (Fraction(-3), Fraction(-2)), replaces=5)
    plan = Plan(frames[0].time_base, 8, Fraction(1, 25), targets=(target,), bad=frozenset({4, 5}))
    out = list(fill_stream(frames, plan, Toy()))
    assert [frame.pts for frame, _ in out] == list(range(8))
    assert [frame.pts for frame, record in out if record] == [5]


def test_a_frame_predicted_past_the_end_comes_last() -> None:
    frames = clip(4)
    target = Target(4, 2, 3, (Fraction(-2), Fraction(-1)))
    out = list(fill_stream(frames, Plan(frames[0].time_base, 4, Fraction(1, 25), targets=(target,)), Toy()))
    assert [frame.pts for frame, _ in out] == [0, 1, 2, 3, 4]


def test_a_crash_on_one_frame_is_stood_in_for_by_a_blend_and_told_once() -> None:
    frames = drop(clip(20), 4, 10, 15)
    plan = holes(frames, 4, 10, 15)

    def fails(call: str, pts: int) -> None:
        if call == "render" and pts in (4, 15):
            raise RuntimeError("out of memory\nsecond line")

    said: list[str] = []
    out = list(fill_stream(frames, plan, Toy(fails=fails), say=said.append))
    records = [record for _, record in out if record]
    assert [record.method for record in records] == ["blend", "toy", "blend"]
    assert "out of memory" in records[0].fallback
    assert records[1].fallback == ""
    assert len(said) == 1
    assert "\n" not in said[0]
    assert len(out) == 20


def test_a_crash_while_remembering_costs_memory_and_not_the_video() -> None:
    frames = drop(clip(20), 10)

    def fails(call: str, pts: int) -> None:
        if call == "remember" and pts == 8:
            raise RuntimeError("no")

    said: list[str] = []
    out = list(fill_stream(frames, holes(frames, 10), Toy(fails=fails), say=said.append))
    assert [record.method for _, record in out if record] == ["toy"]
    assert len(said) == 1


def test_a_frame_of_another_size_from_a_strangers_generator_is_not_let_through() -> None:
    class Wrong(Toy):
        def render(self, request):  # type: ignore[no-untyped-def]
            return replace(super().render(request), frame=moving_frames(1, 8, 8)[0])

    frames = drop(clip(9), 4)
    out = list(fill_stream(frames, holes(frames, 4), Wrong()))
    (record,) = [record for _, record in out if record]
    assert record.method == "blend"
    assert "8x8" in record.fallback


def test_too_little_confidence_gives_a_repeat_and_its_reason() -> None:
    frames = drop(clip(9), 4)
    (record,) = [r for _, r in fill_stream(frames, holes(frames, 4), Toy(confidence=0.3), min_confidence=0.4) if r]
    assert (record.method, record.confidence) == ("repeat", 0.0)
    assert "0.300" in record.fallback
    (record,) = [r for _, r in fill_stream(frames, holes(frames, 4), Toy(confidence=float("nan"))) if r]
    assert (record.method, record.confidence) == ("toy", 0.0)


def test_a_repeat_beside_made_frames_does_not_take_their_state_away() -> None:
    frames = drop(clip(12), 4, 5, 6)
    plan = holes(frames, 4, 5, 6)
    first, *rest = plan.targets
    mixed = replace(plan, targets=(replace(first, method="repeat"), *rest))
    made = [record.method for _, record in fill_stream(frames, mixed, Toy()) if record]
    assert made == ["repeat", "toy", "toy"]
    assert bytes_of(list(fill_stream(frames, mixed, Toy())))[1:] == bytes_of(list(fill_stream(frames, plan, Toy())))[1:]


def test_the_simple_generators_need_no_excuse_when_they_were_asked_for() -> None:
    frames = drop(clip(9), 4)
    for info in (BLEND, REPEAT):
        (record,) = [r for _, r in fill_stream(frames, holes(frames, 4), Simple(info)) if r]
        assert (record.method, record.fallback) == (info.name, "")


def test_a_plan_for_another_video_is_refused() -> None:
    frames = drop(clip(9), 4)
    plan = holes(frames, 4)
    for wrong in (frames[:-1], [*frames, replace(frames[-1], pts=99)], [replace(f, pts=f.pts // 9) for f in frames]):
        with pytest.raises(PlanUnusable):
            list(fill_stream(wrong, plan, Toy()))
    with pytest.raises(PlanUnusable):
        list(fill_stream([replace(f, time_base=Fraction(1, 30)) for f in frames], plan, Toy()))
    with pytest.raises(PlanUnusable):
        Engine(replace(plan, targets=(Target(4, None, None, (Fraction(0), Fraction(0))),)), Toy())


def test_memory_does_not_grow_with_the_clip() -> None:
    def peak(n: int) -> int:
        def source() -> Iterator[Frame]:
            for i in range(n):
                yield replace(base, planes=tuple(plane.copy() for plane in base.planes), pts=i)

        plan = interpolation_plan(Timeline(tuple(range(n)), base.time_base), (), factor=2)
        tracemalloc.start()
        for _ in fill_stream(source(), plan, Simple(BLEND)):
            pass
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    base = moving_frames(1, 320, 240)[0]
    assert peak(120) < peak(40) + 115_200 * 2  # less than two frames more


def gap_request(frames: list[Frame], plan: Plan, first: int) -> FillRequest:
    target = plan.targets[0]
    assert target.a is not None
    assert target.b is not None
    return FillRequest(
        tuple(frames[first : target.a + 1]), tuple(frames[target.b :]), (target.pts * plan.time_base,), plan.period
    )


def test_the_stateless_call_gives_the_bytes_of_the_pass_when_its_lead_in_starts_where_the_chain_does() -> None:
    frames = drop(clip(40), 21)
    plan = holes(frames, 21)
    (expected,) = bytes_of(list(fill_stream(frames, plan, Toy(block=8, lead=3))))
    fill = fill_gap(gap_request(frames, plan, 13), Toy(block=8, lead=3))
    assert [digest(frame) for frame in fill.frames] == [expected]
    assert (fill.method, fill.notes) == ("toy", ())
    assert fill.frames[0].time == Fraction(21, 25)
    short = fill_gap(gap_request(frames, plan, 20), Toy(block=8, lead=3))
    assert digest(short.frames[0]) != expected
    assert "lead-in of 1" in short.notes[0]


def test_of_a_long_lead_in_only_a_block_and_the_lead_count() -> None:
    frames = clip(40)

    def made(first: int) -> str:
        request = FillRequest(tuple(frames[first:30]), tuple(frames[30:]), (Fraction(59, 50),), Fraction(1, 25))
        return digest(fill_gap(request, Toy(block=8, lead=3)).frames[0])

    assert made(0) == made(20) != made(21)  # 8 + 3 - 1 = 10 frames


def test_the_stateless_call_answers_times_between_ticks_in_the_order_asked() -> None:
    frames = clip(6)
    times = (Fraction(5, 50), Fraction(9, 100))
    fill = fill_gap(FillRequest(tuple(frames[:3]), tuple(frames[3:]), times, Fraction(1, 25)), Toy())
    assert tuple(frame.time for frame in fill.frames) == times


@pytest.mark.parametrize(("before", "after"), [(3, 0), (0, 3), (1, 0), (0, 1)])
def test_the_stateless_call_works_with_one_side_only(before: int, after: int) -> None:
    frames = clip(8)
    time = Fraction(before, 25) if before else Fraction(0)
    request = FillRequest(tuple(frames[:before]), tuple(frames[8 - after :]), (time,), Fraction(1, 25))
    assert fill_gap(request, Toy()).method == "toy"
    assert fill_gap(request, Simple(BLEND)).frames[0].planes[0].shape == (8, 16)


def test_a_request_with_nothing_in_it_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        fill_gap(FillRequest((), (), (Fraction(1),), Fraction(1, 25)), Toy())
    frames = clip(2)
    with pytest.raises(UsageError):
        fill_gap(
            FillRequest((frames[0],), (frames[1],), (Fraction(1, 50),), Fraction(1, 25), masks=(None, None)), Toy()
        )


def test_the_toy_and_the_simple_ones_are_frame_generators() -> None:
    assert isinstance(Toy(), FrameGenerator)
    assert isinstance(Simple(BLEND), FrameGenerator)
