"""The example clip, broken as `make demo` breaks it, in every host: each gives the frames of `vgan fill`, bit for bit.

Through ffmpeg and a pipe: test_pipe.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
from clips import to_av, write_clip
from gsthost import environment, why_not

from vgan_plugin.hosts.arrays import fill_arrays, frame_of, picture_of
from vgan_plugin.hosts.file import Encoding, repair
from vgan_plugin.hosts.pyav import fill_frames
from vgan_plugin.media.frames import from_av
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.types import Frame, OpenRequest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BLEND, LITE = OpenRequest(generator="blend"), OpenRequest(model="lite")
RATE = Fraction(25)


def frames(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader.frames())


def samples(given: list[Frame]) -> list[tuple[bytes, ...]]:
    return [tuple(plane.tobytes() for plane in frame.planes) for frame in given]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "broken.mkv"
    command = [sys.executable, EXAMPLES / "make_broken_clip.py", EXAMPLES / "city.mp4", path]
    subprocess.run(command, check=True, capture_output=True)
    return path


def scaled(path: Path, name: str) -> list[Frame]:
    found = []
    for frame in frames(path):
        small = to_av(frame).reformat(96, 54, name)
        found.append(from_av(small, frame.pts, frame.time_base))
    return found


@pytest.fixture(scope="module")
def small(broken: Path) -> Path:
    """The same at 96x54, as raw video, which every host reads."""
    return write_clip(broken.with_name("small.mkv"), scaled(broken, "yuv420p"), "rawvideo")


@pytest.fixture(scope="module")
def wanted(small: Path) -> list[Frame]:
    out = small.with_name("wanted.mkv")
    report = repair(small, out, generator=LITE, encoding=Encoding("ffv1"))
    assert {record.method for record in report.made} == {"recurrent"}
    assert len(report.made) == 32
    return frames(out)


@pytest.fixture(scope="module")
def pictures(broken: Path) -> tuple[list[Frame], list[Frame]]:
    """In RGB, holes filled by repeats as MoviePy reads them, at a constant rate; and what `vgan fill` makes of it."""
    came: list[Frame] = []
    for frame in scaled(broken, "gbrp"):
        while came and len(came) < round(frame.time * RATE):
            came.append(came[-1])
        came.append(frame)
    came = [replace(frame, pts=i, time_base=1 / RATE) for i, frame in enumerate(came)]
    out = broken.with_name("rgb-wanted.mkv")
    report = repair(write_clip(broken.with_name("rgb.mkv"), came), out, generator=LITE, encoding=Encoding("ffv1"))
    assert len(report.made) >= 25
    return came, frames(out)


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def test_a_loop_of_pyav(small: Path, wanted: list[Frame]) -> None:
    out = [from_av(f, f.pts, Fraction(1, 1000)) for f in fill_frames(decoded(small), generator=LITE, rate=RATE)]
    assert samples(out) == samples(wanted)


def test_a_loop_of_arrays(pictures: tuple[list[Frame], list[Frame]]) -> None:
    came, made = pictures
    loop = ((frame.time, picture_of(frame, "bgr")) for frame in came)
    out = [frame_of(picture, "bgr", 0, RATE) for _, picture in fill_arrays(loop, generator=LITE, rate=RATE)]
    assert samples(out) == samples(made)


@pytest.mark.skipif(find_spec("moviepy") is None, reason="MoviePy is not installed: pip install vgan[moviepy]")
def test_moviepy(pictures: tuple[list[Frame], list[Frame]]) -> None:
    import moviepy

    from vgan_plugin.hosts.moviepy import Fill

    came, made = pictures
    clip = moviepy.VideoClip(
        lambda t: picture_of(came[min(int(t * 25 + 1e-6), len(came) - 1)], "rgb"), duration=len(came) / 25
    )
    clip.fps = 25
    out = [frame_of(np.array(picture), "rgb", 0, RATE) for picture in clip.with_effects([Fill(LITE)]).iter_frames()]
    assert samples(out) == samples(made)


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "it is there")
def test_gstreamer(small: Path, wanted: list[Frame], tmp_path: Path) -> None:
    line = f"filesrc location={small} ! matroskademux ! vganfill model=lite ! matroskamux ! filesink location=out.mkv"
    done = subprocess.run(
        ["/usr/bin/gst-launch-1.0", "-q", *line.split()],
        env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = [from_av(frame, frame.pts, Fraction(1, 1000)) for frame in decoded(tmp_path / "out.mkv")]
    assert samples(out) == samples(wanted)


needs_vapoursynth = pytest.mark.skipif(
    find_spec("vapoursynth") is None, reason="VapourSynth is not installed: it needs Python 3.12"
)


def in_vapoursynth(path: Path, opening: OpenRequest) -> list[tuple[bytes, ...]]:
    from vsclips import core, planes

    from vgan_plugin.hosts import vapoursynth as vgan

    source = core.bs.VideoSource(str(path), cachemode=0)
    clip = vgan.fill(source, model=opening.model, generator=opening.generator)
    return [tuple(plane.tobytes() for plane in planes(f)) for f in clip.frames()]


@needs_vapoursynth
def test_vapoursynth(small: Path, wanted: list[Frame]) -> None:
    assert in_vapoursynth(small, LITE) == samples(wanted)


@needs_vapoursynth
def test_vapoursynth_on_the_clip_as_it_is(broken: Path) -> None:
    out = broken.with_name("whole.mkv")
    repair(broken, out, generator=BLEND, encoding=Encoding("ffv1"))
    given = in_vapoursynth(broken, BLEND)
    assert len(given) == 188
    assert given == samples(frames(out))
