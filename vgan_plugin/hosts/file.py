"""Files: find what is missing, make it, write the file anew. What `vgan fill`, `interpolate` and `scan` call.

Two passes. The first decodes the whole file and looks; then the plan is complete, and either nothing is to be done
(the streams are copied without decoding) or the second pass decodes again, makes and encodes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Unpack

from vgan_plugin.errors import PlanUnusable
from vgan_plugin.fill import Inpainter, Say, Scene, mend_stream
from vgan_plugin.fill.background import around
from vgan_plugin.gaps import Event, GapPolicy, Plan, Unrepaired, interpolation_plan, plan_from_json
from vgan_plugin.hookspecs import PlanRequest
from vgan_plugin.hosts.job import Asked, Encoding, Job, Tick, Wishes, look_at, no_tick, silent, timed
from vgan_plugin.hosts.masks import Holes, survey
from vgan_plugin.hosts.report import Report
from vgan_plugin.media.reader import VideoFacts, VideoReader
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.runtime.simple import REPEAT, Simple
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Mask

__all__ = ["Encoding", "Scan", "interpolate", "repair", "scan"]

_SHORT = Fraction(1, 4)
"""Seconds by which sound may outlast the picture without a word."""


@dataclass(frozen=True)
class Scan:
    """What the first pass found.

    Attributes:
        facts: what the file says about its video.
        timeline: exact times of the source frames.
        plan: what `repair` would do.
        seconds: wall-clock seconds by stage.
        notes: what was wrong with the file and how it was mended.
    """

    facts: VideoFacts
    timeline: Timeline
    plan: Plan
    seconds: dict[str, float]
    notes: list[str]


def scan(
    source: Path,
    *,
    policy: GapPolicy | None = None,
    plan: Path | None = None,
    tick: Tick = no_tick,
    say: Say = silent,
) -> Scan:
    """Find what is missing and plan its repair; nothing is written.

    Args:
        source: a local video file.
        policy: what may be made.
        plan: a plan to use instead of our own, as JSON; see `gaps.plan_from_json`.
        tick: progress.
        say: lines for people.

    Raises:
        InputError: the file is not a usable video, or the plan does not fit it.
    """
    document = _read_plan(plan)
    seconds: dict[str, float] = {}
    with VideoReader(source) as reader:
        with timed(seconds, "scan"):
            timeline, events = look_at(reader, tick, say)
        with timed(seconds, "plan"):
            found = _plan(timeline, events, policy, document)
        notes = [*reader.notes, *_cut_off(reader.facts, timeline)]
        return Scan(reader.facts, timeline, found, seconds, notes)


def repair(
    source: Path,
    output: Path,
    *,
    policy: GapPolicy | None = None,
    plan: Path | None = None,
    holes: Holes | None = None,
    **asked: Unpack[Asked],
) -> Report:
    """Find and repair missing, frozen, blank and corrupt frames of a file.

    Of frames that are damaged in parts, the good ones are kept bit for bit: `holes` says where, or the `boxes` of an
    event, in the plan or from a detector.

    Args:
        source: a local video file.
        output: the file to make, or ``null:`` (encoded and thrown away).
        policy: what may be made.
        plan: a plan to use instead of our own, as JSON.
        holes: the damaged parts of frames, beside those that events tell.
        asked: see `hosts.job.Wishes`.

    Raises:
        VganError: one of its kinds; nothing stands under the output's name then.
    """
    document = _read_plan(plan)
    with Job(source, output, "fill", Wishes(**asked)) as job:
        size = job.reader.facts.width, job.reader.facts.height
        if holes is not None:
            holes.check(*size)
        timeline, events = job.look()
        if holes is not None:
            events = list(_in_parts(events, survey(holes, timeline, *size).frames, timeline))
        with timed(job.seconds, "plan"):
            found = _plan(timeline, events, policy, document)
        job.begin(found)
        damage = _damage(holes, found, timeline, size)
        for line in _cut_off(job.reader.facts, timeline):
            job.note(line)
            job.report.unrepaired = (*job.report.unrepaired, *_lost_end(job.reader.facts, timeline, line))
        if damage is not None:
            scene, masks = damage
            job.report.pictures = None  # they stand for whole frames
            job.make(
                lambda frames, maker: mend_stream(
                    frames,
                    found,
                    maker,
                    Inpainter(
                        scene,
                        lambda _: next(masks),
                        maker,
                        min_confidence=job.wishes.min_confidence,
                        say=job.wishes.say,
                    ),
                    min_confidence=job.wishes.min_confidence,
                    say=job.wishes.say,
                ),
                rate=1 / timeline.period_seconds,
            )
        elif found.targets or found.dropped:
            job.fill(found, rate=1 / timeline.period_seconds)
        elif job.reader.mended or not job.copy():  # a copy has the old times
            # Without targets the generator is asked nothing.
            job.fill(found, Simple(REPEAT), rate=1 / timeline.period_seconds)
        return job.end()


def interpolate(
    source: Path,
    output: Path,
    *,
    factor: int | None = None,
    rate: Fraction | None = None,
    **asked: Unpack[Asked],
) -> Report:
    """Change the frame rate of a file; repairs nothing.

    Args:
        source: a local video file.
        output: the file to make, or ``null:``.
        factor: n frames become factor * (n - 1) + 1; or
        rate: frames a second, exact.
        asked: see `hosts.job.Wishes`.

    Raises:
        VganError: as for `repair`.
    """
    with Job(source, output, "interpolate", Wishes(**asked)) as job:
        timeline, events = job.look()
        cuts = [event.first for event in events if event.kind == "cut"]
        plan = interpolation_plan(timeline, cuts, factor, rate)
        job.begin(plan)
        if rate is None:
            job.fill(plan, rate=(factor or 1) / timeline.period_seconds)
        else:
            job.fill(plan, rate=rate, last=1 / rate)
        return job.end()


def _in_parts(events: Iterable[Event], damaged: frozenset[int], timeline: Timeline) -> Iterator[Event]:
    """Events, without the claim that frames are corrupt as a whole of which the damaged parts are known."""
    for event in events:
        if event.kind != "corrupt" or event.boxes or damaged.isdisjoint(range(event.first, event.last + 1)):
            yield event
            continue
        for i in range(event.first, event.last + 1):
            if i not in damaged:
                pts = timeline.pts[i]
                yield replace(event, first=i, last=i, first_pts=pts, last_pts=pts, time=timeline.time(i), count=1)


def _damage(
    holes: Holes | None, plan: Plan, timeline: Timeline, size: tuple[int, int]
) -> tuple[Scene, Iterator[Mask | None]] | None:
    """What is to be mended in parts, and each frame's mask; None = nothing is."""
    boxes = [
        (index, box) for event in plan.events for index in range(event.first, event.last + 1) for box in event.boxes
    ]
    if holes is None and not boxes:
        return None
    holes = replace(holes or Holes(), boxes=(*(holes.boxes if holes is not None else ()), *boxes))
    holes.check(*size)
    area = survey(holes, timeline, *size).area
    if area is None:
        return None
    scene = Scene(timeline.period_seconds, around(area), cuts=plan.cuts, bad=plan.bad, why="corrupt")
    return scene, holes.read(timeline, *size)


def _plan(timeline: Timeline, events: list[Event], policy: GapPolicy | None, document: object) -> Plan:
    if document is not None:
        return plan_from_json(document, timeline)
    return get_plugin_manager().plan_gaps(PlanRequest(timeline, tuple(events), policy or GapPolicy()))


def _cut_off(facts: VideoFacts, timeline: Timeline) -> Iterator[str]:
    """What a player would not tell: the frames end long before the file says that it does."""
    if facts.duration is None or not len(timeline):
        return
    end = timeline.time(-1) + timeline.period_seconds
    if facts.duration - end > max(_SHORT, 3 * timeline.period_seconds):
        said, found = float(facts.duration), float(end)
        yield f"the file says that it lasts {said:.2f} s, but its last frame ends at {found:.2f} s"


def _lost_end(facts: VideoFacts, timeline: Timeline, why: str) -> Iterator[Unrepaired]:
    """The frames that a file cut off in the middle says it has: nothing can make them, and a shorter video is named."""
    lost = facts.count - len(timeline)
    if lost > 0:
        first, last = (timeline.pts[-1] + round(k * timeline.period) for k in (1, lost))
        end = len(timeline) - 1
        event = Event("missing", end, end, first, last, first * timeline.time_base, lost, 1.0, why)
        yield Unrepaired(event, "the file ends before them")


def _read_plan(path: Path | None) -> object:
    if path is None:
        return None
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PlanUnusable(f"Cannot read the plan {path}", error.strerror or "unreadable", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise PlanUnusable(
            f"{path} is not a plan", f"it is not JSON ({error})", "`vgan scan --json` writes one"
        ) from error
