"""Training schedules: one frozen value per preset, every knob overridable by name. No network is described here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vgan_plugin.errors import UsageError

TASKS = ("between", "predict", "inpaint", "one", "synthesize")
HOLES = ("box", "object", "stroke", "subtitle", "blocks", "slice", "scratch")
STAGES = ("motion", "tasks", "finish", "gan")
PURPOSES: Mapping[str, Mapping[str, float]] = {
    "fill": {"between": 0.75, "inpaint": 0.15, "one": 0.1},
    "interpolate": {"between": 1.0},
    "inpaint": {"inpaint": 1.0},
    "predict": {"predict": 1.0},
    "synthesize": {"synthesize": 1.0},
}
"""What a bundle is for, as the manifest calls it, and the windows that it is then trained on."""
CELLS = ("rnn", "lstm", "gru")
OPTIMISERS = ("adam", "sgd")
ADVERSARIAL = ("minimax", "nonsaturating", "hinge", "relativistic")


@dataclass(frozen=True)
class Schedule:
    """All settings of one training, in the order in which one meets them.

    Attributes:
        cell: the recurrent cell, `rnn`, `lstm` or `gru`.
        optimiser: `adam`, or `sgd`: plain gradient descent, theta <- theta - lr dL/dtheta, as in the textbook.
        crop: side of training crops in pixels, a multiple of 32.
        batch: windows a step.
        targets: frames made per window.
        lead: at most this many frames are remembered before the first reference.
        max_gap: longest gap in frames.
        synthetic: share of windows that are layered synthetic motion; more while motion is trained, less at the end.
        tasks: shares as `between:0.55,predict:0.15,inpaint:0.2,one:0.1`; one task a step.
        holes: shares of the kinds of damage that `inpaint` sees, in the same form; the kinds are those of `masks.py`.
        row: frames in a row that `synthesize` sees.
        steps: length of the schedule; warm-up and cooldown are part of it.
        warmup: steps of linear learning-rate warm-up.
        motion_until: share of the steps after which motion alone has been trained.
        cooldown: share of the pixel stages, and of the adversarial one, at whose end the learning rate falls to zero.
        lr: learning rate of the pixel stage.
        encoder_lr: factor on `lr` for the encoder and the recurrent cell; 0 freezes them.
        motion_lr: the same for everything that corrects motion.
        fusion_lr: the same for the fusion of the two warped references and what is added to it.
        weight_decay: decoupled weight decay (AdamW).
        clip: largest gradient norm of the generator.
        ema: decay of the averaged weights that ship.
        ping_pong: weight of the difference between what is made of a window forwards and backwards in time; 0 = nothing
            is made backwards, 0.5 = usual.
        gan_from: share of the steps after which the discriminators play; 1 = never.
        gan_lr: learning rate of the generator in the adversarial stage.
        d_lr: learning rate of the discriminators.
        adversarial: `minimax`, `nonsaturating`, `hinge` or `relativistic`.
        gan_weight: weight of the adversarial gradient, before it is capped.
        gan_cap: the adversarial gradient is at most this part of the pixel gradient.
        gamma: weight of the R1 and R2 penalties.
        diversity: weight of the variety of dreams.
        penalty_every: steps between penalties (each then counts as many times).
        gan_rise: steps over which `gan_weight` rises from zero; during the first half only the discriminators learn.
        teacher: run folder, `weights.npz` or bundle of a larger generator whose frames and motion are imitated too.
        val: folder of held-out clips; empty = hold out a part of the data.
        val_share: part of the data held out when `val` is empty.
        val_crops: crops validated on, shared among the tasks; `between` has gaps of 1, 3 and 7 frames in turn.
        val_crop: their side in pixels, a multiple of 32.
        val_every: steps between validations.
        log_every: steps between log lines.
        save_minutes: minutes between checkpoints.
        licences: licence classes to use, such as `AB`; empty = all files.
        max_side: clips are shrunk to this long side.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads; 0 = torch's choice.
        bf16: the generator's networks in bfloat16 on CUDA; motion, warps, judges and losses stay in float32.
    """

    cell: str = "lstm"
    optimiser: str = "adam"
    crop: int = 256
    batch: int = 64
    targets: int = 1
    lead: int = 2
    max_gap: int = 8
    synthetic: float = 0.4
    tasks: str = "between:0.6,predict:0.15,inpaint:0.2,one:0.05"
    holes: str = "box:0.2,object:0.25,stroke:0.05,subtitle:0.2,blocks:0.15,slice:0.1,scratch:0.05"
    row: int = 8
    steps: int = 12_000
    warmup: int = 200
    motion_until: float = 0.2
    cooldown: float = 0.2
    lr: float = 8e-4
    encoder_lr: float = 1.0
    motion_lr: float = 1.0
    fusion_lr: float = 1.0
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.999
    ping_pong: float = 0.0
    gan_from: float = 0.75
    gan_lr: float = 1e-4
    d_lr: float = 2e-4
    adversarial: str = "relativistic"
    gan_weight: float = 0.05
    gan_cap: float = 0.1
    gamma: float = 0.1
    diversity: float = 0.1
    penalty_every: int = 4
    gan_rise: int = 600
    teacher: str = ""
    val: str = ""
    val_share: float = 0.1
    val_crops: int = 48
    val_crop: int = 192
    val_every: int = 500
    log_every: int = 50
    save_minutes: float = 2.0
    licences: str = ""
    max_side: int = 640
    device: str = "auto"
    threads: int = 0
    bf16: bool = True

    def task_shares(self) -> dict[str, float]:
        """`tasks` as numbers that sum to 1."""
        return _shares(self.tasks)

    def hole_shares(self) -> dict[str, float]:
        """`holes` as numbers that sum to 1."""
        return _shares(self.holes)

    def stage(self, step: int) -> str:
        """Which of the four stages a step belongs to.

        `motion` up to `motion_until`; `tasks`; `finish`, the last `cooldown` of the steps before `gan_from`, in which
        the learning rate falls to zero; `gan` from `gan_from` on.
        """
        begin = round(self.gan_from * self.steps)
        if step >= begin:
            return "gan"
        if step >= begin * (1 - self.cooldown):
            return "finish"
        return "motion" if step < self.motion_until * self.steps else "tasks"

    def at(self, step: int) -> Schedule:
        """The schedule with the data that the step's stage trains on.

        `motion` sees frames between two others only, if it is to see them at all, and more synthetic windows, whose
        true motion is known. `finish` and `gan` see fewer: they are for how footage looks.
        """
        stage, tasks = self.stage(step), self.tasks
        if stage == "motion" and self.task_shares().get("between"):
            tasks = "between:1"
        factor = {"motion": 1.75, "tasks": 1.0, "finish": 0.6, "gan": 0.6}[stage]
        return dataclasses.replace(self, tasks=tasks, synthetic=min(1.0, factor * self.synthetic))

    def opinion(self, step: int) -> float | None:
        """Weight of the judges' opinion: None before the adversarial stage, then zero, then rising."""
        begin = round(self.gan_from * self.steps)
        if step < begin:
            return None
        risen = (step - begin) / max(1, self.gan_rise)
        return self.gan_weight * min(1.0, max(0.0, 2 * risen - 1))

    def rate(self, step: int) -> float:
        """The generator's learning rate: warm-up, constant, linear cooldown, once for pixels and once for the game."""
        begin = round(self.gan_from * self.steps)
        first, last, base = (0, begin, self.lr) if step < begin else (begin, self.steps, self.gan_lr)
        left = (last - step) / max(1.0, self.cooldown * (last - first))
        return base * min(1.0, (step - first + 1) / max(1, self.warmup), left)


PRESETS: Mapping[str, Schedule] = {
    "base": Schedule(),
    # Begins from `base`: the game alone, for what it makes of detail.
    "base-perceptual": Schedule(
        synthetic=0.0,
        tasks="between:0.85,inpaint:0.15",
        steps=6000,
        gan_from=0.0,
        gan_lr=3e-4,
        gan_weight=0.5,
        gan_cap=0.5,
    ),
    "lite": Schedule(lr=1.2e-3),
    # Small enough to be watched on two CPU cores.
    "tiny": Schedule(
        crop=96, batch=6, lr=2e-3, steps=2000, warmup=50, val_crop=128, val_crops=24, val_every=200, lead=1
    ),
    # Video from noise.
    "dream": Schedule(
        cell="gru",
        crop=64,
        batch=12,
        row=4,
        synthetic=0.0,
        tasks="synthesize:1",
        steps=4000,
        warmup=50,
        ema=0.995,
        gan_from=0.0,
        gan_lr=5e-4,
        d_lr=5e-4,
        gamma=1.5,
        diversity=0.5,
        max_side=160,
        val_crop=64,
        val_every=200,
    ),
    # The game as the textbook plays it: single pictures from noise, the formula, no penalty, nothing that helps.
    "textbook": Schedule(
        crop=32,
        batch=16,
        row=1,
        synthetic=0.0,
        tasks="synthesize:1",
        steps=2000,
        warmup=1,
        cooldown=0.0,
        ema=0.9,
        adversarial="minimax",
        gan_from=0.0,
        gan_lr=2e-4,
        d_lr=2e-4,
        gamma=0.0,
        diversity=0.0,
        max_side=160,
        val_crop=32,
        val_every=100,
        clip=1e9,
    ),
}


def schedule(preset: str, options: Mapping[str, Any]) -> Schedule:
    """A preset's schedule with `options` in place of its values; text is converted to each setting's own type.

    Raises:
        UsageError: unknown preset or option, or a value out of its range.
    """
    if preset not in PRESETS:
        raise UsageError(f"No training preset {preset!r}", "presets are " + ", ".join(PRESETS), "name one of them")
    types = {f.name: f.type for f in dataclasses.fields(Schedule)}
    changes: dict[str, Any] = {}
    for name, value in options.items():
        if name not in types:
            raise UsageError(f"No training option {name!r}", "options are " + ", ".join(types), "name one of them")
        changes[name] = _convert(name, str(types[name]), value)
    made = dataclasses.replace(PRESETS[preset], **changes)
    for wrong in _mistakes(made):
        raise UsageError("The training options do not fit", wrong, "change that option")
    return made


def for_purposes(names: Iterable[str]) -> str:
    """The setting `tasks` of a bundle that serves these purposes (keys of `PURPOSES`), each with the same share.

    Raises:
        UsageError: no such purpose.
    """
    shares: dict[str, float] = {}
    for name in names:
        if name not in PURPOSES:
            raise UsageError(f"No task {name!r}", "tasks are " + ", ".join(PURPOSES), "name one of them")
        for task, share in PURPOSES[name].items():
            shares[task] = shares.get(task, 0) + share
    return ",".join(f"{task}:{share:g}" for task, share in shares.items())


def _shares(text: str) -> dict[str, float]:
    shares = {name: float(value) for name, _, value in (part.partition(":") for part in text.split(","))}
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def _named(text: str, known: Iterable[str]) -> bool:
    """Whether `text` gives shares, none negative and not all zero, to known names."""
    try:
        shares = _shares(text)
    except (ValueError, ZeroDivisionError):
        return False
    return set(shares) <= set(known) and all(0 <= share <= 1 for share in shares.values())


def _convert(name: str, kind: str, value: object) -> object:
    try:
        if kind == "bool":
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[str(value).lower()]
        return {"int": int, "float": float, "str": str}[kind](str(value))
    except (ValueError, KeyError) as error:
        raise UsageError(f"Training option {name}={value!r} is not usable", f"it takes {kind}", "correct it") from error


def _mistakes(s: Schedule) -> list[str]:
    """What is wrong with a schedule, in words."""
    rules = {
        "crop and val_crop are multiples of 32": s.crop % 32 == s.val_crop % 32 == 0 < min(s.crop, s.val_crop),
        "batch, targets, row, steps, max_gap, penalty_every, log_every, val_every and val_crops are at least 1": min(
            s.batch, s.targets, s.row, s.steps, s.max_gap, s.penalty_every, s.log_every, s.val_every, s.val_crops
        )
        >= 1,
        "lead is 0 to 32": 0 <= s.lead <= 32,
        "synthetic, motion_until, gan_from and cooldown are 0 to 1": min(
            s.synthetic, s.motion_until, s.gan_from, s.cooldown
        )
        >= 0
        and max(s.synthetic, s.motion_until, s.gan_from, s.cooldown) <= 1,
        "val_share is above 0 and at most 0.5": 0 < s.val_share <= 0.5,
        "tasks are of the form name:share with names " + ", ".join(TASKS): _named(s.tasks, TASKS),
        "holes are of the form name:share with names " + ", ".join(HOLES): _named(s.holes, HOLES),
        "adversarial is one of " + ", ".join(ADVERSARIAL): s.adversarial in ADVERSARIAL,
        "cell is one of " + ", ".join(CELLS): s.cell in CELLS,
        "optimiser is one of " + ", ".join(OPTIMISERS): s.optimiser in OPTIMISERS,
        "learning rates and ping_pong are not negative": min(s.lr, s.encoder_lr, s.motion_lr, s.fusion_lr, s.ping_pong)
        >= 0,
    }
    return [rule for rule, kept in rules.items() if not kept]
