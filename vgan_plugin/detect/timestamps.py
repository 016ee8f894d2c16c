"""Holes in the time stamps: `missing`. A real variable cadence is none.

A step is a hole when it is at least one and a half of the usual step around it, close to a whole number of them, and
an exception: most steps around are the usual one, on either side. A clip that alternates between two steps, a phone
that slows down in the dark, or a screen recording that holds its picture as it likes has no such steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from statistics import median_low

from vgan_plugin.gaps import Event
from vgan_plugin.timeline import half_up
from vgan_plugin.types import Frame

WINDOW = 12
"""Steps either side that make the cadence."""
NEAREST = 4
"""Steps either side of which half must be usual ones."""
HOLE = Fraction(3, 2)
"""Usual steps from which on a step is a hole."""
JITTER = Fraction(1, 8)
"""Share by which usual steps differ; at least one tick..."""
COARSE = 3
"""...where steps are of so many."""
USUAL = Fraction(3, 5)
"""Share of the steps around that must be usual ones."""
WHOLE = Fraction(1, 4)
"""Distance in usual steps from a whole number of them; not asked of holes of many."""
MANY = 5
FEWEST = 3
"""Other steps that a cadence takes."""


class TimeStamps:
    """Finds holes between neighbouring frames. Looks at no pixel."""

    lookahead = WINDOW

    def __init__(self) -> None:
        self._times: deque[tuple[int, int]] = deque(maxlen=2 * WINDOW + 2)  # (index, pts)
        self._time_base = Fraction(1)
        self._next = 0  # index of the frame before the next step to judge

    def feed(self, index: int, frame: Frame) -> Iterable[Event]:
        """Take the next frame's time; judge the step that has its window complete by now."""
        self._time_base = frame.time_base
        self._times.append((index, frame.pts))
        return list(self._judge(index - 1 - WINDOW))

    def finish(self) -> Iterable[Event]:
        """Judge the steps at the end by what there is of their window."""
        return list(self._judge(self._times[-1][0] - 1)) if self._times else []

    def _judge(self, newest: int) -> Iterator[Event]:
        while self._next <= newest:
            at = self._next - self._times[0][0]
            pts = [time for _, time in self._times]
            steps = [b - a for a, b in pairwise(pts)]
            step, before, after = steps[at], steps[max(0, at - WINDOW) : at], steps[at + 1 : at + 1 + WINDOW]
            usual = hole_in(step, before, after)
            if usual is not None:
                yield self._event(self._next, pts[at], step, usual)
            self._next += 1

    def _event(self, index: int, pts: int, step: int, usual: Fraction) -> Event:
        count = half_up(step / usual) - 1
        first, last = (half_up(pts + Fraction(step * j, count + 1)) for j in (1, count))
        seconds, period = float(step * self._time_base), float(usual * self._time_base)
        return Event(
            "missing",
            index,
            index + 1,
            first,
            last,
            first * self._time_base,
            count,
            1.0,
            f"{seconds * 1000:.1f} ms without a frame where {period * 1000:.1f} ms are usual",
        )


def hole_in(step: int, before: Sequence[int], after: Sequence[int]) -> Fraction | None:
    """The usual step in ticks if `step` is a hole among its neighbours, else None."""
    around = [*before, *after]
    if len(around) < FEWEST:
        return None
    middle = median_low(around)
    # Rounding moves a step by up to a tick, but in a time base as coarse as the rate itself nothing is rounded.
    slack = max(Fraction(middle >= COARSE), middle * JITTER)
    usual = [other for other in around if abs(other - middle) <= slack]
    mean = Fraction(sum(usual), len(usual))
    if step < HOLE * mean or len(usual) < USUAL * len(around):
        return None
    for side in (before[-NEAREST:], after[:NEAREST]):
        if sum(abs(other - middle) <= slack for other in side) * 2 < len(side):
            return None
    whole = half_up(step / mean)
    if whole <= MANY and abs(step / mean - whole) > WHOLE:
        return None
    return mean
