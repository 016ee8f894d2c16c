"""Time stamps as files have them become strictly increasing ones."""

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from vgan_plugin.media.times import increasing, notes


def mended(stamps, step=40):
    seen = Counter()
    return [stamp for stamp, _ in increasing([(s, None) for s in stamps], step, seen)], seen


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-500, 2000)), max_size=40), st.integers(1, 50))
def test_whatever_the_file_says_the_result_increases_and_loses_nothing(stamps, step):
    seen = Counter()
    out = list(increasing([(s, i) for i, s in enumerate(stamps)], step, seen))
    assert [item for _, item in out] == list(range(len(stamps)))
    assert all(a < b for (a, _), (b, _) in itertools.pairwise(out))


@settings(deadline=None)
@given(st.sets(st.integers(-1000, 1000), max_size=40))
def test_good_stamps_stay_as_they_are(stamps):
    good = sorted(stamps)
    assert mended(good) == (good, Counter())


def test_a_doubled_stamp_goes_between_its_neighbours():
    assert mended([0, 40, 40, 120])[0] == [0, 40, 80, 120]
    assert mended([0, 40, 40, 80, 120])[0] == [0, 40, 60, 80, 120]


def test_a_backward_stamp_does_not_move_those_after_it():
    assert mended([0, 40, 20, 120, 160])[0] == [0, 40, 80, 120, 160]


def test_missing_stamps_are_counted_by_the_period():
    assert mended([None] * 4)[0] == [0, 40, 80, 120]
    assert mended([None, None, 80, 120])[0] == [0, 40, 80, 120]
    assert mended([0, 40, None, None])[0] == [0, 40, 80, 120]
    assert mended([None] * 30)[0] == list(range(0, 1200, 40))


def test_the_stamps_that_are_there_say_how_long_a_frame_lasts():
    assert mended([0, 10, 20, None, None])[0] == [0, 10, 20, 30, 40]
    assert mended([0, None, 20, 30, *[None] * 30])[0] == list(range(0, 340, 10))


def test_a_clock_set_back_goes_on_from_where_it_was():
    first, second = list(range(0, 400, 40)), list(range(0, 800, 40))
    out, seen = mended(first + second)
    assert out == list(range(0, 1200, 40))
    assert +seen == Counter(reset=1)
    resets = []
    assert len(list(increasing([(s, None) for s in first + second], 40, Counter(), resets))) == 30
    assert resets == [400]


def test_repairs_are_said():
    _, seen = mended([0, 40, 40, None, 160])
    assert len(notes(seen)) == 2
    assert notes(Counter()) == []
