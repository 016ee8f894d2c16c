"""What half precision costs the picture, and whether it drifts: both precisions over one whole chain, on the CPU.

    python tests/bench/measure_half.py vgan_plugin/bundles/base FOLDER

FOLDER holds clips. Of each, every second frame is a source frame of a chain of B + W steps (a shorter clip is played
to and fro), every fourth one between them is made and compared with the truth. The CPU computes in single precision
and rounds to halves: what a GPU rounds inside a convolution is not in it.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from vgan_plugin.bench.quality import psnr
from vgan_plugin.bundle import store
from vgan_plugin.media.frames import from_av
from vgan_plugin.media.reader import open_input
from vgan_plugin.runtime.generator import RecurrentGenerator
from vgan_plugin.runtime.session import GraphSessions
from vgan_plugin.types import Frame, Reference, RenderRequest

WIDTH, HEIGHT = 448, 256
EVERY = 4
HALF = Fraction(1, 2)


def frames(path: Path, count: int) -> list[Frame]:
    """The clip at `WIDTH` x `HEIGHT`, played to and fro until there are `count` frames."""
    with open_input(path) as container:
        found = [
            from_av(picture.reformat(WIDTH, HEIGHT, "yuv420p"), i, Fraction(1, 50))
            for i, picture in enumerate(islice(container.decode(video=0), count))
        ]
    period = 2 * len(found) - 2
    return [found[min(i % period, period - i % period)] for i in range(count)]


def chain(generator: RecurrentGenerator, clip: list[Frame]) -> list[Frame]:
    """Every `EVERY`th frame between two source frames, made."""
    found, state, before = [], None, None
    for i in range(0, len(clip), 2):
        now = Reference(clip[i], generator.encode(clip[i]))
        state = generator.remember(now.features, before and before.features, Fraction(before is not None), state)
        if before is not None and i // 2 % EVERY == 0:
            request = RenderRequest(before, now, state, (-HALF, HALF), clip[i], i - 1, clip[i].time_base)
            found.append(generator.render(request).frame)
        before = now
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=4, help="clips")
    asked = parser.parse_args()
    bundle = store.load(asked.bundle)
    steps = bundle.manifest.block + bundle.manifest.lead
    both = [RecurrentGenerator(bundle, GraphSessions(bundle, "cpu", 1, p)) for p in ("fp32", "fp16")]
    changes = []
    for path in sorted(asked.folder.glob("*.mp4"))[: asked.most]:
        clip = frames(path, 2 * steps + 1)
        single, half = (chain(generator, clip) for generator in both)
        truth = clip[2 * EVERY - 1 :: 2 * EVERY]
        found = np.array([[psnr(m, t) for m, t in zip(made, truth, strict=True)] for made in (single, half)])
        change = found[1] - found[0]
        apart = max(int(np.abs(a.planes[0].astype(int) - b.planes[0]).max()) for a, b in zip(single, half, strict=True))
        middle = len(change) // 2
        print(
            f"{path.name:28s} fp32 {found[0].mean():.3f} dB, fp16 {change.mean():+.4f}, first half of the chain "
            f"{change[:middle].mean():+.4f}, second {change[middle:].mean():+.4f}, worst frame {change.min():+.4f}, "
            f"largest difference of luma {apart} codes"
        )
        changes.append(change.mean())
    print(f"mean of {len(changes)} clips: {np.mean(changes):+.4f} dB")


if __name__ == "__main__":
    main()
