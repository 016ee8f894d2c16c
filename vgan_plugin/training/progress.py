"""What a training shows of itself: validation on held-out crops, TensorBoard scalars and strips, a JSON log."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from vgan_plugin.errors import ExtraMissing
from vgan_plugin.training.generator import Generator
from vgan_plugin.training.rollout import composite, roll_out
from vgan_plugin.training.tasks import Batch

log = logging.getLogger("vgan_plugin.training")


def psnr(y: Tensor, x: Tensor) -> float:
    """10 log10(255^2 / MSE) in dB of one picture in [0, 1], clamped and rounded to 8 bit; at most 100."""
    levels = (y.clamp(0, 1) * 255 + 0.5).floor() - (x * 255 + 0.5).floor()
    error = float(levels.square().mean())
    return min(100.0, 10 * float(np.log10(255**2 / max(error, 1e-9))))


def blend(batch: Batch) -> Tensor:
    """The time-weighted mean of the references, (n, 3, H, W): what a made frame must beat."""
    offsets = batch.offsets(0).abs()
    share = (offsets[:, 1] / offsets.sum(1)).view(-1, 1, 1, 1)
    return torch.lerp(batch.frames[:, batch.b], batch.frames[:, batch.a], share)


@torch.no_grad()
def validate(generator: Generator, batches: Sequence[Batch]) -> dict[str, float]:
    """Mean PSNR in dB over held-out windows: `psnr`, and `psnr_gap1` and so on by the number of missing frames."""
    values: dict[str, list[float]] = {}
    for batch in batches:
        value = psnr(composite(roll_out(generator, batch), batch), batch.truth[:, 0])
        gap = round(float(batch.times[0, batch.b] - batch.times[0, batch.a])) - 1
        for name in ("psnr", f"psnr_gap{gap}"):
            values.setdefault(name, []).append(value)
    return {name: float(np.mean(v)) for name, v in values.items()}


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

        self.board.add_image("a | made | truth | b", picture.cpu(), step)
        levels = (picture.cpu().permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
        Image.fromarray(levels).save(self.strips / f"{step:08d}.png")
