"""What a training shows of itself: validation on held-out crops, TensorBoard scalars and strips, a JSON log."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vgan_plugin.errors import ExtraMissing
from vgan_plugin.training import losses
from vgan_plugin.training.generator import Generator
from vgan_plugin.training.rollout import composite, roll_out
from vgan_plugin.training.synthesis import Likeness, draw_noise, dream, likeness
from vgan_plugin.training.tasks import Batch

log = logging.getLogger("vgan_plugin.training")

LONG = 24
"""Frames of the dreams in which drift would show."""


def psnr(y: Tensor, x: Tensor, mask: Tensor | None = None) -> float:
    """10 log10(255^2 / MSE) in dB of one picture in [0, 1], clamped and rounded to 8 bit; at most 100.

    With a mask (1, 1, H, W) of 0 and 1, over its pixels only.
    """
    levels = (y.clamp(0, 1) * 255 + 0.5).floor() - (x * 255 + 0.5).floor()
    error = float(levels.square().mean() if mask is None else losses.mean(levels.square(), mask))
    return min(100.0, 10 * float(np.log10(255**2 / max(error, 1e-9))))


def blend(batch: Batch) -> Tensor:
    """The time-weighted mean of the references, the last one where both lie before: what a made frame must beat.

    Returns: (n, 3, H, W), known pixels as they are.
    """
    offsets = batch.offsets(0).abs()
    shares = offsets.flip(1) / offsets.sum(1, keepdim=True) * (batch.task != "predict")
    a, b = (w.view(-1, 1, 1, 1) * batch.valid[:, i] for w, i in zip(shares.T, (batch.a, batch.b), strict=True))
    b = b + 1e-6 * batch.valid[:, batch.b]
    mean = (a * batch.frames[:, batch.a] + b * batch.frames[:, batch.b]) / (a + b).clamp(min=1e-9)
    return torch.lerp(batch.truth[:, 0], mean, batch.mask[:, 0])


@torch.no_grad()
def validate(generator: Generator, batches: Sequence[Batch]) -> tuple[dict[str, float], Tensor]:
    """Mean PSNR in dB of what was made of held-out windows, and the pictures, (n, 3, H, W).

    `psnr` is that of all windows, `psnr_gap1` and so on of those with so many frames missing between two others,
    `psnr_predict` and so on of the other tasks.
    """
    values: dict[str, list[float]] = {}
    pictures = []
    for batch in batches:
        made = composite(roll_out(generator, batch), batch)
        pictures.append(made.clamp(0, 1))
        value = psnr(made, batch.truth[:, 0], batch.mask[:, 0])
        gap = round(float(batch.times[0, batch.b] - batch.times[0, batch.a])) - 1
        for name in ("psnr", f"psnr_gap{gap}" if batch.task == "between" else f"psnr_{batch.task}"):
            values.setdefault(name, []).append(value)
    return {name: float(np.mean(v)) for name, v in values.items()}, torch.cat(pictures)


class Dreams(NamedTuple):
    """Dreams beside footage.

    Attributes:
        made: (n, M, 3, H, W) dreams.
        true: (n, M, 3, H, W) true clips.
        long: (4, `LONG`, 3, H, W) long dreams.
        likeness: how alike the two sets are.
    """

    made: Tensor
    true: Tensor
    long: Tensor
    likeness: Likeness

    def strip(self) -> Tensor:
        """16 dreams' and 16 true clips' first frames, then a long dream: (3, rows, columns) in [0, 1]."""
        first = [clips[i : i + 8, 0] for clips in (self.made, self.true) for i in range(0, min(16, len(clips)), 8)]
        rows = [torch.cat(list(frames), -1) for frames in (*first, *self.long[:2, :: LONG // 8])]
        widest = max(row.shape[-1] for row in rows)
        return torch.cat([F.pad(row, (0, widest - row.shape[-1])) for row in rows], -2).clamp(0, 1)


@torch.no_grad()
def validate_dreams(generator: Generator, batches: Sequence[Batch]) -> Dreams:
    """Dreams from the same noise at every call, as many and as long as the true clips."""
    true = torch.cat([batch.truth for batch in batches])
    n, count, _, _, side = true.shape
    random = torch.Generator().manual_seed(0)
    noise = draw_noise(n, count, side, random).to(true)
    made = torch.cat([dream(generator, part) for part in noise.chunk(max(1, n // 16))])
    long = dream(generator, draw_noise(4, LONG, side, random).to(true))
    return Dreams(made, true, long, likeness(made, true))


@torch.no_grad()
def strip(generator: Generator, batches: Sequence[Batch]) -> Tensor:
    """A | made | truth | b for each window, one below the other: (3, rows, columns) in [0, 1]."""
    rows = []
    for batch in batches:
        made = composite(roll_out(generator, batch), batch).clamp(0, 1)
        parts = (batch.frames[:, batch.a], made, batch.truth[:, 0], batch.frames[:, batch.b])
        rows.append(torch.cat([p[0] for p in parts], -1))
    return torch.cat(rows, -2)


class Journal:
    """Scalars to `log.jsonl` and TensorBoard, strips to TensorBoard and `strips/`. Use it as a context.

    Args:
        run: the run folder.

    Raises:
        ExtraMissing: TensorBoard is not installed.
    """

    def __init__(self, run: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ExtraMissing(
                "The training cannot be watched", "TensorBoard is not installed", 'pip install "vgan[train]"'
            ) from error
        self.strips = run / "strips"
        self.strips.mkdir(exist_ok=True)
        self.file = (run / "log.jsonl").open("a", encoding="utf-8")
        self.board = SummaryWriter(str(run / "tensorboard"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.board.close()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one line; `values` are named `group/name`."""
        self.file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        self.file.flush()
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        log.info("step %d  %s", step, "  ".join(f"{k} {v:.4g}" for k, v in values.items()))

    def picture(self, step: int, picture: Tensor) -> None:
        """Keep a strip, (3, H, W) in [0, 1]."""
        from PIL import Image

        picture = picture.cpu().nan_to_num()  # numbers that ran away end the run elsewhere
        self.board.add_image("a | made | truth | b", picture, step)
        levels = (picture.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
        Image.fromarray(levels).save(self.strips / f"{step:08d}.png")
