"""One pass gives what two give: the same frames, the same bytes, with a bounded delay and a bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest
from clips import blacken, drop, freeze, join, moving_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Toy, digest

from vgan_plugin.detect import scan
from vgan_plugin.errors import InputUnsupported, TaskMissing, UsageError
from vgan_plugin.fill import Item, fill_stream
from vgan_plugin.gaps import Event, GapPolicy, interpolation_plan, plan_gaps
from vgan_plugin.hosts import opening
from vgan_plugin.hosts.live import Live, LiveFill, stream
from vgan_plugin.hosts.live_rate import LiveInterpolation
from vgan_plugin.hosts.opening import open_generator
from vgan_plugin.runtime.simple import BLEND, Simple
from vgan_plugin.timeline import Timeline, half_up
from vgan_plugin.types import Frame, OpenRequest


def facts(items: Iterable[Item]) -> list[tuple[object, ...]]:
    return [
        (
            frame.pts,
            frame.time_base,
            digest(frame),
            record and (record.index, record.references, record.offsets, record.why),
        )
        for frame, record in items
    ]


def two_passes(frames: Sequence[Frame], rate: Fraction | None = None, policy: GapPolicy | None = None) -> list[object]:
    timeline, events = scan(frames, rate=rate)
    return list(facts(fill_stream(frames, plan_gaps(timeline, events, policy), Toy())))


def damaged(frames: Sequence[Frame], *indices: int) -> list[Frame]:
    return [replace(frame, corrupt=i in indices) for i, frame in enumerate(frames)]


def broken(faults: Iterable[tuple[str, int, int]], n: int, cut: int) -> list[Frame]:
    frames = join(moving_frames(cut), moving_frames(n - cut, seed=1))
    lost: list[int] = []
    for kind, first, count in faults:
        run = range(max(first, 1), min(first + count, n))
        if kind == "missing":
            lost += run
        else:
            frames = {"frozen": freeze, "blank": blacken, "corrupt": damaged}[kind](frames, *run)
    return drop(frames, *lost)


fault = st.tuples(st.sampled_from(["missing", "frozen", "blank", "corrupt"]), st.integers(1, 170), st.integers(1, 3))


@given(faults=st.lists(fault, max_size=7), cut=st.integers(20, 150))
@settings(max_examples=12, deadline=None)
def test_one_pass_makes_what_two_passes_make(faults: list[tuple[str, int, int]], cut: int) -> None:
    frames = broken(faults, 170, cut)
    rate = Fraction(25)
    assert facts(stream(frames, LiveFill(Toy(), rate=rate))) == two_passes(frames, rate)


def test_most_of_what_is_planted_is_made_so_that_the_test_above_is_none_of_nothing() -> None:
    frames = broken([("missing", 20, 3), ("frozen", 50, 4), ("blank", 80, 1), ("corrupt", 120, 5)], 170, 100)
    made = [record.why for _, record in stream(frames, LiveFill(Toy(), rate=Fraction(25))) if record]
    assert made == ["missing"] * 3 + ["frozen"] * 4 + ["blank"] + ["corrupt"] * 5


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(24000, 1001), Fraction(37, 2)])
def test_rounded_times_give_the_grid_of_the_whole(rate: Fraction) -> None:
    frames = moving_frames(300, 16, 8, time_base=Fraction(1, 1000))
    frames = [replace(frame, pts=half_up(i * 1000 / rate)) for i, frame in enumerate(frames)]
    frames = drop(frames, *range(20, 290, 9), *range(21, 290, 36))
    assert facts(stream(frames, LiveFill(Toy(), rate=rate))) == two_passes(frames, rate)


@pytest.mark.parametrize("fault", ["corrupt", "frozen"])
def test_a_run_longer_than_any_that_is_made_is_left_alone_to_its_end(fault: str) -> None:
    frames = broken([(fault, 67, 40), ("blank", 120, 1)], 170, 150)
    live = LiveFill(Toy(), rate=Fraction(25))
    assert facts(stream(frames, live)) == two_passes(frames, Fraction(25))
    assert [(lost.event.kind, lost.event.count) for lost in live.unrepaired] == [(fault, 40)]


def test_a_variable_rate_is_planned_as_in_two_passes_where_the_times_are_known() -> None:
    pts = [i * 40 + (i % 7) * 3 for i in range(120)]
    whole = [
        replace(f, pts=t, time_base=Fraction(1, 1000)) for f, t in zip(moving_frames(120, 16, 8), pts, strict=True)
    ]
    frames = drop(freeze(whole, 90), 50, 51)
    timeline = Timeline(tuple(f.pts for f in frames), Fraction(1, 1000))
    assert facts(stream(frames, LiveFill(Toy(), timeline=timeline))) == two_passes(frames)


@given(
    n=st.integers(1, 60),
    cut=st.integers(1, 59),
    holes=st.sets(st.integers(1, 58), max_size=5),
    how=st.one_of(st.integers(2, 5), st.fractions(Fraction(1, 2), 120, max_denominator=1001)),
)
@settings(max_examples=25, deadline=None)
def test_another_rate_on_the_way_is_that_of_the_whole(n: int, cut: int, holes: set[int], how: int | Fraction) -> None:
    frames = drop(join(moving_frames(cut), moving_frames(60 - cut, seed=1))[:n], *holes)
    timeline, events = scan(frames)
    factor, rate = (how, None) if isinstance(how, int) else (None, how)
    plan = interpolation_plan(timeline, [event.first for event in events if event.kind == "cut"], factor, rate)
    live = LiveInterpolation(Toy(), factor=factor, target_rate=rate)
    assert facts(stream(frames, live)) == facts(fill_stream(frames, plan, Toy()))


@pytest.mark.parametrize("live", [LiveFill(Toy(8, 3), rate=Fraction(25)), LiveInterpolation(Toy(8, 3), factor=2)])
def test_a_frame_waits_no_longer_and_no_more_frames_are_held_than_is_said(live: Live) -> None:
    frames = broken([("corrupt", 60, 20), ("frozen", 150, 8)], 300, 200)
    for frame in frames:
        ready = list(live.push(frame))
        assert live.frames_out >= live.frames_in - live.latency
        assert len(live._frames) <= live.held
        assert not ready or live.frames_in > live.latency
    list(live.finish())
    assert live.frames_out == (300 if isinstance(live, LiveFill) else 599)


def test_one_second_of_a_high_rate_is_waited_for_but_not_more_than_stated() -> None:
    assert LiveFill(Toy(), rate=Fraction(25)).latency == 36 + 25 + 1
    assert LiveFill(Toy(), rate=Fraction(60)).latency == 36 + 60 + 1
    assert LiveFill(Toy(), rate=Fraction(90000)).latency == 36 + 240 + 1
    assert LiveFill(Toy(), rate=Fraction(25), policy=GapPolicy(max_gap=2)).latency == 39
    assert LiveInterpolation(Toy(), factor=2).latency == 38


def test_gaps_too_long_are_left_and_named_and_what_was_seen_is_told_once() -> None:
    frames = broken([("missing", 60, 30), ("frozen", 110, 3)], 170, 20)
    live = LiveFill(Toy(), rate=Fraction(25))
    out = list(stream(frames, live))
    assert len(out) == len(frames)
    assert [(lost.event.kind, lost.event.count) for lost in live.unrepaired] == [("missing", 30)]
    events = [(event.kind, event.first, event.last, event.count) for event in live.events]
    assert events == [(event.kind, event.first, event.last, event.count) for event in scan(frames)[1]]


def test_a_stream_of_no_frames_and_of_one_is_no_error() -> None:
    assert list(stream([], LiveFill(Toy()))) == []
    assert list(stream([], LiveInterpolation(Toy(), factor=2))) == []
    for live in (LiveFill(Toy()), LiveInterpolation(Toy(), factor=2)):
        assert len(list(stream(moving_frames(1), live))) == 1


@pytest.mark.parametrize(
    "other",
    [
        moving_frames(1, 32, 16)[0],
        moving_frames(1, format="yuv422p")[0],
        moving_frames(1, time_base=Fraction(1, 50))[0],
        moving_frames(1)[0],
    ],
)
def test_frames_that_do_not_go_on_are_refused_in_words(other: Frame) -> None:
    with pytest.raises(InputUnsupported):
        list(stream([*moving_frames(3), other], LiveFill(Toy())))


def test_a_factor_of_one_is_refused_and_a_generator_for_something_else_too() -> None:
    with pytest.raises(UsageError):
        list(stream(moving_frames(5), LiveInterpolation(Toy(), factor=1)))
    with pytest.raises(TaskMissing):
        open_generator(OpenRequest(generator="blend"), "synthesize")


@pytest.mark.parametrize(
    ("task", "many", "lanes"), [("fill", True, None), ("predict", True, None), ("inpaint", True, 1), ("fill", False, 1)]
)
def test_a_host_that_makes_many_frames_asks_for_several_at_once(
    monkeypatch: pytest.MonkeyPatch, task: str, many: bool, lanes: int | None
) -> None:
    asked: list[OpenRequest] = []
    toy = Toy()
    toy.info = replace(toy.info, tasks=("fill", "predict", "inpaint"))
    manager = SimpleNamespace(open_generator=lambda request: asked.append(request) or toy)
    monkeypatch.setattr(opening, "get_plugin_manager", lambda: manager)
    assert open_generator(OpenRequest(model="lite"), task, (48, 64), many=many) is toy
    assert asked == [OpenRequest(model="lite", size=(48, 64), lanes=lanes)]


def test_a_frame_that_a_detector_calls_damaged_in_parts_is_left_and_named() -> None:
    class Spot:
        lookahead = 1

        def feed(self, index: int, frame: Frame) -> list[Event]:
            spot = Event("corrupt", 60, 60, 60, 60, frame.time, 1, 1.0, "a spot", boxes=((2, 2, 4, 4),))
            return [spot] if index == 60 else []

        def finish(self) -> list[Event]:
            return []

    live = LiveFill(Simple(BLEND), rate=Fraction(25))
    live._detectors.append(Spot())
    frames = moving_frames(120)
    assert [frame for frame, _ in stream(frames, live)] == frames
    assert [(lost.event.reason, lost.why) for lost in live.unrepaired] == [
        ("a spot", "parts of frames are mended in files only")
    ]


def test_a_detector_that_speaks_too_late_changes_nothing_and_is_named() -> None:
    live, said = LiveFill(Simple(BLEND), rate=Fraction(25)), []

    class Late:
        lookahead = 0

        def feed(self, index: int, frame: Frame) -> list[Event]:
            return [Event("corrupt", 3, 3, 3, 3, Fraction(3, 25), 1, 1.0, "late")] if index == 100 else []

        def finish(self) -> list[Event]:
            return []

    live._say = said.append
    live._detectors.append(Late())
    frames = moving_frames(120)
    assert [frame for frame, _ in stream(frames, live)] == frames
    assert said == ["corrupt at 0.120 s was seen too late: it is left as it is"]
