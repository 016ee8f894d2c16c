"""Break a clip on purpose, and keep the truth: frames lost, frozen and black, and a cut put in.

    python examples/make_broken_clip.py examples/city.mp4 out/broken.mkv

writes `out/broken.mkv` (H.264, or lossless with `--codec ffv1`; the sound is copied) and beside it
`out/broken.json`, the list of what was broken. The same clip gives the same faults, always.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

# What is broken: kind, first and last frame, counted from 0 in the unbroken clip.
FAULTS = (
    ("missing", 12, 12),
    ("missing", 24, 25),
    ("duplicate", 33, 33),
    ("missing", 46, 49),
    ("frozen", 60, 63),
    ("missing", 79, 80),  # on both sides of the cut that is put in
    ("blank", 96, 96),
    ("missing", 104, 104),
    ("frozen", 126, 131),
    ("blank", 140, 141),
    ("missing", 150, 153),
    ("missing", 165, 166),
    ("duplicate", 174, 174),
    ("missing", 181, 181),
)
MIRRORED = (80, 115)
"""These frames are shown left to right, which puts a cut before frame 80. The clip has one of its own before 116."""
CUTS = (80, 116)
OPTIONS = {"libx264": {"crf": "16", "preset": "veryfast"}, "ffv1": {"level": "3", "slices": "4"}}


def truth_frames(source: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames as they would be without a fault: yuv420p as PyAV lays it out, (H * 3 / 2, W)."""
    with av.open(str(source)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            picture = frame.to_ndarray(format="yuv420p")
            if MIRRORED[0] <= index <= MIRRORED[1]:
                height, width = frame.height, frame.width
                planes = np.split(picture.ravel(), np.cumsum([height * width, height * width // 4]))
                shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
                flipped = [p.reshape(s)[:, ::-1].ravel() for p, s in zip(planes, shapes, strict=True)]
                picture = np.concatenate(flipped).reshape(picture.shape)
            yield picture


def break_clip(source: Path, target: Path, codec: str = "libx264") -> dict[str, Any]:
    """Write the broken clip.

    Args:
        source: a clip of a constant rate, at least 182 frames long.
        target: a Matroska file.
        codec: ``libx264`` or ``ffv1``.

    Returns:
        the truth: `faults` and `cuts` in frames and seconds of the unbroken clip, and `kept`, which frame of the
        unbroken clip each frame of the broken one was.
    """
    what = {i: kind for kind, first, last in FAULTS for i in range(first, last + 1)}
    kept: list[int] = []
    with av.open(str(source)) as given, av.open(str(target), "w", options={"fflags": "+bitexact"}) as out:
        video, sound = given.streams.video[0], given.streams.audio[0]
        rate = Fraction(video.average_rate or 25)
        stream = out.add_stream(codec, rate=rate, options={**OPTIONS[codec], "threads": "1", "flags": "+bitexact"})
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.time_base = 1 / rate
        copied = out.add_stream_from_template(sound)
        packets = [packet for packet in given.demux(sound) if packet.dts is not None]
        last: NDArray[np.uint8] | None = None
        for index, picture in enumerate(truth_frames(source)):
            kind = what.get(index)
            if kind == "missing":
                continue
            if kind in ("duplicate", "frozen"):
                assert last is not None  # noqa: S101 - the list above begins with a good frame
                picture = last
            elif kind == "blank":
                picture = np.full_like(picture, 16)
                picture[video.height :] = 128
            else:
                last = picture
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, 1 / rate
            kept.append(index)
            out.mux(stream.encode(frame))
            while packets and packets[0].pts * packets[0].time_base <= index / rate:
                packet = packets.pop(0)
                packet.stream = copied
                out.mux(packet)
        out.mux(stream.encode(None))
        for packet in packets:
            packet.stream = copied
            out.mux(packet)
    return {
        "source": source.name,
        "rate": str(rate),
        "frames": max(kept) + 1,
        "faults": [
            {"kind": kind, "first": first, "last": last, "count": last - first + 1, "time": float(first / rate)}
            for kind, first, last in FAULTS
        ],
        "cuts": [{"first": cut, "time": float(cut / rate)} for cut in CUTS],
        "kept": kept,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Break a clip on purpose, and keep the truth.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--codec", choices=sorted(OPTIONS), default="libx264")
    arguments = parser.parse_args()
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    truth = break_clip(arguments.source, arguments.target, arguments.codec)
    arguments.target.with_suffix(".json").write_text(json.dumps(truth, indent=1) + "\n")
    lost = sum(fault["count"] for fault in truth["faults"] if fault["kind"] == "missing")
    print(f"{arguments.target}: {len(truth['faults'])} faults, {lost} of {truth['frames']} frames lost")


if __name__ == "__main__":
    main()
