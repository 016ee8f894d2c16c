"""Sheets: the same crop of the same frame by several methods beside the truth, losses first, then wins.

Nothing is kept for them while measuring: what is shown is made again, and is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgan_plugin.evaluate.methods import Method
from vgan_plugin.evaluate.metrics import psnr
from vgan_plugin.evaluate.run import Protocol, Record
from vgan_plugin.evaluate.sets import Picture, Source, as_rgb, from_rgb8, rgb8
from vgan_plugin.evaluate.windows import Window
from vgan_plugin.media.thumbnails import jpeg

CROP = 176, 240
"""Rows and columns of a crop, around the largest error of the first method."""
LOSSES, WINS = 4, 2
_GAP = 4


@dataclass(frozen=True)
class Case:
    """One row of a sheet.

    Attributes:
        clip: its name.
        start: its window.
        t: its place in the gap.
        psnr: of every method that is shown, in dB, of the whole frame.
    """

    clip: str
    start: int
    t: str
    psnr: Mapping[str, float]


def choose(records: Sequence[Record], task: str, ours: str, others: Sequence[str]) -> list[Case]:
    """The frames on which `ours` loses most against the best of the others, then those on which it wins most.

    No two of one clip, unless there are fewer clips than rows.
    """
    found: dict[tuple[str, int, str], dict[str, float]] = {}
    for record in records:
        for window in record["windows"] if record["task"] == task else ():
            for frame in window["frames"]:
                place = record["clip"], window["start"], frame["t"]
                found.setdefault(place, {})[record["method"]] = psnr(frame["mse"])
    cases = [
        Case(*place, {name: row[name] for name in (ours, *others)})
        for place, row in found.items()
        if all(name in row for name in (ours, *others))
    ]
    cases.sort(key=lambda case: case.psnr[ours] - max(case.psnr[name] for name in others))
    losses = _spread(cases)[:LOSSES]
    wins = _spread([case for case in reversed(cases) if case not in losses])[:WINS]
    return losses + wins


def _spread(cases: Sequence[Case]) -> list[Case]:
    """The first of each clip, in order, then the others."""
    seen: set[str] = set()
    first = [case for case in cases if not (case.clip in seen or seen.add(case.clip))]  # type: ignore[func-returns-value]
    return first + [case for case in cases if case not in first]


def draw(
    cases: Sequence[Case], task: str, sources: Sequence[Source], methods: Sequence[Method], protocol: Protocol
) -> bytes:
    """A JPEG: a row a case, in columns the first method, the truth, and the other methods.

    Args:
        cases: as `choose` gives them.
        task: which.
        sources: among which the clips are.
        methods: who is shown, ours first.
        protocol: as it was measured.
    """
    rows: list[Picture] = []
    for case in cases:
        window, target = _window(case, task, next(s for s in sources if s.name == case.clip), protocol)
        pictures = [rgb8((method.make(window) or [])[target].frame) for method in methods]
        truth = rgb8(window.truth[target])
        top, left = _worst(pictures[0], truth)
        shown = [pictures[0], truth, *pictures[1:]]
        rows.append(_beside([x[:, top : top + CROP[0], left : left + CROP[1]] for x in shown]))
    widest = max(row.shape[2] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, _GAP), (0, widest - row.shape[2])), constant_values=255) for row in rows]
    sheet = np.concatenate(rows, 1)[:, :-_GAP]
    return jpeg(from_rgb8(sheet), max(sheet.shape))


def _window(case: Case, task: str, source: Source, protocol: Protocol) -> tuple[Window, int]:
    frames = source.read()
    if not protocol.own_pixels:
        frames = [as_rgb(frame) for frame in frames]
    window = next(w for w in protocol.cut(task, frames) if w.start == case.start)
    return window, [str(window.place(time)) for time in window.times].index(case.t)


def _worst(made: Picture, truth: Picture) -> tuple[int, int]:
    """Top left corner of the crop with the largest squared error."""
    error = np.square(made.astype(np.int32) - truth).sum(0, dtype=np.float64)
    total = np.pad(error, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    rows, columns = (min(side, size) for side, size in zip(CROP, error.shape, strict=True))
    box = total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns] + total[:-rows, :-columns]
    top, left = np.unravel_index(int(box.argmax()), box.shape)
    return int(top), int(left)


def _beside(pictures: Sequence[Picture]) -> Picture:
    row = np.concatenate([np.pad(x, ((0, 0), (0, 0), (0, _GAP)), constant_values=255) for x in pictures], 2)
    return row[:, :, :-_GAP]
