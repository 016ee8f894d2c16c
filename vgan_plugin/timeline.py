"""Exact time: presentation times as integer ticks of a rational time base, and the grid a constant rate lies on. Pure.

A container may round: Matroska writes 30 frames a second as 0, 33, 67, 100 ms. Steps are therefore never compared for
equality; the period is the rational number that explains all time stamps to within their rounding.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

_RATES = tuple(Fraction(n) for n in (24, 25, 30, 50, 60, 15, 12, 10, 8, 20, 48, 90, 100, 120, 144, 240))
STANDARD_RATES = _RATES + tuple(Fraction(n * 1000, 1001) for n in (24, 30, 60, 15, 48, 120))
"""Frame rates in use; tried when the container's own hint does not explain the time stamps."""

_SURE = 8
"""So many equal steps in a row of rounded ones cannot be: they are exact."""


def half_up(value: Fraction) -> int:
    """Round to the nearest integer, halves up, as containers round time stamps."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def rounding_tolerance(period: Fraction) -> Fraction:
    """How far in ticks two times may lie apart and still be the same: one tick, at most a tenth of a period."""
    return min(Fraction(1), period / 10)


@dataclass(frozen=True)
class Grid:
    """Equidistant times: frame n lies at `origin + n * step` ticks before rounding.

    Attributes:
        origin: time of frame 0 in ticks.
        step: ticks a frame.
    """

    origin: Fraction
    step: Fraction

    def position(self, pts: int) -> int:
        """Number of the grid frame nearest to `pts`."""
        return half_up((pts - self.origin) / self.step)

    def at(self, position: Fraction | int) -> Fraction:
        """Time in ticks of a (possibly fractional) grid position, not rounded."""
        return self.origin + position * self.step


@dataclass(frozen=True)
class Timeline:
    """When each source frame is shown.

    Attributes:
        pts: presentation times in ticks, strictly increasing, one a source frame.
        time_base: seconds a tick.
        rate: frames a second as the container declares them, or None; a hint, believed only where the time stamps
            agree.
    """

    pts: tuple[int, ...]
    time_base: Fraction
    rate: Fraction | None = None

    def __post_init__(self) -> None:
        if self.time_base <= 0:
            raise ValueError(f"time base must be positive, not {self.time_base}")
        for i, step in enumerate(self.steps):
            if step <= 0:
                raise ValueError(f"pts must increase: {self.pts[i]} is followed by {self.pts[i + 1]} at frame {i + 1}")

    def __len__(self) -> int:
        return len(self.pts)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Ticks from each frame to the next, one fewer than frames."""
        return tuple(b - a for a, b in pairwise(self.pts))

    @cached_property
    def grid(self) -> Grid | None:
        """The constant-rate grid that explains every time stamp to within its rounding, or None (variable rate)."""
        if not self.steps:
            return None
        for step in self._grid_steps():
            if (grid := _fit(self.pts, step)) is not None:
                return grid
        return None

    @cached_property
    def period(self) -> Fraction:
        """The usual frame period in ticks: 100/3 for the 33, 33, 34 ms of Matroska. Holes do not sway it.

        One frame alone has the declared rate's period, else 1/25 s.
        """
        if not self.steps:
            return 1 / ((self.rate or Fraction(25)) * self.time_base)
        usual = self._usual_step
        if self.grid is None:
            return usual
        return self.grid.step * max(1, half_up(usual / self.grid.step))

    @property
    def period_seconds(self) -> Fraction:
        """`period` in seconds."""
        return self.period * self.time_base

    def time(self, index: int) -> Fraction:
        """Presentation time of a frame in seconds."""
        return self.pts[index] * self.time_base

    def index(self, pts: int) -> int | None:
        """Index of the frame shown at exactly `pts`, or None."""
        found = bisect_left(self.pts, pts)
        return found if found < len(self.pts) and self.pts[found] == pts else None

    def between(self, index: int, count: int) -> tuple[int, ...]:
        """Times in ticks of `count` frames evenly between frame `index` and the next one.

        On the grid of a constant rate these are exactly the times that lost frames had.
        """
        first, last = self.pts[index], self.pts[index + 1]
        if self.grid is None:
            return tuple(half_up(first + Fraction((last - first) * j, count + 1)) for j in range(1, count + 1))
        a, b = self.grid.position(first), self.grid.position(last)
        return tuple(half_up(self.grid.at(a + Fraction((b - a) * j, count + 1))) for j in range(1, count + 1))

    def count_between(self, index: int) -> int:
        """How many frames of the usual period fit between frame `index` and the next one."""
        return max(0, half_up(self.steps[index] / self.period) - 1)

    @cached_property
    def _near_steps(self) -> list[int]:
        """The steps near the median one; the median of many is blind to rounding, their mean is not."""
        ordered = sorted(self.steps)
        median = ordered[(len(ordered) - 1) // 2]
        return [step for step in ordered if abs(step - median) <= max(1, median // 8)]

    @property
    def _usual_step(self) -> Fraction:
        return Fraction(sum(self._near_steps), len(self._near_steps))

    @property
    def _equal_steps(self) -> int:
        """How many usual steps there are if they are all equal, else 0."""
        return len(self._near_steps) if self._near_steps[0] == self._near_steps[-1] else 0

    def _grid_steps(self) -> Iterator[Fraction]:
        """Candidate grid steps in ticks, the most trustworthy first."""
        usual, equal = self._usual_step, self._equal_steps
        if equal >= _SURE:
            yield usual
        if self.rate:
            # A hole in every other place doubles the usual step; the declared one may still explain it. Steps of a few
            # ticks explain everything ("1000 fps" in milliseconds) and are believed only when they are near the usual.
            declared = 1 / (self.rate * self.time_base)
            if declared <= usual * Fraction(11, 10) and (declared >= 4 or declared >= usual / 4):
                yield declared
        if equal:
            yield usual
        for rate in STANDARD_RATES:
            step = 1 / (rate * self.time_base)
            if abs(step - usual) <= max(Fraction(1, 2), usual / 50):
                yield step
        positions = sum(max(1, half_up(step / usual)) for step in self.steps)
        yield Fraction(self.pts[-1] - self.pts[0], positions)


def _fit(pts: Sequence[int], step: Fraction) -> Grid | None:
    """The grid of this step on which every time stamp lies to within rounding, or None."""
    n, d = step.numerator, step.denominator
    first, low, high = pts[0], 0, 0  # of pts - position * step, in 1/d ticks
    previous = -1
    for value in pts:
        ticks = (value - first) * d
        position = (2 * ticks + n) // (2 * n)
        if position <= previous:
            return None
        previous = position
        rest = ticks - position * n
        low, high = min(low, rest), max(high, rest)
        if high - low >= d:
            return None
    # Rounding halves up needs: origin - first in [high - 1/2, low + 1/2]; a stream that starts on its grid is usual.
    earliest, latest = Fraction(high, d) - Fraction(1, 2), Fraction(low, d) + Fraction(1, 2)
    origin = Fraction(0) if earliest <= 0 < latest else (earliest + latest) / 2
    return Grid(first + origin, step)
