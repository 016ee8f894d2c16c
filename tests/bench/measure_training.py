"""How fast a training step is, and what share of it is spent on the data: the table of docs/training.md, "Speed".

    python tests/bench/measure_training.py FOLDER --preset base --set crop=128 --set batch=4 --set threads=1

CPU times are process times, so that other work on the machine disturbs them little; on CUDA only wall times count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

from vgan_plugin.training import clips
from vgan_plugin.training.players import Players
from vgan_plugin.training.presets import TASKS, schedule
from vgan_plugin.training.tasks import Sampler
from vgan_plugin.training.train import turn


def timed(what: Callable[[int], object], times: int, cuda: bool) -> tuple[float, float]:
    """Mean CPU and wall seconds of `what(step)`, the first call left out."""
    what(0)
    if cuda:
        torch.cuda.synchronize()
    cpu, wall = time.process_time(), time.perf_counter()
    for step in range(1, times + 1):
        what(step)
    if cuda:
        torch.cuda.synchronize()
    return (time.process_time() - cpu) / times, (time.perf_counter() - wall) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", default="base")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="K=V")
    options = parser.parse_args()
    given = dict(pair.split("=", 1) for pair in options.settings)
    settings = schedule(options.preset, given)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    cuda = torch.cuda.is_available() and settings.device != "cpu"
    device = torch.device("cuda" if cuda else "cpu")
    began = time.perf_counter()
    footage = clips.load(options.folder, crop=settings.crop, max_side=settings.max_side).to(device)
    frames = sum(len(clip.frames) for clip in footage.clips)
    print(f"{len(footage.clips)} clips, {frames} frames read in {time.perf_counter() - began:.1f} s; {device}")
    print(f"{'data':24}{'CPU ms/window':>14}{'windows/s':>12}")
    for task in TASKS[:-1]:
        for synthetic in (0.0, 1.0):
            only = schedule(options.preset, given | {"tasks": f"{task}:1", "synthetic": synthetic, "motion_until": 0})
            sampler = Sampler(footage, only, 0, ahead=False)
            cpu, wall = timed(sampler.batch, options.steps, cuda)
            name = f"{task}, {'synthetic' if synthetic else 'filmed'}"
            print(f"{name:24}{1000 * cpu / only.batch:14.1f}{only.batch / wall:12.0f}")
    print(f"{'step':24}{'CPU ms/window':>14}{'windows/s':>12}{'data share':>12}")
    for stage, start in (("pixels", 0), ("game", settings.steps - options.steps - 1)):
        players, sampler = Players(options.preset, settings, device, 0), Sampler(footage, settings, 0)
        turn(players, sampler.batch(start), start)  # the first step builds what later ones keep
        before = sampler.seconds
        cpu, wall = timed(lambda i: turn(players, sampler.batch(start + i), start + i), options.steps, cuda)  # noqa: B023
        share = (sampler.seconds - before) / (wall * (options.steps + 1))
        if stage == "pixels" or settings.opinion(start) is not None:
            print(f"{stage:24}{1000 * cpu / settings.batch:14.1f}{settings.batch / wall:12.1f}{share:12.0%}")


if __name__ == "__main__":
    main()
