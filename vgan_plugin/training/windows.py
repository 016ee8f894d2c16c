"""Which frames of a shot a training step sees, and which it makes: numbers only, drawn for many windows at once.

A window has the shape of what inference runs: frames observed in order, the last ones among them the references and,
where the target lies between these, the frame that follows them, each with its time in source-frame periods. All
windows of a batch have one task and one number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

REFERENCES = {"predict": 2, "one": 1}
"""Frames observed after the lead-in by the tasks that see nothing after their target."""
SHORTEST = 4
"""Frames of the shortest window of most tasks, and of the shortest shot worth keeping."""


@dataclass(frozen=True)
class Windows:
    """n windows of T observed frames and M frames to make.

    Attributes:
        observed: (n, T) frames, counted from the window's first.
        times: (n, T) their times in source-frame periods.
        targets: (n, M) frames to make.
        at: (n, M) their times.
    """

    observed: Ints
    times: Floats
    targets: Ints
    at: Floats

    @property
    def frames(self) -> Ints:
        """(n, T + M) the observed frames, then the ones to make."""
        return np.concatenate((self.observed, self.targets), 1)

    @property
    def lengths(self) -> Ints:
        """(n,) frames from the first to the last, both included."""
        lengths: Ints = self.frames.max(1) + 1
        return lengths

    def take(self, rows: Ints) -> Windows:
        """The windows of these rows."""
        return Windows(self.observed[rows], self.times[rows], self.targets[rows], self.at[rows])


def references(task: str, observed: int) -> tuple[int, int]:
    """Which of the observed frames are the references a and b; (-1, -1) where there is none."""
    last = observed - 1
    found = {"between": (last - 2, last - 1), "inpaint": (last - 3, last - 1), "predict": (last - 1, last)}
    return found.get(task, (last, last))


def room_needed(task: str, lead: int, targets: int) -> int:
    """Frames of the shortest shot that holds a window."""
    return targets if task == "synthesize" else lead + SHORTEST


def draw(rng: np.random.Generator, task: str, lead: int, targets: int, max_gap: int, room: Ints) -> Windows:
    """One window of `task` into each of the `room` frames, (n,), of which none is under `room_needed`.

    `between`: a gap of k frames, with one source-frame period a frame (a at -j, b at k + 1 - j, as in a repair) or
    with the gap as the period (as when the rate is raised: any t). `inpaint`: k = 1, the damaged frame observed too.
    `predict`: the target is 1 to 4 periods after b. `one`: 1 to 3 periods after the only reference. A period is 1 to 4
    frames, as long as the references are no farther apart than the longest gap. `synthesize`: frames in a row, none
    of them observed.
    """
    n = len(room)
    step = np.ones(n, np.int64)
    if task == "synthesize":
        observed = np.zeros((n, 0), np.int64)
        picked = np.tile(np.arange(targets), (n, 1))
        farthest = np.full(n, max(1, targets - 1))
        strides = np.minimum(2, (room - 1) // farthest)
    elif task in ("between", "inpaint"):
        whole = (room > 2 * (lead + 2)) & (rng.random(n) < 0.4) & (task == "between")
        longest = np.where(whole, (room - 1) // (lead + 2) - 1, room - lead - 3)
        gap = np.ones(n, np.int64) if task == "inpaint" else _rarer(rng, np.minimum(longest, max_gap), 0.8)
        step = np.where(whole, gap + 1, 1)
        a = lead * step
        b = a + gap + 1
        ends = [a + 1, b, b + 1] if task == "inpaint" else [b, b + step]
        observed = np.concatenate((np.arange(lead + 1) * step[:, None], np.stack(ends, 1)), 1)
        picked = a[:, None] + rng.integers(1, gap[:, None] + 1, (n, targets))
        strides = np.minimum((room - 1) // (b + step), (max_gap + 1) // (gap + 1))
    else:
        count = lead + REFERENCES[task]
        observed = np.tile(np.arange(count), (n, 1))
        farthest = np.minimum(4 if task == "predict" else 3, room - count)
        picked = count - 1 + _rarer(rng, np.repeat(farthest[:, None], targets, 1), 1.5)
        strides = (room - 1) // picked.max(1)
    stride = _rarer(rng, np.clip(strides, 1, 4), 1.2)[:, None]
    return Windows(observed * stride, observed / step[:, None], picked * stride, picked / step[:, None])


def _rarer(rng: np.random.Generator, most: Ints, power: float) -> Ints:
    """1 to `most` for each of it, larger values rarer: value k in proportion to k^-power."""
    odds = np.cumsum(np.arange(1, most.max() + 1) ** -power)
    drawn: Ints = np.searchsorted(odds, rng.random(most.shape) * odds[most - 1], side="right") + 1
    return np.minimum(drawn, most)  # rounding


def pick(rng: np.random.Generator, weight: Floats) -> Ints:
    """One column for each row of `weight` (n, k), in proportion: (n,)."""
    odds = weight.cumsum(1)
    chosen: Ints = (odds < rng.random((len(weight), 1)) * odds[:, -1:]).sum(1)
    return chosen


def join(parts: list[Windows]) -> Windows:
    """Windows of one task and shape as one."""
    return Windows(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Windows)))
