"""A window goes through the generator in training just as a clip does in use: encode, remember in order, render."""

from __future__ import annotations

import torch
from torch import Tensor

from vgan_plugin.training.generator import NOISE, STRIDE, Features, Generator, Render
from vgan_plugin.training.recurrence import State
from vgan_plugin.training.tasks import Batch


def roll_out(generator: Generator, batch: Batch) -> Render:
    """Make all targets of a batch: every field of the answer has batch size n * M, targets of one window together."""
    n, count = batch.times.shape
    m = batch.at.shape[1]
    frames, valid = (x.transpose(0, 1).flatten(0, 1).contiguous() for x in (batch.frames, batch.valid))
    features = generator.encode(frames, valid)  # all frames at once, those of one time together
    each = [Features(*at) for at in zip(*(f.chunk(count) for f in features), strict=True)]
    state, states = generator.initial_state(each[0]), []
    for i, now in enumerate(each):
        before = max(i - 1, 0)  # the first frame of a chain has none before it: dt = 0, no motion
        state = generator.remember(now, each[before], batch.times[:, i] - batch.times[:, before], state)
        states.append(state)
    state, later = states[batch.b], states[batch.b + 1].motion if batch.b + 1 < count else None
    a, b = each[batch.a], each[batch.b]
    if batch.a == batch.b:
        b = a.absent()
    if m > 1:
        a, b = (Features(*(f.repeat_interleave(m, 0) for f in side)) for side in (a, b))
        hidden, memory, motion = state
        state = State(
            hidden.repeat_interleave(m, 0),
            memory.repeat_interleave(m, 0),
            None if motion is None else motion.repeat_interleave(m, 0),
        )
        later = None if later is None else later.repeat_interleave(m, 0)
    mask = batch.mask.flatten(0, 1)
    known = batch.truth.flatten(0, 1) * (1 - mask)
    height, width = mask.shape[2:]
    noise = mask.new_zeros(n * m, NOISE, height // STRIDE, width // STRIDE)
    return generator.render(a, b, state, offsets(batch), known, mask, noise, later)


def offsets(batch: Batch) -> Tensor:
    """(n * M, 2) times of a and b minus the target's, in the order of `roll_out`."""
    return torch.stack([batch.offsets(m) for m in range(batch.at.shape[1])], 1).flatten(0, 1)


def composite(made: Render, batch: Batch) -> Tensor:
    """The made pixels under the mask, the known ones elsewhere: (n * M, 3, H, W), not clamped."""
    return torch.lerp(batch.truth.flatten(0, 1), made.rgb, batch.mask.flatten(0, 1))
