"""Frames the decoder flagged: `corrupt`."""

from __future__ import annotations

from collections.abc import Iterable

from vgan_plugin.gaps import Event
from vgan_plugin.types import Frame


class Damage:
    """Makes one event of every run of flagged frames."""

    lookahead = 1

    def __init__(self) -> None:
        self._run: list[tuple[int, Frame]] = []

    def feed(self, index: int, frame: Frame) -> Iterable[Event]:
        """Take the next frame; a good one ends a run."""
        if frame.corrupt:
            self._run = [*self._run[:1], (index, frame)]
            return []
        return self.finish()

    def finish(self) -> Iterable[Event]:
        """End the run at the end of the stream."""
        if not self._run:
            return []
        (first, start), (last, stop) = self._run[0], self._run[-1]
        self._run = []
        count = last - first + 1
        return [
            Event(
                "corrupt", first, last, start.pts, stop.pts, start.time, count, 1.0, "the decoder flagged it as damaged"
            )
        ]
