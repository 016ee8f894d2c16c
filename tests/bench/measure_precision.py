"""What other precisions cost the picture, whether they drift, and CPU milliseconds: a whole chain on the CPU in each.

    python tests/bench/measure_precision.py vgan_plugin/bundles/base FOLDER

FOLDER holds clips. Of each, every second frame is a source frame of a chain of B + W steps (a shorter clip is played to
and fro), every fourth one between them is made and compared with the truth. CPU milliseconds are those of one encode,
one remember and one render, medians; planes in and out, one thread. The CPU computes fp16 in single precision and
rounds: it is slow in it, and what a GPU rounds inside a convolution is not in it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vgan_plugin.bench.quality import psnr
from vgan_plugin.bundle import store
from vgan_plugin.bundle.store import Bundle
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


class Maker:
    """A bundle in one precision, and the CPU seconds of its calls."""

    def __init__(self, bundle: Bundle, precision: str) -> None:
        self.generator = RecurrentGenerator(bundle, GraphSessions(bundle, "cpu", 1, precision))
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def timed(self, call: str, *given: Any) -> Any:
        start = time.process_time()
        found = getattr(self.generator, call)(*given)
        self.seconds[call].append(time.process_time() - start)
        return found

    def chain(self, clip: list[Frame]) -> list[Frame]:
        """Every `EVERY`th frame between two source frames, made."""
        found, state, before = [], None, None
        for i in range(0, len(clip), 2):
            now = Reference(clip[i], self.timed("encode", clip[i]))
            dt = Fraction(before is not None)
            state = self.timed("remember", now.features, before and before.features, dt, state)
            if before is not None and i // 2 % EVERY == 0:
                request = RenderRequest(before, now, state, (-HALF, HALF), clip[i], i - 1, clip[i].time_base)
                found.append(self.timed("render", request).frame)
            before = now
        return found

    @property
    def milliseconds(self) -> float:
        return sum(statistics.median(times) for times in self.seconds.values()) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=4, help="clips")
    asked = parser.parse_args()
    bundle = store.load(asked.bundle)
    steps = bundle.manifest.block + bundle.manifest.lead
    makers = {precision: Maker(bundle, precision) for precision in bundle.manifest.precisions}
    changes = defaultdict(list)
    for path in sorted(asked.folder.glob("*.mp4"))[: asked.most]:
        clip = frames(path, 2 * steps + 1)
        truth = clip[2 * EVERY - 1 :: 2 * EVERY]
        made = {precision: maker.chain(clip) for precision, maker in makers.items()}
        found = {p: np.array([psnr(m, t) for m, t in zip(made[p], truth, strict=True)]) for p in made}
        single = found.pop(bundle.manifest.precision)
        print(f"{path.name}: {bundle.manifest.precision} {single.mean():.3f} dB")
        for precision, dbs in found.items():
            change, middle = dbs - single, len(dbs) // 2
            print(
                f"  {precision} {change.mean():+.4f}, first half of the chain {change[:middle].mean():+.4f}, "
                f"second {change[middle:].mean():+.4f}, worst frame {change.min():+.4f}"
            )
            changes[precision].append(change.mean())
    for precision, maker in makers.items():
        change = np.mean(changes[precision]) if changes[precision] else 0.0
        print(f"{precision}: {change:+.4f} dB, {maker.milliseconds:.1f} CPU ms a made frame")


if __name__ == "__main__":
    main()
