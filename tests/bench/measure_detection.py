"""Plant faults in every clip of a folder and count what the detectors find: `python measure_detection.py FOLDER`.

The clips should be single shots without faults of their own. Prints the table of docs/detection.md. A fault counts as
found when an event has exactly its frames; every other event (cuts aside) is false.
"""

from __future__ import annotations

import argparse
import io
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vgan_plugin.detect import scan
from vgan_plugin.gaps import Event
from vgan_plugin.media.reader import VideoReader
from vgan_plugin.types import Frame, PixelFormat

Spans = set[tuple[int, int]]
SEEDS = 4
MARGIN = 3
SPACE = 5


@dataclass
class Count:
    """What was planted, found and falsely said."""

    planted: int = 0
    found: int = 0
    false: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, truth: Spans, events: Iterable[Event]) -> None:
        said = {(event.first, event.last) for event in events if event.kind != "cut"}
        self.planted += len(truth)
        self.found += len(truth & said)
        self.false += len(said - truth)
        if truth ^ said:
            self.wrong.append(f"{name}: missed {sorted(truth - said)}, false {sorted(said - truth)}")


def places(n: int, rng: random.Random, lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Random runs (first, length) with good frames around each."""
    out: list[tuple[int, int]] = []
    first = MARGIN + rng.randrange(3)
    while first + (length := rng.choice(lengths)) <= n - MARGIN:
        out.append((first, length))
        first += length + SPACE + rng.randrange(4)
    return out


def dropped(frames: Sequence[Frame], runs: list[tuple[int, int]]) -> tuple[list[Frame], Spans]:
    gone = {first + j for first, length in runs for j in range(length)}
    kept = [i for i in range(len(frames)) if i not in gone]
    truth = {(kept.index(first - 1), kept.index(first - 1) + 1) for first, _ in runs}
    return [frames[i] for i in kept], truth


def stuck(frames: Sequence[Frame], runs: list[tuple[int, int]]) -> tuple[list[Frame], Spans]:
    out = list(frames)
    for first, length in runs:
        for i in range(first, first + length):
            out[i] = replace(frames[first - 1], pts=frames[i].pts)
    return out, {(first, first + length - 1) for first, length in runs}


def blanked(frames: Sequence[Frame], runs: list[tuple[int, int]]) -> tuple[list[Frame], Spans]:
    out = list(frames)
    for number, (first, length) in enumerate(runs):
        for i in range(first, first + length):
            form = frames[i].format
            low, high = 16 << form.bits - 8, 235 << form.bits - 8
            level = low if number % 2 == 0 else high
            planes = [
                np.full_like(plane, level if p == 0 else 128 << form.bits - 8) for p, plane in enumerate(out[i].planes)
            ]
            out[i] = replace(out[i], planes=tuple(planes))
    return out, {(first, first + length - 1) for first, length in runs}


def _even(frame: Frame) -> Frame:
    width, height = frame.width // 2 * 2, frame.height // 2 * 2
    shapes = [frame.format.plane_shape(p, width, height) for p in range(frame.format.planes)]
    planes = (plane[:rows, :columns] for plane, (rows, columns) in zip(frame.planes, shapes, strict=True))
    return replace(frame, planes=tuple(planes))


def recompressed(frames: Sequence[Frame], crf: int) -> list[Frame]:
    """The frames through libx264 and back, with their own times; an odd last line or column, which 4:2:0 H.264 cannot
    hold, is cut off."""
    memory = io.BytesIO()
    frames = [_even(frame) for frame in frames]
    form = frames[0].format
    with av.open(memory, "w", format="matroska") as target:
        stream = target.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, form.name
        stream.options = {"crf": str(crf)}
        for i, frame in enumerate(frames):
            picture = av.VideoFrame(frame.width, frame.height, form.name)
            for plane, view in zip(frame.planes, picture.planes, strict=True):
                np.frombuffer(view, plane.dtype).reshape(-1, view.line_size // plane.itemsize)[
                    : plane.shape[0], : plane.shape[1]
                ] = plane
            picture.pts = i
            target.mux(stream.encode(picture))
        target.mux(stream.encode())
    memory.seek(0)
    with av.open(memory) as source:
        out = []
        for frame, picture in zip(frames, source.decode(video=0), strict=True):
            planes = tuple(
                np.frombuffer(view, plane.dtype)
                .reshape(-1, view.line_size // plane.itemsize)[: plane.shape[0], : plane.shape[1]]
                .copy()
                for plane, view in zip(frame.planes, picture.planes, strict=True)
            )
            out.append(replace(frame, planes=planes))
    return out


def spliced(a: Sequence[Frame], b: Sequence[Frame], hole: int, rng: random.Random) -> tuple[list[Frame], Spans, int]:
    """Some of a, a hole, some of b; the frame at which b begins."""
    form = PixelFormat.parse(a[0].format.name)
    ends = rng.randrange(len(a) // 2, len(a))
    starts = rng.randrange(len(b) // 2)
    step = a[1].pts - a[0].pts
    shot = [
        replace(frame, pts=a[ends - 1].pts + step * (hole + 1 + i), time_base=a[0].time_base, format=form)
        for i, frame in enumerate(b[starts:])
    ]
    return [*a[:ends], *shot], {(ends - 1, ends)} if hole else set(), ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--untouched", action="store_true", help="only look at the clips as they are")
    folder = parser.parse_args()
    clips: dict[str, list[Frame]] = {}
    for path in sorted(p for p in folder.folder.iterdir() if p.suffix in (".mp4", ".mkv", ".mpg", ".mov", ".webm")):
        with VideoReader(path) as reader:
            clips[path.name] = list(reader.frames())
    counts: dict[str, Count] = {}
    cuts = Counter[str]()
    spent = 0.0
    looked = 0

    def look(what: str, name: str, frames: Sequence[Frame], truth: Spans) -> list[Event]:
        nonlocal spent, looked
        fresh = [replace(frame) for frame in frames]
        start = time.process_time()
        _, events = scan(fresh)
        spent += time.process_time() - start
        looked += len(frames)
        counts.setdefault(what, Count()).add(name, truth, events)
        return events

    plants: list[tuple[str, Callable[..., tuple[list[Frame], Spans]], tuple[int, ...]]] = [
        ("holes of 1 to 4, 8", dropped, (1, 1, 2, 3, 4, 8)),
        ("exact repeats, 1 to 4", stuck, (1, 1, 2, 3, 4)),
        ("blanks of 1 to 3", blanked, (1, 2, 3)),
    ]
    names = list(clips)
    for name, frames in clips.items():
        events = look("untouched", name, frames, set())
        cuts["untouched"] += sum(event.kind == "cut" for event in events)
        if folder.untouched:
            continue
        for seed in range(SEEDS):
            rng = random.Random(f"{name} {seed}")
            for what, plant, lengths in plants:
                broken, truth = plant(frames, places(len(frames), rng, lengths))
                events = look(what, name, broken, truth)
                cuts[what] += sum(event.kind == "cut" for event in events)
            broken, truth = stuck(frames, places(len(frames), rng, (1, 1, 2, 3, 4)))
            look("repeats through x264, CRF 20", name, recompressed(broken, 20), truth)
            other = clips[rng.choice([n for n in names if n != name] or names)]
            if other is not frames and other[0].planes[0].shape == frames[0].planes[0].shape:
                for hole in (0, 3):
                    broken, truth, at = spliced(frames, other, hole, rng)
                    events = look("holes of 3 at a cut" if hole else "cuts", name, broken, truth)
                    there = {event.first for event in events if event.kind == "cut"}
                    cuts["planted"] += 1
                    cuts["found"] += at in there
                    cuts["false"] += len(there - {at})
        for length in (1, 3):
            regular = [(i, length) for i in range(4, len(frames) - length, length + 4)]
            look("every 5th frame gone, every 5th to 7th", name, *dropped(frames, regular))
            look("the same stuck", name, *stuck(frames, regular))
        slowed = [
            replace(frames[min(i - i // 5, len(frames) - 1)], pts=frames[0].pts + i * (frames[1].pts - frames[0].pts))
            for i in range(len(frames) * 5 // 4 - 1)
        ]
        look("24 to 30 by repeating", name, slowed, set())
        twos = [replace(frames[i // 2 * 2], pts=frame.pts) for i, frame in enumerate(frames)]
        look("animation on twos", name, twos, set())
        look("untouched, through x264, CRF 20", name, recompressed(frames, 20), set())
    print(f"{len(clips)} clips, {sum(map(len, clips.values()))} frames; {spent / looked * 1000:.2f} ms a frame\n")
    print("| what | planted | found | false | recall % | precision % |\n|---|---|---|---|---|---|")
    for what, count in counts.items():
        recall = f"{100 * count.found / count.planted:.1f}" if count.planted else ""
        said = count.found + count.false
        precision = f"{100 * count.found / said:.1f}" if said and count.planted else ""
        print(f"| {what} | {count.planted} | {count.found} | {count.false} | {recall} | {precision} |")
    print(
        f"\nCuts: {cuts['planted']} planted, {cuts['found']} found, {cuts['false']} false beside them; "
        f"in single shots: " + ", ".join(f"{what} {cuts[what]}" for what, _, _ in [("untouched", 0, 0), *plants])
    )
    for what, count in counts.items():
        for line in count.wrong:
            print(f"{what}: {line}")


if __name__ == "__main__":
    main()
