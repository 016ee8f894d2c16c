"""Events and policy -> plan: which frames come back, at which times, from which references."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from vgan_plugin.errors import PlanUnusable
from vgan_plugin.gaps.values import Event, GapPolicy, Plan, Target, Unrepaired
from vgan_plugin.timeline import Timeline, half_up, rounding_tolerance

_MAX_GAP = 24


@dataclass(frozen=True)
class _Slot:
    """One place without a good frame: `index` is None where no frame was; `wanted` says that it is to be made."""

    pts: int
    index: int | None
    why: str
    event: Event
    wanted: bool


@dataclass(frozen=True)
class _Gap:
    """The slots between two neighbouring good frames, which are None at the clip's ends."""

    before: int | None
    after: int | None
    slots: tuple[_Slot, ...]


def plan_gaps(timeline: Timeline, events: Iterable[Event], policy: GapPolicy | None = None) -> Plan:
    """Turn events into a plan.

    Bad frames are replaced where they stand, lost ones inserted at the times they had. Events that touch make one gap.
    A target between two good frames of its shot is made from both. Where a cut lies in the gap, each target belongs
    to the shot it is nearer to (the earlier one when in doubt, and the shot that its picture shows when it is a
    damaged or asked-for frame), and is extrapolated from that shot's last or first two good frames; where the shot
    has one good frame only, that one is repeated.

    Args:
        timeline: exact times of the source frames.
        events: what the detectors saw.
        policy: what may be made; None = the defaults.

    Raises:
        PlanUnusable: an event or an asked-for range does not fit the clip.
    """
    policy = policy or GapPolicy()
    events = tuple(events)
    frames = len(timeline)
    for event in events:
        _check_event(event, frames)
    for first, last in policy.at:
        if not 0 <= first <= last < frames:
            raise PlanUnusable(
                f"Frames {first}-{last} cannot be made",
                f"the clip has the frames 0 to {frames - 1}",
                "name frames of the clip, counted from 0",
            )
    cuts = sorted({event.first for event in events if event.kind == "cut" and event.first > 0})
    bad = _bad_frames(timeline, events, policy)
    good = [i for i in range(frames) if i not in bad]
    limit = policy.max_gap
    if limit is None:
        limit = max(_MAX_GAP, math.ceil(1 / timeline.period_seconds))
    targets: list[Target] = []
    unrepaired: list[Unrepaired] = []
    for gap in _gaps(timeline, bad, _holes(events, policy)):
        length = sum(slot.wanted and slot.why != "at" for slot in gap.slots)
        refused = ""
        if not good:
            refused = "the clip has no good frame to make it from"
        elif length > limit:
            refused = f"the gap of {length} frames is longer than max_gap = {limit}"
        lost: dict[int, Event] = {}
        wanted: list[_Slot] = []
        for slot in gap.slots:
            if slot.wanted and (not refused or (good and slot.why == "at")):
                wanted.append(slot)
            elif slot.wanted:
                lost[id(slot.event)] = slot.event
        unrepaired += [Unrepaired(event, refused) for event in lost.values()]
        targets += _targets(timeline, gap, wanted, _Shots(good, cuts, frames))
    return Plan(
        time_base=timeline.time_base,
        frames=frames,
        period=timeline.period_seconds,
        targets=tuple(targets),
        events=events,
        cuts=tuple(cuts),
        bad=frozenset(bad),
        unrepaired=tuple(unrepaired),
        pts=timeline.pts,
    )


def _check_event(event: Event, frames: int) -> None:
    adjacent = event.kind != "missing" or event.last == event.first + 1
    if not (0 <= event.first <= event.last < frames and adjacent and event.count >= 0):
        raise PlanUnusable(
            f"The event {event.kind} of frames {event.first}-{event.last} does not fit",
            f"the clip has {frames} frames" if adjacent else "a hole lies between two neighbouring frames",
            "use a plan or detector that was made for this clip",
        )


def _bad_frames(timeline: Timeline, events: Sequence[Event], policy: GapPolicy) -> dict[int, _Slot]:
    """Every frame that is no picture of its moment, repaired or not, as a slot; asked-for frames come first."""
    bad: dict[int, _Slot] = {}
    for first, last in policy.at:
        pts = timeline.pts
        # The report has no kind for "the user says so": a frame that must not be used is a damaged one.
        asked = Event(
            "corrupt", first, last, pts[first], pts[last], timeline.time(first), last - first + 1, 1.0, "asked for"
        )
        for i in range(first, last + 1):
            bad.setdefault(i, _Slot(pts[i], i, "at", asked, wanted=True))
    for event in events:
        if event.kind not in ("missing", "cut") and not event.boxes:  # a frame damaged in parts is mended, not replaced
            for i in range(event.first, event.last + 1):
                slot = _Slot(timeline.pts[i], i, event.kind, event, wanted=event.kind in policy.kinds)
                if i not in bad or (slot.wanted and not bad[i].wanted):
                    bad[i] = slot
    return bad


def _holes(events: Sequence[Event], policy: GapPolicy) -> dict[int, Event]:
    """Frame before a hole -> the hole."""
    if "missing" not in policy.kinds:
        return {}
    return {event.first: event for event in reversed(events) if event.kind == "missing" and event.count > 0}


def _gaps(timeline: Timeline, bad: dict[int, _Slot], holes: dict[int, Event]) -> Iterator[_Gap]:
    before: int | None = None
    slots: list[_Slot] = []
    for i in range(len(timeline)):
        if i in bad:
            slots.append(bad[i])
        else:
            if slots:
                yield _Gap(before, i, tuple(slots))
            before, slots = i, []
        if i in holes:
            hole = holes[i]
            slots += [_Slot(pts, None, "missing", hole, wanted=True) for pts in timeline.between(i, hole.count)]
    if slots:
        yield _Gap(before, None, tuple(slots))


@dataclass(frozen=True)
class _Shots:
    """Good frames and cuts, both ascending: finds the neighbours of a good frame within its shot."""

    good: Sequence[int]
    cuts: Sequence[int]
    frames: int

    def cuts_within(self, gap: _Gap) -> Sequence[int]:
        """Cuts after the good frame before the gap, up to the one after it."""
        first = -1 if gap.before is None else gap.before
        last = self.frames if gap.after is None else gap.after
        return self.cuts[bisect_right(self.cuts, first) : bisect_right(self.cuts, last)]

    def previous(self, index: int) -> int | None:
        """The good frame before this good one, if it is of the same shot."""
        at = bisect_left(self.good, index)
        if at == 0 or bisect_right(self.cuts, self.good[at - 1]) != bisect_right(self.cuts, index):
            return None
        return self.good[at - 1]

    def next(self, index: int) -> int | None:
        """The good frame after this good one, if it is of the same shot."""
        at = bisect_right(self.good, index)
        if at == len(self.good) or bisect_right(self.cuts, self.good[at]) != bisect_right(self.cuts, index):
            return None
        return self.good[at]


def _targets(timeline: Timeline, gap: _Gap, wanted: Sequence[_Slot], shots: _Shots) -> Iterator[Target]:
    """The targets of one gap, in order."""
    cuts = shots.cuts_within(gap)
    period = timeline.period
    if gap.before is not None and gap.after is not None:
        period = Fraction(timeline.pts[gap.after] - timeline.pts[gap.before], len(gap.slots) + 1)
    for slot in wanted:
        if not cuts and gap.before is not None and gap.after is not None:
            offsets = (
                _periods(timeline.pts[gap.before] - slot.pts, period),
                _periods(timeline.pts[gap.after] - slot.pts, period),
            )
            yield Target(slot.pts, gap.before, gap.after, offsets, slot.index, slot.why)
        elif _belongs_before(timeline, gap, slot, cuts):
            assert gap.before is not None  # noqa: S101 - _belongs_before has looked
            yield _one_sided(timeline, slot, shots.previous(gap.before), gap.before, period)
        else:
            assert gap.after is not None  # noqa: S101 - a gap without any good frame has no wanted slots
            yield _one_sided(timeline, slot, gap.after, shots.next(gap.after), period)


def _belongs_before(timeline: Timeline, gap: _Gap, slot: _Slot, cuts: Sequence[int]) -> bool:
    """Whether a slot of a gap with a cut or an end in it is made from the frames before it."""
    if gap.before is None or gap.after is None:
        return gap.before is not None
    if slot.index is not None and slot.why in ("at", "corrupt"):
        return slot.index < cuts[0]
    return slot.pts - timeline.pts[gap.before] <= timeline.pts[gap.after] - slot.pts


def _one_sided(timeline: Timeline, slot: _Slot, a: int | None, b: int | None, period: Fraction) -> Target:
    """A target extrapolated from two frames of one side, or the repeat of the only one."""
    if a is not None and b is not None:
        step = _periods(timeline.pts[b] - timeline.pts[a], period)
        if timeline.pts[a] > slot.pts:
            near = _periods(timeline.pts[a] - slot.pts, period)
            return Target(slot.pts, a, b, (near, near + step), slot.index, slot.why)
        near = _periods(timeline.pts[b] - slot.pts, period)
        return Target(slot.pts, a, b, (near - step, near), slot.index, slot.why)
    only = a if a is not None else b
    assert only is not None  # noqa: S101 - one of the two is the good frame at the gap
    offset = _periods(timeline.pts[only] - slot.pts, period)
    if offset < 0:
        return Target(slot.pts, only, None, (offset, Fraction(0)), slot.index, slot.why, "repeat")
    return Target(slot.pts, None, only, (Fraction(0), offset), slot.index, slot.why, "repeat")


def _periods(ticks: int, period: Fraction) -> Fraction:
    """A time in ticks as periods, exact; the whole number where only the container's rounding differs from it."""
    whole = half_up(ticks / period)
    return Fraction(whole) if whole and abs(ticks - whole * period) <= rounding_tolerance(period) else ticks / period
