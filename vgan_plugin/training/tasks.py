"""What one training step sees: windows of observed frames, the frames to make, the pixels that are gone.

A batch is a function of (seed, step) alone, so that a training that is stopped and resumed sees the same data. Its few
random numbers are drawn on the CPU for all windows at once; the pixels, 8 bits each, lie on the training device and
never leave it.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vgan_plugin.training import augment, masks, synthetic, windows
from vgan_plugin.training.clips import THUMB, Footage
from vgan_plugin.training.fusion import smooth
from vgan_plugin.training.layers import upsample
from vgan_plugin.training.presets import Schedule
from vgan_plugin.training.windows import Ints, Windows, references

CANDIDATES = 4
"""Windows drawn for each one kept: the one that moves more is more likely to stay (importance sampling)."""
PROBES = 8
"""Points a side at which the motion in a crop is judged."""
SCALES = tuple(2.0**k for k in (-1, -0.5, 0, 0.5, 1))
"""Sizes at which pieces of pictures become textures, in sizes of the texture."""


class Batch(NamedTuple):
    """n windows of T observed frames and M frames to make.

    Attributes:
        task: `between`, `predict`, `inpaint`, `one` or `synthesize`; the last has no observed frame (T = 0), and its
            M true frames follow each other.
        frames: (n, T, 3, H, W) in [0, 1], closed smoothly where not valid.
        valid: (n, T, 1, H, W), 1 = trust this pixel.
        times: (n, T) in source-frame periods.
        a: index of the first reference among the T; b: of the second. Equal: there is one reference only. A frame
            after b says how things move on from there.
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
        """(n, 2) times of a and b minus the target's; with one reference b stands mirrored on the other side.

        Without references they are -2 and -1: those of a frame that its own two forerunners predict.
        """
        if not self.times.shape[1]:
            return self.at.new_tensor([-2.0, -1.0]).expand(len(self.at), 2)
        before = self.times[:, self.a] - self.at[:, m]
        after = self.times[:, self.b] - self.at[:, m]
        return torch.stack((before, -before if self.a == self.b else after), 1)

    def backwards(self) -> Batch:
        """The same windows from their ends to their beginnings, where both references are there: a is b, and b is a."""
        last = self.times.shape[1] - 1
        return self._replace(
            frames=self.frames.flip(1),
            valid=self.valid.flip(1),
            times=-self.times.flip(1),
            a=last - self.b,
            b=last - self.a,
            at=-self.at,
            flow=self.flow.roll(2, 2),
            seen=self.seen.roll(1, 2),
        )


@dataclass(frozen=True)
class Cut:
    """n windows of clips and where to cut them out.

    Attributes:
        windows: their frames and times.
        clip: (n,) which clip.
        frames: (n, K) which of its frames: the observed ones, then the ones to make.
        top: (n,) row of the crop's corner; left: its column.
        left: see `top`.
        turned: (n,) whether the crop is scaled and turned.
    """

    windows: Windows
    clip: Ints
    frames: Ints
    top: Ints
    left: Ints
    turned: np.ndarray


class Sampler:
    """Batches from footage.

    Args:
        footage: where windows and textures come from; batches lie on its device.
        schedule: crop, batch, shares.
        seed: of the whole training.
        ahead: make the next batch while this one is used, in a thread and on CUDA in a stream of its own; None = on
            CUDA only, where the device would otherwise wait for Python.
    """

    def __init__(self, footage: Footage, schedule: Schedule, seed: int, ahead: bool | None = None) -> None:
        self.footage, self.schedule, self.seed = footage, schedule, seed
        self.device = footage.clips[0].frames.device
        self.shots = np.array([(i, *shot) for i, clip in enumerate(footage.clips) for shot in clip.shots])
        self.sizes = self.shots[:, 2] - self.shots[:, 1]
        self.extents = np.array([clip.frames.shape[2:] for clip in footage.clips])
        self.cells = np.concatenate([clip.thumbs.ravel() for clip in footage.clips])
        self.first_cell = np.cumsum([0, *(clip.thumbs.size for clip in footage.clips[:-1])])
        self.seconds = 0.0
        """Time that `batch` has taken: what the training waits for its data."""
        alone = self.device.type == "cuda" if ahead is None else ahead
        self._worker = ThreadPoolExecutor(1, "vgan-sampler") if alone else None
        # Uploads wait for all that their stream has queued: in the training's own they would wait for the training.
        own = alone and self.device.type == "cuda"
        self._stream = torch.cuda.Stream(self.device) if own else None  # type: ignore[no-untyped-call]
        self._next: tuple[int, Future[Batch]] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of `step`, the same whenever and wherever it is asked for."""
        began = time.perf_counter()
        if self._worker is None:
            batch = self._make(step)
        else:
            expected, made = self._next or (-1, None)
            batch = self._handed_over(made.result()) if made and expected == step else self._make(step)
            self._next = step + 1, self._worker.submit(self._make_aside, step + 1)
        self.seconds += time.perf_counter() - began
        return batch

    def _make_aside(self, step: int) -> Batch:
        if self._stream is None:
            return self._make(step)
        with torch.cuda.stream(self._stream):
            batch = self._make(step)
        self._stream.synchronize()
        return batch

    def _handed_over(self, batch: Batch) -> Batch:
        """Tell CUDA's allocator that the training's stream uses what the sampler's has made."""
        if self._stream is not None:
            here = torch.cuda.current_stream(self.device)
            for value in batch:
                if isinstance(value, Tensor):
                    value.record_stream(here)
        return batch

    def _make(self, step: int) -> Batch:
        s = self.schedule.at(step)
        rng = np.random.default_rng((self.seed, step))
        shares = s.task_shares()
        task = str(rng.choice(list(shares), p=list(shares.values())))
        dreams = task == "synthesize"
        targets = s.row if dreams else s.targets
        longest = int(self.sizes.max())
        if windows.room_needed(task, 0, targets) > longest:
            targets = longest
        lead = 0 if dreams else int(rng.integers(0, min(s.lead, longest - windows.SHORTEST) + 1))
        made = int(s.synthetic * s.batch + rng.random())  # the right share on average
        found: list[tuple[Tensor, Windows]] = []
        if made < s.batch:
            cut = self._choose(rng, task, lead, targets, s.batch - made)
            found.append((self._pixels(rng, cut, upright=dreams), cut.windows))
        scene = None
        if made:
            scene, pictures, drawn, clock = self._scene(rng, task, lead, targets, made)
            found.append((pictures, drawn))
        pictures = torch.cat([p for p, _ in found])
        if not dreams:  # which are to look like the footage, not like what could be made of it
            pictures = augment.colour(rng, pictures)
        batch = assemble(task, pictures, windows.join([w for _, w in found]))
        if scene is not None:
            batch.synthetic[-made:] = 1
            for m in range(targets):
                for side in range(0 if task == "synthesize" else 1 if batch.a == batch.b else 2):
                    seen = batch.times.shape[1]
                    motion, visible = synthetic.flow(scene, clock[:, seen + m], clock[:, (batch.a, batch.b)[side]])
                    batch.flow[-made:, m, 2 * side : 2 * side + 2] = motion
                    batch.seen[-made:, m, side : side + 1] = visible
        batch = batch._replace(frames=augment.compress(rng, batch.frames))
        return damage(rng, batch, s.hole_shares()) if task == "inpaint" else batch

    def _choose(self, rng: np.random.Generator, task: str, lead: int, targets: int, n: int) -> Cut:
        """Windows of shots and the corners of their crops; of `CANDIDATES` draws the livelier is the likelier."""
        crop, many = self.schedule.crop, n * CANDIDATES
        # A long shot counts more than a short one, but not without bound: its frames are alike.
        odds = np.minimum(self.sizes, 48) * (self.sizes >= windows.room_needed(task, lead, targets))
        shot = rng.choice(len(odds), many, p=odds / odds.sum())
        clip, first, room = self.shots[shot, 0], self.shots[shot, 1], self.sizes[shot]
        drawn = windows.draw(rng, task, lead, targets, self.schedule.max_gap, room)
        start = first + rng.integers(room - drawn.lengths + 1)
        top, left = (rng.integers(self.extents[clip, axis] - crop + 1) for axis in (0, 1))
        last = start + drawn.lengths - 1
        lively = np.clip(self._difference(clip, start, last, top, left) - 2, 0.2, 12)
        keep = np.arange(n) * CANDIDATES + windows.pick(rng, lively.reshape(n, CANDIDATES))
        box = int(crop * augment.ROOM)
        turned = (rng.random(many) < augment.TURNED) & (self.extents[clip].min(1) >= box)
        keep = keep[np.argsort(~turned[keep], kind="stable")]  # the turned ones first: they are cut as one
        backwards = rng.random((many, 1)) < 0.5
        frames = np.where(backwards, last[:, None] - drawn.frames, start[:, None] + drawn.frames)
        return Cut(drawn.take(keep), clip[keep], frames[keep], top[keep], left[keep], turned[keep])

    def _difference(self, clip: Ints, before: Ints, after: Ints, top: Ints, left: Ints) -> np.ndarray:
        """Mean |after - before| in code values over some cells of each crop: (n,)."""
        probes = ((np.arange(PROBES) + 0.5) * self.schedule.crop / PROBES).astype(int)
        high, wide = (self.extents[clip] // THUMB).T
        rows = np.minimum((top[:, None] + probes) // THUMB, high[:, None] - 1)
        columns = np.minimum((left[:, None] + probes) // THUMB, wide[:, None] - 1)
        place = (rows * wide[:, None])[:, :, None] + columns[:, None, :] + self.first_cell[clip][:, None, None]
        one, two = (self.cells[place + (frame * high * wide)[:, None, None]].astype(int) for frame in (before, after))
        difference: np.ndarray = np.abs(two - one).mean((1, 2))
        return difference

    def _pixels(self, rng: np.random.Generator, cut: Cut, upright: bool) -> Tensor:
        """The crops, mirrored, some of them scaled and turned: (n, K, 3, crop, crop) in [0, 1]."""
        crop, parts = self.schedule.crop, []
        for turned, side in ((True, int(crop * augment.ROOM)), (False, crop)):
            rows = np.flatnonzero(cut.turned == turned)
            if not len(rows):
                continue
            margin = (side - crop) // 2
            pieces: list[Tensor] = []
            for row in rows.tolist():
                pixels = self.footage.clips[int(cut.clip[row])].frames
                top, left = (
                    min(max(0, int(corner[row]) - margin), length - side)
                    for corner, length in zip((cut.top, cut.left), pixels.shape[2:], strict=True)
                )
                place = pixels[:, :, top : top + side, left : left + side]
                pieces += [place[i] for i in cut.frames[row].tolist()]
            mirrored = augment.mirror(rng, torch.stack(pieces).view(len(rows), -1, 3, side, side), upright)
            pictures = mirrored.float().div_(255)
            parts.append(augment.turn(rng, pictures, crop) if turned else pictures)
        return torch.cat(parts)

    def _scene(
        self, rng: np.random.Generator, task: str, lead: int, targets: int, n: int
    ) -> tuple[synthetic.Scene, Tensor, Windows, Tensor]:
        """Layered motion at the times of real windows; between two frames at any time, not only where one would be.

        Returns: the scenes, their pictures (n, K, 3, H, W), the windows, the pictures' times in spans (n, K).
        """
        s = self.schedule
        size, layers = int(s.crop * synthetic.CANVAS), 1 + int(rng.integers(1, synthetic.LAYERS + 1))
        textures = self._textures(rng, n * layers, size).view(n, layers, 3, size, size)
        scene = synthetic.draw(rng, textures, s.crop)
        room = np.full(n, windows.room_needed(task, lead, targets) + 64)
        drawn = windows.draw(rng, task, lead, targets, s.max_gap, room)
        a, b = references(task, drawn.observed.shape[1])
        if task in ("between", "inpaint"):
            unit = (drawn.times[:, b] - drawn.times[:, a])[:, None]
        else:
            unit = np.full((n, 1), 2.0)
        if task == "between":
            free = drawn.times[:, a, None] + rng.uniform(0.06, 0.94, drawn.at.shape) * unit
            drawn = Windows(
                drawn.observed, drawn.times, drawn.targets, np.where(rng.random((n, 1)) < 0.5, free, drawn.at)
            )
        times = np.concatenate((drawn.times, drawn.at), 1)
        middle = times.mean(1, keepdims=True) if task == "synthesize" else (times[:, a, None] + times[:, b, None]) / 2
        clock = torch.from_numpy((times - middle) / unit).to(textures)
        return scene, synthetic.render(scene, clock), drawn, clock

    def _textures(self, rng: np.random.Generator, n: int, size: int) -> Tensor:
        """Random pieces of stills and frames at half to double size: (n, 3, size, size) in [0, 1]."""
        clips, stills = self.footage.clips, self.footage.stills
        still = (rng.random(n) < 0.5) & (len(stills) > 0)
        scale = rng.choice(SCALES, n)
        which, frame, top, left = rng.random((4, n))
        by_side: dict[int, tuple[list[int], list[Tensor]]] = {}
        for i in range(n):
            if still[i]:
                picture = stills[int(which[i] * len(stills))]
            else:
                frames = clips[int(which[i] * len(clips))].frames
                picture = frames[int(frame[i] * len(frames))]
            high, wide = picture.shape[1:]
            side = min(int(size * scale[i]), high, wide)
            y, x = int(top[i] * (high - side + 1)), int(left[i] * (wide - side + 1))
            rows, pieces = by_side.setdefault(side, ([], []))
            rows.append(i)
            pieces.append(picture[:, y : y + side, x : x + side])
        made = torch.empty(n, 3, size, size, device=self.device)
        for side, (rows, pieces) in by_side.items():
            piece = torch.stack(pieces).float().div_(255)
            resized = F.interpolate(piece, (size, size), mode="bilinear", align_corners=False, antialias=side > size)
            made[torch.tensor(rows, device=self.device)] = resized.clamp_(0, 1)
        return made


def assemble(task: str, pictures: Tensor, drawn: Windows) -> Batch:
    """(n, T + M, 3, H, W) pictures of windows as a batch without damage and without known motion."""
    n, seen = drawn.observed.shape
    made, side = drawn.targets.shape[1], pictures.shape[-1]
    a, b = references(task, seen)

    def fill(value: float, *shape: int) -> Tensor:
        return pictures.new_full((n, *shape), value)

    return Batch(
        task,
        frames=pictures[:, :seen],
        valid=fill(1, seen, 1, side, side),
        times=torch.from_numpy(drawn.times).to(pictures),
        a=a,
        b=b,
        truth=pictures[:, seen:],
        at=torch.from_numpy(drawn.at).to(pictures),
        mask=fill(1, made, 1, side, side),
        flow=fill(0, made, 4, side, side),
        seen=fill(0, made, 2, side, side),
        synthetic=fill(0),
    )


def damage(rng: np.random.Generator, batch: Batch, shares: dict[str, float]) -> Batch:
    """Holes in the observed target, and in most windows around it; what is gone is not valid, and closed smoothly."""
    n, seen = batch.times.shape
    target = batch.b - 1
    lost = masks.damage(rng, shares, n, seen, batch.frames.shape[-1], target, batch.frames.device)
    valid = 1 - lost
    mask = lost[:, target : target + 1].expand_as(batch.mask).contiguous()
    whole, known, holes = (x.flatten(0, 1) for x in (batch.frames, valid, lost))
    given = whole * known
    around = upsample(smooth(torch.zeros_like(given), torch.zeros_like(known), given, holes), 4)
    return batch._replace(frames=(given + holes * around).view_as(batch.frames), valid=valid, mask=mask)


def validation(footage: Footage, schedule: Schedule) -> list[Batch]:
    """Held-out windows, the same at every call: one target each, no augmentation, sources lead in by up to two frames.

    Every task of the schedule has its share of them, `between` with gaps of 1, 3 and 7 frames in turn. What the shots
    are too short for is left out; `synthesize` has no true frame to be compared with.
    """
    rng = np.random.default_rng(0)
    side = schedule.val_crop
    found: list[Batch] = []
    for task, share in schedule.task_shares().items():
        for i in range(max(1, round(share * schedule.val_crops)) if share > 0 and task != "synthesize" else 0):
            gap = (1, 3, 7)[i % 3] if task == "between" else 1
            shots = [
                (c, f, e)
                for c in footage.clips
                for f, e in c.shots
                if e - f >= gap + 3 and min(c.frames.shape[2:]) >= side
            ]
            if not shots:
                continue
            clip, first, last = shots[int(rng.integers(len(shots)))]
            start = int(rng.integers(first, last - gap - 2))
            lead = min(2, start - first)
            j = int(rng.integers(1, gap + 1))
            more = {"between": [gap + 1, gap + 2], "inpaint": [1, 2, 3], "predict": [1], "one": []}[task]
            target = start + (2 if task == "predict" else j)
            observed = [*range(start - lead, start + 1), *(start + k for k in more)]
            top, left = (int(rng.integers(length - side + 1)) for length in clip.frames.shape[2:])
            index = [*observed, target]
            pictures = clip.frames[:, :, top : top + side, left : left + side][index].float()[None] / 255
            frames = np.array([index]) - observed[0]
            times = frames.astype(float)
            drawn = Windows(frames[:, :-1], times[:, :-1], frames[:, -1:], times[:, -1:])
            batch = assemble(task, pictures, drawn)
            found.append(damage(rng, batch, schedule.hole_shares()) if task == "inpaint" else batch)
    return found
