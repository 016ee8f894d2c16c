"""What one training step sees: windows of observed frames, the frames to make, the pixels that are gone.

A batch is a function of (seed, step) alone, so that a training that is stopped and resumed sees the same data. A window
has the shape of what inference runs: frames observed in order, the last ones among them the references, each with its
time in source-frame periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vgan_plugin.training import masks, synthetic
from vgan_plugin.training.clips import SHORTEST, THUMB, Clip, Footage
from vgan_plugin.training.presets import Schedule

CANDIDATES = 4
"""Windows drawn for each one kept: the one that moves more is more likely to stay (importance sampling)."""


class Batch(NamedTuple):
    """n windows of T observed frames and M frames to make.

    Attributes:
        task: `between`, `predict`, `inpaint` or `one`.
        frames: (n, T, 3, H, W) in [0, 1], zero where not valid.
        valid: (n, T, 1, H, W), 1 = trust this pixel.
        times: (n, T) in source-frame periods.
        a: index of the first reference among the T; b: of the second. Equal: there is one reference only.
        b: see `a`.
        truth: (n, M, 3, H, W) what should be made.
        at: (n, M) times of the frames to make.
        mask: (n, M, 1, H, W), 1 = make this pixel; the others are known.
        flow: (n, M, 4, H, W) exact motion (dx, dy) towards a, then towards b; zero where unknown.
        seen: (n, M, 2, H, W) 1 where that motion is known and the pixel can be seen in a, in b.
        synthetic: (n,) 1 for windows of layered synthetic motion.
    """

    task: str
    frames: Tensor
    valid: Tensor
    times: Tensor
    a: int
    b: int
    truth: Tensor
    at: Tensor
    mask: Tensor
    flow: Tensor
    seen: Tensor
    synthetic: Tensor

    def offsets(self, m: int) -> Tensor:
        """(n, 2) times of a and b minus the target's; with one reference b stands mirrored on the other side."""
        before = self.times[:, self.a] - self.at[:, m]
        after = self.times[:, self.b] - self.at[:, m]
        return torch.stack((before, -before if self.a == self.b else after), 1)


@dataclass(frozen=True)
class Window:
    """Which frames, counted from the window's first, and their times in source-frame periods."""

    observed: tuple[int, ...]
    times: tuple[float, ...]
    targets: tuple[int, ...]
    at: tuple[float, ...]

    @property
    def length(self) -> int:
        """Frames from the first to the last, both included."""
        return max(*self.observed, *self.targets) + 1


def draw_task(rng: np.random.Generator, schedule: Schedule, longest: int) -> tuple[str, int]:
    """One step's task, and how many frames are remembered before the first reference.

    Args:
        rng: the step's own.
        schedule: shares of the tasks, longest lead-in.
        longest: frames of the longest shot.
    """
    shares = schedule.task_shares()
    task = str(rng.choice(list(shares), p=list(shares.values())))
    return task, int(rng.integers(0, min(schedule.lead, longest - SHORTEST) + 1))


def draw_window(rng: np.random.Generator, task: str, lead: int, targets: int, max_gap: int, room: int) -> Window:
    """A window of `task` that fits into `room` frames; `room` is at least `lead` + 3.

    `between`: a gap of k frames, with one source-frame period a frame (a at -j, b at k + 1 - j, as in a repair) or
    with the gap as the period (as when the rate is raised: any t). `inpaint`: k = 1, the damaged frame observed too.
    `predict`: the target is 1 to 4 periods after b. `one`: 1 to 3 periods after the only reference. A period is 1 to 4
    frames, as long as the references are no farther apart than the longest gap.
    """
    if task in ("between", "inpaint"):
        whole = task == "between" and room > 2 * (lead + 1) and bool(rng.random() < 0.4)
        longest = (room - 1) // (lead + 1) - 1 if whole else room - lead - 2
        gap = 1 if task == "inpaint" else _rarer(rng, min(longest, max_gap), 0.8)
        step = gap + 1 if whole else 1
        stride = _rarer(rng, min(4, (room - 1) // (lead * step + gap + 1), (max_gap + 1) // (gap + 1)), 1.2)
        a = lead * step
        observed = [*range(0, a + 1, step), *([a + 1] if task == "inpaint" else []), a + gap + 1]
        picked = [a + int(j) for j in rng.integers(1, gap + 1, targets)]
    else:
        step = 1
        count = lead + (2 if task == "predict" else 1)
        observed = list(range(count))
        farthest = min(4 if task == "predict" else 3, room - count)
        picked = [count - 1 + _rarer(rng, farthest, 1.5) for _ in range(targets)]
        stride = _rarer(rng, min(4, (room - 1) // max(picked)), 1.2)
    return Window(
        tuple(i * stride for i in observed),
        tuple(i / step for i in observed),
        tuple(i * stride for i in picked),
        tuple(i / step for i in picked),
    )


def _rarer(rng: np.random.Generator, most: int, power: float) -> int:
    """1 to `most`, larger values rarer."""
    values = np.arange(1, most + 1)
    odds = values**-power
    return int(rng.choice(values, p=odds / odds.sum()))


class Sampler:
    """Batches from footage.

    Args:
        footage: where windows and textures come from; batches lie on its device.
        schedule: crop, batch, shares.
        seed: of the whole training.
    """

    def __init__(self, footage: Footage, schedule: Schedule, seed: int) -> None:
        self.footage, self.schedule, self.seed = footage, schedule, seed
        self.shots = [(c, first, last) for c in footage.clips for first, last in c.shots]
        self.sizes = np.array([last - first for _, first, last in self.shots])

    def batch(self, step: int) -> Batch:
        """The batch of `step`, the same whenever and wherever it is asked for."""
        s = self.schedule
        rng = np.random.default_rng((self.seed, step))
        task, lead = draw_task(rng, s, int(self.sizes.max()))
        made = int(s.synthetic * s.batch + rng.random())  # the right share on average
        parts = [self._real(rng, task, lead, s.batch - made)] if made < s.batch else []
        if made:
            parts.append(self._synthetic(rng, task, lead, made))
        batch = join(parts)
        batch = batch._replace(frames=torch.stack([compress(rng, f) for f in batch.frames]))
        return _damage(rng, batch) if task == "inpaint" else batch

    def _real(self, rng: np.random.Generator, task: str, lead: int, n: int) -> Batch:
        pictures, windows = [], []
        for _ in range(n):
            clip, start, window, top, left = self._choose(rng, task, lead)
            index = [start + i for i in (*window.observed, *window.targets)]
            if rng.random() < 0.5:  # backwards in time
                index = [2 * start + window.length - 1 - i for i in index]
            pictures.append(augment(rng, clip.frames, index, top, left, self.schedule.crop))
            windows.append(window)
        return _assemble(task, torch.stack(pictures), windows)

    def _choose(self, rng: np.random.Generator, task: str, lead: int) -> tuple[Clip, int, Window, int, int]:
        """A window of a shot and the corner of its crop; of `CANDIDATES` draws the livelier is the likelier."""
        crop = self.schedule.crop
        # A long shot counts more than a short one, but not without bound: its frames are alike.
        odds = np.minimum(self.sizes, 48) * (self.sizes >= lead + SHORTEST)
        found, lively = [], []
        for i in rng.choice(len(odds), CANDIDATES, p=odds / odds.sum()):
            clip, first, last = self.shots[i]
            window = draw_window(rng, task, lead, self.schedule.targets, self.schedule.max_gap, last - first)
            start = first + int(rng.integers(last - first - window.length + 1))
            height, width = clip.frames.shape[2:]
            top, left = int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
            rows = slice(top // THUMB, (top + crop) // THUMB)
            columns = slice(left // THUMB, (left + crop) // THUMB)
            before, after = clip.thumbs[[start, start + window.length - 1], rows, columns].astype(float)
            found.append((clip, start, window, top, left))
            lively.append(np.clip(np.abs(after - before).mean() - 2, 0.2, 12))
        return found[int(rng.choice(CANDIDATES, p=np.array(lively) / sum(lively)))]

    def _synthetic(self, rng: np.random.Generator, task: str, lead: int, n: int) -> Batch:
        """Layered motion at the times of real windows; between two frames at any time, not only where one would be."""
        s = self.schedule
        size, layers = int(s.crop * synthetic.CANVAS), 1 + synthetic.LAYERS
        textures = torch.stack([self._texture(rng, size) for _ in range(n * layers)])
        scene = synthetic.draw(rng, textures.view(n, layers, 3, size, size), s.crop)
        windows = [draw_window(rng, task, lead, s.targets, s.max_gap, lead + 64) for _ in range(n)]
        a, b = references(task, len(windows[0].observed))
        times, at = (np.array([getattr(w, name) for w in windows]) for name in ("times", "at"))
        unit = (times[:, b] - times[:, a])[:, None] if task in ("between", "inpaint") else np.full((n, 1), 2.0)
        if task == "between":
            free = times[:, a, None] + rng.uniform(0.06, 0.94, at.shape) * unit
            at = np.where(rng.random((n, 1)) < 0.5, free, at)
            windows = [Window(w.observed, w.times, w.targets, tuple(t)) for w, t in zip(windows, at, strict=True)]
        middle = (times[:, a, None] + times[:, b, None]) / 2
        clock = torch.from_numpy((np.concatenate((times, at), 1) - middle) / unit).to(textures)
        batch = _assemble(task, colour(rng, synthetic.render(scene, clock)), windows)
        seen = len(windows[0].observed)
        for m in range(s.targets):
            for side, reference in enumerate((a, b)):
                if side and a == b:  # there is no second reference to see anything in
                    continue
                motion, visible = synthetic.flow(scene, clock[:, seen + m], clock[:, reference])
                batch.flow[:, m, 2 * side : 2 * side + 2] = motion
                batch.seen[:, m, side : side + 1] = visible
        return batch._replace(synthetic=torch.ones_like(batch.synthetic))

    def _texture(self, rng: np.random.Generator, size: int) -> Tensor:
        """A random piece of a still or of a frame at half to double size: (3, size, size) in [0, 1]."""
        if self.footage.stills and rng.random() < 0.5:
            picture = self.footage.stills[int(rng.integers(len(self.footage.stills)))]
        else:
            clip = self.footage.clips[int(rng.integers(len(self.footage.clips)))]
            picture = clip.frames[int(rng.integers(len(clip.frames)))]
        side = min(int(size * np.exp(rng.uniform(np.log(0.5), np.log(2)))), *picture.shape[1:])
        top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[1:])
        piece = picture[None, :, top : top + side, left : left + side].float() / 255
        resized = F.interpolate(piece, (size, size), mode="bilinear", align_corners=False, antialias=side > size)
        return resized[0].clamp(0, 1)


def references(task: str, observed: int) -> tuple[int, int]:
    """Which of the observed frames are the references a and b."""
    last = observed - 1
    return {"between": (last - 1, last), "predict": (last - 1, last), "inpaint": (last - 2, last), "one": (last, last)}[
        task
    ]


def _assemble(task: str, pictures: Tensor, windows: list[Window]) -> Batch:
    """(n, T + M, 3, H, W) pictures of windows of one shape as a batch without damage and without known motion."""
    n, seen = len(windows), len(windows[0].observed)
    made, side = pictures.shape[1] - seen, pictures.shape[-1]
    a, b = references(task, seen)

    def fill(value: float, *shape: int) -> Tensor:
        return pictures.new_full((n, *shape), value)

    def tensor(rows: list[tuple[float, ...]]) -> Tensor:
        return torch.tensor(rows, dtype=torch.float32, device=pictures.device)

    return Batch(
        task,
        frames=pictures[:, :seen],
        valid=fill(1, seen, 1, side, side),
        times=tensor([w.times for w in windows]),
        a=a,
        b=b,
        truth=pictures[:, seen:],
        at=tensor([w.at for w in windows]),
        mask=fill(1, made, 1, side, side),
        flow=fill(0, made, 4, side, side),
        seen=fill(0, made, 2, side, side),
        synthetic=fill(0),
    )


def join(parts: list[Batch]) -> Batch:
    """Batches of one task and shape as one."""
    first = parts[0]
    tensors = [name for name, value in first._asdict().items() if isinstance(value, Tensor)]
    joined: dict[str, Any] = {name: torch.cat([getattr(p, name) for p in parts]) for name in tensors}
    return first._replace(**joined)


def _damage(rng: np.random.Generator, batch: Batch) -> Batch:
    """Holes in the observed target, and in some windows in both references too; what is gone is black and not valid."""
    n, side = len(batch.frames), batch.frames.shape[-1]
    lost = torch.stack([masks.damage(rng, 3, side) for _ in range(n)]).to(batch.frames)
    lost[torch.from_numpy(rng.random(n) < 0.4).to(lost.device), ::2] = 0  # only the target is damaged
    valid = batch.valid.clone()
    valid[:, batch.a : batch.b + 1] = 1 - lost
    return batch._replace(
        frames=batch.frames * valid, valid=valid, mask=lost[:, 1:2].expand_as(batch.mask).contiguous()
    )


def augment(rng: np.random.Generator, frames: Tensor, index: list[int], top: int, left: int, crop: int) -> Tensor:
    """One crop of several frames, all treated alike: (len(index), 3, crop, crop) in [0, 1].

    Most crops keep their pixels and are only mirrored or transposed, because resampling softens; the others are scaled
    by 0.8 to 1.25 and turned by up to 5 degrees with a cubic kernel.
    """
    height, width = frames.shape[2:]
    if rng.random() < 0.3:
        turn, scale = np.radians(rng.uniform(-5, 5)), np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
        box = min(int(crop * 1.4), height, width)
        scale = min(scale, box / (crop * (np.cos(turn) + abs(np.sin(turn)))))
        top, left = (
            min(max(0, top - (box - crop) // 2), height - box),
            min(max(0, left - (box - crop) // 2), width - box),
        )
        pictures = frames[:, :, top : top + box, left : left + box][index].float() / 255
        cos, sin = (float(f(turn) * scale * crop / box) for f in (np.cos, np.sin))
        theta = pictures.new_tensor([[cos, -sin, 0], [sin, cos, 0]]).expand(len(index), 2, 3)
        grid = F.affine_grid(theta, [len(index), 3, crop, crop], align_corners=False)
        pictures = F.grid_sample(pictures, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
        pictures = pictures.clamp(0, 1)
    else:
        pictures = frames[:, :, top : top + crop, left : left + crop][index].float() / 255
    mirrored, upside_down, transposed = rng.random(3) < 0.5
    if mirrored:
        pictures = pictures.flip(-1)
    if upside_down:
        pictures = pictures.flip(-2)
    if transposed:
        pictures = pictures.mT
    return colour(rng, pictures[None])[0]


def colour(rng: np.random.Generator, pictures: Tensor) -> Tensor:
    """(n, T, 3, H, W) with other colours, the same for all frames of a window; rarely a light that fades over time."""
    n, count = pictures.shape[:2]
    plain = rng.random((n, 1)) < 0.5
    gain, gamma = np.exp(rng.normal(0, 0.1, (n, 3))), np.exp(rng.normal(0, 0.15, (n, 1)))
    fade = np.where(rng.random((n, 1)) < 0.05, rng.normal(0, 0.1, (n, 1)), 0) * np.linspace(-1, 1, count)
    gain = np.where(plain, 1, gain)[:, None] * (1 + fade)[..., None]
    swapped = np.stack([rng.permutation(3) if rng.random() < 0.1 else np.arange(3) for _ in range(n)])
    gains = torch.from_numpy(gain[..., None, None]).to(pictures)
    powers = torch.from_numpy(np.where(plain, 1, gamma)[..., None, None, None]).to(pictures)
    channels = torch.from_numpy(swapped).to(pictures.device)[:, None, :, None, None].expand_as(pictures)
    return (pictures.clamp(1e-4, 1) ** powers * gains).clamp(0, 1).gather(2, channels)


def compress(rng: np.random.Generator, frames: Tensor) -> Tensor:
    """(T, 3, H, W), one window in twenty with the noise of a weak JPEG: 8x8 cosine coefficients rounded to a step."""
    if rng.random() >= 0.05:
        return frames
    k = torch.arange(8, dtype=torch.float32)
    basis = torch.cos((k[None] + 0.5) * k[:, None] * torch.pi / 8) / 2
    basis[0] /= 2**0.5
    basis = basis.to(frames)
    step = (1 + k[:, None] + k[None]).to(frames) * float(rng.uniform(0.5, 2.5)) / 255
    blocks = frames.unfold(2, 8, 8).unfold(3, 8, 8)  # (T, 3, H/8, W/8, 8, 8)
    rounded = (basis @ blocks @ basis.T / step).round() * step
    return (basis.T @ rounded @ basis).transpose(3, 4).reshape(frames.shape).clamp(0, 1)


def validation(footage: Footage, schedule: Schedule) -> list[Batch]:
    """Held-out windows, the same at every call: gaps of 1, 3 and 7 frames in turn, one target each, no augmentation.

    A footage whose shots are too short for a gap goes without that gap; sources lead in by up to two frames.
    """
    rng = np.random.default_rng(0)
    side = schedule.val_crop
    found: list[Batch] = []
    for i in range(schedule.val_crops):
        gap = (1, 3, 7)[i % 3]
        shots = [
            (c, f, e) for c in footage.clips for f, e in c.shots if e - f >= gap + 2 and min(c.frames.shape[2:]) >= side
        ]
        if not shots:
            continue
        clip, first, last = shots[int(rng.integers(len(shots)))]
        start = int(rng.integers(first, last - gap - 1))
        lead = min(2, start - first)
        observed = [start - k for k in range(lead, -1, -1)] + [start + gap + 1]
        j = int(rng.integers(1, gap + 1))
        top, left = (int(rng.integers(length - side + 1)) for length in clip.frames.shape[2:])
        index = [*observed, start + j]
        pictures = clip.frames[:, :, top : top + side, left : left + side][index].float()[None] / 255
        times = tuple(float(k - observed[0]) for k in observed)
        window = Window(tuple(observed), times, (start + j,), (float(start + j - observed[0]),))
        found.append(_assemble("between", pictures, [window]))
    return found
