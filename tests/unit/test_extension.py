"""Past the end and before the start: the plan, the motion that goes on, and the same live."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from clips import join, moving_frames
from toy import Toy, digest

from vgan_plugin.errors import UsageError
from vgan_plugin.fill import fill_stream
from vgan_plugin.fill.conceal import Concealer
from vgan_plugin.gaps import MOST, extension_plan
from vgan_plugin.pixels.extrapolate import extrapolate
from vgan_plugin.timeline import Timeline

TIMES = Timeline((0, 2, 4, 6), Fraction(1, 50))


def test_frames_past_the_end_are_made_from_the_last_two_and_never_from_one_another() -> None:
    plan = extension_plan(TIMES, (), 3)
    assert [target.pts for target in plan.targets] == [8, 10, 12]
    assert {(target.a, target.b) for target in plan.targets} == {(2, 3)}
    assert [target.offsets for target in plan.targets] == [(-2, -1), (-3, -2), (-4, -3)]


def test_frames_before_the_start_are_made_from_the_first_two() -> None:
    plan = extension_plan(TIMES, (), 2, before=True)
    assert [target.pts for target in plan.targets] == [-4, -2]
    assert [target.offsets for target in plan.targets] == [(2, 3), (1, 2)]
    frames = moving_frames(4, 16, 8, ticks=2, time_base=Fraction(1, 50))
    out = list(fill_stream(frames, plan, Toy()))
    assert [frame.pts for frame, _ in out] == [-4, -2, 0, 2, 4, 6]
    assert [record is not None for _, record in out] == [True, True, False, False, False, False]


def test_a_shot_of_one_frame_is_repeated() -> None:
    (target,) = extension_plan(TIMES, (3,), 1).targets
    assert (target.a, target.b, target.method) == (3, None, "repeat")
    (target,) = extension_plan(TIMES, (1,), 1, before=True).targets
    assert (target.a, target.b, target.method) == (None, 0, "repeat")


@pytest.mark.parametrize("count", [0, -1, MOST + 1])
def test_none_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(UsageError):
        extension_plan(TIMES, (), count)


def test_a_picture_moves_on_and_knows_what_came_in_from_beyond_its_edge() -> None:
    frames = [frame.rgb() for frame in moving_frames(4, 128, 96, speed=(6, 2))]
    guess = extrapolate(frames[1], frames[0], 2)
    truth, seen = frames[3], ~guess.unseen
    error = np.abs(guess.rgb - truth).mean(0)
    assert error[16:-16, 24:-16].mean() < 0.3 * np.abs(frames[1] - truth).mean(0)[16:-16, 24:-16].mean()
    assert guess.unseen[:, :8].mean() > 0.9  # it moves to the right by 12
    assert seen[8:, 16:].mean() > 0.95
    assert guess.error.min() > 0


def test_a_still_scene_stays_still() -> None:
    picture = moving_frames(1, 96, 64)[0].rgb()
    guess = extrapolate(picture, picture, 4)
    assert not guess.unseen.any()
    assert np.abs(guess.rgb - picture).max() < 1 / 255


def test_what_is_concealed_live_is_what_would_be_predicted_past_the_end() -> None:
    frames = moving_frames(7, 32, 16)
    live = Concealer(Toy(), Fraction(1, 25))
    for frame in frames:
        live.push(frame)
    made = [live.conceal(7), live.conceal(8)]
    plan = extension_plan(Timeline(tuple(range(7)), Fraction(1, 25)), (), 2)
    planned = [frame for frame, record in fill_stream(frames, plan, Toy()) if record]
    assert [digest(filled.frame) for filled in made] == [digest(frame) for frame in planned]
    assert {filled.target.why for filled in made} == {"late"}


def test_after_a_cut_the_new_shot_alone_counts() -> None:
    frames = join(moving_frames(3, 32, 16), moving_frames(2, 32, 16, seed=5))
    live = Concealer(Toy(), Fraction(1, 25))
    with pytest.raises(UsageError):
        live.conceal(0)
    for i, frame in enumerate(frames[:4]):
        live.push(frame, cut=i == 3)
    first = live.conceal(4)
    assert (first.method, digest(first.frame)) == ("repeat", digest(frames[3]))
    with pytest.raises(UsageError):
        live.conceal(3)
    live.push(frames[4])
    assert live.conceal(5).method == "toy"


def test_a_stream_that_runs_for_long_keeps_few_frames() -> None:
    live = Concealer(Toy(block=4, lead=2), Fraction(1, 25))
    for frame in moving_frames(60, 16, 8):
        live.push(frame)
    assert len(live._frames) <= 9
    assert live.conceal(60).method == "toy"
