"""Pictures shown again in the place of lost ones: `duplicate` (one frame) and `frozen` (a run).

A repeat differs from the picture it repeats by coding noise at most, in every part of it, while the picture moved
before and moves after. Animation on twos, pull-down, rate conversions and stills repeat pictures without losing any:
what follows the repeat has then moved by one step only. One repeat cannot always tell the two apart, because motion is
uneven; a habit of repeats can.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from statistics import median

from vgan_plugin.detect.cuts import LEAST, UNUSUAL, another_shot
from vgan_plugin.detect.look import NONE, Change, Look, change, look
from vgan_plugin.gaps import Event
from vgan_plugin.types import Frame

NOISE = 0.3
"""A repeat changes by less than this share of what the steps around it change, on average..."""
NOISE_PEAK = 0.4
"""...and in the busiest cells."""
OUTLIER = 0.45
"""The same share of the smallest step around: where pictures change by fits and starts, a small step is no repeat."""
JUMP = 3.0
"""A step so many times the usual one begins something new: how much that moves is not known yet."""
FAINTEST = 0.15
"""Mean change in 8-bit levels below which nothing moves and near repeats mean nothing."""
EXACT = 0.02
"""The same for exact repeats."""
AROUND = 4
"""Frames either side that must hold motion..."""
MOVING = 2
"""...in so many steps."""
HABIT = 16
"""So many repeats are remembered, to judge those close together by what they have in common."""
REACH = 32
"""Frames after a repeat within which others belong to the same habit."""
STILL = 12
"""A run of so many frames that is not exact is a scene that came to rest."""


@dataclass(eq=False)
class _Picture:
    """A distinct picture and its repeats.

    Attributes:
        index: source index of its first frame.
        step: change from the distinct picture before; nothing for the first one.
        two: mean change from the distinct picture before that one, 0 where there is none.
        repeats: (index, pts) of the frames that repeat it.
        cut: it is the first of its shot; then `step` and `two` tell nothing.
        worst: largest change of a repeat.
    """

    look: Look | None
    index: int
    step: Change
    two: float = 0.0
    cut: bool = False
    repeats: list[tuple[int, int]] = field(default_factory=list)
    worst: Change = NONE

    @property
    def last(self) -> int:
        return self.repeats[-1][0] if self.repeats else self.index


@dataclass(frozen=True)
class _Run:
    """A finished run of repeats with what is known of the motion around it.

    Attributes:
        event: what will be said if it is believed.
        lost: how much more than one step the picture moved over the run, in steps: 0 nothing is lost, 1 or more
            something is; None where motion does not tell.
        clear: the motion around is so even that `lost` decides alone.
    """

    event: Event
    lost: float | None
    clear: bool


@dataclass(frozen=True)
class _Motion:
    """The motion around a run, within its shot.

    Attributes:
        before: pictures up to the one repeated, the nearest last.
        after: pictures after the next one, the nearest first.
        jump: change from the picture repeated to the next one; None when that is of another shot.
        second: the second picture of the shot, whose change over two steps leads out of it.
    """

    before: list[_Picture]
    after: list[_Picture]
    jump: Change | None
    second: _Picture

    def nearest(self) -> list[Change]:
        """The steps next to the run."""
        return [picture.step for picture in self.before[-1:] + self.after[:1]]

    def lost(self, count: int) -> tuple[float | None, bool]:
        """How many steps more than one the jump over the run is, and whether the motion is even enough to trust it."""
        if self.jump is None:
            return None, False
        usual = median([picture.step.mean for picture in self.before + self.after])
        if self.jump.mean < usual * (0.6 if count < AROUND else 1.0):
            return 0.0, True
        one = [step.mean for step in self.nearest()]
        two_before = [picture.two for picture in self.before if picture is not self.second]
        two_after = [picture.two for picture in self.after[1:]]  # the first one's two steps have the jump in them
        two = two_before[-1:] + two_after[:1]
        double = median(two_before + two_after) if two else 0.0
        lost = (self.jump.mean - usual) / (double - usual) if double > 1.15 * usual else None
        return lost, len(one) == len(two) == 2 and _even(*one) and _even(*two)


class Repeats:
    """Finds exact and near repeats that stand in for lost pictures."""

    lookahead = REACH + AROUND

    def __init__(self) -> None:
        self._pictures: deque[_Picture] = deque(maxlen=AROUND * 2 + 4)
        self._usual: deque[float] = deque(maxlen=8)
        self._usual_peak: deque[float] = deque(maxlen=8)
        self._time_base = Fraction(1)
        self._newest = 0
        self._waiting: list[_Run] = []
        self._judged: deque[_Run] = deque(maxlen=HABIT)
        self._unmeasured: deque[_Picture] = deque()

    def feed(self, index: int, frame: Frame) -> Iterable[Event]:
        """Take the next frame; flat and damaged ones are none of our business."""
        now = look(frame)
        self._newest = index
        self._time_base = frame.time_base
        if not (now.flat or frame.corrupt):
            self._take(index, frame.pts, now)
        self._measure(index)
        return list(self._judge(index))

    def finish(self) -> Iterable[Event]:
        """Judge what is left; a run that lasts to the end replaces nothing that could be told."""
        self._measure(self._newest, end=True)
        return list(self._judge(None))

    def _take(self, index: int, pts: int, now: Look) -> None:
        if not self._pictures:
            self._pictures.append(_Picture(now, index, NONE, cut=True))
            return
        held = self._pictures[-1]
        assert held.look is not None  # noqa: S101 - the looks of the last pictures are kept
        step = change(held.look, now)
        if self._repeats(step):
            held.repeats.append((index, pts))
            held.worst = Change(max(held.worst.mean, step.mean), max(held.worst.peak, step.peak))
            if len(held.repeats) >= STILL and held.worst.mean > EXACT:
                self._rest(now, index)
            return
        if held.repeats:
            self._unmeasured.append(held)
        two = 0.0
        if len(self._pictures) > 1:
            earlier = self._pictures[-2].look
            assert earlier is not None  # noqa: S101 - as above
            two = change(earlier, now).mean
        usual = median(self._usual) if self._usual else 0.0
        cut = step.mean >= max(LEAST, UNUSUAL * usual) and another_shot(held.look, now)
        if cut or (usual and step.mean > JUMP * usual):
            self._usual.clear()
            self._usual_peak.clear()
        else:
            self._usual.append(step.mean)
            self._usual_peak.append(step.peak)
        self._pictures.append(_Picture(now, index, step, two, cut))
        if len(self._pictures) > 3:
            self._pictures[-4].look = None

    def _repeats(self, step: Change) -> bool:
        """Whether so small a change is none, as far as the frames so far tell."""
        if step.mean <= EXACT / 4:
            return True
        if not self._usual:
            return False
        return step.mean < NOISE * median(self._usual) and step.peak < NOISE_PEAK * median(self._usual_peak)

    def _rest(self, now: Look, index: int) -> None:
        """The scene has come to rest: start again from here, without a scale."""
        self._usual.clear()
        self._usual_peak.clear()
        self._pictures.clear()
        self._pictures.append(_Picture(now, index, NONE, cut=True))

    def _measure(self, index: int, *, end: bool = False) -> None:
        """Turn runs whose surroundings are complete into verdicts to come."""
        while self._unmeasured:
            held = self._unmeasured[0]
            if not end and index < held.last + 1 + AROUND:
                return
            self._unmeasured.popleft()
            run = self._run(held, index)
            if run is not None:
                self._waiting.append(run)

    def _run(self, held: _Picture, newest: int) -> _Run | None:
        """The verdict on a finished run, or None when it repeats nothing or nothing moves around it."""
        motion = self._motion(held, newest)
        if motion is None:
            return None
        nearest, count = motion.nearest(), len(held.repeats)
        if not nearest or (motion.jump is None and count > AROUND):
            return None
        steps = [*nearest, motion.jump] if motion.jump else nearest
        quietest, quietest_peak = min(step.mean for step in steps), min(step.peak for step in steps)
        around = [picture.step.mean for picture in motion.before + motion.after]
        exact = held.worst.mean <= EXACT / 4
        if (
            quietest < (EXACT if exact else FAINTEST)
            or held.worst.mean >= min(NOISE * quietest, OUTLIER * min(around))
            or held.worst.peak >= NOISE_PEAK * quietest_peak
        ):
            return None
        lost, clear = motion.lost(count)
        (first, first_pts), (last, last_pts) = held.repeats[0], held.repeats[-1]
        same = "the same picture" if exact else "the same picture but for coding noise"
        then = f"after it the change is {motion.jump.mean:.2f}" if motion.jump else "after it comes a cut"
        event = Event(
            "duplicate" if count == 1 else "frozen",
            first,
            last,
            first_pts,
            last_pts,
            first_pts * self._time_base,
            count,
            round(1 - held.worst.mean / quietest / (2 * NOISE), 3),
            f"{same} as frame {held.index}, while the frames around change by {median(around):.2f} levels; {then}",
        )
        return _Run(event, lost, clear)

    def _motion(self, held: _Picture, newest: int) -> _Motion | None:
        """The motion around a run within its shot, or None where there is too little."""
        pictures = list(self._pictures)
        if held not in pictures:  # a scene that came to rest has begun anew
            return None
        at = pictures.index(held)
        after = pictures[at + 1 :]
        if not after:
            return None
        start = max((i for i in range(at + 1) if pictures[i].cut), default=0)
        stop = next((i for i, picture in enumerate(after) if picture.cut), len(after))
        end = after[stop].index if stop < len(after) else newest + 1
        before_moves = [p for p in pictures[start + 1 : at + 1] if p.index > held.index - AROUND]
        after_moves = [p for p in after[1:stop] if p.index <= after[0].index + AROUND]
        # At the ends of a shot there may be fewer frames than motion is asked of.
        if len(before_moves) < min(MOVING, held.index - pictures[start].index):
            return None
        if stop and len(after_moves) < min(MOVING, end - 1 - after[0].index):
            return None
        return _Motion(before_moves, after_moves, after[0].step if stop else None, pictures[start + 1])

    def _judge(self, index: int | None) -> Iterator[Event]:
        while self._waiting and (index is None or index >= self._waiting[0].event.last + REACH + AROUND):
            run = self._waiting.pop(0)
            self._judged.append(run)
            if self._believe(run):
                yield run.event

    def _believe(self, run: _Run) -> bool:
        """Whether something was lost, judged by the run and by those around it."""
        if run.clear and run.lost is not None and run.lost < 0.25:
            return False
        near = [
            other for other in (*self._judged, *self._waiting) if abs(other.event.first - run.event.first) <= 2 * REACH
        ]
        pairs = [b.event.first - a.event.last for a, b in pairwise(near)]
        if len(pairs) >= 2 and sum(pair == 2 for pair in pairs) * 2 >= len(pairs):
            return False  # every picture is held: animation on twos, on threes
        lost = [other.lost for other in near if other.lost is not None]
        if len(near) >= 3 and _regular([other.event for other in near]):
            return len(lost) >= 2 and median(lost) > 0.6
        if len(lost) >= 3:
            # Where motion itself is uneven, some repeats look like none by chance, but hardly most of them.
            return sum(value < 0.4 for value in lost) < 0.7 * len(lost)
        return len(lost) < 2 or max(lost) > 0.1


def _regular(events: list[Event]) -> bool:
    """Whether equal repeats come at a fixed period, a few of them unseen."""
    steps = [b.first - a.first for a, b in pairwise(events)]
    period = min(steps)
    return (
        len({event.count for event in events}) == 1
        and all(step % period == 0 for step in steps)
        and sum(steps) <= period * len(steps) * 1.5
    )


def _even(a: float, b: float) -> bool:
    return abs(a - b) <= 0.25 * (a + b) / 2
