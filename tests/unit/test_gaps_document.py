import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.errors import PlanUnusable
from vgan_plugin.gaps import (
    Event,
    GapPolicy,
    Plan,
    event_to_json,
    interpolation_plan,
    plan_from_json,
    plan_gaps,
    plan_to_json,
)
from vgan_plugin.timeline import Timeline

TB = Fraction(1, 25)
HOLE = Timeline((0, 1, 2, 5, 6, 7, 8), TB)


def broken() -> Plan:
    events = [
        Event("missing", 2, 3, 3, 4, 3 * TB, 2, 1.0, "a hole"),
        Event("cut", 5, 5, 7, 7, 7 * TB, 0, 0.8, "another picture"),
        Event("corrupt", 6, 6, 8, 8, 8 * TB, 1, 0.9, "damaged"),
    ]
    return plan_gaps(HOLE, events)


def there_and_back(plan: Plan, timeline: Timeline) -> Plan:
    return plan_from_json(json.loads(json.dumps(plan_to_json(plan))), timeline)


@st.composite
def clips_and_plans(draw: st.DrawFn) -> tuple[Timeline, Plan]:
    steps = draw(st.lists(st.integers(1, 5), min_size=1, max_size=20))
    pts = [draw(st.integers(-9, 9))]
    for step in steps:
        pts.append(pts[-1] + step)
    timeline = Timeline(tuple(pts), draw(st.sampled_from([TB, Fraction(1, 1000), Fraction(1001, 24000)])))
    index = st.integers(0, len(pts) - 1)
    cuts = draw(st.sets(index, max_size=3))
    which = draw(st.sampled_from(["factor", "rate", "repair"]))
    if which == "factor":
        return timeline, interpolation_plan(timeline, cuts, factor=draw(st.integers(2, 4)))
    if which == "rate":
        return timeline, interpolation_plan(timeline, cuts, rate=draw(st.fractions(1, 120, max_denominator=1001)))
    events = [Event("cut", i, i, pts[i], pts[i], timeline.time(i), 0, 0.5, "cut") for i in sorted(cuts)]
    for i, step in enumerate(steps):
        if step > 1 and draw(st.booleans()):
            times = timeline.between(i, step - 1)
            time = times[0] * timeline.time_base
            events.append(Event("missing", i, i + 1, times[0], times[-1], time, step - 1, 1.0, "hole"))
    score = draw(st.floats(0, 1))
    stuck = sorted(draw(st.sets(index, max_size=4)))
    events += [Event("duplicate", i, i, pts[i], pts[i], timeline.time(i), 1, score, "same") for i in stuck]
    at = ((0, 0),) if draw(st.booleans()) else ()
    return timeline, plan_gaps(timeline, events, GapPolicy(max_gap=draw(st.integers(1, 9)), at=at))


@given(clips_and_plans())
def test_a_plan_comes_back_from_json_as_it_was(pair: tuple[Timeline, Plan]):
    timeline, plan = pair
    assert there_and_back(plan, timeline) == plan


def test_targets_say_when_from_what_and_where_in_the_output():
    first, second, last = plan_to_json(broken())["targets"]
    assert first == {
        "index": 3,
        "pts": 3,
        "time": 0.12,
        "method": "generator",
        "references": [2, 5],
        "offsets": ["-1", "2"],
        "replaces": None,
        "why": "missing",
    }
    assert second["index"] == 4
    assert (last["replaces"], last["index"], last["method"], last["offsets"]) == (6, 8, "repeat", ["-1"])


def test_an_event_says_when_in_seconds():
    event = broken().events[0]
    assert event_to_json(event)["time"] == pytest.approx(0.12)
    assert event_to_json(event)["kind"] == "missing"


def test_events_alone_are_planned_anew():
    document = {"format": 1, "events": [{"kind": "missing", "first_pts": 3, "last_pts": 4}]}
    plan = plan_from_json(document, HOLE)
    assert [target.pts for target in plan.targets] == [3, 4]
    assert plan_from_json({"format": 1, "events": []}, HOLE).targets == ()


def put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("format", value=2),
        put("frames", value=9),
        put("frames", value="7"),
        put("time_base", value="1/0"),
        put("time_base", value="1/50"),
        put("source_time_base", value="1e9999999999"),
        put("scale", value=0),
        put("period", value="0"),
        put("events", value=None),
        put("events", 0, "kind", value="strange"),
        put("events", 0, "first_pts", value=1),
        put("events", 0, "count", value=10**12),
        put("events", 0, "score", value=float("nan")),
        put("events", 2, "last_pts", value=99),
        put("events", 1, value=[]),
        put("targets", value={}),
        put("targets", 0, "pts", value=5),
        put("targets", 0, "pts", value=True),
        put("targets", 1, "pts", value=3),
        put("targets", 0, "references", value=[2, 6.5]),
        put("targets", 0, "references", value=[5, 2]),
        put("targets", 0, "references", value=[]),
        put("targets", 0, "references", value=[2, 8]),
        put("targets", 0, "offsets", value=["-1"]),
        put("targets", 0, "offsets", value=["1", "2"]),
        put("targets", 0, "method", value="magic"),
        put("targets", 0, "why", value=None),
        put("targets", 2, "replaces", value=3),
        put("cuts", value=[5, 4]),
        put("cuts", value=[7]),
        put("bad", value=[-1]),
        put("dropped", value=[6]),
        put("unrepaired", value=[{"kind": "cut"}]),
        lambda document: document.update(targets=[], dropped=list(range(document["frames"]))),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(change: Callable[[dict[str, Any]], None]):
    document = plan_to_json(broken())
    change(document)
    with pytest.raises(PlanUnusable, match="The plan cannot be used"):
        plan_from_json(document, HOLE)


@pytest.mark.parametrize("document", [None, [], "plan", 3, {}, {"format": 1, "error": {}, "status": 3}])
def test_what_is_no_plan_is_refused(document: object):
    with pytest.raises(PlanUnusable):
        plan_from_json(document, HOLE)


def test_a_plan_of_another_clip_is_refused():
    with pytest.raises(PlanUnusable, match="7 frames"):
        plan_from_json(plan_to_json(broken()), Timeline((0, 1, 2), TB))


def test_an_event_of_frames_may_be_given_by_their_indices() -> None:
    document = {"format": 1, "events": [{"kind": "corrupt", "first": 4, "last": 5, "reason": "marked"}]}
    plan = plan_from_json(document, HOLE)
    assert [(target.pts, target.replaces) for target in plan.targets] == [(6, 4), (7, 5)]
    for wrong in ({"first": 4, "last": 7}, {"first": 4}, {"first": 5, "last": 4}, {"first": -1, "last": 2}):
        with pytest.raises(PlanUnusable):
            plan_from_json({"format": 1, "events": [{"kind": "corrupt", **wrong}]}, HOLE)
