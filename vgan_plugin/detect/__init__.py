"""Frames -> events: one file per kind of evidence.

All detectors work on the luma of a frame at about 160 columns (`look`), in one pass and bounded memory; each says how
many frames after a fault it may need. `docs/detection.md` tells how each verdict is reached and what it measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from vgan_plugin.detect.blanks import Blanks
from vgan_plugin.detect.cuts import Cuts
from vgan_plugin.detect.damage import Damage
from vgan_plugin.detect.repeats import Repeats
from vgan_plugin.detect.timestamps import TimeStamps
from vgan_plugin.gaps import Event
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame

__all__ = ["BUILTIN", "Blanks", "Cuts", "Damage", "Detector", "Repeats", "TimeStamps", "resolve", "scan"]


class Detector(Protocol):
    """Sees one kind of fault in a stream of frames. Made anew for each clip.

    Attributes:
        lookahead: how many frames after a fault it may need before it says so (a pipe's latency).
    """

    lookahead: int

    def feed(self, index: int, frame: Frame) -> Iterable[Event]:
        """Take the next frame in presentation order; give the events that are certain by now."""
        ...

    def finish(self) -> Iterable[Event]:
        """The stream has ended: give what is left."""
        ...


BUILTIN: tuple[type[Detector], ...] = (TimeStamps, Damage, Repeats, Blanks, Cuts)
"""What vgan itself looks for."""

_TRUST = ("corrupt", "blank", "frozen", "duplicate")
"""Of two kinds that claim a frame, the earlier one has it."""


def scan(
    frames: Iterable[Frame],
    detectors: Iterable[type[Detector]] = BUILTIN,
    rate: Fraction | None = None,
) -> tuple[Timeline, list[Event]]:
    """Look at a whole clip.

    Args:
        frames: the clip in presentation order; each is let go after the detectors have seen it.
        detectors: classes; each is made once. A stranger's comes guarded, see `plugins`.
        rate: frames a second as the container declares them, a hint for the timeline.

    Returns: the timeline, and the events in order of time, without contradictions.
    """
    pts: list[int] = []
    time_base = Fraction(1, 25)
    events: list[Event] = []
    live = [kind() for kind in detectors]
    for index, frame in enumerate(frames):
        pts.append(frame.pts)
        time_base = frame.time_base
        for detector in live:
            events.extend(detector.feed(index, frame))
    for detector in live:
        events.extend(detector.finish())
    timeline = Timeline(tuple(pts), time_base, rate)
    return timeline, resolve(events, timeline)


def resolve(events: Iterable[Event], timeline: Timeline) -> list[Event]:
    """Order events, put holes on the clip's grid, and settle what contradicts.

    A frame that two kinds claim belongs to the surer kind (corrupt, blank, frozen, duplicate); a frame that
    is not what it should be begins no shot; there is one hole between two frames, and one cut at a frame.
    """
    events = list(events)
    taken: dict[int, Event] = {}
    kept: list[Event] = []
    claims = [event for event in events if event.kind in _TRUST]
    for event in sorted(claims, key=lambda event: (_TRUST.index(event.kind), not event.boxes, event.first)):
        for part in _free(event, taken, timeline):
            kept.append(part)
            taken.update(dict.fromkeys(range(part.first, part.last + 1), part))
    holes = {event.first: event for event in events if event.kind == "missing"}
    kept += [_on_grid(event, timeline) for event in holes.values()]
    cuts = {event.first: event for event in events if event.kind == "cut"}
    kept += [event for first, event in cuts.items() if first not in taken]
    return sorted(kept, key=lambda event: (event.first_pts, event.kind))


def _free(event: Event, taken: dict[int, Event], timeline: Timeline) -> Sequence[Event]:
    """The parts of an event whose frames nobody has claimed."""
    free = [i for i in range(event.first, event.last + 1) if i not in taken]
    if len(free) == event.last - event.first + 1:
        return [event]
    runs: list[list[int]] = []
    for i in free:
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return [
        replace(
            event,
            first=run[0],
            last=run[-1],
            first_pts=timeline.pts[run[0]],
            last_pts=timeline.pts[run[-1]],
            time=timeline.time(run[0]),
            count=len(run),
        )
        for run in runs
    ]


def _on_grid(event: Event, timeline: Timeline) -> Event:
    """A hole with the times that the whole clip's cadence gives its frames."""
    times = timeline.between(event.first, event.count)
    return replace(event, first_pts=times[0], last_pts=times[-1], time=times[0] * timeline.time_base)
