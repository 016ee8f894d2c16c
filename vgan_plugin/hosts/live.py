"""Frames that go by once: find what is missing, make it, and pass everything on with a bounded delay.

What a file's two passes do in one. A frame waits until nothing that a detector may still say can change what becomes
of it: the detectors' look-ahead and the longest gap that is made. So what comes out is what `vgan fill` makes of the
same frames, as long as the rate is constant or the times are known beforehand.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from vgan_plugin.detect import resolve
from vgan_plugin.errors import InputUnsupported, PlanUnusable
from vgan_plugin.fill import Engine, Filled, Item, Line, Record, Say
from vgan_plugin.gaps import Event, GapPolicy, Plan, Target, Unrepaired
from vgan_plugin.hookspecs import PlanRequest
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.timeline import Grid, Timeline
from vgan_plugin.types import Frame, FrameGenerator

SHORTEST, LONGEST = 24, 240
"""Frames: a gap of the first many is always made, one of more than the second never, whatever one second holds."""
_FAST = 125
"""Frames a second from which on milliseconds are too coarse."""
_BEHIND = 2
"""Frames kept behind a chain's start, so that a gap finds both references of a prediction."""


def tick_for(rate: Fraction | None) -> Fraction:
    """Seconds a tick where a host keeps time finer than the file that it reads: in nanoseconds, or in floats.

    Matroska rounds to milliseconds. Only in ticks that coarse can be seen that 33, 33 and 34 of them are one rate.
    """
    return Fraction(1, 1_000_000) if rate is not None and rate > _FAST else Fraction(1, 1000)


class Live(ABC):
    """A stream on its way: `push` every frame, then `finish`; both give the frames that are ready by then.

    Args:
        generator: who makes frames. The caller opened it and closes it.
        rate: frames a second as the host declares them, a hint.
        timeline: the times of the whole stream, where a host knows them beforehand.
        min_confidence: a made frame less sure than this becomes a repeat, and is named.
        say: takes one line for people.

    Attributes:
        events: what was seen, in order, as far as it is certain. A host that runs for days may clear it.
        unrepaired: what was left as it is, and why. The same.
        frames_in: how many frames came.
        frames_out: how many left.
    """

    def __init__(
        self,
        generator: FrameGenerator,
        *,
        rate: Fraction | None = None,
        timeline: Timeline | None = None,
        min_confidence: float = 0.0,
        say: Say = lambda _: None,
    ) -> None:
        self._detectors = [kind() for kind in get_plugin_manager().detectors()]
        self._sees = max((detector.lookahead for detector in self._detectors), default=0)
        self._known, self._rate, self._say = timeline, rate, say
        self._frames: dict[int, Frame] = {}
        self._first: Frame | None = None
        self._told: list[Event] = []
        self._done = -1  # the last frame that all is decided about
        self._keep = generator.block + generator.lead + _BEHIND
        self._plan = Plan(Fraction(1, 25), 0, Fraction(1, 25))
        self._engine = Engine(self._plan, generator, self._frames.__getitem__, min_confidence=min_confidence, say=say)
        self._line = Line[Item](self._engine)
        self.events: list[Event] = []
        self.unrepaired: list[Unrepaired] = []
        self.frames_in = self.frames_out = 0
        self._numbered = 0  # frames that have left or stand in line
        self._last_out: int | None = None

    @property
    def latency(self) -> int:
        """How many frames later than its own a frame of the source leaves, at most."""
        return self._delay + self._line.longest

    @property
    @abstractmethod
    def _delay(self) -> int:
        """After how many further frames all is decided about a frame, at most."""

    @property
    def held(self) -> int:
        """How many frames of the source are kept at most."""
        return self.latency + self._keep + 1

    def push(self, frame: Frame) -> Iterator[Item]:
        """Take the next frame in presentation order; give what is certain by now. Exhaust the answer.

        Raises:
            InputUnsupported: the format, the size or the time base changes, or time does not go on.
        """
        if self._first is None:
            self._first = frame
        self._check(self._first, frame)
        index = self.frames_in
        self._frames[index] = frame
        self.frames_in += 1
        for detector in self._detectors:
            for event in detector.feed(index, frame):
                if event.last > self._done:
                    self._told.append(event)
                else:
                    self._say(f"{event.kind} at {float(event.time):.3f} s was seen too late: it is left as it is")
        yield from self._advance(ended=False)
        yield from self._leave()

    def finish(self) -> Iterator[Item]:
        """The stream has ended: give everything that is left. Exhaust the answer."""
        if not self.frames_in:
            return
        for detector in self._detectors:
            self._told.extend(detector.finish())
        yield from self._advance(ended=True)
        yield from self._leave(ended=True)

    def close(self) -> None:
        """The stream goes no further: drop what is being made. Before the generator is closed."""
        self._line.close()

    @abstractmethod
    def _advance(self, *, ended: bool) -> Iterator[Item]: ...

    def _check(self, first: Frame, frame: Frame) -> None:
        before = self._frames.get(self.frames_in - 1)
        wanted, found = ((f.width, f.height, f.format.name, f.time_base) for f in (first, frame))
        if found != wanted:
            raise InputUnsupported(
                f"The stream changes from {wanted[0]}x{wanted[1]} {wanted[2]} to {found[0]}x{found[1]} {found[2]}"
                if found[:3] != wanted[:3]
                else f"The stream's ticks change from {wanted[3]} to {found[3]} s",
                "a stream has one size, pixel format and time base",
                "begin a new one there, or scale it first",
            )
        if before is not None and frame.pts <= before.pts:
            raise InputUnsupported(
                f"Time does not go on: a frame at {before.pts} is followed by one at {frame.pts}",
                "frames come in the order in which they are shown",
                "sort them, or begin a new stream there",
            )

    def _timeline(self) -> Timeline:
        """The times of the frames at hand, on the grid of the whole stream as far as it is known."""
        oldest = min(self._frames)
        pts = tuple(frame.pts for frame in self._frames.values())
        first = self._first
        assert first is not None  # noqa: S101 - there are frames
        whole = self._known
        if whole is None:
            whole = Timeline((first.pts, *pts) if oldest else pts, first.time_base, self._rate)
        return _Window(pts, first.time_base, self._rate, whole)

    def _here(self, timeline: Timeline) -> list[Event]:
        """What was told about the frames at hand, counted from the oldest of them."""
        oldest = min(self._frames)
        return resolve(
            (
                replace(event, first=max(event.first - oldest, 0), last=event.last - oldest)
                for event in self._told
                if event.last >= oldest and (event.first >= oldest or event.kind not in ("missing", "cut"))
            ),
            timeline,
        )

    def _touched(self, last: int) -> bool:
        """Whether anything was told about the frames that are decided next."""
        return any(event.first <= last and event.last > self._done for event in self._told)

    def _use(self, plan: Plan) -> None:
        """Let the engine know what is good and where shots begin, by indices of the whole stream."""
        oldest = min(self._frames)
        self._plan = self._engine.plan = replace(
            plan,
            frames=self.frames_in,
            targets=(),
            events=(),
            unrepaired=(),
            pts=(),
            cuts=tuple(cut + oldest for cut in plan.cuts),
            bad=frozenset(index + oldest for index in plan.bad),
        )

    def _note(self, events: Iterable[Event], last: int) -> None:
        """Remember what has become certain, once."""
        oldest = min(self._frames)
        for event in events:
            if self._done < event.last + oldest <= last:
                self.events.append(replace(event, first=event.first + oldest, last=event.last + oldest))

    def _leave(self, *, ended: bool = False) -> Iterator[Item]:
        for item in self._line.leave(ended=ended):
            self.frames_out += 1
            yield item

    def _keep_frame(self, frame: Frame) -> Iterator[Item]:
        """A frame of the source leaves, as soon as those before it have."""
        self._next_out(frame.pts)
        self._line.put((frame, None))
        yield from self._leave()

    def _make(self, target: Target) -> Iterator[Item]:
        """A frame is made, and leaves."""
        index, times = self._next_out(target.pts), tuple(self._frames[i].pts for i, _ in target.references)

        def item(filled: Filled) -> Item:
            return filled.frame, Record(
                index=index,
                pts=target.pts,
                time_base=filled.frame.time_base,
                method=filled.method,
                references=times,
                offsets=tuple(offset for _, offset in target.references),
                confidence=filled.confidence,
                why=target.why,
                fallback=filled.fallback,
            )

        self._line.make(self._engine.order(target), item)
        yield from self._leave()

    def _next_out(self, pts: int) -> int:
        """Number of the next frame of the output, which lies there."""
        if self._last_out is not None and pts <= self._last_out:
            raise PlanUnusable(
                "The plan does not fit the stream", f"two frames lie at {pts}", "leave out the plugin that plans"
            )
        self._last_out, index = pts, self._numbered
        self._numbered += 1
        return index

    def _forget(self, last: int) -> None:
        """All is decided up to there: let go of what no later frame can be made from."""
        self._done = last
        oldest = last + 1 - self._keep
        for index in range(min(self._frames), min(oldest, self.frames_in - 1)):
            del self._frames[index]
        self._told = [event for event in self._told if event.last >= oldest]


@dataclass(frozen=True)
class _Window(Timeline):
    """A part of a stream whose cadence is that of the whole."""

    whole: Timeline | None = None

    @cached_property
    def grid(self) -> Grid | None:
        """The whole stream's grid."""
        return self.whole.grid if self.whole is not None else None

    @cached_property
    def period(self) -> Fraction:
        """The whole stream's period."""
        return self.whole.period if self.whole is not None else Fraction(1)


class LiveFill(Live):
    """Repair on the way: lost frames come back, repeated, blank and damaged ones are made anew.

    Args:
        generator: see `Live`.
        policy: what may be made. `at` is not for streams.
        rate: see `Live`.
        timeline: see `Live`.
        min_confidence: see `Live`.
        say: see `Live`.
    """

    def __init__(
        self,
        generator: FrameGenerator,
        *,
        policy: GapPolicy | None = None,
        rate: Fraction | None = None,
        timeline: Timeline | None = None,
        min_confidence: float = 0.0,
        say: Say = lambda _: None,
    ) -> None:
        super().__init__(generator, rate=rate, timeline=timeline, min_confidence=min_confidence, say=say)
        self._policy = policy or GapPolicy()
        self._limit = self._policy.max_gap and min(self._policy.max_gap, LONGEST)

    @property
    def _delay(self) -> int:
        """The detectors' look-ahead, the longest gap that is made, and the frame after it."""
        return self._sees + 1 + (self._limit or _one_second(1 / self._rate if self._rate else Fraction(1, 25)))

    def _advance(self, *, ended: bool) -> Iterator[Item]:
        if self._limit is None and (ended or self.frames_in > self._sees + SHORTEST):
            self._limit = _one_second(self._timeline().period_seconds)
        if self._limit is not None:  # a longer one is known for what it is as long as it lasts
            self._keep = max(self._keep, self._limit + _BEHIND)
        newest = self.frames_in - 1
        seen = newest if ended else newest - self._sees
        last = newest if ended else seen - 1 - (self._limit or LONGEST)
        if last <= self._done:
            return
        targets: list[Target] = []
        left_out: set[int] = set()
        if self._touched(last):
            timeline, oldest = self._timeline(), min(self._frames)
            events = self._here(timeline)
            policy = replace(self._policy, max_gap=self._limit, at=())
            plan = get_plugin_manager().plan_gaps(PlanRequest(timeline, tuple(events), policy))
            if plan.time_base != timeline.time_base or plan.scale != 1:
                raise PlanUnusable(
                    "The plan does not fit the stream", "its ticks are others", "leave out the plugin that plans"
                )
            self._use(plan)
            last = self._decided(events, last, seen)
            start = self._frames[self._done].pts if self._done >= 0 else None
            stop = None if ended else self._frames[last].pts
            targets = [
                _shifted(target, oldest)
                for target in plan.targets
                if (start is None or target.pts > start) and (stop is None or target.pts <= stop)
            ]
            left_out = {index + oldest for index in plan.dropped}
            left_out.update(target.replaces for target in targets if target.replaces is not None)
            self._note(plan.events, last)
            parts = [event for event in plan.events if event.boxes and self._done < event.last + oldest <= last]
            self.unrepaired += [Unrepaired(event, "parts of frames are mended in files only") for event in parts]
            for lost in plan.unrepaired:
                if self._done < lost.event.last + oldest <= last:
                    self.unrepaired.append(lost)
        yield from self._merge(range(self._done + 1, last + 1), deque(targets), left_out)
        self._forget(last)

    def _decided(self, events: list[Event], last: int, seen: int) -> int:
        """The last frame about which all is decided: `last`, or the end of the gap that begins before it.

        A gap whose end is not seen yet is longer than any that is made.
        """
        bad, oldest = self._plan.bad, min(self._frames)
        holes = {event.last + oldest for event in events if event.kind == "missing"}
        index = self._done + 1
        while index <= last:
            if index in bad or index in holes:
                while index in bad and index <= seen:
                    index += 1
                if index > seen:
                    return seen
            index += 1
        return index - 1

    def _merge(self, kept: Iterable[int], targets: deque[Target], left_out: set[int]) -> Iterator[Item]:
        for index in kept:
            frame = self._frames[index]
            while targets and targets[0].pts < frame.pts:
                yield from self._make(targets.popleft())
            if index not in left_out:
                yield from self._keep_frame(frame)
        while targets:
            yield from self._make(targets.popleft())


def stream(frames: Iterable[Frame], live: Live) -> Iterator[Item]:
    """A whole stream through a `Live`, as a loop: frames in, frames out."""
    for frame in frames:
        yield from live.push(frame)
    yield from live.finish()


def _one_second(period: Fraction) -> int:
    """The longest gap that is made unless somebody says otherwise, in frames."""
    return min(max(SHORTEST, math.ceil(1 / period)), LONGEST)


def _shifted(target: Target, by: int) -> Target:
    """A target with indices of the whole stream."""
    a, b, replaces = (None if i is None else i + by for i in (target.a, target.b, target.replaces))
    return replace(target, a=a, b=b, replaces=replaces)
