"""Windows, masks and synthetic motion: what a training step sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vgan_plugin.errors import UsageError
from vgan_plugin.training import masks, synthetic, tasks, windows
from vgan_plugin.training.clips import THUMB, Clip, Footage
from vgan_plugin.training.motion import warp
from vgan_plugin.training.presets import HOLES, TASKS, for_purposes, schedule

pytestmark = pytest.mark.needs_torch


def footage(frames: int = 12, side: int = 72, clips: int = 2) -> Footage:
    """Clips whose frame i holds 10 i + 5 everywhere: a frame's value says which it is."""
    values = torch.arange(frames, dtype=torch.uint8).view(-1, 1, 1, 1) * 10 + 5
    pixels = values.expand(frames, 3, side, side).contiguous()
    thumbs = pixels[:, 0, : side // THUMB, : side // THUMB].numpy()
    return Footage(tuple(Clip(f"clip{i}.mp4", pixels, thumbs, ((0, frames),)) for i in range(clips)))


@given(
    seed=st.integers(0, 2**32 - 1),
    task=st.sampled_from(TASKS),
    lead=st.integers(0, 4),
    targets=st.integers(1, 3),
    max_gap=st.integers(1, 8),
    more=st.lists(st.integers(0, 40), min_size=1, max_size=5),
)
def test_windows_fit_their_shots_and_keep_time(seed, task, lead, targets, max_gap, more):
    room = windows.room_needed(task, lead, targets) + np.array(more)
    drawn = windows.draw(np.random.default_rng(seed), task, lead, targets, max_gap, room)
    assert (drawn.lengths <= room).all()
    assert (drawn.frames >= 0).all()
    after_lead_in = {"between": 3, "inpaint": 4, "predict": 2, "one": 1, "synthesize": -lead}[task]
    assert drawn.observed.shape == (len(room), lead + after_lead_in)
    assert (np.diff(drawn.observed) > 0).all()
    # Times are the frames' own, in one unit.
    frames, times = drawn.frames, np.concatenate((drawn.times, drawn.at), 1)
    for row_frames, row_times in zip(frames, times, strict=True):
        moved = row_frames != row_frames[0]
        units = (row_times - row_times[0])[moved] / (row_frames - row_frames[0])[moved]
        assert np.allclose(units, units[:1] if len(units) else 0)
    a, b = windows.references(task, drawn.observed.shape[1])
    for observed, wanted in zip(drawn.observed, drawn.targets, strict=True):
        if task in ("between", "inpaint"):
            assert ((observed[a] < wanted) & (wanted < observed[b])).all()
            assert b == len(observed) - 2  # how things go on after b is seen, too
        elif task != "synthesize":
            assert (wanted > observed[b]).all()
        if task == "inpaint":
            assert set(wanted) == {observed[a + 1]}
        else:
            assert not set(wanted) & set(observed)
        if task == "synthesize":
            assert len(set(np.diff(wanted))) <= 1


def test_larger_gaps_are_rarer_but_come():
    drawn = windows.draw(np.random.default_rng(0), "between", 0, 1, 8, np.full(4000, 48))
    spans = np.bincount(drawn.observed[:, 1] - 1, minlength=9)
    assert (spans[1:9] > 50).all()
    assert spans[1] > spans[8]


def test_the_same_step_gives_the_same_batch_and_another_another():
    settings_ = schedule("tiny", {"crop": 32, "batch": 3})
    one, two = (tasks.Sampler(footage(), settings_, 7) for _ in range(2))
    one.batch(0)
    assert all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
        for x, y in zip(one.batch(5), two.batch(5), strict=True)
    )
    assert not torch.equal(one.batch(6).truth, one.batch(5).truth)
    assert not torch.equal(tasks.Sampler(footage(), settings_, 8).batch(5).truth, one.batch(5).truth)


def test_a_batch_made_ahead_is_the_one_that_would_have_been_made():
    settings_ = schedule("tiny", {"crop": 32, "batch": 3})
    now, ahead = (tasks.Sampler(footage(), settings_, 7, ahead=flag) for flag in (False, True))
    for step in (0, 1, 2, 7, 8, 3):  # a training that goes on somewhere else
        assert torch.equal(now.batch(step).truth, ahead.batch(step).truth)
    assert ahead.seconds > 0


def test_what_breaks_while_a_batch_is_made_ahead_is_raised_where_it_is_asked_for(monkeypatch):
    sampler = tasks.Sampler(footage(), schedule("tiny", {"crop": 32, "batch": 3}), 7, ahead=True)
    sampler.batch(0)
    sampler.batch(1)
    monkeypatch.setattr(tasks.windows, "draw", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        [sampler.batch(step) for step in (2, 3)]  # of which the first may have been made before


@pytest.mark.needs_cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_cuda_device_sees_the_same_batches():
    settings_ = schedule("tiny", {"crop": 32, "batch": 4})
    here = footage()
    cpu, cuda = (tasks.Sampler(f, settings_, 7) for f in (here, here.to(torch.device("cuda"))))
    for step in range(6):
        one, two = cpu.batch(step), cuda.batch(step)
        assert two.truth.is_cuda
        assert (one.truth - two.truth.cpu()).abs().max() < 1e-3
        assert (one.mask != two.mask.cpu()).float().mean() < 0.01


def test_mirrored_crops_are_pixels_of_the_clip():
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (6, 3, 40, 48), np.uint8))
    clip = Clip("noise.mp4", pixels, pixels[:, 0, ::THUMB, ::THUMB].numpy(), ((0, 6),))
    sampler = tasks.Sampler(Footage((clip,)), schedule("tiny", {"crop": 32}), 0)
    cut = sampler._choose(rng, "between", 0, 1, 8)
    made = (sampler._pixels(rng, cut, upright=False) * 255).round().to(torch.uint8)
    for row, frames in enumerate(cut.frames):
        top, left = cut.top[row], cut.left[row]
        true = pixels[frames, :, top : top + 32, left : left + 32]
        ways = [w for t in (true, true.mT) for w in (t, t.flip(-1), t.flip(-2), t.flip(-1, -2))]
        assert any(torch.equal(made[row], way) for way in ways)


def test_turned_crops_show_the_same_place_in_every_frame():
    line = torch.arange(96, dtype=torch.float32)
    ramp = (line[:, None] + line[None]).div(1.5).to(torch.uint8).expand(6, 3, 96, 96).contiguous()
    clip = Clip("ramp.mp4", ramp, ramp[:, 0, ::THUMB, ::THUMB].numpy(), ((0, 6),))
    sampler = tasks.Sampler(Footage((clip,)), schedule("tiny", {"crop": 32}), 0)
    rng = np.random.default_rng(3)
    cut = sampler._choose(rng, "between", 1, 1, 40)
    assert 0 < cut.turned.sum() < 40
    made = sampler._pixels(rng, cut, upright=False)
    assert (made - made[:, :1]).abs().max() < 1e-6
    steps = made[cut.turned][:, 0, 0].diff(dim=-1).abs().mean((1, 2)) * 255 * 1.5
    assert steps.std() > 0.03  # by its own scale, each
    assert ((steps > 0.6) & (steps < 1.5)).all()


def test_stages_follow_each_other_and_change_the_data():
    options = {"steps": 100, "motion_until": 0.2, "gan_from": 0.8, "cooldown": 0.25, "synthetic": 0.4}
    s = schedule("tiny", options | {"crop": 32, "batch": 1})
    names = [s.stage(step) for step in range(100)]
    assert [(name, names.count(name)) for name in dict.fromkeys(names)] == [
        ("motion", 20),
        ("tasks", 40),
        ("finish", 20),
        ("gan", 20),
    ]
    assert set(s.at(0).task_shares()) == {"between"}
    assert s.at(30) == s
    assert s.at(0).synthetic > s.at(30).synthetic > s.at(70).synthetic
    assert schedule("tiny", {"tasks": "inpaint:1"}).at(0).task_shares() == {"inpaint": 1}
    sampler = tasks.Sampler(footage(), s, 0)
    assert {sampler.batch(step).task for step in range(20)} == {"between"}
    assert len({sampler.batch(step).task for step in range(20, 60)}) > 2


def test_the_rate_warms_up_and_falls_once_for_pixels_and_once_for_the_game():
    s = schedule(
        "tiny", {"steps": 100, "gan_from": 0.6, "cooldown": 0.5, "warmup": 10, "lr": 1.0, "gan_lr": 0.1, "gan_rise": 20}
    )
    rates = [s.rate(step) for step in range(100)]
    assert rates[0] < rates[5] < rates[20] == 1.0 > rates[40] > rates[59] > 0
    assert rates[60] < rates[70] == 0.1 > rates[90] > rates[99] > 0
    assert s.opinion(59) is None
    assert [s.opinion(step) for step in (60, 70, 80, 99)] == [0, 0, s.gan_weight, s.gan_weight]
    assert min(schedule("tiny", {"gan_from": 1, "steps": 50}).rate(step) for step in range(50)) > 0


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_every_task_gives_a_batch_of_one_shape(task: str, share: float):
    options = {"crop": 32, "batch": 4, "tasks": f"{task}:1", "synthetic": share, "targets": 2, "row": 3}
    batch = tasks.Sampler(footage(), schedule("tiny", options | {"motion_until": 0}), 0).batch(3)
    n, t, m = 4, batch.times.shape[1], 3 if task == "synthesize" else 2
    assert batch.frames.shape == (n, t, 3, 32, 32)
    assert batch.valid.shape == (n, t, 1, 32, 32)
    assert batch.truth.shape == (n, m, 3, 32, 32)
    assert batch.mask.shape == (n, m, 1, 32, 32)
    assert batch.flow.shape == (n, m, 4, 32, 32)
    assert batch.synthetic.sum() == share * n
    pictures = torch.cat((batch.frames, batch.truth), 1)
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert (batch.offsets(0)[:, 0] < batch.offsets(0)[:, 1]).all()
    if task == "inpaint":
        gone = batch.frames.where(batch.valid < 0.5, torch.nan)
        assert gone.isfinite().any()
        known = batch.frames.where(batch.valid > 0.5, torch.nan)
        assert float(gone.nan_to_num(0.5).max()) <= max(0.5, float(known.nan_to_num(0).max())) + 1e-3  # nothing new
        rows = batch.valid[..., 1:, :] + batch.valid[..., :-1, :] == 0  # both of two rows are gone
        steps = (batch.frames[..., 1:, :] - batch.frames[..., :-1, :]).abs()
        assert steps[rows.expand_as(steps)].mean() < 0.02  # no detail
        assert torch.equal(batch.valid[:, batch.a + 1], 1 - batch.mask[:, 0])
        assert 0 < batch.mask.mean() < 1
    else:
        assert batch.valid.numel() == 0 or batch.valid.min() == 1
        assert batch.mask.min() == 1


def test_frames_are_the_ones_that_their_times_name():
    options = {"crop": 32, "batch": 1, "tasks": "between:1", "synthetic": 0, "max_gap": 3}
    sampler = tasks.Sampler(footage(), schedule("tiny", options), 1)
    for step in range(20):
        batch = sampler.batch(step)
        frames = torch.cat((batch.frames[0], batch.truth[0])).mean((1, 2, 3))
        times = torch.cat((batch.times[0], batch.at[0]))
        # Brightness is affine in the frame number but for the colour changes, which keep its order.
        order = torch.argsort(times)
        steps = frames[order].diff()
        assert (steps > 0).all() or (steps < 0).all()


def test_a_shot_too_short_for_the_lead_in_is_left_to_others():
    short = footage(frames=4, clips=1).clips[0]
    both = Footage((short, footage(frames=12, clips=1).clips[0]))
    sampler = tasks.Sampler(both, schedule("tiny", {"crop": 32, "lead": 2, "synthetic": 0}), 0)
    assert {sampler.batch(step).times.shape[1] for step in range(30)} >= {3, 4, 5}
    alone = tasks.Sampler(Footage((short,)), schedule("tiny", {"crop": 32, "lead": 2, "tasks": "between:1"}), 0)
    assert alone.batch(0).times.shape[1] == 3


def test_livelier_windows_are_drawn_more_often():
    still = footage(clips=1).clips[0]
    frozen = Clip("frozen.mp4", still.frames[:1].repeat(12, 1, 1, 1), still.thumbs[:1].repeat(12, 0), ((0, 12),))
    sampler = tasks.Sampler(Footage((still, frozen)), schedule("tiny", {"crop": 32}), 0)
    drawn = sampler._choose(np.random.default_rng(0), "between", 0, 1, 200).clip
    assert 0 < (drawn == 1).sum() < 40


def scene(seed: int, side: int = 48) -> synthetic.Scene:
    rng = np.random.default_rng(seed)
    size = int(side * synthetic.CANVAS)
    knots = torch.from_numpy(rng.random((4, 3, 8, 8)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(knots, (size, size), mode="bicubic").clamp(0, 1)
    return synthetic.draw(rng, smooth.view(1, 4, 3, size, size), side)


@given(seed=st.integers(0, 10_000), u=st.floats(-0.5, 0.5))
@settings(max_examples=25, deadline=None)
def test_synthetic_flow_leads_to_the_same_colour_wherever_the_pixel_is_seen(seed, u):
    made = scene(seed)
    start, end = torch.tensor([u]), torch.tensor([0.5])
    flow, seen = synthetic.flow(made, start, end)
    here, there = (synthetic.render(made, t.view(1, 1))[:, 0] for t in (start, end))
    error = (warp(there, flow.flip(1)) - here).abs().mean(1, keepdim=True)
    # Soft edges, which may be wide, mix two sheets that go different ways. Where one alone is shown, it is exact.
    alone = torch.minimum(purity(made, start), warp(purity(made, end), flow.flip(1))) > 0.98
    found = error[(seen > 0.5) & alone]
    assert seen.mean() > 0.3
    assert found.numel() > 0.05 * error.numel()
    assert found.median() < 0.01
    assert (found > 0.1).float().mean() < 0.01


def purity(made: synthetic.Scene, time: torch.Tensor) -> torch.Tensor:
    """How much of each pixel is of the sheet that it shows most of, (1, 1, H, W): each sheet in a colour of its own."""
    sheets = made.texture.shape[1]
    colours = torch.eye(sheets).view(1, sheets, sheets, 1, 1)
    shares = []
    for first in range(0, sheets, 3):  # three to a picture
        paint = torch.zeros_like(made.texture)
        paint[:, :, : min(3, sheets - first)] += colours[:, :, first : first + 3]
        shares.append(synthetic.render(made._replace(texture=paint), time.view(1, 1))[:, 0])
    return torch.cat(shares, 1).amax(1, keepdim=True)


def test_synthetic_flow_of_no_time_is_nothing():
    flow, seen = synthetic.flow(scene(3), torch.tensor([0.2]), torch.tensor([0.2]))
    assert flow.abs().max() < 1e-3
    assert seen.mean() > 0.97


def test_what_a_sheet_hides_is_said_to_be_hidden():
    size, side = 48, 32
    texture = torch.zeros(1, 2, 3, size, size)
    texture[:, 1] = 1
    alpha = torch.ones(1, 2, 1, size, size)
    alpha[:, 1] = 0
    alpha[:, 1, :, :, 20:28] = 1  # a bar of 8 px that moves 10 px to the right
    path = torch.zeros(1, 2, 3, 2)
    path[:, 1, 1, 1] = 10
    made = synthetic.Scene(texture, alpha, torch.zeros(1, 2), torch.zeros(1, 2), path, side)
    flow, seen = synthetic.flow(made, torch.tensor([0.0]), torch.tensor([1.0]))
    bar = slice(12, 20)  # where the bar is at time 0; it will hide columns 22 to 30
    assert torch.allclose(flow[0, 0, :, bar], torch.tensor(10.0))
    assert flow[0, 1].abs().max() < 1e-5
    assert seen[0, 0, :, bar].min() == 1
    assert seen[0, 0, :, 22:30].max() == 0
    assert seen[0, 0, :, :12].min() == 1


@pytest.mark.parametrize("kind", masks.KINDS)
def test_damage_is_zero_or_one_and_never_none_where_it_is_to_be_repaired(kind):
    assert set(masks.KINDS) == set(HOLES)
    for seed, frames, side in ((0, 1, 32), (1, 3, 48), (2, 6, 96)):
        target = frames // 2
        mask = masks.damage(np.random.default_rng(seed), {kind: 1.0}, 12, frames, side, target, torch.device("cpu"))
        assert mask.shape == (12, frames, 1, side, side)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        shares = mask[:, target].mean((1, 2, 3))
        assert shares.min() > 0
        assert shares.max() < 0.9
        again = masks.damage(np.random.default_rng(seed), {kind: 1.0}, 12, frames, side, target, torch.device("cpu"))
        assert torch.equal(mask, again)


def test_what_transmission_loses_is_seldom_lost_twice_and_what_covers_stays():
    def both(kind: str) -> float:
        lost = masks.damage(np.random.default_rng(0), {kind: 1.0}, 200, 3, 64, 1, torch.device("cpu")).flatten(2)
        around = lost[:, 0].any(1) | lost[:, 2].any(1)
        return float(around.float().mean())

    assert both("slice") < 0.4
    assert both("blocks") < 0.4
    assert both("subtitle") > 0.6


def test_a_subtitle_stands_still_and_a_box_may_drift():
    def moves(kind: str) -> float:
        lost = masks.damage(np.random.default_rng(0), {kind: 1.0}, 100, 2, 64, 1, torch.device("cpu"))
        whole = lost[:, 0].flatten(1).any(1)
        return float((lost[whole, 0] != lost[whole, 1]).flatten(1).any(1).float().mean())

    assert moves("subtitle") == 0
    assert 0.3 < moves("box") < 1


def test_an_overlay_stands_still_over_everything():
    textures = torch.rand(300, 2, 3, 48, 48)
    made = synthetic.draw(np.random.default_rng(0), textures, 32)
    still = (made.path[:, -1, 1:] == 0).all((1, 2))
    assert 10 < still.sum() < 60
    assert (made.growth[still, -1] == 0).all()
    flow, seen = synthetic.flow(made, torch.full((300,), -0.5), torch.full((300,), 0.5))
    overlay = (
        synthetic._read(
            made.alpha, synthetic._move(synthetic._backward(made, torch.zeros(300)), synthetic._places(made))
        )
        > 0.5
    )[:, 1]
    here = overlay[still].expand(-1, 2, -1, -1)
    assert here.any()
    assert flow[still][here].abs().max() < 1e-4
    assert seen[still][overlay[still]].min() == 1


def test_validation_looks_at_every_task_and_is_the_same_each_time():
    options = {"val_crop": 32, "val_crops": 20, "tasks": "between:0.5,predict:0.2,inpaint:0.2,one:0.1,synthesize:0"}
    one, two = (tasks.validation(footage(frames=14), schedule("tiny", options)) for _ in range(2))
    assert [batch.task for batch in one] == ["between"] * 10 + ["predict"] * 4 + ["inpaint"] * 4 + ["one"] * 2
    assert all(torch.equal(a.truth, b.truth) and torch.equal(a.mask, b.mask) for a, b in zip(one, two, strict=True))
    for batch in one:
        frames = torch.cat((batch.frames * batch.valid, batch.truth), 1)[0]
        levels = (frames.amax((1, 2, 3)) * 255 - 5) / 10
        times = torch.cat((batch.times, batch.at), 1)[0]
        assert torch.allclose(levels - levels[0], times - times[0], atol=1e-3)
        a, b = batch.offsets(0)[0].tolist()
        assert (a, b) == {"predict": (-2, -1), "inpaint": (-1, 1), "one": (-1, 1)}.get(batch.task, (a, b))
        assert batch.task != "between" or a < 0 < b


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["inpaint"], {"inpaint": 1}),
        (["interpolate", "predict"], {"between": 0.5, "predict": 0.5}),
        (["fill"], {"between": 0.75, "inpaint": 0.15, "one": 0.1}),
    ],
)
def test_purposes_become_shares_of_tasks(names, wanted):
    assert schedule("tiny", {"tasks": for_purposes(names)}).task_shares() == pytest.approx(wanted)


@pytest.mark.parametrize("tasks_", ["fly:1", "between:-1,predict:2", "between:x", "between:0", ""])
def test_shares_that_are_none_are_refused(tasks_):
    with pytest.raises(UsageError, match="do not fit"):
        schedule("tiny", {"tasks": tasks_})
    with pytest.raises(UsageError, match="do not fit"):
        schedule("tiny", {"holes": tasks_})
