"""The built-in motion alone: PSNR of the plain mean of both references, moved along it, and CPU milliseconds in torch.

    python tests/bench/measure_motion.py FOLDER

FOLDER holds clips. Of each, one gap of one frame and one of three are looked at, the middle 448x256 pixels.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import av
import torch
from torch import Tensor

from vgan_plugin.training import motion
from vgan_plugin.training.generator import PRESETS

GAPS = ((1, 3), (3, 2))
"""Frames missing, and at which part of the clip."""
HEIGHT, WIDTH = 256, 448


def pictures(path: Path) -> list[Tensor]:
    """The middle of every frame, (1, 3, `HEIGHT`, `WIDTH`) in 0..255."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None].float()
            top, left = (picture.shape[2] - HEIGHT) // 2, (picture.shape[3] - WIDTH) // 2
            found.append(picture[..., top : top + HEIGHT, left : left + WIDTH])
    return found


def made(a: Tensor, b: Tensor, gap: int, levels: tuple[motion.Level, ...]) -> Tensor:
    """The frame in the middle."""
    ca, cb = motion.shares(torch.tensor([[-0.5, 0.5]]) * (gap + 1))
    luma = [motion.luma(x) for x in (a, b)]
    evidence = [motion.evidence(y) for y in luma]
    flow = motion.sides(motion.double(motion.estimate(*evidence, torch.cat(luma), ca, cb, levels)[-1]), ca, cb)
    x = motion.warp(torch.cat((a, b)), flow)
    return motion.sharpen(x, torch.ones_like(x[:, :1]), flow).mean(0, keepdim=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    cases = []
    for path in sorted(folder.glob("*.mp4")):
        clip = pictures(path)
        for gap, part in GAPS:
            first = len(clip) // part
            if first + gap + 1 < len(clip):
                cases.append((gap, clip[first] / 255, clip[first + (gap + 1) // 2], clip[first + gap + 1] / 255))
    for name, preset in PRESETS.items():
        start, found = time.process_time(), {gap: [] for gap, _ in GAPS}
        for gap, a, truth, b in cases:
            picture = (made(a, b, gap, preset.levels).clamp(0, 1) * 255 + 0.5).floor()
            found[gap].append(-10 * math.log10(max(float((picture - truth).square().mean()) / 255**2, 1e-10)))
        milliseconds = (time.process_time() - start) / len(cases) * 1e3
        means = ", ".join(f"gap {gap} {sum(dbs) / len(dbs):.2f} dB" for gap, dbs in found.items())
        print(f"{name:9s} {means}, {milliseconds:.0f} ms, {len(cases)} windows")


if __name__ == "__main__":
    main()
