"""The values: what was seen (Event), what may be made (GapPolicy), what is to be made (Target, Plan)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

Kind = Literal["missing", "duplicate", "frozen", "corrupt", "blank", "cut"]
Box = tuple[int, int, int, int]
"""Left, top, width, height, in pixels."""


@dataclass(frozen=True)
class Event:
    """Something a detector saw.

    Attributes:
        kind: what it is.
        first: source index of the first affected frame; for `missing` the frame before the hole; for `cut` the first
            frame of the new shot.
        last: source index of the last affected frame; for `missing` the frame after the hole; for `cut` = first.
        first_pts: presentation time of the first affected frame in ticks; for `missing` of the first frame that should
            have been there.
        last_pts: the same of the last one.
        time: `first_pts` in seconds, exact.
        count: how many frames are affected (for `missing`: how many are gone; for `cut`: 0).
        score: how sure, 0..1.
        reason: in words.
        boxes: the damaged parts of the frames, each (left, top, width, height) in pixels; empty = all of them. Only
            for `corrupt`: such frames stay, and are mended inside the boxes.
    """

    kind: Kind
    first: int
    last: int
    first_pts: int
    last_pts: int
    time: Fraction
    count: int
    score: float
    reason: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Target:
    """One frame to make.

    Attributes:
        pts: presentation time in ticks of the plan's time base.
        a: source index of the first reference in time, or None.
        b: source index of the second reference in time, or None.
        offsets: times of a and b minus the target's, in source-frame periods (0 for an absent reference).
        replaces: source index of the frame whose place it takes, or None when it is inserted.
        why: kind of the event it repairs, ``at`` (asked for by index), or ``rate``.
        method: ``generator``, or ``repeat`` where nothing better can be done (one reference at a cut); said in
            the report.
    """

    pts: int
    a: int | None
    b: int | None
    offsets: tuple[Fraction, Fraction]
    replaces: int | None = None
    why: str = "missing"
    method: Literal["generator", "repeat"] = "generator"

    @property
    def references(self) -> tuple[tuple[int, Fraction], ...]:
        """(source index, offset) of every reference there is, in order of time."""
        sides = zip((self.a, self.b), self.offsets, strict=True)
        return tuple((index, offset) for index, offset in sides if index is not None)


@dataclass(frozen=True)
class GapPolicy:
    """What may be made.

    Attributes:
        max_gap: longest gap in frames that is made; None = 24 frames or one second, whichever is longer.
        at: source indices to make anew whatever the detectors say: pairs (first, last), both included.
        kinds: which kinds of events are repaired.
    """

    max_gap: int | None = None
    at: tuple[tuple[int, int], ...] = ()
    kinds: frozenset[Kind] = frozenset({"missing", "duplicate", "frozen", "corrupt", "blank"})


@dataclass(frozen=True)
class Unrepaired:
    """A gap that was left as it is, and why."""

    event: Event
    why: str


@dataclass(frozen=True)
class Plan:
    """What to make, from what, and what to leave out.

    Attributes:
        time_base: seconds a tick of the output.
        scale: output ticks a source tick (1 for a repair).
        frames: number of source frames.
        targets: frames to make, in order of pts, no two at the same pts.
        events: what was seen, in order.
        cuts: source indices of the first frame of every new shot, in order.
        bad: source indices that are neither remembered nor used as a reference.
        dropped: source indices that do not appear in the output (the replaced ones not included).
        unrepaired: gaps left alone.
        period: one source-frame period in seconds.
        pts: presentation times of the source frames in source ticks; a plan without them cannot be written as JSON.
    """

    time_base: Fraction
    frames: int
    period: Fraction
    scale: int = 1
    targets: tuple[Target, ...] = ()
    events: tuple[Event, ...] = ()
    cuts: tuple[int, ...] = ()
    bad: frozenset[int] = field(default_factory=frozenset)
    dropped: frozenset[int] = field(default_factory=frozenset)
    unrepaired: tuple[Unrepaired, ...] = ()
    pts: tuple[int, ...] = ()
