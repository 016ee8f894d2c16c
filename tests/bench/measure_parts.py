"""What each part of the generator is worth: PSNR of made frames with the part left out, one row each.

    python tests/bench/measure_parts.py FOLDER [--gap 1] [--windows 3] [--weights base]

FOLDER holds clips. Windows are those of `vgan evaluate --gaps GAP --windows WINDOWS`, of long gaps the middle frame;
RGB, 8 bit, mean of frames, then of clips. Run in torch: `render` in CPU milliseconds of one thread tells rows apart,
and is not what the exported graphs take; GFLOP are those of its convolutions and products.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vgan_plugin.evaluate import sets, windows
from vgan_plugin.training import checkpoint, fusion, motion, search
from vgan_plugin.training.generator import NOISE, STRIDE, Features, Generator, sizes
from vgan_plugin.training.motion import Level
from vgan_plugin.training.recurrence import State
from vgan_plugin.types import Frame

LEAD = 4
"""Frames remembered before the gap."""
Seen = tuple[Features, Features, State, Tensor, Tensor, Frame]
"""References, the state after the later one, motion after the frame that follows, offsets, and the truth."""


def padded(frame: Frame) -> Tensor:
    """(1, 3, H, W) in [0, 1], to multiples of `STRIDE`."""
    rgb = torch.from_numpy(sets.rgb8(frame).astype(np.float32) / 255)[None]
    height, width = rgb.shape[2:]
    return F.pad(rgb, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")


def look(g: Generator, window: windows.Window) -> Seen:
    """A window as `render` is given it."""
    frames = [*window.before[-LEAD:], *window.after[:2]]
    each = [g.encode(rgb, torch.ones_like(rgb[:, :1])) for rgb in map(padded, frames)]
    states = [g.remember(each[0], each[0], torch.zeros(1), g.initial_state(each[0]))]
    for i in range(1, len(each)):
        dt = float((frames[i].time - frames[i - 1].time) / window.period)
        states.append(g.remember(each[i], each[i - 1], torch.tensor([dt]), states[-1]))
    b = len(window.before[-LEAD:])
    later = states[b + 1].motion if b + 1 < len(each) else None
    truth = window.truth[len(window.truth) // 2]
    offsets = [float((frames[i].time - truth.time) / window.period) for i in (b - 1, b)]
    known = states[b].motion
    assert known is not None
    return (
        each[b - 1],
        each[b],
        states[b],
        torch.zeros_like(known) if later is None else later,
        torch.tensor([offsets]),
        truth,
    )


def made(g: Generator, seen: Seen, *, state: bool = True, later: bool = True, twice: bool = False) -> float:
    """PSNR of the frame in the gap; `twice`: made along two motions, with and without what went on as a guess, and
    mixed by how sure each is."""
    a, b, after, moved_on, offsets, truth = seen
    height, width = a.image.shape[2:]
    nothing, one = torch.zeros(1, 3, height, width), torch.ones(1, 1, height, width)
    noise = torch.zeros(1, NOISE, height // STRIDE, width // STRIDE)
    if not state:
        after = after._replace(motion=None)
    asked = (a, b, after, offsets, nothing, one, noise, moved_on if later else None)
    first = g.render(*asked)
    rgb = first.rgb
    if twice:
        with searched():
            second = g.render(*asked)
        share = (4 * (second.scale - first.scale)).sigmoid()
        rgb = share * first.rgb + (1 - share) * second.rgb
    picture = (rgb[0, :, : truth.height, : truth.width].clamp(0, 1) * 255 + 0.5).floor()
    error = (picture - torch.from_numpy(sets.rgb8(truth)).float()).square().mean()
    return -10 * math.log10(max(float(error) / 255**2, 1e-10))


def searched() -> AbstractContextManager[object]:
    """What goes on is no guess for the search."""
    return patch.object(motion, "prefer", lambda _y, v, _others, _ca, _cb: v)


def still(a: Tensor, _b: Tensor, _ca: Tensor, _cb: Tensor | None) -> Tensor:
    """Nothing is searched: every step begins from no motion, as DIS does at its coarsest scale."""
    return torch.zeros_like(a[:, :2])


def rows(weights: str) -> Iterator[tuple[str, Generator, dict[str, bool], object]]:
    """Name, generator, what `made` leaves out, and the patch under which it runs."""
    trained = Generator(sizes("base", "lstm")).eval()
    checkpoint.unpack(checkpoint.weights(Path(weights)), "ema", trained)
    preset = sizes("base", "lstm")
    plain, coarser = (
        Generator(replace(preset, levels=(*preset.levels[:4], last))).eval() for last in (preset.levels[4], Level(1, 0))
    )
    yield "trained", trained, {}, nullcontext()
    yield "untrained: the built-in parts alone", plain, {}, nullcontext()
    yield "... without the frame after the gap", plain, {"later": False}, nullcontext()
    yield "... without the state: straight lines", plain, {"state": False}, nullcontext()
    yield "... without the motion that goes on as a guess", plain, {}, searched()
    yield "... without trust in the steadier side", plain, {}, patch.object(fusion, "STEADY", 0.0)
    yield "... without the level at full size", coarser, {}, nullcontext()
    yield "... without the calmer motion", plain, {}, patch.object(motion, "calm", lambda _y, v, _ca, _cb: v)
    yield "... bilinear instead of cubic", plain, {}, patch.object(motion, "sharpen", lambda x, *_: x)
    yield "... nothing searched: begun from no motion, as DIS is", plain, {}, patch.object(motion, "search", still)
    for radius in (3, 5, 10):
        yield (
            f"... searched {radius} cells around instead of {search.RADIUS}",
            plain,
            {},
            patch.object(search, "RADIUS", radius),
        )
    yield "... along two motions, mixed", plain, {"twice": True}, nullcontext()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gap", type=int, default=1)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--weights", default="base", help="a bundle or a run")
    asked = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    cases = list(rows(asked.weights))
    found: dict[str, list[list[float]]] = {name: [] for name, *_ in cases}
    spent = dict.fromkeys(found, 0.0)
    floating: dict[str, float] = {}
    count = 0
    for source in sets.find([asked.folder])[0]:
        chosen = [w for w in windows.gaps(source.read(), asked.gap, asked.windows) if len(w.before) > 1]
        clip: dict[str, list[float]] = {name: [] for name in found}
        for window in chosen:
            count += 1
            seen: dict[int, Seen] = {}
            for name, g, without, changed in cases:
                if id(g) not in seen:
                    seen[id(g)] = look(g, window)
                if name not in floating:
                    with changed, FlopCounterMode(display=False) as counter:
                        made(g, seen[id(g)], **without)
                    floating[name] = counter.get_total_flops() / 1e9
                start = time.process_time()
                with changed:
                    clip[name].append(made(g, seen[id(g)], **without))
                spent[name] += time.process_time() - start
        for name, values in clip.items():
            found[name].append(values)
    if not count:
        parser.error("no window has two frames before its gap: ask for more")
    print(f"{count} windows of {len(found['trained'])} clips, gap {asked.gap}\n")
    print("| | PSNR | | GFLOP | CPU ms |\n|---|---|---|---|---|")
    means = {name: float(np.mean([np.mean(values) for values in clips])) for name, clips in found.items()}
    base = means["untrained: the built-in parts alone"]
    for name, mean in means.items():
        print(f"| {name} | {mean:.2f} | {mean - base:+.2f} | {floating[name]:.1f} | {spent[name] / count * 1e3:.0f} |")


if __name__ == "__main__":
    main()
