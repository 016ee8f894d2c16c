"""How good are the pictures? Takes frames out of whole clips, makes them anew, and prints PSNR against the truth.

    python tests/bench/measure_pictures.py FOLDER [--most 2] [--model base] [--gaps 1,3,7]

For a gap of g frames, windows start at 0, d, 2d, ... with d = max(g, (frames - g - 1) // most), `most` of them a clip.
RGB, 8 bit, mean over a clip's frames, then over clips. Made frames go through the clip's own pixel format.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np

from vgan_plugin.errors import InputError
from vgan_plugin.fill import fill_gap
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.runtime.generator import open_recurrent
from vgan_plugin.runtime.simple import BLEND, Simple
from vgan_plugin.types import FillRequest, Frame, OpenRequest

LEAD_IN = 8


def psnr(made: Frame, truth: Frame) -> float:
    """In dB, of 8-bit RGB; identical pictures count as 100."""
    a, b = (np.floor(f.rgb().clip(0, 1) * 255 + 0.5) for f in (made, truth))
    error = float(np.mean((a - b) ** 2))
    return 100.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def measure(frames: list[Frame], gap: int, most: int, makers: dict[str, object]) -> dict[str, float]:
    """Mean PSNR of each maker on one clip."""
    scores: dict[str, list[float]] = {name: [] for name in makers}
    last = len(frames) - gap - 1
    for start in list(range(0, last, max(gap, last // most or 1)))[:most]:
        request = FillRequest(
            before=tuple(frames[max(0, start + 1 - LEAD_IN) : start + 1]),
            after=tuple(frames[start + gap + 1 : start + gap + 2]),
            times=tuple(frame.time for frame in frames[start + 1 : start + gap + 1]),
            period=(frames[start + 1].time - frames[start].time) or Fraction(1, 25),
        )
        for name, generator in makers.items():
            filled = fill_gap(request, generator)  # type: ignore[arg-type]
            pairs = zip(filled.frames, frames[start + 1 :], strict=False)
            scores[name] += [psnr(made, truth) for made, truth in pairs]
    return {name: float(np.mean(values)) for name, values in scores.items()}


def main() -> int:
    """Print a row a clip and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=2)
    parser.add_argument("--model", default="base")
    parser.add_argument("--gaps", default="1,3,7")
    asked = parser.parse_args()
    gaps = [int(gap) for gap in asked.gaps.split(",")]
    makers = {"blend": Simple(BLEND), asked.model: open_recurrent(OpenRequest(model=asked.model))}
    rows: list[list[float]] = []
    print("| clip |", " | ".join(f"{name}, gap {gap}" for gap in gaps for name in makers), "|")
    print("|---|" + "---|" * (len(gaps) * len(makers)))
    for path in sorted(p for p in asked.folder.iterdir() if p.is_file()):
        try:
            with VideoReader(path) as reader:
                frames = list(reader.frames())
        except InputError:
            continue  # not a video
        if len(frames) < max(gaps) + 3:
            continue
        rows.append([score for gap in gaps for score in measure(frames, gap, asked.most, makers).values()])
        print(f"| {path.stem} |", " | ".join(f"{v:.2f}" for v in rows[-1]), "|", flush=True)
    print("| **mean** |", " | ".join(f"**{v:.2f}**" for v in np.mean(rows, 0)), "|")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
