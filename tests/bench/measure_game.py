"""What does each part of the game do? Trains the variants of one small generator on the same windows, and prints them.

    python tests/bench/measure_game.py FOLDER --val FOLDER [--steps 120] [--task predict] [--seeds 2]

Every variant starts from the same weights, sees the same windows in the same order and takes as many steps of the
same size; only what its name says differs. PSNR is of the averaged weights on held-out crops, as the trainer measures
it; `sharpness` is the power of the finest detail of what is made over that of the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from vgan_plugin.training import clips
from vgan_plugin.training.generator import Generator
from vgan_plugin.training.players import Players
from vgan_plugin.training.presets import schedule
from vgan_plugin.training.progress import validate
from vgan_plugin.training.recurrence import State
from vgan_plugin.training.synthesis import likeness
from vgan_plugin.training.tasks import Batch, Sampler, validation
from vgan_plugin.training.train import turn

VARIANTS: dict[str, dict[str, object]] = {
    "lstm, pixels alone": {},
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru"},
    "no state": {"state": False},
    "GAN, relativistic": {"gan_from": 0.5},
    "GAN, hinge": {"gan_from": 0.5, "adversarial": "hinge"},
    "GAN, nonsaturating": {"gan_from": 0.5, "adversarial": "nonsaturating"},
    "GAN, minimax": {"gan_from": 0.5, "adversarial": "minimax"},
    "GAN, relativistic, no R1 and R2": {"gan_from": 0.5, "gamma": 0.0},
}


def forgetful(remember: Callable[..., State]) -> Callable[..., State]:
    """A generator's `remember` that never remembers."""

    def empty(*inputs: object) -> State:
        hidden, memory, _ = remember(*inputs)
        return State(torch.zeros_like(hidden), torch.zeros_like(memory))

    return empty


def measure(name: str, footage: clips.Footage, exam: list[Batch], asked: argparse.Namespace, seed: int) -> list[float]:
    """PSNR in dB and sharpness after training one variant."""
    changes = dict(VARIANTS[name])
    state = changes.pop("state", True)
    options = {
        "crop": asked.crop,
        "steps": asked.steps,
        "batch": 6,
        "lead": 3,
        "warmup": 10,
        "tasks": f"{asked.task}:1",
    }
    options |= {"motion_until": 0.0, "gan_from": 1.0, "gan_rise": asked.steps // 8, "synthetic": 0.0, "threads": 1}
    settings = schedule("tiny", options | {"gan_lr": 5e-4, "lr": 1e-3, "ema": 0.9} | changes)
    game = Players("tiny", settings, torch.device("cpu"), seed)
    if not state:
        for generator in (game.generator, game.ema):
            generator.remember = forgetful(generator.remember)  # type: ignore[method-assign]
    sampler = Sampler(footage, settings, seed)
    for step in range(asked.steps):
        turn(game, sampler.batch(step), step)
    return list(score(game.ema, exam))


def score(generator: Generator, exam: list[Batch]) -> tuple[float, float]:
    """PSNR in dB and sharpness on held-out windows."""
    scores, made = validate(generator, exam)
    return scores["psnr"], likeness(made[:, None], torch.cat([b.truth[:, :1] for b in exam])).sharpness


def main() -> int:
    """Print a row a variant: mean over the seeds, and half their standard deviation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--task", default="predict")
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--licences", default="")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    footage = clips.load(asked.folder, crop=asked.crop, licences=asked.licences, max_side=320, stills=False)
    held = clips.load(asked.val, crop=96, max_side=320, stills=False)
    exam = validation(held, schedule("tiny", {"tasks": f"{asked.task}:1", "val_crop": 96, "val_crops": 48}))
    torch.manual_seed(0)
    settings = schedule("tiny", {})
    start = score(Players("tiny", settings, torch.device("cpu"), 0).generator, exam)
    print(f"| {asked.task}, {asked.steps} steps, {len(exam)} held-out crops | PSNR, dB | sharpness |\n|---|---|---|")
    print(f"| untrained | {start[0]:.2f} | {start[1]:.2f} |", flush=True)
    for name in VARIANTS:
        rows = torch.tensor([measure(name, footage, exam, asked, seed) for seed in range(asked.seeds)])
        spread = f" (+-{float(rows[:, 0].std()) / 2:.2f})" if asked.seeds > 1 else ""
        print(f"| {name} | {float(rows[:, 0].mean()):.2f}{spread} | {float(rows[:, 1].mean()):.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
