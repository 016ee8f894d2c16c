from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.errors import UsageError
from vgan_plugin.gaps import Plan, interpolation_plan
from vgan_plugin.timeline import Timeline, half_up

MS = Fraction(1, 1000)


def shown(plan: Plan) -> list[Fraction]:
    """Output times in seconds."""
    kept = [plan.pts[i] * plan.scale for i in range(plan.frames) if i not in plan.dropped]
    return sorted(pts * plan.time_base for pts in kept + [target.pts for target in plan.targets])


steps = st.lists(st.integers(1, 90), min_size=1, max_size=30)


@given(steps=steps, factor=st.integers(2, 8))
def test_a_factor_divides_every_step_exactly(steps: list[int], factor: int):
    pts = [5]
    for step in steps:
        pts.append(pts[-1] + step)
    plan = interpolation_plan(Timeline(tuple(pts), MS), [], factor=factor)
    times = shown(plan)
    assert len(times) == factor * (len(pts) - 1) + 1
    assert times[::factor] == [p * MS for p in pts]
    for i, step in enumerate(steps):
        assert all(times[i * factor + j] - times[i * factor] == step * MS * j / factor for j in range(factor))
    assert all(b - a == 1 and a < 0 < b for a, b in (target.offsets for target in plan.targets))


def test_nothing_is_made_across_a_cut():
    plan = interpolation_plan(Timeline((0, 1, 2, 3), Fraction(1, 25)), [2], factor=2)
    assert [(t.a, t.b, t.method) for t in plan.targets] == [
        (0, 1, "generator"),
        (1, None, "repeat"),
        (2, 3, "generator"),
    ]
    assert plan.cuts == (2,)


def test_a_rate_keeps_the_frames_that_coincide_and_drops_the_others():
    plan = interpolation_plan(Timeline(tuple(range(25)), Fraction(1, 24)), [], rate=Fraction(60))
    assert shown(plan) == [Fraction(k, 60) for k in range(61)]
    assert plan.dropped == {i for i in range(25) if i % 2}
    assert plan.targets[0].offsets == (Fraction(-2, 5), Fraction(3, 5))


def test_a_rounded_clip_keeps_its_frames_at_a_multiple_of_its_rate():
    pts = tuple(half_up(Fraction(i * 1000, 30)) for i in range(20))
    plan = interpolation_plan(Timeline(pts, MS), [], rate=Fraction(60))
    assert plan.dropped == frozenset()
    assert len(plan.targets) == 19


def test_a_lower_rate_drops_frames():
    plan = interpolation_plan(Timeline(tuple(range(61)), Fraction(1, 60)), [], rate=Fraction(30))
    assert plan.targets == ()
    assert plan.dropped == {i for i in range(61) if i % 2}


@given(steps=steps, rate=st.fractions(Fraction(1), Fraction(240), max_denominator=1001))
def test_a_rate_shows_a_frame_at_every_multiple_to_within_the_rounding(steps: list[int], rate: Fraction):
    pts = [0]
    for step in steps:
        pts.append(pts[-1] + step)
    plan = interpolation_plan(Timeline(tuple(pts), MS), [], rate=rate)
    times = shown(plan)
    assert all(abs(time - Fraction(k) / rate) <= MS for k, time in enumerate(times))
    assert len(times) in (int(pts[-1] * MS * rate) + 1, int((pts[-1] + 1) * MS * rate) + 1)
    assert all(a < b for a, b in pairwise(times))


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"factor": 1},
        {"factor": 1001},
        {"rate": Fraction(0)},
        {"rate": Fraction(10**9)},
        {"factor": 2, "rate": Fraction(60)},
    ],
)
def test_an_impossible_wish_is_an_error(wish: dict[str, Fraction]):
    with pytest.raises(UsageError):
        interpolation_plan(Timeline((0, 1), MS), [], **wish)


def test_one_frame_stays_one_frame():
    for plan in (
        interpolation_plan(Timeline((3,), MS), [], factor=4),
        interpolation_plan(Timeline((3,), MS), [], rate=Fraction(60)),
    ):
        assert (plan.targets, plan.dropped) == ((), frozenset())
