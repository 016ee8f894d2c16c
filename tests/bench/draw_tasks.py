"""Draw what docs/tasks.md shows, from the example clip: each task by its own command, beside the truth.

    python tests/bench/draw_tasks.py [--out docs/tasks]

A logo and a balloon are put into the clip and taken out again; its second shot is cut off and extended by 8 frames, and
shown live with every sixth frame late. Four columns: what is given, what is made, the truth, the error times three.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vgan_plugin.fill.conceal import Concealer
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.types import OpenRequest

ROOT = Path(__file__).resolve().parents[2]
RATE = 25
BOX = (40, 30, 120, 60)
"""Left, top, width and height of the logo."""
RADIUS, MARGIN = 28, 4
"""Of the balloon, and how far its mask reaches beyond it."""
WINDOW = (180, 300)
"""Rows and columns of a panel."""
Picture = NDArray[np.uint8]
"""(H, W, 3), RGB."""


def read(path: Path) -> list[Picture]:
    """All frames."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def write(path: Path, pictures: Sequence[NDArray[np.uint8]], form: str = "rgb24") -> None:
    """A clip without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = {"rgb24": "yuv444p"}.get(form, form)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, form).reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))


def vgan(*words: object) -> None:
    """Run a command and show it."""
    print("vgan", *words, flush=True)
    done = subprocess.run([sys.executable, "-m", "vgan_plugin", *map(str, words)], check=False)
    if done.returncode > 1:
        sys.exit(done.returncode)


def logo(frames: list[Picture], folder: Path) -> list[tuple[Picture, Picture, Picture]]:
    """A ring in a white box that stands still."""
    left, top, width, height = BOX
    y, x = np.mgrid[:height, :width]
    ring = np.abs(np.hypot(y - height / 2, x - width / 2) - 0.3 * height) < 5
    given = [frame.copy() for frame in frames]
    for picture in given:
        picture[top : top + height, left : left + width] = np.where(ring[..., None], (200, 30, 60), 245)
    write(folder / "logo.mkv", given)
    vgan("inpaint", folder / "logo.mkv", folder / "without.mkv", "--box", ",".join(map(str, BOX)), "-y")
    return rows(given, read(folder / "without.mkv"), frames, (8, 16, 24), lambda _: (top - 40, left - 36))


def balloon(frames: list[Picture], folder: Path) -> list[tuple[Picture, Picture, Picture]]:
    """A disc that crosses the picture."""
    y, x = np.mgrid[: frames[0].shape[0], : frames[0].shape[1]]
    places = [(150 + round(24 * np.sin(i / 5)), 120 + 15 * i) for i in range(len(frames))]
    far = [np.hypot(y - top, x - left) for top, left in places]
    given = [
        np.where(d[..., None] < RADIUS, (235, 120, 40), f).astype(np.uint8) for d, f in zip(far, frames, strict=True)
    ]
    write(folder / "balloon.mkv", given)
    write(folder / "mask.mkv", [np.where(d < RADIUS + MARGIN, 255, 0).astype(np.uint8) for d in far], "gray")
    vgan("inpaint", folder / "balloon.mkv", folder / "without.mkv", "--mask", folder / "mask.mkv", "-y")
    corner: Callable[[int], tuple[int, int]] = lambda i: (places[i][0] - 90, places[i][1] - 150)  # noqa: E731
    return rows(given, read(folder / "without.mkv"), frames, (4, 14, 24), corner)


def extended(frames: list[Picture], folder: Path) -> list[tuple[Picture, Picture, Picture]]:
    """The last good frame stands for what is given."""
    known = len(frames) - 8
    write(folder / "head.mkv", frames[:known])
    vgan("extend", folder / "head.mkv", folder / "longer.mkv", "--frames", 8, "-y")
    held = frames[:known] + [frames[known - 1]] * 8
    return rows(held, read(folder / "longer.mkv"), frames, [known + k for k in (0, 3, 7)], lambda _: (110, 330))


def live(frames: list[Picture], folder: Path) -> list[tuple[Picture, Picture, Picture]]:
    """Every sixth frame is late: what a player would hold, and what stands in for it."""
    write(folder / "live.mkv", frames)
    generator = get_plugin_manager().open_generator(OpenRequest())
    concealer = Concealer(generator, Fraction(1, RATE))
    held, made = list(frames), list(frames)
    with VideoReader(folder / "live.mkv") as reader:
        for i, frame in enumerate(reader.frames()):
            if i % 6 == 5:
                rgb = concealer.conceal(frame.pts).frame.rgb()
                made[i] = np.floor(255 * rgb.clip(0, 1) + 0.5).astype(np.uint8).transpose(1, 2, 0)
                held[i] = frames[i - 1]
            else:
                concealer.push(frame)
    generator.close()
    return rows(held, made, frames, (5, 11, 17), lambda _: (110, 330))


def rows(
    given: Sequence[Picture],
    made: Sequence[Picture],
    truth: Sequence[Picture],
    chosen: Sequence[int],
    corner: Callable[[int], tuple[int, int]],
) -> list[tuple[Picture, Picture, Picture]]:
    """A window of some frames of the three clips."""
    found = []
    for i in chosen:
        top, left = (max(0, min(at, side - n)) for at, side, n in zip(corner(i), truth[i].shape, WINDOW, strict=False))
        found.append(tuple(clip[i][top : top + WINDOW[0], left : left + WINDOW[1]] for clip in (given, made, truth)))
    return found


def strip(shown: Sequence[tuple[Picture, Picture, Picture]]) -> Picture:
    """A row a frame: given, made, truth, error times three."""
    lines = []
    for given, made, truth in shown:
        error = np.minimum(3 * np.abs(made.astype(np.int16) - truth), 255).astype(np.uint8)
        lines.append(np.concatenate((given, made, truth, error), 1))
    return np.concatenate(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "tasks")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    from PIL import Image

    frames = read(ROOT / "examples" / "city.mp4")
    first, second = frames[60:92], frames[130:150]  # of its two shots
    for task, clip in ((logo, first), (balloon, first), (extended, second), (live, second)):
        with tempfile.TemporaryDirectory() as folder:
            Image.fromarray(strip(task(clip, Path(folder)))).save(out / f"{task.__name__}.jpg", quality=82)


if __name__ == "__main__":
    main()
