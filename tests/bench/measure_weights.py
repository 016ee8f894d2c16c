"""What is training worth, task by task? PSNR of made pixels in held-out crops, untrained and with some weights.

    python tests/bench/measure_weights.py FOLDER [--weights base] [--preset base] [--crops 28] [--side 256]

FOLDER holds clips that the weights never saw. Crops and gaps are drawn as the trainer's own validation draws them; of
`one` one reference is known, and all of the frame is made.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from vgan_plugin.training import checkpoint, clips
from vgan_plugin.training.generator import Generator, sizes
from vgan_plugin.training.presets import schedule
from vgan_plugin.training.progress import validate
from vgan_plugin.training.tasks import validation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="base", help="a bundle or a run")
    parser.add_argument("--preset", default="base")
    parser.add_argument("--crops", type=int, default=28, help="a task")
    parser.add_argument("--side", type=int, default=256, help="of a crop, in pixels, a multiple of 32")
    asked = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    untrained, trained = (Generator(sizes(asked.preset, "lstm")).eval() for _ in range(2))
    checkpoint.unpack(checkpoint.weights(Path(asked.weights)), "ema", trained)
    held = clips.load(asked.folder, crop=asked.side, max_side=640, stills=False)
    print("| task | untrained | trained | |\n|---|---|---|---|")
    for task in ("between", "predict", "inpaint", "one"):
        settings = {"tasks": f"{task}:1", "val_crop": asked.side, "val_crops": asked.crops}
        exam = validation(held, schedule("base", settings))
        before, after = (validate(g, exam)[0]["psnr"] for g in (untrained, trained))
        print(f"| {task} | {before:.2f} | {after:.2f} | {after - before:+.2f} |", flush=True)


if __name__ == "__main__":
    main()
