"""What does each part of the game do? Trains the variants of one small generator on the same windows, and prints them.

    python tests/bench/measure_game.py FOLDER --val FOLDER [--steps 120] [--task predict ...] [--seeds 2]

Every variant starts from the same weights, sees the same windows in the same order and takes as many steps of the
same size; only what its name says differs. PSNR in dB is of the averaged weights on held-out crops, as the trainer
measures it; `sharpness` is the power of the finest detail of what is made over that of the truth. Dreams
(`--task synthesize`) have no truth: their figures are distance from footage, variety and motion, see
`synthesis.Likeness`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from vgan_plugin.training import clips
from vgan_plugin.training.generator import Generator, sizes
from vgan_plugin.training.players import Players
from vgan_plugin.training.presets import schedule
from vgan_plugin.training.progress import validate, validate_dreams
from vgan_plugin.training.recurrence import State
from vgan_plugin.training.synthesis import likeness
from vgan_plugin.training.tasks import Batch, Sampler, validation
from vgan_plugin.training.train import EXAM, turn

HEARD: dict[str, object] = {"gan_from": 0.5, "gan_weight": 1.0, "gan_cap": 4.0}
"""The second half is played, and loudly: so few steps show nothing else."""
VARIANTS: dict[str, dict[str, object]] = {
    "lstm, pixels alone": {},
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru"},
    "no state": {"state": False},
    "GAN, relativistic": HEARD,
    "GAN, hinge": HEARD | {"adversarial": "hinge"},
    "GAN, nonsaturating": HEARD | {"adversarial": "nonsaturating"},
    "GAN, minimax": HEARD | {"adversarial": "minimax"},
    "GAN, relativistic, no R1 and R2": HEARD | {"gamma": 0.0},
}
DREAM = {"crop": 32, "val_crop": 32, "row": 4, "batch": 8, "cell": "lstm", "adversarial": "relativistic", "gamma": 10.0}
DREAM |= {"gan_lr": 4e-4, "d_lr": 8e-4, "diversity": 0.5}
"""What stands in for the preset `textbook`, which alone fails."""


def forgetful(remember: Callable[..., State]) -> Callable[..., State]:
    """A generator's `remember` that never remembers."""

    def empty(*inputs: object) -> State:
        hidden, memory, _ = remember(*inputs)
        return State(torch.zeros_like(hidden), torch.zeros_like(memory))

    return empty


def measure(
    name: str, task: str, footage: clips.Footage, exam: list[Batch], asked: argparse.Namespace, seed: int
) -> list[float]:
    """The figures of a task after training one variant."""
    changes = dict(VARIANTS[name])
    state = changes.pop("state", True)
    dreams = task == "synthesize"
    options: dict[str, object] = {"steps": asked.steps, "tasks": f"{task}:1", "threads": 1, "ema": 0.9}
    if dreams:
        options |= DREAM | {key: value for key, value in changes.items() if key not in HEARD}
    else:
        options |= {"crop": asked.crop, "batch": 6, "lead": 3, "warmup": 10, "motion_until": 0.0, "gan_from": 1.0}
        options |= {"gan_rise": asked.steps // 8, "synthetic": 0.0, "gan_lr": 3e-4, "lr": 5e-4} | changes
    preset = "textbook" if dreams else "tiny"
    settings = schedule(preset, options)
    game = Players(preset, settings, torch.device("cpu"), seed)
    if not state:
        for generator in (game.generator, game.ema):
            generator.remember = forgetful(generator.remember)  # type: ignore[method-assign]
    sampler = Sampler(footage, settings, seed)
    for step in range(asked.steps):
        turn(game, sampler.batch(step), step)
    return score(game.ema, exam)


def score(generator: Generator, exam: list[Batch]) -> list[float]:
    """The figures of a task: of held-out windows PSNR and sharpness, of dreams distance, variety and motion."""
    if generator.preset.synthesises:
        return list(validate_dreams(generator, exam).likeness[:3])
    scores, made = validate(generator, exam)
    return [scores["psnr"], likeness(made[:, None], torch.cat([b.truth[:, :1] for b in exam])).sharpness]


def table(task: str, asked: argparse.Namespace) -> None:
    """Print a row a variant: mean over the seeds, and half the standard deviation of the first figure."""
    dreams = task == "synthesize"
    if dreams:
        settings = schedule("textbook", DREAM)
        footage = clips.load(asked.folder, crop=settings.crop, licences=asked.licences, max_side=160, stills=False)
        sampler = Sampler(footage, settings, 0)
        exam = [sampler.batch(EXAM + i) for i in range(4)]
        start = Generator(sizes("textbook", "lstm"))
        heads = "distance | variety | motion"
    else:
        footage = clips.load(asked.folder, crop=asked.crop, licences=asked.licences, max_side=320, stills=False)
        held = clips.load(asked.val, crop=96, max_side=320, stills=False)
        exam = validation(held, schedule("tiny", {"tasks": f"{task}:1", "val_crop": 96, "val_crops": 48}))
        start = Generator(sizes("tiny", "lstm"))
        heads = "PSNR | sharpness"
    print(f"\n| {task}, {asked.steps} steps | {heads} |\n|" + "---|" * (2 + heads.count("|")))
    print("| untrained | " + " | ".join(f"{value:.2f}" for value in score(start, exam)) + " |", flush=True)
    for name, changes in VARIANTS.items():
        if dreams and changes == HEARD:
            continue  # dreams know no pixels to learn from: the plain variant plays this game already
        rows = torch.tensor([measure(name, task, footage, exam, asked, seed) for seed in range(asked.seeds)])
        first, *others = rows.mean(0).tolist()
        spread = f" (+-{float(rows[:, 0].std()) / 2:.2f})" if asked.seeds > 1 else ""
        shown = name.replace("pixels alone", "relativistic") if dreams else name
        print(f"| {shown} | {first:.2f}{spread} | " + " | ".join(f"{v:.2f}" for v in others) + " |", flush=True)


def main() -> int:
    """Print a table a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--task", action="append", help="between, predict, inpaint, one or synthesize; repeatable")
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--licences", default="")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for task in asked.task or ["predict"]:
        torch.manual_seed(0)
        table(task, asked)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
