"""Another frame rate for frames that go by once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from vgan_plugin.fill import Item, Say
from vgan_plugin.gaps import Target, interpolation_plan
from vgan_plugin.hosts.live import Live
from vgan_plugin.timeline import Timeline, rounding_tolerance
from vgan_plugin.types import Frame, FrameGenerator


class LiveInterpolation(Live):
    """Another frame rate on the way; repairs nothing.

    Args:
        generator: see `Live`.
        factor: every step is divided into this many; or
        target_rate: frames a second of the output, exact.
        rate: see `Live`.
        timeline: see `Live`.
        min_confidence: see `Live`.
        say: see `Live`.

    Raises:
        UsageError: on the second frame, when not exactly one of factor and rate is given, or it is of no use.
    """

    def __init__(
        self,
        generator: FrameGenerator,
        *,
        factor: int | None = None,
        target_rate: Fraction | None = None,
        rate: Fraction | None = None,
        timeline: Timeline | None = None,
        min_confidence: float = 0.0,
        say: Say = lambda _: None,
    ) -> None:
        super().__init__(generator, rate=rate, timeline=timeline, min_confidence=min_confidence, say=say)
        self._factor, self._target_rate = factor, target_rate
        self._next = 0  # number of the next frame of a constant rate
        self._ready = False

    @property
    def _delay(self) -> int:
        """The detectors' look-ahead, and two frames after."""
        return self._sees + 2

    def _advance(self, *, ended: bool) -> Iterator[Item]:
        newest = self.frames_in - 1
        last = newest if ended else newest - self._sees - 1
        if last <= self._done or (newest < 1 and not ended):
            return
        timeline = self._timeline()
        if not self._ready:
            self._use(interpolation_plan(timeline, (), self._factor, self._target_rate))
            self._ready = True
        self._plan = self._engine.plan = replace(self._plan, frames=self.frames_in)
        if self._touched(last + 1):
            events = self._here(timeline)
            self._use(replace(self._plan, cuts=tuple(e.first for e in events if e.kind == "cut"), bad=frozenset()))
            self._note((event for event in events if event.kind == "cut"), last)
        for index in range(max(self._done, 0), last):  # the steps that lead to the frames decided now
            yield from self._step(index)
        if ended:
            yield from self._end(newest)
        self._forget(last)

    def _step(self, index: int) -> Iterator[Item]:
        """A frame and the frames of its step."""
        a, b = self._frames[index], self._frames[index + 1]
        cut = index + 1 in self._plan.cuts
        if self._factor is not None:
            yield from self._kept(a)
            for j in range(1, self._factor):
                pts = a.pts * self._factor + (b.pts - a.pts) * j
                yield from self._between(index, Fraction(j, self._factor), pts, cut=cut)
            return
        while (time := self._time()) < b.pts:
            if b.pts - time <= min(self._tolerance, time - a.pts):
                return  # it is the next frame's own
            self._next += 1
            if abs(time - a.pts) <= self._tolerance:
                yield from self._kept(a)
            else:
                position = (time - a.pts) / (b.pts - a.pts)
                yield from self._between(index, position, int(time * self._plan.scale), cut=cut)

    def _end(self, index: int) -> Iterator[Item]:
        frame = self._frames[index]
        if self._factor is not None or abs(self._time() - frame.pts) <= self._tolerance:
            yield from self._kept(frame)

    @property
    def _ticks(self) -> Fraction:
        """A step of the output in ticks of the source."""
        assert self._first is not None  # noqa: S101 - there are frames
        assert self._target_rate is not None  # noqa: S101 - asked for at a constant rate only
        return 1 / (self._target_rate * self._first.time_base)

    @property
    def _tolerance(self) -> Fraction:
        return rounding_tolerance(self._ticks)

    def _time(self) -> Fraction:
        """The next frame's time at a constant rate, in ticks of the source."""
        assert self._first is not None  # noqa: S101 - there are frames
        return self._first.pts + self._next * self._ticks

    def _kept(self, frame: Frame) -> Iterator[Item]:
        scale = self._plan.scale
        return self._keep_frame(replace(frame, pts=frame.pts * scale, time_base=self._plan.time_base))

    def _between(self, index: int, position: Fraction, pts: int, *, cut: bool) -> Iterator[Item]:
        if cut:
            target = Target(pts, index, None, (-position, Fraction(0)), why="rate", method="repeat")
        else:
            target = Target(pts, index, index + 1, (-position, 1 - position), why="rate")
        return self._make(target)
