"""The two sides of the adversarial game and their moves: everything a checkpoint holds.

The generator makes frames; the judges tell real from made; `train.play` alternates their moves.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vgan_plugin.training import checkpoint, losses
from vgan_plugin.training.discriminators import Condition, Judges
from vgan_plugin.training.generator import PRESETS, Generator, Render
from vgan_plugin.training.precision import in_bf16
from vgan_plugin.training.presets import Schedule
from vgan_plugin.training.rollout import composite, offsets, roll_out
from vgan_plugin.training.tasks import Batch

log = logging.getLogger("vgan_plugin.training")

STRIKES = 3
"""Moves in a row without a finite gradient after which the training stops."""
WEIGHTS = {"charbonnier": 1.0, "laplacian": 0.5, "census": 0.1, "warped": 0.1, "flow": 0.03, "confidence": 0.05}
"""Of the pixel terms."""
PARTS = ("generator", "ema", "judges", "by_pixels", "by_opinion", "judging")
"""Attributes of `Players` that a checkpoint keeps."""


class NotFinite(Exception):
    """No finite gradient, several times in a row."""


class Hand(NamedTuple):
    """One batch and what the generator made of it.

    Attributes:
        batch: the batch.
        made: (n * M, ...) the generator's answer.
        frame: (n * M, 3, H, W) made pixels under the mask, known ones elsewhere.
        truth: (n * M, 3, H, W).
        mask: (n * M, 1, H, W).
        real: (n * M,) rows that are filmed, not synthetic: the judges see only those.
    """

    batch: Batch
    made: Render
    frame: Tensor
    truth: Tensor
    mask: Tensor
    real: Tensor


class Players:
    """Generator, its running average, the judges, their optimisers.

    Args:
        preset: sizes of the generator.
        settings: the schedule.
        device: where they live.
        seed: of the first weights.
    """

    def __init__(self, preset: str, settings: Schedule, device: torch.device, seed: int) -> None:
        torch.manual_seed(seed)
        self.preset, self.settings, self.device = preset, settings, device
        self.generator = Generator(PRESETS[preset]).to(device)
        self.ema = copy.deepcopy(self.generator).requires_grad_(requires_grad=False)
        if settings.bf16 and device.type == "cuda":
            in_bf16(self.generator)
        width = 0.5 if preset == "tiny" else 1.0
        self.judges = Judges(spectral=settings.adversarial == "hinge", width=width).to(device)
        self.factors = {
            "encoder": settings.encoder_lr,
            "motion": settings.motion_lr,
            "fusion": settings.fusion_lr,
        }
        parts = [{"params": parameters, "name": name} for name, parameters in _groups(self.generator).items()]
        fused = device.type == "cuda"
        decay = settings.weight_decay
        self.by_pixels = torch.optim.AdamW(parts, lr=0.0, betas=(0.9, 0.99), weight_decay=decay, fused=fused)
        self.by_opinion = torch.optim.Adam([dict(p) for p in parts], lr=0.0, betas=(0.0, 0.99), fused=fused)
        self.judging = torch.optim.Adam(self.judges.parameters(), lr=settings.d_lr, betas=(0.0, 0.99), fused=fused)
        self.strikes = 0

    # --- the moves ------------------------------------------------------------------------------------------------

    def make(self, batch: Batch, step: int) -> Hand:
        """The generator makes the missing frames; what may learn at this step keeps its graph."""
        adversarial = self.opinion(step) is not None
        for group in self.by_pixels.param_groups:
            # Under the judges only the fusion learns: motion is a matter of fact, not of taste.
            learns = self.factors[group["name"]] > 0 and (not adversarial or group["name"] == "fusion")
            for parameter in group["params"]:
                parameter.requires_grad_(learns)
        made = roll_out(self.generator, batch)
        m = batch.at.shape[1]
        truth, mask, real = batch.truth.flatten(0, 1), batch.mask.flatten(0, 1), batch.synthetic < 0.5
        return Hand(batch, made, composite(made, batch), truth, mask, real.repeat_interleave(m))

    def judges_move(self, hand: Hand, step: int) -> dict[str, Tensor | float]:
        """D step: the judges learn to tell true frames from made ones, which are cut off from the generator.

        Both are of the same crops and times. Every `penalty_every` steps the slopes are penalised (R1 on real, R2 on
        made), and count that many times.
        """
        settings, condition = self.settings, _condition(hand)
        real = self.judges.look(hand.truth[hand.real], condition)
        made = self.judges.look(hand.frame.detach()[hand.real], condition)
        penalised = step % settings.penalty_every == 0
        for shown in (*real, *made):
            shown.requires_grad_(penalised)
        p_real, p_made = self.judges(real), self.judges(made)
        loss = _total(losses.judge_loss(settings.adversarial, *p) for p in zip(p_real, p_made, strict=True))
        scalars: dict[str, Tensor | float] = {"judges/loss": loss.detach()}
        if penalised:
            penalty = losses.gradient_penalty(p_real, real) + losses.gradient_penalty(p_made, made)
            loss = loss + settings.gamma * settings.penalty_every * penalty
            scalars["judges/penalty"] = penalty.detach()
        self._step(self.judging, loss, math.inf)
        for name, r, m in zip(("frame", "triplet"), p_real, p_made, strict=True):
            scalars[f"judges/{name}_margin"] = (r.mean() - m.mean()).detach()
        return scalars

    def generators_move(self, hand: Hand, step: int) -> dict[str, Tensor | float]:
        """G step: by the pixels, and in the adversarial stage by the judges where pixels cannot decide."""
        terms = pixel_terms(hand)
        loss = _total(WEIGHTS[name] * value for name, value in terms.items())
        scalars: dict[str, Tensor | float] = {f"pixel/{name}": value.detach() for name, value in terms.items()}
        weight, rate = self.opinion(step), self.rate(step)
        optimiser: torch.optim.Optimizer = self.by_pixels
        if weight is not None:
            optimiser = self.by_opinion
            if weight > 0 and hand.real.any():
                by_pixels = torch.autograd.grad(loss, hand.made.rgb, retain_graph=True)[0]
                slope, opinion = self._opinion_slope(hand)
                slope = losses.gated(weight * slope, hand.made.scale, hand.mask)
                cap = self.settings.gan_cap * (1 if hand.batch.task == "between" else 5)
                pull = losses.capped(slope, by_pixels, cap)
                loss = loss + (pull * hand.made.rgb).sum()  # whose gradient with respect to the frame is `pull`
                scalars |= {"adversarial/loss": opinion, "adversarial/pull": pull.norm() / by_pixels.norm()}
        for group in optimiser.param_groups:
            group["lr"] = rate * self.factors[group["name"]]
        scalars["pixel/gradient"] = self._step(optimiser, loss, self.settings.clip)
        decay = min(self.settings.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for average, now in zip(self.ema.parameters(), self.generator.parameters(), strict=True):
                average.lerp_(now, 1 - decay)
        return scalars

    def _opinion_slope(self, hand: Hand) -> tuple[Tensor, Tensor]:
        """Gradient of the adversarial loss with respect to the made frames (zero for synthetic ones), and the loss."""
        condition = _condition(hand)
        frame = hand.frame.detach()[hand.real].requires_grad_()
        with torch.no_grad():
            p_real = self.judges(self.judges.look(hand.truth[hand.real], condition))
        p_made = self.judges(self.judges.look(frame, condition))
        kind = self.settings.adversarial
        loss = _total(losses.generator_loss(kind, *p) for p in zip(p_real, p_made, strict=True))
        slope = torch.zeros_like(hand.frame)
        slope[hand.real] = torch.autograd.grad(loss, frame)[0]
        return slope, loss.detach()

    def _step(self, optimiser: torch.optim.Optimizer, loss: Tensor, clip: float) -> float:
        """Descend, unless the gradient is not finite; its norm before it is clipped."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, clip))
        if math.isfinite(norm):
            optimiser.step()
            self.strikes = 0
            return norm
        self.strikes += 1
        log.warning("a gradient is not finite: its step is left out")
        if self.strikes == STRIKES:
            raise NotFinite(f"{STRIKES} gradients in a row were not finite")
        return norm

    # --- the schedule ---------------------------------------------------------------------------------------------

    def opinion(self, step: int) -> float | None:
        """Weight of the judges' opinion: None before the adversarial stage, then zero, then rising."""
        begin = round(self.settings.gan_from * self.settings.steps)
        if step < begin:
            return None
        risen = (step - begin) / max(1, self.settings.gan_rise)
        return self.settings.gan_weight * min(1.0, max(0.0, 2 * risen - 1))

    def rate(self, step: int) -> float:
        """The generator's learning rate: warm-up, constant, linear cooldown to zero."""
        s = self.settings
        base = s.lr if self.opinion(step) is None else s.gan_lr
        left = (s.steps - step) / max(1.0, s.cooldown * s.steps)
        return base * min(1.0, (step + 1) / max(1, s.warmup), left)

    # --- what is kept ---------------------------------------------------------------------------------------------

    def save(self, path: Path, step: int, best: float) -> None:
        """Everything to go on from after `step` steps; `best` is the best validation so far in dB."""
        tensors: dict[str, Tensor] = {}
        for name in PARTS:
            tensors |= checkpoint.pack(name, getattr(self, name))
        checkpoint.save(path, tensors, {"kind": "checkpoint", "preset": self.preset, "step": step, "best": best})

    def resume(self, path: Path) -> tuple[int, float]:
        """Steps done and best validation so far; (0, -inf) where nothing was saved."""
        if not path.exists():
            return 0, -math.inf
        tensors, meta = checkpoint.load(path)
        for name in PARTS:
            checkpoint.unpack(tensors, name, getattr(self, name))
        log.info("resumed at step %d", meta["step"])
        return int(meta["step"]), float(meta["best"])

    def save_weights(self, path: Path, step: int, scores: Mapping[str, float]) -> None:
        """The averaged weights alone, with what they scored: what is exported."""
        meta: dict[str, Any] = {"kind": "weights", "preset": self.preset, "step": step, "val": dict(scores)}
        checkpoint.save(path, checkpoint.pack("ema", self.ema), meta)

    def start_from(self, path: Path) -> None:
        """Take weights from a run folder, a `weights.npz` or a bundle; optimisers and judges stay fresh."""
        if (path / "bundle.json").exists() or path.suffix == ".zip":
            tensors = checkpoint.shipped(path)
        else:
            tensors, _ = checkpoint.load(path / "weights.npz" if path.is_dir() else path)
        for network in (self.generator, self.ema):
            checkpoint.unpack(tensors, "ema", network)


def pixel_terms(hand: Hand) -> dict[str, Tensor]:
    """The pixel losses by name, not yet weighted; formulas in `losses.py`."""
    batch, made, y, x, mask = hand.batch, hand.made, hand.frame, hand.truth, hand.mask
    terms = {
        "charbonnier": losses.charbonnier(y, x, mask),
        "laplacian": losses.laplacian(y, x, mask),
        "census": losses.census(y, x, mask),
        "confidence": losses.confidence(made.scale, y, x, mask),
    }
    if batch.task in ("between", "inpaint"):
        terms["warped"] = losses.warped_only(made.warped, x, made.weights)
    if batch.synthetic.any():
        terms["flow"] = losses.flow(made.flow, batch.flow.flatten(0, 1), batch.seen.flatten(0, 1))
    return terms


def _groups(generator: Generator) -> dict[str, list[nn.Parameter]]:
    """The generator's parameters by what they are for: seeing and remembering, motion, fusion."""
    groups: dict[str, list[nn.Parameter]] = {"encoder": [], "motion": [], "fusion": []}
    for name, parameter in generator.named_parameters():
        part = name.partition(".")[0]
        groups[{"encoder": "encoder", "cell": "encoder", "fusion": "fusion"}.get(part, "motion")].append(parameter)
    return groups


def _condition(hand: Hand) -> Condition:
    """What the judges see beside the frames; the generator's motion is cut off from it."""
    batch, m, rows = hand.batch, hand.batch.at.shape[1], hand.real
    a, b = (batch.frames[:, i].repeat_interleave(m, 0)[rows] for i in (batch.a, batch.b))
    return Condition(hand.mask[rows], a, b, hand.made.flow.detach()[rows], offsets(batch)[rows])


def _total(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
