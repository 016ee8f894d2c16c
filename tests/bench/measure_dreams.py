"""How alike are a bundle's dreams and the footage that it was trained on? Prints a row a length, and draws some.

    python tests/bench/measure_dreams.py FOOTAGE [--model dream] [--max-side 120] [--out docs/tasks/dream.jpg]

Sixteen seeds, through the bundle as `vgan synthesize` runs it, beside sixteen windows of the footage; see
`synthesis.Likeness`. The picture: sixteen first frames, then three of the dreams over 24 frames.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from vgan_plugin.fill.synthesize import synthesize
from vgan_plugin.pixels.colour import from_rgb
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.training import clips
from vgan_plugin.training.presets import schedule
from vgan_plugin.training.synthesis import likeness
from vgan_plugin.training.tasks import Sampler
from vgan_plugin.types import Colour, Frame, OpenRequest, PixelFormat

SIDE, FRAMES, SEEDS = 64, 24, 16
ROWS, COLUMNS = (0, 3, 7), (0, 1, 2, 4, 7, 11, 16, 23)
"""Seeds and frames of the long dreams that are drawn."""


def dreams(model: str) -> np.ndarray:
    """(SEEDS, FRAMES, 3, SIDE, SIDE) in [0, 1], 8 bits each."""
    planes = tuple(np.zeros((SIDE, SIDE), np.uint8) for _ in range(3))
    blank = Frame(planes, PixelFormat.parse("gbrp"), Colour(matrix=0, full_range=True))
    like = from_rgb(np.zeros((3, SIDE, SIDE), np.float32), blank, 0, Fraction(1, 25))
    generator = get_plugin_manager().open_generator(OpenRequest(model=model))
    try:
        made = [[frame.rgb() for frame, _ in synthesize(generator, like, FRAMES, seed)] for seed in range(SEEDS)]  # type: ignore[arg-type]
    finally:
        generator.close()
    return np.array(made, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="dream")
    parser.add_argument("--max-side", type=int, default=120)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    settings = schedule("dream", {"row": 16, "batch": SEEDS, "max_side": asked.max_side, "crop": SIDE})
    footage = clips.load(asked.folder, crop=SIDE, max_side=asked.max_side, stills=False)
    true = Sampler(footage, settings, 0).batch(0).truth
    made = dreams(asked.model)
    print("| frames | distance | variety | motion | sharpness |\n|---|---|---|---|---|")
    for count in (1, 4, 16):
        figures = likeness(torch.from_numpy(made[:, :count]), true[:, :count])
        print(f"| {count} | " + " | ".join(f"{value:.2f}" for value in figures) + " |")
    if asked.out:
        from PIL import Image

        rows = [list(made[half : half + 8, 0]) for half in (0, 8)] + [[made[row, k] for k in COLUMNS] for row in ROWS]
        picture = np.concatenate([np.concatenate(row, -1) for row in rows], -2)
        levels = (255 * picture.transpose(1, 2, 0) + 0.5).astype(np.uint8)
        shown = Image.fromarray(levels)
        shown.resize((shown.width * 3 // 2, shown.height * 3 // 2), Image.Resampling.BICUBIC).save(
            asked.out, quality=85
        )


if __name__ == "__main__":
    main()
