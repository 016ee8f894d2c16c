"""A higher, lower or constant frame rate as a plan: exact times, good frames kept, nothing made across a cut."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from fractions import Fraction

from vgan_plugin.errors import UsageError
from vgan_plugin.gaps.values import Event, Plan, Target
from vgan_plugin.timeline import Timeline, rounding_tolerance

_MOST = 1000
"""Parts of a step, or of a usual period: slower motion than anybody shows; a slip such as 60000 for 60000/1001 makes
more frames than memory holds."""


def interpolation_plan(
    timeline: Timeline, cuts: Iterable[int], factor: int | None = None, rate: Fraction | None = None
) -> Plan:
    """Plan a change of frame rate; it repairs nothing.

    Args:
        timeline: exact times of the source frames.
        cuts: source indices of the first frame of every new shot; targets across one repeat the frame before it.
        factor: every step is divided into this many, whatever its length: n frames become factor * (n - 1) + 1.
        rate: frames a second; one frame every 1 / rate from the first source frame's time up to the last one's.
            Source frames at such a time (to within their own rounding) are kept with their time stamp, the others
            dropped.

    Raises:
        UsageError: not exactly one of factor and rate, or it is not positive (factor: not above 1), or it makes more
            than 1000 frames of one.
    """
    if (factor is None) == (rate is None):
        raise UsageError("The new frame rate is unclear", "a factor or a rate is needed, not both", "give one of them")
    shots = sorted({cut for cut in cuts if 0 < cut < len(timeline)})
    if rate is not None:
        return _at_rate(timeline, shots, rate)
    assert factor is not None  # noqa: S101 - checked above
    _check_size(Fraction(factor))
    if factor < 2:
        raise UsageError(
            f"A factor of {factor} adds no frame", "it says into how many parts a step goes", "use 2 or more"
        )
    targets = [
        _target(shots, i, Fraction(j, factor), pts * factor + timeline.steps[i] * j)
        for i, pts in enumerate(timeline.pts[:-1])
        for j in range(1, factor)
    ]
    return _plan(timeline, shots, factor, targets, frozenset())


def _at_rate(timeline: Timeline, cuts: list[int], rate: Fraction) -> Plan:
    if rate <= 0:
        raise UsageError(f"A rate of {rate} frames a second is not one", "it must be positive", "use for example 60")
    _check_size(rate * timeline.period_seconds)
    step = 1 / (rate * timeline.time_base)
    scale = step.denominator
    targets: list[Target] = []
    kept: set[int] = set()
    if timeline.pts:
        first, last = timeline.pts[0], timeline.pts[-1]
        tolerance = rounding_tolerance(step)
        for k in range(int((last - first + tolerance) / step) + 1):
            time = first + k * step
            near = _nearest(timeline, time)
            if abs(timeline.pts[near] - time) <= tolerance and near not in kept:
                kept.add(near)
                continue
            before = bisect_right(timeline.pts, time) - 1
            position = (time - timeline.pts[before]) / timeline.steps[before]
            targets.append(_target(cuts, before, position, int(time * scale)))
    return _plan(timeline, cuts, scale, targets, frozenset(range(len(timeline))) - kept)


def _check_size(parts: Fraction) -> None:
    if parts > _MOST:
        raise UsageError(
            f"{float(parts):.0f} frames for each one are too many", f"at most {_MOST} are made", "use a lower rate"
        )


def _nearest(timeline: Timeline, time: Fraction) -> int:
    after = min(bisect_left(timeline.pts, time), len(timeline) - 1)
    before = max(after - 1, 0)
    return before if time - timeline.pts[before] < timeline.pts[after] - time else after


def _target(cuts: list[int], before: int, position: Fraction, pts: int) -> Target:
    """The target at `position` (0..1) of the step after a frame."""
    if bisect_right(cuts, before) != bisect_right(cuts, before + 1):
        return Target(pts, before, None, (-position, Fraction(0)), why="rate", method="repeat")
    return Target(pts, before, before + 1, (-position, 1 - position), why="rate")


def _plan(timeline: Timeline, cuts: list[int], scale: int, targets: list[Target], dropped: frozenset[int]) -> Plan:
    return Plan(
        time_base=timeline.time_base / scale,
        frames=len(timeline),
        period=timeline.period_seconds,
        scale=scale,
        targets=tuple(targets),
        events=tuple(
            Event("cut", i, i, timeline.pts[i], timeline.pts[i], timeline.time(i), 0, 1.0, "a new shot") for i in cuts
        ),
        cuts=tuple(cuts),
        dropped=dropped,
        pts=timeline.pts,
    )
