"""Events and plans as JSON and back. What comes back was written by somebody: it is checked against the clip.

The document: `format` 1; `frames`, `source_time_base`, `time_base`, `scale`, `period` (seconds); `events` (kind,
source indices `first` and `last`, first_pts, last_pts, time, count, score, reason); `targets` (output index, pts,
time, method, references, offsets, replaces, why); `cuts`, `bad`, `dropped` (source indices); `unrepaired` (an event
and `unrepaired` = why). Rational numbers are strings such as "1/25". The pts of targets are ticks of `time_base`, those
of events and references ticks of `source_time_base`; the two are the same unless the rate changes. `time`, `index`
and an event's `first` and `last` are for readers: pts decide.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, get_args

from vgan_plugin.errors import PlanUnusable
from vgan_plugin.gaps.repair import plan_gaps
from vgan_plugin.gaps.values import Box, Event, Kind, Plan, Target, Unrepaired
from vgan_plugin.timeline import Timeline

FORMAT = 1
_KINDS: tuple[Kind, ...] = get_args(Kind)
_RATIONAL = re.compile(r"-?[0-9]{1,18}(/[1-9][0-9]{0,17})?")
_DO = "write a fresh plan with: vgan scan IN --json"


def rational(value: Fraction) -> str:
    """A rational number as the documents write it: ``"1/25"``, ``"-3"``."""
    return str(value)


def event_to_json(event: Event) -> dict[str, Any]:
    """An event as a JSON object; `time` in seconds; `boxes` where only parts of the frames are damaged."""
    found: dict[str, Any] = {
        "kind": event.kind,
        "first": event.first,
        "last": event.last,
        "first_pts": event.first_pts,
        "last_pts": event.last_pts,
        "time": float(event.time),
        "count": event.count,
        "score": event.score,
        "reason": event.reason,
    }
    if event.boxes:
        found["boxes"] = [list(box) for box in event.boxes]
    return found


def unrepaired_to_json(lost: Unrepaired) -> dict[str, Any]:
    """What was left as it is: its event, and under `unrepaired` why."""
    return {**event_to_json(lost.event), "unrepaired": lost.why}


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """A plan as a JSON object."""
    if len(plan.pts) != plan.frames:
        raise ValueError(f"the plan of {plan.frames} frames knows the times of {len(plan.pts)}")
    replaced = {target.replaces for target in plan.targets}
    shown = sorted(
        [plan.pts[i] * plan.scale for i in range(plan.frames) if i not in plan.dropped and i not in replaced]
        + [target.pts for target in plan.targets]
    )
    targets = [
        {
            "index": bisect_left(shown, target.pts),
            "pts": target.pts,
            "time": float(target.pts * plan.time_base),
            "method": target.method,
            "references": [plan.pts[index] for index, _ in target.references],
            "offsets": [rational(offset) for _, offset in target.references],
            "replaces": target.replaces,
            "why": target.why,
        }
        for target in plan.targets
    ]
    return {
        "format": FORMAT,
        "frames": plan.frames,
        "source_time_base": rational(plan.time_base * plan.scale),
        "time_base": rational(plan.time_base),
        "scale": plan.scale,
        "period": rational(plan.period),
        "events": [event_to_json(event) for event in plan.events],
        "targets": targets,
        "cuts": list(plan.cuts),
        "bad": sorted(plan.bad),
        "dropped": sorted(plan.dropped),
        "unrepaired": [unrepaired_to_json(lost) for lost in plan.unrepaired],
    }


def plan_from_json(document: Any, timeline: Timeline) -> Plan:
    """Read a plan back and check that it fits the clip.

    A document with `events` but without `targets` is planned anew from its events, so that events can be vetoed,
    added or replaced by hand; then only `format` and `events` are needed, and of an event only `kind`, and either
    `first_pts` and `last_pts` or, of frames that are there, `first` and `last`.

    Args:
        document: what `json.load` gave.
        timeline: exact times of the clip's frames.

    Raises:
        PlanUnusable: it is no plan, or one of another clip.
    """
    top = _object(document, "the plan")
    if top.get("format") != FORMAT:
        raise _unusable("its format is not 1", "format")
    if "targets" not in top:
        if "events" not in top:  # such as what `vgan scan --json` prints of a file that it cannot read
            raise _unusable("neither events nor targets are in it", "the plan")
        return plan_gaps(timeline, _events(top, timeline))
    frames, scale = _whole(top, "frames"), _whole(top, "scale", low=1)
    time_base = _fraction(top.get("time_base"), "time_base")
    source = _fraction(top.get("source_time_base"), "source_time_base")
    if frames != len(timeline) or source != timeline.time_base:
        raise _unusable(
            f"it was made for {frames} frames of time base {source}, "
            f"the clip has {len(timeline)} of {timeline.time_base}",
            "frames",
        )
    if time_base * scale != source:
        raise _unusable(f"{time_base} x {scale} is not the source's {source}", "time_base")
    targets = tuple(_target(item, f"targets[{i}]", timeline, scale) for i, item in enumerate(_list(top, "targets")))
    cuts = tuple(_indices(top, "cuts", frames))
    if list(cuts) != sorted(set(cuts)):
        raise _unusable("cuts must ascend", "cuts")
    unrepaired = []
    for i, item in enumerate(_list(top, "unrepaired")):
        where = f"unrepaired[{i}]"
        unrepaired.append(Unrepaired(_event(item, where, timeline), _text(_object(item, where), "unrepaired", where)))
    plan = Plan(
        time_base=time_base,
        frames=frames,
        period=_fraction(top.get("period"), "period"),
        scale=scale,
        targets=targets,
        events=_events(top, timeline),
        cuts=cuts,
        bad=frozenset(_indices(top, "bad", frames)),
        dropped=frozenset(_indices(top, "dropped", frames)),
        unrepaired=tuple(unrepaired),
        pts=timeline.pts,
    )
    _check(plan, timeline)
    return plan


def _check(plan: Plan, timeline: Timeline) -> None:
    """What holds between the parts of a plan."""
    if plan.period <= 0:
        raise _unusable("the period must be positive", "period")
    replaced = [target.replaces for target in plan.targets if target.replaces is not None]
    if len(replaced) != len(set(replaced)) or plan.dropped.intersection(replaced):
        raise _unusable("a frame is replaced twice, or replaced and dropped", "targets")
    gone = plan.dropped.union(replaced)
    if len(gone) == plan.frames and not plan.targets:
        raise _unusable("every frame is dropped, none is left", "dropped")
    taken = {timeline.pts[i] * plan.scale for i in range(plan.frames) if i not in gone}
    previous: int | None = None
    for i, target in enumerate(plan.targets):
        if previous is not None and target.pts <= previous:
            raise _unusable("targets must ascend in pts", f"targets[{i}]")
        if target.pts in taken:
            raise _unusable(f"a good frame is already shown at pts {target.pts}", f"targets[{i}]")
        if {target.a, target.b} & plan.bad:
            raise _unusable("a reference is itself a bad frame", f"targets[{i}]")
        previous = target.pts


def _target(item: Any, where: str, timeline: Timeline, scale: int) -> Target:
    fields = _object(item, where)
    pts = _whole(fields, "pts", where, low=None)
    replaces = fields.get("replaces")
    if replaces is not None:
        replaces = _whole(fields, "replaces", where)
        if replaces >= len(timeline) or timeline.pts[replaces] * scale != pts:
            raise _unusable("no frame of that index is shown at its pts", f"{where}.replaces")
    references, offsets = _list(fields, "references", where), _list(fields, "offsets", where)
    if not 1 <= len(references) == len(offsets) <= 2:
        raise _unusable("one or two references are needed, with one offset each", where)
    pairs: list[tuple[int | None, Fraction]] = []
    for i, (reference, offset) in enumerate(zip(references, offsets, strict=True)):
        index = timeline.index(reference) if isinstance(reference, int) else None
        if index is None:
            raise _unusable(f"the clip has no frame at pts {reference!r}", f"{where}.references[{i}]")
        pairs.append((index, _fraction(offset, f"{where}.offsets[{i}]")))
        if pairs[-1][1] * (timeline.pts[index] * scale - pts) <= 0:
            raise _unusable("an offset has the sign of reference minus target", f"{where}.offsets[{i}]")
    if len(pairs) == 2 and references[0] >= references[1]:
        raise _unusable("references must ascend", f"{where}.references")
    if len(pairs) == 1:
        absent: tuple[int | None, Fraction] = (None, Fraction(0))
        pairs.insert(1 if pairs[0][1] < 0 else 0, absent)
    method = fields.get("method", "generator")
    if method not in ("generator", "repeat"):
        raise _unusable(f"{method!r} is neither generator nor repeat", f"{where}.method")
    (a, before), (b, after) = pairs
    return Target(pts, a, b, (before, after), replaces, _text(fields, "why", where), method)


def _events(top: Mapping[str, Any], timeline: Timeline) -> tuple[Event, ...]:
    return tuple(_event(item, f"events[{i}]", timeline) for i, item in enumerate(_list(top, "events")))


def _event(item: Any, where: str, timeline: Timeline) -> Event:
    fields = _object(item, where)
    name = fields.get("kind")
    kind = next((known for known in _KINDS if known == name), None)
    if kind is None:
        raise _unusable(f"{name!r} is none of {', '.join(_KINDS)}", f"{where}.kind")
    if kind != "missing" and "first_pts" not in fields and "first" in fields:
        ends = [_whole(fields, name, where) for name in ("first", "last")]
        if max(ends) >= len(timeline):
            raise _unusable(f"the clip has the frames 0 to {len(timeline) - 1}", where)
        first_pts, last_pts = (timeline.pts[end] for end in ends)
    else:
        first_pts, last_pts = (_whole(fields, name, where, low=None) for name in ("first_pts", "last_pts"))
    if kind == "missing":
        after = bisect_left(timeline.pts, first_pts)
        first, last = after - 1, after
        if not (0 < after < len(timeline) and first_pts <= last_pts < timeline.pts[after]):
            raise _unusable("no hole between two frames lies there", where)
        count = _whole(fields, "count", where, low=1) if "count" in fields else timeline.count_between(first)
    else:
        begin, end = timeline.index(first_pts), timeline.index(last_pts)
        if begin is None or end is None or begin > end:
            raise _unusable("the clip has no frames at these times", where)
        first, last = begin, end
        usual = 0 if kind == "cut" else last - first + 1
        count = _whole(fields, "count", where) if "count" in fields else usual
    if count > max(len(timeline), 1) and kind != "missing":
        raise _unusable("more frames than the clip has", f"{where}.count")
    if kind == "missing" and count > timeline.pts[last] - timeline.pts[first] - 1:
        raise _unusable("more frames than ticks in the hole", f"{where}.count")
    score = fields.get("score", 1.0)
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1 or math.isnan(score):
        raise _unusable("a score lies between 0 and 1", f"{where}.score")
    reason = _text(fields, "reason", where) if "reason" in fields else "given"
    boxes = _boxes(fields, kind, where) if "boxes" in fields else ()
    time = first_pts * timeline.time_base
    return Event(kind, first, last, first_pts, last_pts, time, count, float(score), reason, boxes)


def _boxes(fields: Mapping[str, Any], kind: Kind, where: str) -> tuple[Box, ...]:
    boxes = _list(fields, "boxes", where)
    if kind != "corrupt":
        raise _unusable("only a corrupt frame has damaged parts", f"{where}.boxes")
    for i, box in enumerate(boxes):
        whole = isinstance(box, list) and len(box) == 4 and all(type(v) is int and 0 <= v < 1 << 20 for v in box)
        if not whole or not (box[2] and box[3]):
            raise _unusable("four whole numbers are needed: left, top, width, height", f"{where}.boxes[{i}]")
    return tuple((left, top, width, height) for left, top, width, height in boxes)


def _unusable(why: str, where: str) -> PlanUnusable:
    return PlanUnusable("The plan cannot be used", f"{where}: {why}", _DO)


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _unusable("a JSON object is needed", where)
    return value


def _list(fields: Mapping[str, Any], name: str, where: str = "") -> list[Any]:
    value = fields.get(name, [] if not where else None)
    if not isinstance(value, list):
        raise _unusable("a list is needed", f"{where}.{name}".lstrip("."))
    return value


def _whole(fields: Mapping[str, Any], name: str, where: str = "", low: int | None = 0) -> int:
    value = fields.get(name)
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or abs(value) >= 1 << 63
        or (low is not None and value < low)
    ):
        least = "" if low is None else f" of at least {low}"
        raise _unusable(f"a whole number{least} is needed", f"{where}.{name}".lstrip("."))
    return value


def _fraction(value: Any, where: str) -> Fraction:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _RATIONAL.fullmatch(text):
        raise _unusable('a rational number such as "1/25" is needed', where)
    return Fraction(text)


def _text(fields: Mapping[str, Any], name: str, where: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _unusable("text is needed", f"{where}.{name}")
    return value


def _indices(fields: Mapping[str, Any], name: str, frames: int) -> Iterable[int]:
    values = _list(fields, name)
    for i, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < frames:
            raise _unusable(f"a source index from 0 to {frames - 1} is needed", f"{name}[{i}]")
    return values
