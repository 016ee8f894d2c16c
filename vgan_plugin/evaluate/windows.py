"""What is taken out of a clip: windows of good frames around a gap, with the truth of the gap.

A window is all that a method sees. What is in the gap is handed to nobody but the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vgan_plugin.evaluate.sets import PERIOD
from vgan_plugin.types import Frame

KEPT = 4
"""Good frames between two gaps when a clip holds as many gaps as it can."""
LEAD_IN = 40
"""Good frames before a gap that a window holds at the most."""
LONG = 7
"""From this gap on, every second frame is made and compared."""
PREDICTED = (1, 4)
"""How many frames after the last one a prediction is compared."""


@dataclass(frozen=True, eq=False)
class Window:
    """One gap.

    Attributes:
        task: ``gap 1``, ``predict``, ``double``; what tables call it.
        start: index in the clip of the last frame before the gap.
        before: good frames before, the nearest last.
        after: good frames after, the nearest first; none for a prediction.
        truth: the frames to make, to be compared with; only their times are known to methods.
        period: one source-frame period in seconds.
    """

    task: str
    start: int
    before: tuple[Frame, ...]
    after: tuple[Frame, ...]
    truth: tuple[Frame, ...]
    period: Fraction = PERIOD

    @property
    def times(self) -> tuple[Fraction, ...]:
        """When the frames to make are shown, in seconds."""
        return tuple(frame.time for frame in self.truth)

    def place(self, time: Fraction) -> Fraction:
        """0 at the last frame before, 1 at the first after; for predictions, periods after the last frame."""
        span = self.after[0].time - self.before[-1].time if self.after else self.period
        return (time - self.before[-1].time) / span


def triplet(frames: Sequence[Frame]) -> list[Window]:
    """The middle one of three frames."""
    return [Window("triplet", 0, (frames[0],), (frames[2],), (frames[1],))]


def gaps(frames: Sequence[Frame], gap: int, most: int | None) -> list[Window]:
    """Gaps of one length, each with everything else good, or all at once.

    Args:
        frames: the whole clip.
        gap: frames taken out; from `LONG` on, every second one is compared.
        most: this many windows at the most, spread over the clip, starting at 0, d, 2d, ... with
            d = max(gap, (frames - gap - 1) // most); None = as many gaps as the clip holds, `KEPT` good frames before
            each, all of them gone at once.
    """
    last = len(frames) - gap - 1
    if most is None:
        starts = range(KEPT - 1, last, gap + KEPT)
        gone = {i for start in starts for i in range(start + 1, start + gap + 1)}
        good = [i for i in range(len(frames)) if i not in gone]
    else:
        starts = range(0, last, max(gap, last // most or 1))[:most]
        good = list(range(len(frames)))
    return [_window(f"gap {gap}", frames, good, start, gap) for start in starts]


def _window(task: str, frames: Sequence[Frame], good: Sequence[int], start: int, gap: int) -> Window:
    wanted = range(start + 1, start + gap + 1) if gap < LONG else range(start + 2, start + gap + 1, 2)
    before = [frames[i] for i in good if i <= start][-LEAD_IN:]
    after = [frames[i] for i in good if i > start + gap][:2]
    return Window(task, start, tuple(before), tuple(after), tuple(frames[i] for i in wanted))


def predictions(frames: Sequence[Frame], most: int | None) -> list[Window]:
    """Frames after the last one: 1 and 4 later, from the past alone."""
    last = len(frames) - PREDICTED[-1]
    step = PREDICTED[-1] if most is None else max(PREDICTED[-1], (last - 1) // most or 1)
    starts = range(1, last, step)[:most]
    return [
        Window(
            "predict",
            start,
            tuple(frames[max(0, start + 1 - LEAD_IN) : start + 1]),
            (),
            tuple(frames[start + k] for k in PREDICTED),
        )
        for start in starts
    ]


def doubled(frames: Sequence[Frame]) -> list[Window]:
    """The clip at half its rate, raised to the whole: every second frame is made."""
    kept = frames[::2]
    return [
        Window(
            "double",
            2 * i,
            tuple(kept[max(0, i + 1 - LEAD_IN) : i + 1]),
            tuple(kept[i + 1 : i + 3]),
            (frames[2 * i + 1],),
            2 * PERIOD,
        )
        for i in range(len(kept) - 1)
    ]
