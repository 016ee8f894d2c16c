"""Does memory stay flat? Interpolates a long clip with the shipped network and prints resident memory on the way.

    python tests/bench/measure_memory.py [FRAMES]

Makes its own clip of 96x64 moving texture (FFV1). Reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clips import moving_frames, write_clip

from vgan_plugin.hosts.file import interpolate
from vgan_plugin.types import OpenRequest


def resident() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Print a line at each tenth of the making pass; 1 when the last differs from the first by more than 5 %."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    seen: dict[int, float] = {}

    def tick(stage: str, done: int, total: int) -> None:
        if stage == "make" and done % (frames // 10) == 0:
            seen[done] = resident()
            print(f"{done:6d} of {total} frames: {seen[done]:.1f} MB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "long.mkv"
        some = moving_frames(200, 96, 64)
        write_clip(clip, (replace(some[i % 200], pts=i) for i in range(frames)))
        interpolate(clip, Path("null:"), factor=2, generator=OpenRequest(device="cpu"), tick=tick)
    first, last = seen[frames // 10], seen[frames]
    print(f"10 %: {first:.1f} MB, 100 %: {last:.1f} MB, growth {last / first - 1:+.1%}")
    return int(abs(last / first - 1) > 0.05)


if __name__ == "__main__":
    raise SystemExit(main())
