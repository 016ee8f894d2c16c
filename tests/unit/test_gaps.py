from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.errors import PlanUnusable
from vgan_plugin.gaps import Event, GapPolicy, Kind, Plan, Target, plan_gaps
from vgan_plugin.timeline import Timeline, half_up

TB = Fraction(1, 25)


def clip(n: int) -> Timeline:
    return Timeline(tuple(range(n)), TB)


def seen(timeline: Timeline, kind: Kind, first: int, last: int | None = None, count: int | None = None) -> Event:
    last = first if last is None else last
    pts = timeline.pts
    if kind == "missing":
        count = timeline.count_between(first) if count is None else count
        times = timeline.between(first, count)
        return Event(kind, first, first + 1, times[0], times[-1], times[0] * timeline.time_base, count, 1.0, "a hole")
    count = 0 if kind == "cut" else last - first + 1
    return Event(kind, first, last, pts[first], pts[last], timeline.time(first), count, 0.9, "as said")


def whole(plan: Plan) -> list[tuple[int | None, int | None, tuple[Fraction, Fraction]]]:
    return [(target.a, target.b, target.offsets) for target in plan.targets]


def test_a_hole_gets_its_frames_back_between_its_neighbours():
    timeline = Timeline((0, 1, 2, 5, 6), TB)
    plan = plan_gaps(timeline, [seen(timeline, "missing", 2)])
    assert plan.targets == (
        Target(3, 2, 3, (Fraction(-1), Fraction(2)), None, "missing"),
        Target(4, 2, 3, (Fraction(-2), Fraction(1)), None, "missing"),
    )


def test_a_stuck_run_is_replaced_in_place():
    timeline = clip(10)
    plan = plan_gaps(timeline, [seen(timeline, "frozen", 4, 5)])
    assert [(t.pts, t.replaces, t.a, t.b) for t in plan.targets] == [(4, 4, 3, 6), (5, 5, 3, 6)]
    assert plan.bad == {4, 5}


def test_a_stuck_run_beside_a_hole_is_one_gap():
    timeline = Timeline((0, 1, 2, 3, 6, 7), TB)
    plan = plan_gaps(timeline, [seen(timeline, "duplicate", 3), seen(timeline, "missing", 3)])
    assert [(t.pts, t.replaces) for t in plan.targets] == [(3, 3), (4, None), (5, None)]
    assert whole(plan) == [(2, 4, (Fraction(-j), Fraction(4 - j))) for j in (1, 2, 3)]


def test_overlapping_events_make_a_frame_once():
    timeline = clip(8)
    plan = plan_gaps(timeline, [seen(timeline, "frozen", 3, 4), seen(timeline, "corrupt", 4, 5)])
    assert [t.pts for t in plan.targets] == [3, 4, 5]


def test_a_cut_in_a_hole_splits_it_and_each_side_is_extrapolated_from_its_own_shot():
    timeline = Timeline((0, 1, 2, 7, 8, 9), TB)
    plan = plan_gaps(timeline, [seen(timeline, "missing", 2), seen(timeline, "cut", 3)])
    assert [t.pts for t in plan.targets] == [3, 4, 5, 6]
    assert whole(plan) == [
        (1, 2, (Fraction(-2), Fraction(-1))),
        (1, 2, (Fraction(-3), Fraction(-2))),
        (3, 4, (Fraction(2), Fraction(3))),
        (3, 4, (Fraction(1), Fraction(2))),
    ]


def test_the_middle_frame_of_a_split_gap_goes_to_the_earlier_shot():
    timeline = Timeline((0, 1, 3, 4), TB)
    plan = plan_gaps(timeline, [seen(timeline, "missing", 1), seen(timeline, "cut", 2)])
    assert whole(plan) == [(0, 1, (Fraction(-2), Fraction(-1)))]


def test_a_shot_of_one_good_frame_is_repeated():
    timeline = Timeline((0, 2, 3), TB)
    plan = plan_gaps(timeline, [seen(timeline, "missing", 0), seen(timeline, "cut", 1)])
    assert [(t.a, t.b, t.method) for t in plan.targets] == [(0, None, "repeat")]


def test_damaged_frames_at_a_cut_stay_in_the_shot_they_show():
    timeline = clip(10)
    plan = plan_gaps(timeline, [seen(timeline, "corrupt", 4, 6), seen(timeline, "cut", 4)])
    assert whole(plan) == [(7, 8, (Fraction(3 - j), Fraction(4 - j))) for j in range(3)]


def test_a_gap_longer_than_its_shot_is_made_of_what_the_shot_shows_and_of_nothing_else():
    timeline = clip(12)
    plan = plan_gaps(timeline, [seen(timeline, "corrupt", 4, 9), seen(timeline, "cut", 3), seen(timeline, "cut", 10)])
    assert [(t.a, t.b, t.method) for t in plan.targets] == [(3, None, "repeat")] * 6
    timeline = Timeline((0, 1, 2, 10, 11, 12), TB)
    plan = plan_gaps(timeline, [seen(timeline, "missing", 2), seen(timeline, "cut", 1), seen(timeline, "cut", 3)])
    assert [(t.a, t.b) for t in plan.targets] == [(1, 2)] * 4 + [(3, 4)] * 3


def test_references_never_cross_a_cut():
    timeline = clip(12)
    events = [seen(timeline, "cut", 6), seen(timeline, "corrupt", 5), seen(timeline, "corrupt", 6)]
    assert whole(plan_gaps(timeline, events)) == [
        (3, 4, (Fraction(-2), Fraction(-1))),
        (7, 8, (Fraction(1), Fraction(2))),
    ]


def test_bad_first_and_last_frames_are_extrapolated():
    timeline = clip(8)
    plan = plan_gaps(timeline, [seen(timeline, "corrupt", 0), seen(timeline, "corrupt", 6, 7)])
    assert whole(plan) == [
        (1, 2, (Fraction(1), Fraction(2))),
        (4, 5, (Fraction(-2), Fraction(-1))),
        (4, 5, (Fraction(-3), Fraction(-2))),
    ]


def test_a_gap_beyond_the_limit_is_left_and_named():
    timeline = Timeline((0, 1, 2, 40, 41), TB)
    event = seen(timeline, "missing", 2)
    plan = plan_gaps(timeline, [event])
    assert plan.targets == ()
    assert [lost.event for lost in plan.unrepaired] == [event]
    assert "37 frames" in plan.unrepaired[0].why
    assert len(plan_gaps(timeline, [event], GapPolicy(max_gap=37)).targets) == 37


def test_the_limit_is_one_second_where_that_is_longer():
    timeline = Timeline((0, 1, 2, 3, 40, 41), Fraction(1, 60))
    assert len(plan_gaps(timeline, [seen(timeline, "missing", 3)]).targets) == 36


def test_asked_for_frames_are_made_whatever_the_limit():
    plan = plan_gaps(clip(60), [], GapPolicy(at=((10, 50),)))
    assert [t.replaces for t in plan.targets] == list(range(10, 51))
    assert {t.why for t in plan.targets} == {"at"}


@pytest.mark.parametrize("span", [(5, 12), (-1, 2), (4, 3)])
def test_asking_for_frames_that_are_not_there_is_an_error(span: tuple[int, int]):
    with pytest.raises(PlanUnusable, match="0 to 9"):
        plan_gaps(clip(10), [], GapPolicy(at=(span,)))


def test_events_of_another_clip_are_an_error():
    with pytest.raises(PlanUnusable, match="5 frames"):
        plan_gaps(clip(5), [seen(clip(10), "frozen", 3, 7)])


def test_kinds_that_are_not_to_be_repaired_are_still_no_references():
    timeline = clip(8)
    policy = GapPolicy(kinds=frozenset({"corrupt"}))
    plan = plan_gaps(timeline, [seen(timeline, "duplicate", 3), seen(timeline, "corrupt", 4)], policy)
    assert whole(plan) == [(2, 5, (Fraction(-2), Fraction(1)))]
    assert plan.unrepaired == ()


def test_a_clip_without_a_good_frame_is_left_and_named():
    timeline = clip(3)
    plan = plan_gaps(timeline, [seen(timeline, "corrupt", 0, 2)])
    assert plan.targets == ()
    assert "no good frame" in plan.unrepaired[0].why


def test_stuck_frames_of_a_variable_clip_keep_their_own_times():
    timeline = Timeline((0, 20, 70, 90, 140, 160), Fraction(1, 1000))
    plan = plan_gaps(timeline, [seen(timeline, "duplicate", 2)])
    assert plan.targets[0].pts == 70
    assert plan.targets[0].offsets == (Fraction(-50, 35), Fraction(20, 35))


RATES = [Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001)]


@given(data=st.data(), rate=st.sampled_from(RATES), rounded=st.booleans(), n=st.integers(4, 60))
def test_dropping_any_frames_and_planning_gives_exactly_their_times_back(
    data: st.DataObject, rate: Fraction, rounded: bool, n: int
):
    time_base = Fraction(1, 1000) if rounded else Fraction(1, rate.numerator)
    pts = [half_up(i / rate / time_base) for i in range(n)]
    gone = data.draw(st.sets(st.integers(1, n - 2)))
    kept = [i for i in range(n) if i not in gone]
    timeline = Timeline(tuple(pts[i] for i in kept), time_base, rate)
    events = [seen(timeline, "missing", at, count=b - a - 1) for at, (a, b) in enumerate(pairwise(kept)) if b - a > 1]
    plan = plan_gaps(timeline, events, GapPolicy(max_gap=n))
    assert [t.pts for t in plan.targets] == [pts[i] for i in sorted(gone)]
    for t in plan.targets:
        assert t.a is not None
        assert t.b is not None
        assert (t.a, t.b) == (t.b - 1, t.b)
        here = pts.index(t.pts)
        assert t.offsets == (kept[t.a] - here, kept[t.b] - here)


@given(data=st.data(), n=st.integers(2, 40))
def test_whatever_is_seen_no_reference_is_bad_or_of_another_shot(data: st.DataObject, n: int):
    timeline = clip(n)
    index = st.integers(0, n - 1)
    kinds = st.sampled_from(["duplicate", "frozen", "corrupt", "blank"])
    spans = st.tuples(kinds, index, st.integers(0, 5))
    drawn = data.draw(st.lists(spans, max_size=6))
    events = [seen(timeline, kind, first, min(first + more, n - 1)) for kind, first, more in drawn]
    events += [seen(timeline, "cut", at) for at in data.draw(st.sets(index, max_size=4))]
    plan = plan_gaps(timeline, events, GapPolicy(max_gap=n))
    assert {t.replaces for t in plan.targets} == (plan.bad if len(plan.bad) < n else set())
    for target in plan.targets:
        refs = [i for i in (target.a, target.b) if i is not None]
        assert refs
        assert not plan.bad.intersection(refs)
        assert len({sum(cut <= i for cut in plan.cuts) for i in refs}) == 1
        for i, offset in zip((target.a, target.b), target.offsets, strict=True):
            assert i is None or timeline.pts[i] - target.pts == offset
