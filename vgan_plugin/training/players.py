"""The two sides of the adversarial game and their moves: everything a checkpoint holds.

The generator makes frames; the judges tell real from made; `train.play` alternates their moves.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vgan_plugin.training import checkpoint, losses
from vgan_plugin.training.discriminators import Condition, Judge, Judges
from vgan_plugin.training.generator import Generator, Render, sizes
from vgan_plugin.training.health import Balance, anew
from vgan_plugin.training.precision import in_bf16
from vgan_plugin.training.presets import Schedule
from vgan_plugin.training.rollout import composite, offsets, roll_out
from vgan_plugin.training.synthesis import draw_noise, dream
from vgan_plugin.training.tasks import Batch
from vgan_plugin.training.teacher import LESSONS, Teacher

log = logging.getLogger("vgan_plugin.training")

STRIKES = 3
"""Moves in a row without a finite gradient after which the training stops."""
WEIGHTS = {
    "charbonnier": 1.0,
    "fidelity": 0.15,
    "laplacian": 0.5,
    "census": 0.03,
    "warped": 0.1,
    "flow": 0.03,
    "confidence": 0.05,
}
"""Of the pixel terms."""
FEATURES, STYLE = 1.0, 40.0
"""Of what the judges' layers see, beside the adversarial loss; `gan_weight` scales all three."""
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


class Dream(NamedTuple):
    """Clips from noise, beside true ones that they are not paired with.

    Attributes:
        frame: (n, M, 3, H, W) made.
        truth: (n, M, 3, H, W) footage.
        noise: (n, 1 + M, ...) what was made from, of the seed and of each frame.
        real: (n,) all true: there is footage to judge by.
    """

    frame: Tensor
    truth: Tensor
    noise: Tensor
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
        self.preset, self.settings, self.device, self.seed = preset, settings, device, seed
        self.balance = Balance()
        self.generator = Generator(sizes(preset, settings.cell)).to(device)
        self.ema = copy.deepcopy(self.generator).requires_grad_(requires_grad=False)
        if settings.bf16 and device.type == "cuda":
            in_bf16(self.generator)
        width = 0.5 if preset in ("tiny", "textbook") else 1.0
        clips = self.generator.preset.synthesises
        self.judges = Judges(spectral=settings.adversarial == "hinge", width=width, clips=clips).to(device)
        self.factors = {
            "encoder": settings.encoder_lr,
            "motion": settings.motion_lr,
            "fusion": settings.fusion_lr,
        }
        parts = [{"params": parameters, "name": name} for name, parameters in _groups(self.generator).items()]
        judging = [{"params": list(self.judges.parameters()), "lr": settings.d_lr}]
        decay = settings.weight_decay
        self.by_pixels = self._optimiser(parts, 0.9, decay)
        self.by_opinion = self._optimiser([dict(p) for p in parts], 0.0)
        self.judging = self._optimiser(judging, 0.0)
        self.teacher = Teacher(Path(settings.teacher), device) if settings.teacher else None
        self.missed: dict[int, int] = {}

    @property
    def strikes(self) -> int:
        """Moves in a row that one of the sides could not make."""
        return max(self.missed.values(), default=0)

    def _optimiser(self, parts: list[dict[str, Any]], memory: float, decay: float = 0.0) -> torch.optim.Optimizer:
        """Adam, which remembers `memory` of its last direction, or plain gradient descent."""
        if self.settings.optimiser == "sgd":
            return torch.optim.SGD(parts, lr=0.0)
        fused = self.device.type == "cuda"
        return torch.optim.AdamW(parts, lr=0.0, betas=(memory, 0.99), weight_decay=decay, fused=fused)

    # --- the moves ------------------------------------------------------------------------------------------------

    def make(self, batch: Batch, step: int) -> Hand | Dream:
        """The generator makes the missing frames, or whole clips; what may learn at this step keeps its graph."""
        dreams = batch.task == "synthesize"
        paired = self.opinion(step) is not None and not dreams
        for group in self.by_pixels.param_groups:
            # Under the judges only the fusion learns: motion is a matter of fact, not of taste. Dreams know no facts.
            learns = self.factors[group["name"]] > 0 and (not paired or group["name"] == "fusion")
            for parameter in group["params"]:
                parameter.requires_grad_(learns)
        if dreams:
            return self._dream(batch.truth, step)
        made = roll_out(self.generator, batch)
        m = batch.at.shape[1]
        truth, mask, real = batch.truth.flatten(0, 1), batch.mask.flatten(0, 1), batch.synthetic < 0.5
        return Hand(batch, made, composite(made, batch), truth, mask, real.repeat_interleave(m))

    def _dream(self, truth: Tensor, step: int) -> Dream:
        """Clips from noise; at every third step each goes on from the first frame of a true clip."""
        n, count, _, _, side = truth.shape
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        noise = draw_noise(n, count, side, random).to(truth.device)
        first = truth[:, 0] if count > 1 and step % 3 == 2 else None
        frame = dream(self.generator, noise, first)
        return Dream(frame, truth, noise, torch.ones(n, dtype=torch.bool, device=truth.device))

    def judges_move(self, hand: Hand | Dream, step: int) -> dict[str, Tensor | float]:
        """D step: the judges learn to tell true frames from made ones, which are cut off from the generator.

        Of paired frames both are of the same crops and times. Every `penalty_every` steps the slopes are penalised (R1
        on real, R2 on made), and count that many times.
        """
        settings = self.settings
        real, made = self._shown(hand, hand.truth), self._shown(hand, hand.frame.detach())
        gamma = settings.gamma * self.balance.gamma
        penalised = gamma > 0 and step % settings.penalty_every == 0
        for shown in (*real.values(), *made.values()):
            shown.requires_grad_(penalised)
        p_real, p_made = self.judges(real), self.judges(made)
        loss = _total(losses.judge_loss(settings.adversarial, p_real[name], p_made[name]) for name in p_real)
        scalars: dict[str, Tensor | float] = {"judges/loss": loss.detach()}
        if penalised:
            slopes = [
                losses.gradient_penalty(list(p.values()), list(x.values())) for p, x in ((p_real, real), (p_made, made))
            ]
            penalty = _total(slopes)
            loss = loss + gamma * settings.penalty_every * penalty
            scalars["judges/penalty"] = penalty.detach()
        for group in self.judging.param_groups:
            group["lr"] = settings.d_lr * self.balance.rate * self.balance.judging
        self._step(self.judging, loss, math.inf)
        for name in p_real:
            scalars[f"judges/{name}_margin"] = (p_real[name].mean() - p_made[name].mean()).detach()
        return scalars

    def generators_move(self, hand: Hand | Dream, step: int) -> dict[str, Tensor | float]:
        """G step: by the pixels, and in the adversarial stage by the judges where pixels cannot decide.

        Dreams have no true pixels: there the judges alone decide, and that other noise must give another picture.
        """
        optimiser = self.by_pixels if self.opinion(step) is None else self.by_opinion
        if isinstance(hand, Dream):
            loss, scalars = self._opinion_of_dreams(hand, step)
        else:
            loss, scalars = self._pixels_and_opinion(hand, step)
        rate = self.rate(step) * self.balance.rate
        for group in optimiser.param_groups:
            group["lr"] = rate * self.factors[group["name"]]
        scalars["pixel/gradient"] = self._step(optimiser, loss, self.settings.clip)
        decay = min(self.settings.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for average, now in zip(self.ema.parameters(), self.generator.parameters(), strict=True):
                average.lerp_(now, 1 - decay)
        return scalars

    def _pixels_and_opinion(self, hand: Hand, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        terms = pixel_terms(hand)
        if self.teacher is not None:
            terms |= self.teacher.terms(hand.batch, hand.made)
        if self.settings.ping_pong and hand.batch.a != hand.batch.b:
            back = roll_out(self.generator, hand.batch.backwards()).rgb
            terms["ping_pong"] = losses.ping_pong(hand.made.rgb, back, hand.mask)
        weights = WEIGHTS | LESSONS | {"ping_pong": self.settings.ping_pong}
        loss = _total(weights[name] * value for name, value in terms.items())
        scalars: dict[str, Tensor | float] = {f"pixel/{name}": value.detach() for name, value in terms.items()}
        weight = (self.opinion(step) or 0.0) * self._heard(step)
        if weight and hand.real.any():
            by_pixels = torch.autograd.grad(loss, hand.made.rgb, retain_graph=True)[0]
            slope, opinion = self._opinion_slope(hand)
            scalars["adversarial/slope"] = slope.norm()
            slope = losses.gated(weight * slope, hand.made.scale, hand.mask)
            cap = self.settings.gan_cap * (1 if hand.batch.task == "between" else 5)
            pull = losses.capped(slope, by_pixels, cap)
            loss = loss + (pull * hand.made.rgb).sum()  # whose gradient with respect to the frame is `pull`
            scalars |= {"adversarial/loss": opinion, "adversarial/pull": pull.norm() / by_pixels.norm()}
        return loss, scalars

    def _opinion_of_dreams(self, hand: Dream, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        opinion = self._opinion(hand, hand.frame)
        variety = losses.diversity(hand.frame, hand.noise)
        loss = self._heard(step) * opinion + self.settings.diversity * self.balance.variety * variety
        return loss, {"adversarial/loss": opinion.detach(), "adversarial/variety": -variety.detach()}

    def _opinion(self, hand: Hand | Dream, frame: Tensor) -> Tensor:
        """The adversarial loss of `frame`, which is the hand's own; the judges do not learn from it.

        Where it has a true frame beside it, also how differently the judges' layers see the two.
        """
        self.judges.requires_grad_(requires_grad=False)
        real, made = self._shown(hand, hand.truth), self._shown(hand, frame)
        with torch.no_grad():
            p_real = self.judges(real)
        p_made = self.judges(made)
        kind = self.settings.adversarial
        loss = _total(losses.generator_loss(kind, p_real[name], p_made[name]) for name in p_real)
        if isinstance(hand, Hand):
            with torch.no_grad():
                true = self.judges.features(real)
            seen = self.judges.features(made)
            loss = loss + FEATURES * losses.feature_matching(seen, true) + STYLE * losses.style(seen, true)
        self.judges.requires_grad_(requires_grad=True)
        return loss

    def _heard(self, step: int) -> float:
        """How much the generator listens to the judges, after all that went wrong."""
        return 0.0 if step < self.balance.mute_until else self.balance.opinion

    def _opinion_slope(self, hand: Hand) -> tuple[Tensor, Tensor]:
        """Gradient of the adversarial loss with respect to the made frames (zero for synthetic ones), and the loss."""
        frame = hand.frame.detach().requires_grad_()
        loss = self._opinion(hand, frame)
        return torch.autograd.grad(loss, frame)[0], loss.detach()

    def _shown(self, hand: Hand | Dream, frames: Tensor) -> dict[str, Tensor]:
        """What the judges are shown of a hand's frames, made or true; no synthetic ones."""
        if isinstance(hand, Dream):
            return self.judges.watch(frames)
        return self.judges.look(frames[hand.real], _condition(hand))

    def _step(self, optimiser: torch.optim.Optimizer, loss: Tensor, clip: float) -> float:
        """Descend, unless the gradient is not finite; its norm before it is clipped."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, clip))
        if math.isfinite(norm):
            optimiser.step()
            self.missed[id(optimiser)] = 0
            return norm
        self.missed[id(optimiser)] = self.missed.get(id(optimiser), 0) + 1
        log.warning("a gradient is not finite: its step is left out")
        if self.strikes == STRIKES:
            raise NotFinite(f"{STRIKES} gradients in a row were not finite")
        return norm

    # --- the schedule ---------------------------------------------------------------------------------------------

    def opinion(self, step: int) -> float | None:
        """Weight of the judges' opinion: None before the adversarial stage, then zero, then rising."""
        return self.settings.opinion(step)

    def rate(self, step: int) -> float:
        """The generator's learning rate: warm-up, constant, linear cooldown to zero."""
        return self.settings.rate(step)

    # --- what is kept ---------------------------------------------------------------------------------------------

    def save(self, path: Path, step: int, best: float) -> None:
        """Everything to go on from after `step` steps; `best` is the best validation so far in dB."""
        tensors: dict[str, Tensor] = {}
        for name in PARTS:
            tensors |= checkpoint.pack(name, getattr(self, name))
        meta = {"kind": "checkpoint", "preset": self.preset, "step": step, "best": best}
        checkpoint.save(path, tensors, {**meta, "balance": asdict(self.balance)})

    def resume(self, path: Path) -> tuple[int, float]:
        """Steps done and best validation so far; (0, -inf) where nothing was saved."""
        if not path.exists():
            return 0, -math.inf
        tensors, meta = checkpoint.load(path)
        for name in PARTS:
            checkpoint.unpack(tensors, name, getattr(self, name))
        self.balance = Balance(**meta.get("balance", {}))
        log.info("resumed at step %d", meta["step"])
        return int(meta["step"]), float(meta["best"])

    def go_back(self, path: Path) -> None:
        """All weights and optimisers as they were saved; what has been found since stays in force."""
        tensors, _ = checkpoint.load(path)
        for name in PARTS:
            checkpoint.unpack(tensors, name, getattr(self, name))

    def wake_the_judges(self) -> None:
        """Their last layers as if never trained."""
        for judge in self.judges.children():
            if isinstance(judge, Judge):
                anew(judge.layers[-1])

    def save_weights(self, path: Path, step: int, scores: Mapping[str, float]) -> None:
        """The averaged weights alone, with what they scored: what is exported."""
        meta: dict[str, Any] = {"kind": "weights", "preset": self.preset, "step": step, "val": dict(scores)}
        checkpoint.save(path, checkpoint.pack("ema", self.ema), meta)

    def start_from(self, path: Path) -> None:
        """Take weights from a run folder, a `weights.npz` or a bundle; optimisers and judges stay fresh."""
        tensors = checkpoint.weights(path)
        for network in (self.generator, self.ema):
            checkpoint.unpack(tensors, "ema", network)


def pixel_terms(hand: Hand) -> dict[str, Tensor]:
    """The pixel losses by name, not yet weighted; formulas in `losses.py`."""
    batch, made, y, x, mask = hand.batch, hand.made, hand.frame, hand.truth, hand.mask
    terms = {
        "charbonnier": losses.charbonnier(y, x, mask),
        "fidelity": losses.fidelity(y, x, mask),
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
