"""Fills a clip through every host and says what came: run by a test in a process of its own, with plugins of its own.

python every_host.py IN.mkv IN.y4m OUT.mkv HOST...

Each host begins with a fresh plugin manager, as in a process of its own.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from vgan_plugin import FillRequest, OpenRequest, get_plugin_manager
from vgan_plugin.cli import main
from vgan_plugin.media.reader import VideoReader

BLEND = OpenRequest(generator="blend")
RATE = Fraction(25)


def frames(path: Path) -> Iterator[Any]:
    with VideoReader(path) as reader:
        yield from reader.frames()


def by_file(source: Path, _: Path, out: Path) -> Iterable[bytes]:
    from vgan_plugin.hosts.file import Encoding, repair

    repair(source, out, generator=BLEND, encoding=Encoding("ffv1"))
    return (plane.tobytes() for frame in frames(out) for plane in frame.planes)


def by_command(source: Path, _: Path, out: Path) -> Iterable[bytes]:
    assert main(["fill", str(source), str(out), "--generator", "blend", "--codec", "ffv1", "--quiet"]) == 0
    return (plane.tobytes() for frame in frames(out) for plane in frame.planes)


def by_interpolate(source: Path, _: Path, out: Path) -> Iterable[bytes]:
    options = ["--factor", "2", "--generator", "blend", "--codec", "ffv1", "--quiet"]
    assert main(["interpolate", str(source), str(out), *options]) in (0, 1)
    return (plane.tobytes() for frame in frames(out) for plane in frame.planes)


def by_inpaint(source: Path, _: Path, out: Path) -> Iterable[bytes]:
    options = ["--box", "20,16,12,8", "--to", "0.12", "--generator", "blend", "--codec", "ffv1", "--quiet"]
    assert main(["inpaint", str(source), str(out), *options]) == 0
    return (plane.tobytes() for frame in frames(out) for plane in frame.planes)


def by_extend(source: Path, _: Path, out: Path) -> Iterable[bytes]:
    options = ["--frames", "2", "--generator", "repeat", "--codec", "ffv1", "--quiet"]
    assert main(["extend", str(source), str(out), *options]) == 0
    return (plane.tobytes() for frame in frames(out) for plane in frame.planes)


def by_hook(source: Path, _: Path, __: Path) -> Iterable[bytes]:
    some = list(frames(source))[:3]
    request = FillRequest(tuple(some[:2]), tuple(some[2:]), (Fraction(3, 50),), 1 / RATE, open=BLEND)
    return (plane.tobytes() for plane in get_plugin_manager().fill_gap(request).frames[0].planes)


def by_pipe(_: Path, source: Path, __: Path) -> Iterable[bytes]:
    from vgan_plugin.hosts import pipe

    written: list[bytes] = []
    pipe.fill(io.BytesIO(source.read_bytes()), written.append, generator=BLEND)
    return written


def by_pyav(source: Path, _: Path, __: Path) -> Iterable[bytes]:
    import av

    from vgan_plugin.hosts.pyav import fill_frames

    with av.open(str(source)) as container:
        pictures = fill_frames(container.decode(video=0), generator=BLEND, rate=RATE)
        return [picture.to_ndarray().tobytes() for picture in pictures]


def by_arrays(source: Path, _: Path, __: Path) -> Iterable[bytes]:
    from vgan_plugin.hosts.arrays import fill_arrays

    items = ((frame.time, frame.planes[0]) for frame in frames(source))
    return [picture.tobytes() for _, picture in fill_arrays(items, generator=BLEND, rate=RATE)]


def by_moviepy(source: Path, _: Path, __: Path) -> Iterable[bytes]:
    import moviepy
    import numpy as np

    from vgan_plugin.hosts.moviepy import Fill

    pictures = [np.stack([frame.planes[0]] * 3, -1) for frame in frames(source)]
    clip = moviepy.VideoClip(
        lambda t: pictures[min(int(t * 25 + 1e-6), len(pictures) - 1)], duration=len(pictures) / 25
    )
    clip.fps = 25
    return [picture.tobytes() for picture in clip.with_effects([Fill(BLEND)]).iter_frames()]


def by_vapoursynth(source: Path, _: Path, __: Path) -> Iterable[bytes]:
    from vsclips import bytes_of, clip_of

    from vgan_plugin.hosts import vapoursynth

    clip = vapoursynth.fill(clip_of(list(frames(source))), generator="blend")
    return [bytes_of(frame) for frame in clip.frames()]


HOSTS = {name.removeprefix("by_"): call for name, call in list(globals().items()) if name.startswith("by_")}


def run(name: str, source: Path, stream: Path, out: Path) -> dict[str, Any]:
    """What came of one host, and which plugins were dropped meanwhile."""
    get_plugin_manager.cache_clear()
    out.unlink(missing_ok=True)
    parts = list(HOSTS[name](source, stream, out))
    dropped = sorted({problem.plugin for problem in get_plugin_manager().problems})
    return {"parts": len(parts), "sha256": hashlib.sha256(b"".join(parts)).hexdigest(), "dropped": dropped}


if __name__ == "__main__":
    paths = [Path(word) for word in sys.argv[1:4]]
    sys.stdout.write(json.dumps({name: run(name, *paths) for name in sys.argv[4:]}))
