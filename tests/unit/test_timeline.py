from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgan_plugin.timeline import Timeline, half_up

MS = Fraction(1, 1000)


def in_ms(rate: Fraction, n: int, start: int = 0) -> tuple[int, ...]:
    return tuple(start + half_up(i * 1000 / rate) for i in range(n))


def test_the_period_of_a_rounded_clip_is_the_true_one():
    assert Timeline(in_ms(Fraction(30), 40), MS).period == Fraction(100, 3)


def test_the_declared_rate_decides_between_two_that_explain_the_times():
    pts = in_ms(Fraction(30000, 1001), 8)
    assert Timeline(pts, MS, Fraction(30000, 1001)).period == Fraction(1001, 30)


def test_a_declared_rate_that_the_times_contradict_is_not_believed():
    assert Timeline(tuple(range(0, 400, 40)), MS, Fraction(30)).period == 40
    assert Timeline(in_ms(Fraction(30), 40), MS, Fraction(1000)).period == Fraction(100, 3)


def test_holes_do_not_sway_the_period():
    pts = tuple(p for i, p in enumerate(in_ms(Fraction(24000, 1001), 60)) if i % 4 != 3 or i > 55)
    assert Timeline(pts, MS).period == Fraction(1001, 24)


def test_an_odd_constant_rate_has_its_own_period():
    period = Timeline(in_ms(Fraction(2983, 100), 300), MS).period
    assert abs(period - Fraction(100000, 2983)) < Fraction(1, 200)


def test_a_variable_clip_has_the_period_of_its_usual_step_and_no_grid():
    pts = [0]
    for step in [33, 33, 41, 34, 33, 36, 33, 32, 33, 50, 33, 34, 33]:
        pts.append(pts[-1] + step)
    timeline = Timeline(tuple(pts), MS)
    assert timeline.grid is None
    assert 32 < timeline.period < 35


def test_one_frame_has_the_declared_period():
    assert Timeline((7,), MS, Fraction(50)).period == 20


@pytest.mark.parametrize("pts", [(0, 0), (0, 2, 1)])
def test_times_that_do_not_increase_are_refused(pts: tuple[int, ...]):
    with pytest.raises(ValueError, match="must increase"):
        Timeline(pts, MS)


def test_a_time_base_of_zero_is_refused():
    with pytest.raises(ValueError, match="time base"):
        Timeline((0, 1), Fraction(0))


@given(
    rate=st.sampled_from([Fraction(24), Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001)]),
    n=st.integers(3, 80),
    start=st.integers(-50, 500),
)
def test_every_rounded_constant_rate_is_explained_by_its_declared_rate(rate: Fraction, n: int, start: int):
    timeline = Timeline(in_ms(rate, n, start), MS, rate)
    assert timeline.period == 1000 / rate
    assert timeline.grid is not None
    assert [half_up(timeline.grid.at(i)) for i in range(n)] == list(timeline.pts)
