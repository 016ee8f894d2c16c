from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.detect import TimeStamps, scan
from vgan_plugin.gaps import Event
from vgan_plugin.timeline import half_up
from vgan_plugin.types import Frame, PixelFormat

GRAY = PixelFormat.parse("gray")
DOT = np.zeros((2, 2), np.uint8)
MS = Fraction(1, 1000)


def holes(pts: Sequence[int], time_base: Fraction = MS, rate: Fraction | None = None) -> list[Event]:
    frames = [Frame((DOT,), GRAY, pts=p, time_base=time_base) for p in pts]
    return scan(frames, [TimeStamps], rate)[1]


def summed(steps: Iterable[int]) -> list[int]:
    pts = [0]
    for step in steps:
        pts.append(pts[-1] + step)
    return pts


RATES = [Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001)]


@pytest.mark.parametrize("rate", RATES)
def test_a_hole_has_the_times_of_what_is_gone(rate: Fraction):
    pts = [half_up(i * 1000 / rate) for i in range(40)]
    found = holes(pts[:10] + pts[13:20] + pts[21:], rate=rate)
    assert [(e.first, e.last, e.count, e.first_pts, e.last_pts) for e in found] == [
        (9, 10, 3, pts[10], pts[12]),
        (16, 17, 1, pts[20], pts[20]),
    ]
    assert found[0].time == pts[10] * MS


@given(data=st.data(), rate=st.sampled_from(RATES), rounded=st.booleans())
def test_scattered_holes_are_all_found(data: st.DataObject, rate: Fraction, rounded: bool):
    n = 60
    time_base = MS if rounded else Fraction(1, rate.numerator)
    pts = [half_up(i / rate / time_base) for i in range(n)]
    gone: set[int] = set()
    at = data.draw(st.integers(3, 6))
    while at + 8 < n - 3:
        length = data.draw(st.integers(1, 8))
        gone |= set(range(at, at + length))
        at += length + data.draw(st.integers(4, 9))
    found = holes([p for i, p in enumerate(pts) if i not in gone], time_base, rate)
    assert sum(e.count for e in found) == len(gone)
    assert {e.first_pts for e in found} == {pts[i] for i in gone if i - 1 not in gone}


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        ("24 in 60", [2, 3] * 20),
        ("25 in 60", [2, 2, 3, 2, 3] * 8),
        ("a slow stretch", [33] * 12 + [66] * 6 + [33] * 12),
        ("every other step double", [20, 40] * 20),
        ("three lengths", [33, 50, 67] * 12),
        ("a phone that slows down in the dark", [33, 34, 33] * 6 + [66, 67, 67] * 6 + [33, 33, 34] * 6),
        ("jitter", [33, 38, 29, 33, 41, 30, 33, 27, 36, 45, 33] * 3),
        ("a recording of a screen", [17, 240, 17, 17, 1200, 33, 80, 17, 610, 50, 17, 130, 900, 17, 33, 400, 17] * 2),
        ("slowly drifting", list(range(30, 60))),
        ("a last long frame", [40] * 20),
    ],
)
def test_a_variable_cadence_has_no_holes(what: str, steps: list[int]):
    assert holes(summed(steps)) == [], what


def test_holes_at_a_regular_distance_are_holes():
    found = holes(summed([40, 40, 40, 80] * 8 + [40]))
    assert len(found) == 8


def test_a_clip_of_few_frames_has_no_cadence():
    assert holes([0, 40, 120]) == []
    assert holes([]) == []
