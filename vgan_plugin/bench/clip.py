"""The frames that are timed: of a real video, scaled, or a pattern that moves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vgan_plugin.errors import InputDamaged
from vgan_plugin.media.frames import from_av, to_av
from vgan_plugin.media.reader import open_input
from vgan_plugin.types import Frame, PixelFormat

SOURCES = 7
"""Source frames used; between each two lies one that is left out, made, and compared with."""
RATE = 25
_FORMAT = PixelFormat.parse("yuv420p")
_TIME = Fraction(1, 2 * RATE)


def frames(source: Path | None, width: int, height: int) -> list[Frame]:
    """2 `SOURCES` - 1 frames of yuv420p: every second one is a source frame, those between are the truth.

    Raises:
        InputError: the source cannot be read, or is too short.
    """
    if source is None:
        return _pattern(width, height)
    found: list[Frame] = []
    with open_input(source) as container:
        for picture in itertools.islice(container.decode(video=0), 2 * SOURCES - 1):
            found.append(from_av(picture.reformat(width, height, _FORMAT.name), len(found), _TIME))
    if len(found) < 2 * SOURCES - 1:
        raise InputDamaged(f"{source} is too short", f"{2 * SOURCES - 1} frames are timed", "name a longer video")
    return found


def longer(sources: Sequence[Frame], count: int) -> list[Frame]:
    """So many source frames: these, played to and fro."""
    period = 2 * len(sources) - 2
    return [replace(sources[min(i % period, period - i % period)], pts=2 * i) for i in range(count)]


def write(path: Path, sources: Sequence[Frame]) -> None:
    """The source frames as an H.264 file."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = sources[0].width, sources[0].height, _FORMAT.name
        for index, frame in enumerate(sources):
            picture = to_av(frame)
            picture.pts, picture.time_base = index, Fraction(1, RATE)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


def _pattern(width: int, height: int) -> list[Frame]:
    """Noise of several scales behind a smaller patch of it that moves the other way."""
    rng = np.random.default_rng(0)
    moves = 2 * SOURCES - 1
    far = [_noise(rng, rows + 4 * moves, columns + 4 * moves) for rows, columns in _shapes(width, height)]
    near = [_noise(rng, rows // 3 + 1, columns // 3 + 1) for rows, columns in _shapes(width, height)]
    found = []
    for i in range(moves):
        planes = []
        for p, (rows, columns) in enumerate(_shapes(width, height)):
            step = i * 2 if p == 0 else i  # chroma moves half as many samples
            plane = far[p][step : step + rows, 2 * step : 2 * step + columns].copy()
            top, left = rows // 3, max(0, columns // 3 - step)
            plane[top : top + near[p].shape[0], left : left + near[p].shape[1]] = near[p][
                : rows - top, : columns - left
            ]
            planes.append(plane)
        found.append(Frame(tuple(planes), _FORMAT, pts=i, time_base=_TIME))
    return found


def _shapes(width: int, height: int) -> list[tuple[int, int]]:
    return [_FORMAT.plane_shape(p, width, height) for p in range(3)]


def _noise(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.uint8]:
    total = np.zeros((rows, columns), np.float32)
    for scale in (32, 8, 2):
        coarse = rng.random((-(-rows // scale), -(-columns // scale)), dtype=np.float32)
        total += np.kron(coarse, np.full((scale, scale), 20.0 * scale**0.5, np.float32))[:rows, :columns]
    low, high = total.min(), total.max()
    codes: NDArray[np.uint8] = (16 + 219 * (total - low) / (high - low)).astype(np.uint8)
    return codes
