"""Exact time: presentation times as integer ticks of a rational time base. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Timeline:
    """When each source frame is shown.

    Attributes:
        pts: presentation times in ticks, strictly increasing, one a source frame.
        time_base: seconds a tick.
    """

    pts: tuple[int, ...]
    time_base: Fraction
