"""A generator that has learned already shows a smaller one how (distillation, Hinton et al., 2015)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vgan_plugin.errors import TrainingFailed
from vgan_plugin.training import checkpoint, losses
from vgan_plugin.training.generator import PRESETS, Generator, Preset, Render, sizes
from vgan_plugin.training.presets import CELLS
from vgan_plugin.training.rollout import composite, roll_out
from vgan_plugin.training.tasks import Batch

LESSONS = {"taught": 0.5, "taught_flow": 0.01}
"""Of the teacher's terms, beside those of the true frame."""


class Teacher:
    """A generator of any preset, which never learns itself.

    Args:
        path: a run folder, a `weights.npz`, a `checkpoint.npz` or a bundle.
        device: where it works.

    Raises:
        TrainingFailed: there are no weights, or those of no preset.
        BundleError: a bundle is damaged.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        tensors = checkpoint.weights(path)
        self.generator = Generator(_preset(tensors, path)).to(device).requires_grad_(requires_grad=False)
        checkpoint.unpack(tensors, "ema", self.generator)

    @torch.no_grad()
    def make(self, batch: Batch) -> Render:
        """What it makes of a batch: every field (n * M, ...)."""
        return roll_out(self.generator, batch)

    def terms(self, batch: Batch, made: Render) -> dict[str, Tensor]:
        """How far `made`, the pupil's answer, is from the teacher's, not yet weighted.

        `taught`: Charbonnier of the frames under the mask. `taught_flow`: mean distance of the motions in pixels, where
        both references are between them a true frame.
        """
        shown = self.make(batch)
        mask = batch.mask.flatten(0, 1)
        terms = {"taught": losses.charbonnier(composite(made, batch), composite(shown, batch), mask)}
        if batch.task in ("between", "inpaint"):
            apart = (made.flow - shown.flow).view(len(mask), 2, 2, *mask.shape[2:])
            terms["taught_flow"] = (apart.square().sum(2) + 1e-6).sqrt().mean()
        return terms


def _preset(tensors: dict[str, Tensor], path: Path) -> Preset:
    """The preset that has exactly these weights."""
    found = {name.removeprefix("ema/"): t.shape for name, t in tensors.items() if name.startswith("ema/")}
    for name in PRESETS:
        for cell in CELLS:
            preset = sizes(name, cell)
            with torch.device("meta"):
                wanted = {key: t.shape for key, t in Generator(preset).state_dict().items()}
            if wanted == found:
                return preset
    raise TrainingFailed(
        f"{path} cannot teach", "its weights fit no preset of this version", "name a run or bundle of this version"
    )
