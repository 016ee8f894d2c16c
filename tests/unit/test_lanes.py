"""Frames made side by side are those made one after the other, in order; nothing waits for long or is left over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from clips import drop, join, moving_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Abreast, Toy, digest

from vgan_plugin.fill import fill_stream
from vgan_plugin.gaps import Plan, interpolation_plan
from vgan_plugin.hosts.live import LiveFill, stream
from vgan_plugin.hosts.live_rate import LiveInterpolation
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame


def told(items: Any) -> list[tuple[object, ...]]:
    return [(frame.pts, digest(frame), record) for frame, record in items]


def plan_of(frames: list[Frame], factor: int, cuts: tuple[int, ...] = ()) -> Plan:
    return interpolation_plan(Timeline(tuple(f.pts for f in frames), frames[0].time_base), cuts, factor)


@given(
    lanes=st.integers(1, 5),
    factor=st.integers(2, 4),
    n=st.integers(1, 14),
    cut=st.integers(1, 13),
    failing=st.sets(st.integers(0, 40), max_size=6),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_side_by_side_is_the_same_as_one_after_the_other(
    lanes: int, factor: int, n: int, cut: int, failing: set[int], seed: int
) -> None:
    frames = join(moving_frames(cut, 16, 8), moving_frames(14 - cut, 16, 8, seed=1))[:n]
    plan = plan_of(frames, factor, (cut,) if cut < n else ())

    def fails(call: str, pts: int) -> None:
        if call == "render" and pts in failing:
            raise ValueError(f"no frame at {pts}")

    said: dict[bool, list[str]] = {True: [], False: []}
    abreast = Abreast(lanes, seed, fails=fails)
    found = told(fill_stream(frames, plan, abreast, say=said[True].append))
    assert found == told(fill_stream(frames, plan, Toy(fails=fails), say=said[False].append))
    assert said[True] == said[False]
    assert abreast.most <= lanes
    assert (threading.get_ident() in abreast.threads) <= (lanes == 1)


@pytest.mark.parametrize("lanes", [2, 3])
def test_as_many_are_made_at_once_as_there_are_lanes(lanes: int) -> None:
    frames = moving_frames(9, 16, 8)
    together = threading.Barrier(lanes)  # broken, and with it the test, unless as many come at once

    def fails(call: str, pts: int) -> None:
        if call == "render" and pts < 4 * lanes:  # twice as many as there are lanes
            together.wait(timeout=10)

    made = [record for _, record in fill_stream(frames, plan_of(frames, 2), Abreast(lanes, fails=fails)) if record]
    assert len(made) == 8
    assert {record.method for record in made} == {"toy"}


def slow_at(pts: int, until: threading.Event) -> Callable[[str, int], None]:
    def fails(call: str, at: int) -> None:
        if (call, at) == ("render", pts):
            assert until.wait(timeout=10)

    return fails


def test_good_frames_wait_for_a_slow_one_before_them_but_not_for_long() -> None:
    frames, go_on = moving_frames(40, 16, 8), threading.Event()
    plan = plan_of(frames, 2)
    lone = Plan(plan.time_base, plan.frames, plan.period, plan.scale, plan.targets[:1])
    toy = Abreast(2, fails=slow_at(plan.targets[0].pts, go_on))
    taken = 0

    def coming() -> Any:
        nonlocal taken
        for frame in frames:
            taken += 1
            if taken == 12:
                go_on.set()  # by then it is waited for: else the stream would hang, or hold all that is to come
            yield frame

    seen = []
    for frame, _ in fill_stream(coming(), lone, toy):
        seen.append((frame.pts, taken))
    assert [pts for pts, _ in seen] == sorted(pts for pts, _ in seen)
    assert len(seen) == 41
    assert max(at - (pts // 2 + 1) for pts, at in seen) <= 2 + 4 + 8


def test_who_leaves_early_leaves_nothing_running() -> None:
    frames, toy = moving_frames(12, 16, 8), Abreast(3, latest=0.05)
    before = threading.active_count()
    items = fill_stream(frames, plan_of(frames, 2), toy)
    for _ in range(4):
        next(items)
    items.close()
    assert toy.running == 0
    assert threading.active_count() == before


def test_what_goes_wrong_with_the_frames_is_raised_once_nothing_runs_any_more() -> None:
    frames, toy = moving_frames(12, 16, 8), Abreast(3, latest=0.05)

    def coming() -> Any:
        yield from frames[:6]
        raise OSError("the tape is torn")

    with pytest.raises(OSError, match="the tape is torn"):
        list(fill_stream(coming(), plan_of(frames, 2), toy))
    assert toy.running == 0


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_on_the_way_it_is_the_same_and_nothing_leaves_later_than_is_said(lanes: int) -> None:
    frames = drop(join(moving_frames(60, 16, 8), moving_frames(60, 16, 8, seed=1)), 20, 21, 50, 90)
    for make in (lambda toy: LiveFill(toy), lambda toy: LiveInterpolation(toy, factor=3)):
        alone, live = make(Toy()), make(Abreast(lanes))
        expected = told(stream(frames, alone))
        assert live.latency == alone.latency + (2 * lanes if lanes > 1 else 0)
        found: list[Any] = []
        for frame in frames:
            found += live.push(frame)
            assert live.frames_out >= live.frames_in - live.latency
        assert told([*found, *live.finish()]) == expected
        assert live.frames_out == len(expected)
        live.close()
