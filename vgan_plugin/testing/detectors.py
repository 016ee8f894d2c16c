"""What the scan relies on in a `Detector`, a sentence each."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, get_args

import numpy as np

from vgan_plugin.detect import Detector
from vgan_plugin.gaps import Event
from vgan_plugin.gaps.values import Kind
from vgan_plugin.testing.scenes import digest, hold, moving
from vgan_plugin.types import Frame

_HELD = 64
"""Frames that a detector may hold beyond its lookahead; the longest clip would fit in no memory."""


class DetectorConformance:
    """Subclass it with a name that begins with ``Test``, and say which class is yours.

    Attributes:
        detector: the class, called without arguments.
    """

    detector: ClassVar[type[Detector] | None] = None

    def open(self) -> Detector:
        """A fresh detector."""
        if self.detector is None:
            hold(False, "say which detector: set `detector` to its class")
        assert self.detector is not None  # noqa: S101 for the type checker
        return self.detector()

    def test_it_says_how_far_it_looks_ahead(self) -> None:
        """A pipe waits so many frames."""
        ahead = self.open().lookahead
        hold(isinstance(ahead, int) and ahead >= 0, f"lookahead is {ahead!r}, not a number of frames")

    def test_an_event_is_of_a_known_kind_at_a_place_that_exists(self) -> None:
        """Indices, times, counts and scores fit the clip."""
        for name, frames in _broken().items():
            for event in _events(self.open(), frames):
                _fits(event, frames, name)

    def test_a_clip_with_nothing_wrong_has_no_fault(self) -> None:
        """Good frames are never touched, so they must not be named; cuts are no faults."""
        for form in ("yuv420p", "gray", "gbrp", "yuv422p10le"):
            faults = [event for event in _events(self.open(), moving(40, 50, 38, form)) if event.kind != "cut"]
            hold(not faults, f"in a clip with nothing wrong ({form}) it sees {faults[:1]}")

    def test_the_same_clip_gives_the_same_events_also_beside_another_one(self) -> None:
        """Each instance looks at a clip of its own."""
        for name, frames in _broken().items():
            first, second, beside = self.open(), self.open(), self.open()
            alone = _events(first, frames)
            together: list[Event] = []
            for i, frame in enumerate(frames):
                together += second.feed(i, frame)
                list(beside.feed(i, moving(1, seed=4, first=i)[0]))
            together += second.finish()
            hold(alone == together, f"other events for the same clip ({name}) beside another one")

    def test_no_clip_is_too_short(self) -> None:
        """None, one and two frames."""
        for n in range(3):
            try:
                _events(self.open(), moving(n))
            except Exception as error:  # noqa: BLE001 told
                hold(False, f"with {n} frames it raises {type(error).__name__}: {error}")

    def test_it_holds_few_frames_and_changes_none(self) -> None:
        """A film has hundreds of thousands."""
        detector = self.open()
        alive: list[weakref.ref[Frame]] = []
        for i in range(_HELD + detector.lookahead + 40):
            frame = moving(1, seed=i, first=i)[0]
            before = digest([frame])
            list(detector.feed(i, frame))
            hold(digest([frame]) == before, f"it changed frame {i}")
            alive.append(weakref.ref(frame))
            del frame
        held = sum(frame() is not None for frame in alive)
        allowed = _HELD + detector.lookahead
        hold(held <= allowed, f"it holds {held} frames: a clip as long as a film would fill the memory")

    def test_what_it_sees_is_told_within_its_lookahead(self) -> None:
        """An event comes no later than so many frames after its last one."""
        for name, frames in _broken().items():
            detector = self.open()
            for i, frame in enumerate(frames):
                for event in detector.feed(i, frame):
                    late = i - event.last - detector.lookahead
                    words = (
                        f"{event.kind} at frame {event.last} ({name}) is told {late} frames later than its lookahead"
                    )
                    hold(late <= 0, words)


def _events(detector: Detector, frames: Sequence[Frame]) -> list[Event]:
    found: list[Event] = []
    for i, frame in enumerate(frames):
        found += detector.feed(i, frame)
    return found + list(detector.finish())


def _broken() -> dict[str, list[Frame]]:
    """Clips with a fault each."""
    frames = moving(40)
    frozen = [replace(frame, planes=frames[min(i, 15)].planes) if i < 20 else frame for i, frame in enumerate(frames)]
    black = [np.full_like(plane, 16 if p == 0 else 128) for p, plane in enumerate(frames[0].planes)]
    blank = [replace(frame, planes=tuple(black)) if i in (12, 13) else frame for i, frame in enumerate(frames)]
    flagged = [replace(frame, corrupt=i in (9, 10)) for i, frame in enumerate(frames)]
    cut = frames[:20] + moving(20, seed=7, first=20)
    return {
        "two frames lost": [frame for i, frame in enumerate(frames) if i not in (15, 16)],
        "four frames frozen": frozen,
        "two frames black": blank,
        "two frames damaged": flagged,
        "a cut": cut,
    }


def _fits(event: Event, frames: Sequence[Frame], name: str) -> None:
    where = f"in the clip with {name}: {event!r}"
    hold(isinstance(event, Event), f"it gave a {type(event).__name__}, not an Event, {where}")
    hold(event.kind in get_args(Kind), f"{event.kind!r} is not among {get_args(Kind)}, {where}")
    good = 0 <= event.first <= event.last < len(frames)
    hold(good, f"frames {event.first} to {event.last} of {len(frames)} do not exist, {where}")
    hold(0 <= event.score <= 1, f"the score is {event.score}, not from 0 to 1, {where}")
    hold(bool(event.reason), f"it gives no reason in words, {where}")
    at = event.first_pts * frames[0].time_base
    hold(event.time == at, f"its time is {event.time} s, but first_pts says {at} s, {where}")
    if event.kind == "missing":
        hold(event.count > 0, f"a hole of {event.count} frames, {where}")
        inside = frames[event.first].pts < event.first_pts <= event.last_pts < frames[event.last].pts
        hold(inside, f"the hole does not lie between the frames around it, {where}")
        return
    for index, pts in ((event.first, event.first_pts), (event.last, event.last_pts)):
        hold(frames[index].pts == pts, f"frame {index} is at {frames[index].pts}, not at {pts}, {where}")
    wanted = 0 if event.kind == "cut" else event.last - event.first + 1
    hold(event.count == wanted, f"it counts {event.count} frames, there are {wanted}, {where}")
