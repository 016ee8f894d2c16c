"""Frames -> events: one file per kind of evidence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from vgan_plugin.gaps import Event
from vgan_plugin.types import Frame


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
