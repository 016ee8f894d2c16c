"""More frames past the end of a clip, or before its start, as a plan."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

from vgan_plugin.errors import UsageError
from vgan_plugin.gaps.values import Plan, Target
from vgan_plugin.timeline import Timeline, half_up

MOST = 1000
"""Frames: nobody can see that far, and a slip of the finger does not fill the disk."""


def extension_plan(timeline: Timeline, cuts: Iterable[int], count: int, *, before: bool = False) -> Plan:
    """Plan frames that go on in the clip's usual period.

    Each is made from the last (first) two frames of the last (first) shot, never from one that was made itself: an
    error is not repeated. A shot of one frame is repeated.

    Args:
        timeline: exact times of the source frames.
        cuts: source indices of the first frame of every new shot.
        count: how many frames.
        before: before the start instead of past the end.

    Raises:
        UsageError: there are less than one or more than `MOST` to make.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"{count} frames cannot be added", f"1 to {MOST} can be", "name a number in between")
    shots = tuple(sorted({cut for cut in cuts if 0 < cut < len(timeline)}))
    period, last = timeline.period, len(timeline) - 1
    targets: list[Target] = []
    a: int | None
    b: int | None
    for k in range(1, count + 1):
        if before:
            alone = last == 0 or 1 in shots
            pts = timeline.pts[0] - half_up(k * period)
            a, b = (None, 0) if alone else (0, 1)
        else:
            alone = last == 0 or last in shots
            pts = timeline.pts[-1] + half_up(k * period)
            a, b = (last, None) if alone else (last - 1, last)
        first, second = (Fraction(0) if i is None else (timeline.pts[i] - pts) / period for i in (a, b))
        method: Literal["generator", "repeat"] = "repeat" if alone else "generator"
        targets.append(Target(pts, a, b, (first, second), why="extend", method=method))
    return Plan(
        time_base=timeline.time_base,
        frames=len(timeline),
        period=timeline.period_seconds,
        targets=tuple(sorted(targets, key=lambda target: target.pts)),
        cuts=shots,
        pts=timeline.pts,
    )
