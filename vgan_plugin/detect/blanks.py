"""Uniform pictures for a few frames: `blank`. Fades, and black that is held between shots, are none."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from vgan_plugin.detect.cuts import FLASH, another_shot
from vgan_plugin.detect.look import Look, change, look
from vgan_plugin.gaps import Event
from vgan_plugin.types import Frame

LEAST = 4.0
"""Mean change in levels from the shot to the uniform picture."""
ABRUPT = 0.6
"""Share of that change which the last picture must have, compared to one a few frames away: a fade comes closer."""
AWAY = 3
BETWEEN = 3
"""Frames of it between two shots that are a mistake; more are meant."""


class Blanks:
    """Finds black, white or otherwise uniform flashes inside a shot or at a cut."""

    lookahead = FLASH + AWAY

    def __init__(self) -> None:
        self._before: deque[Look] = deque(maxlen=AWAY)
        self._run: list[tuple[int, Frame]] = []  # its first and last frame
        self._after: list[Look] = []

    def feed(self, index: int, frame: Frame) -> Iterable[Event]:
        """Take the next frame; the verdict falls a few frames after the flash."""
        now = look(frame)
        events: list[Event] = []
        if self._after and now.flat:
            events += self._verdict()
        if now.flat:
            self._run = [*self._run[:1], (index, frame)]
            return events
        if self._run:
            self._after.append(now)
            if len(self._after) < AWAY:
                return events
            return self._verdict()
        self._before.append(now)
        return events

    def finish(self) -> Iterable[Event]:
        """A flash that the end cuts off is an ending."""
        return self._verdict()

    def _verdict(self) -> list[Event]:
        before, run, after = list(self._before), self._run, self._after
        self._before.extend(after)
        self._run, self._after = [], []
        if not (before and run and after):
            return []
        (first, start), (last, stop) = run[0], run[-1]
        count = last - first + 1
        if count > FLASH:
            return []
        flat, end = look(start), look(stop)
        edges = (
            (change(before[-1], flat).mean, change(before[0], flat).mean),
            (
                change(after[0], end).mean,
                change(after[-1], end).mean,
            ),
        )
        abrupt = all(near >= max(LEAST, ABRUPT * far) for near, far in edges)
        inside = not another_shot(before[-1], after[0])
        if not abrupt or not (inside or count <= BETWEEN):
            return []
        shade = "black" if flat.mean < 40 else "white" if flat.mean > 215 else "uniform"
        reason = f"{shade} for {count} frame{'s' if count > 1 else ''} {'inside a shot' if inside else 'at a cut'}"
        score = round((1 if inside else 0.8) - flat.spread / 40, 3)
        return [Event("blank", first, last, start.pts, stop.pts, start.time, count, score, reason)]
