"""How long everything takes here: the made frame and all it needs, stage by stage, beside what others need for it.

Each size is timed in rounds, every contestant once a round, and medians are taken: a machine that others use too is
slow for all of them. Wall-clock and CPU seconds stand side by side.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vgan_plugin
from vgan_plugin.bench import clip as clips
from vgan_plugin.bench.ours import Ours, end_to_end
from vgan_plugin.bench.peers import PEERS, Peer
from vgan_plugin.bench.stopwatch import Stopwatch
from vgan_plugin.bundle import locate, store
from vgan_plugin.errors import PluginFailed
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.runtime.providers import choose, physical_cores

FACTORS = (2, 4, 8)
SIZES = ((854, 480), (1920, 1080))
"""(width, height) timed where none is named; CUDA devices get 2160p, too."""
_LEAST, _MOST = 3, 40
"""Rounds of a size: as many as fit into its seconds, between these."""


@dataclass(frozen=True)
class Request:
    """What to time.

    Attributes:
        source: a video whose frames are used, scaled; None = a pattern that moves.
        model: a bundle.
        device: as everywhere.
        sizes: (width, height); empty = `SIZES`.
        against: names of `PEERS`.
        seconds: how long the rounds of one size may take, the least number of rounds apart.
    """

    source: Path | None = None
    model: str = "base"
    device: str = "auto"
    sizes: tuple[tuple[int, int], ...] = ()
    against: tuple[str, ...] = ()
    seconds: float = 30.0


def run(request: Request, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Time a bundle, and what it is compared with.

    Args:
        request: what to time.
        say: takes a line for people: what is timed now, and what cannot be.

    Returns:
        what `vgan bench --json` prints; see `docs/performance.md`.

    Raises:
        VganError: the bundle or the device cannot be used, or the source cannot be read.
    """
    bundle = store.load(locate.find(request.model, get_plugin_manager().bundle_folders()))
    device = choose(request.device)
    if device.fallback and request.device != "cpu":
        say(f"times the CPU: {device.fallback}")
    sizes = request.sizes or (*SIZES, (3840, 2160)) if device.kind == "cuda" else request.sizes or SIZES
    found: list[dict[str, Any]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vgan-bench-")))
        made = {name: PEERS[name](folder, device, say) for name in dict.fromkeys(request.against)}
        for width, height in sizes:
            say(f"{width}x{height}: start and memory")
            cold = _cold(request, width, height)
            frames = clips.frames(request.source, width, height)
            ours = Ours(bundle, device.name, frames)
            others = [peer for name in made for peer in made[name](frames)]
            say(f"{width}x{height}: {', '.join([ours.name, *(peer.name for peer in others)])}")
            contestants: list[Ours | Peer] = [ours, *others]
            rounds = _rounds(contestants, request.seconds)
            for contestant in contestants:  # one after the other: the memory of all of them may not be there
                contestant.side_by_side(_LEAST)
            say(f"{width}x{height}: whole files")
            files = end_to_end(frames, folder, request.model, device.name)
            found.append(
                {
                    "width": width,
                    "height": height,
                    "rounds": rounds,
                    **ours.result(FACTORS, real=request.source is not None),
                    "cold": cold,
                    "files": files,
                    "against": [peer.result(real=request.source is not None) for peer in others],
                }
            )
            ours.close()
    return {
        "format": 1,
        "vgan": vgan_plugin.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": {
            "cpu": _cpu(),
            "cores": physical_cores(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        },
        "source": None if request.source is None else request.source.name,
        "model": {"name": bundle.manifest.name, "sha256": bundle.digest},
        "sizes": found,
    }


def _rounds(contestants: Sequence[Ours | Peer], seconds: float) -> int:
    """Everyone in turn, until the time is up; the first round, in which memory is first touched, counts for nobody."""
    end = None
    for done in range(_MOST + 1):
        for contestant in contestants:
            if not done:
                contestant.watch = Stopwatch()
            contestant.round(done)
            if not done:
                contestant.watch = Stopwatch()
        end = end or time.perf_counter() + seconds
        if done >= _LEAST and time.perf_counter() > end:
            break
    return done


def _cold(request: Request, width: int, height: int) -> dict[str, Any]:
    """A process of its own: seconds from its start to the first made frame, and how much memory it took."""
    words = [sys.executable, "-m", "vgan_plugin.bench.cold", request.model, request.device, str(width), str(height)]
    start = time.perf_counter()
    child = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 our own module
    seconds = time.perf_counter() - start
    if child.returncode:
        last = (child.stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
        raise PluginFailed(
            f"No frame of {width}x{height} could be made", last, "try a smaller picture or another device"
        )
    return {"seconds": seconds, **json.loads(child.stdout)}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
