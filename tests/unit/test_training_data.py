"""Windows, masks and synthetic motion: what a training step sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vgan_plugin.training import masks, synthetic, tasks
from vgan_plugin.training.clips import THUMB, Clip, Footage
from vgan_plugin.training.motion import warp
from vgan_plugin.training.presets import TASKS, schedule

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
    more=st.integers(0, 40),
)
def test_a_window_fits_its_shot_and_keeps_time(seed, task, lead, targets, max_gap, more):
    room = lead + 3 + more
    window = tasks.draw_window(np.random.default_rng(seed), task, lead, targets, max_gap, room)
    assert window.length <= room
    assert min(*window.observed, *window.targets) >= 0
    assert list(window.observed) == sorted(set(window.observed))
    # Times are the frames' own, in one unit.
    frames = np.array([*window.observed, *window.targets], float)
    times = np.array([*window.times, *window.at], float)
    scale = (frames[1] - frames[0]) / (times[1] - times[0]) if times[1] != times[0] else 0
    assert np.allclose(times * scale, frames - frames[0] + times[0] * scale)
    a, b = tasks.references(task, len(window.observed))
    assert len(window.observed) == lead + {"between": 2, "predict": 2, "inpaint": 3, "one": 1}[task]
    for target in window.targets:
        if task in ("between", "inpaint"):
            assert window.observed[a] < target < window.observed[b]
        else:
            assert target > window.observed[b]
    if task == "inpaint":
        assert set(window.targets) == {window.observed[a + 1]}
    elif task != "inpaint":
        assert not set(window.targets) & set(window.observed)


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


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_every_task_gives_a_batch_of_one_shape(task: str, share: float):
    settings_ = schedule("tiny", {"crop": 32, "batch": 4, "tasks": f"{task}:1", "synthetic": share, "targets": 2})
    batch = tasks.Sampler(footage(), settings_, 0).batch(3)
    n, t, m = 4, batch.times.shape[1], 2
    assert batch.frames.shape == (n, t, 3, 32, 32)
    assert batch.valid.shape == (n, t, 1, 32, 32)
    assert batch.truth.shape == (n, m, 3, 32, 32)
    assert batch.mask.shape == (n, m, 1, 32, 32)
    assert batch.flow.shape == (n, m, 4, 32, 32)
    assert batch.synthetic.sum() == share * n
    assert batch.frames.min() >= 0
    assert batch.frames.max() <= 1
    assert (batch.offsets(0)[:, 0] < batch.offsets(0)[:, 1]).all()
    if task == "inpaint":
        assert (batch.frames * (1 - batch.valid)).abs().sum() == 0
        assert torch.equal(batch.valid[:, batch.a + 1], 1 - batch.mask[:, 0])
        assert 0 < batch.mask.mean() < 1
    else:
        assert batch.valid.min() == batch.mask.min() == 1


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
    short = footage(frames=3, clips=1).clips[0]
    both = Footage((short, footage(frames=12, clips=1).clips[0]))
    sampler = tasks.Sampler(both, schedule("tiny", {"crop": 32, "lead": 2, "synthetic": 0}), 0)
    assert {sampler.batch(step).times.shape[1] for step in range(30)} >= {2, 3, 4}
    alone = tasks.Sampler(Footage((short,)), schedule("tiny", {"crop": 32, "lead": 2, "tasks": "between:1"}), 0)
    assert alone.batch(0).times.shape[1] == 2


def test_livelier_windows_are_drawn_more_often():
    still = footage(clips=1).clips[0]
    frozen = Clip("frozen.mp4", still.frames[:1].repeat(12, 1, 1, 1), still.thumbs[:1].repeat(12, 0), ((0, 12),))
    sampler = tasks.Sampler(Footage((still, frozen)), schedule("tiny", {"crop": 32}), 0)
    rng = np.random.default_rng(0)
    drawn = [sampler._choose(rng, "between", 0)[0].name for _ in range(200)]
    assert drawn.count("frozen.mp4") < 40


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
    # Soft edges mix two sheets: there, and only there, colours may differ.
    assert seen.mean() > 0.3
    assert error[seen > 0.5].median() < 0.02
    assert (error[seen > 0.5] > 0.1).float().mean() < 0.15


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


@given(seed=st.integers(0, 100_000), frames=st.integers(1, 4), side=st.sampled_from([32, 48, 96]))
@settings(deadline=None)
def test_damage_is_zero_or_one_and_never_empty_in_the_middle(seed, frames, side):
    mask = masks.damage(np.random.default_rng(seed), frames, side)
    assert mask.shape == (frames, 1, side, side)
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert mask[frames // 2].any()
