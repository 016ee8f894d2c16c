"""The first made frame of a process of its own: ``python -m vgan_plugin.bench.cold MODEL DEVICE WIDTH HEIGHT``."""

from __future__ import annotations

import json
import sys
import time
from fractions import Fraction

from vgan_plugin.bench import clip
from vgan_plugin.errors import VganError
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.runtime import memory
from vgan_plugin.types import OpenRequest, Reference, RenderRequest


def main(model: str, device: str, width: int, height: int) -> None:
    """Print, as JSON, seconds to open and to the first frame, and bytes of memory at its end."""
    frames = clip.frames(None, width, height)[:3:2]
    start = time.perf_counter()
    generator = get_plugin_manager().open_generator(OpenRequest(model=model, device=device, size=(height, width)))
    opened = time.perf_counter()
    a, b = (Reference(frame, generator.encode(frame)) for frame in frames)
    state = generator.remember(b.features, None, Fraction(0), None)
    half = Fraction(1, 2)
    generator.render(RenderRequest(a, b, state, (-half, half), frames[0], 1, frames[0].time_base))
    first = time.perf_counter()
    where = generator.provenance["provider"]["device"]
    found = {
        "open": opened - start,
        "first": first - opened,
        "resident_bytes": memory.resident(peak=True),
        "device_bytes": memory.device_used(where),
    }
    print(json.dumps(found))  # noqa: T201 to the process that asked


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    except VganError as error:
        sys.exit(str(error))
