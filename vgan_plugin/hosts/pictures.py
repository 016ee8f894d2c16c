"""Small pictures of the frames somebody should look at, taken while a run makes them, in bounded memory."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from vgan_plugin.fill import Record
from vgan_plugin.gaps import Plan, Target
from vgan_plugin.media.thumbnails import jpeg
from vgan_plugin.types import Frame

_TOLD_ENOUGH = ("duplicate", "frozen", "blank")
"""What stood in the place of these targets is the frame before again, or no picture."""
_BEHIND = 256
"""Source frames that may go by before one of them is made: more than anybody looks ahead."""


@dataclass(frozen=True, eq=False)
class Strip:
    """A made frame between its neighbours, each a JPEG file.

    Attributes:
        number: which made frame of the run, from 0.
        made: the frame itself.
        before: the nearest source frame before it that it was made from, or None.
        after: the same after it.
        was: what stood in its place, where that is a picture, or None.
    """

    number: int
    made: bytes
    before: bytes | None = None
    after: bytes | None = None
    was: bytes | None = None


class Pictures(ABC):
    """Takes pictures of the `most` least sure frames of a run. What is held of others is for the subclasses to say.

    Args:
        most: how many made frames are shown.
        aspect: sample aspect ratio of the frames; None = square.
        rotation: degrees by which players turn them.
    """

    def __init__(self, most: int, *, aspect: Fraction | None = None, rotation: int = 0) -> None:
        self._most, self._aspect, self._rotation = most, aspect, rotation
        self._least_sure: list[tuple[float, int, Strip]] = []  # a heap, the surest of them on top
        self._made = 0

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The source frames on their way to the engine, in order from the first."""
        for index, frame in enumerate(frames):
            self._see(index, frame)
            yield frame

    def add(self, frame: Frame, record: Record) -> None:
        """Take note of the next made frame."""
        order = (-record.confidence, -self._made)
        if len(self._least_sure) < self._most:
            heapq.heappush(self._least_sure, (*order, self._strip(frame, record)))
        elif self._most and order > self._least_sure[0][:2]:
            heapq.heapreplace(self._least_sure, (*order, self._strip(frame, record)))
        self._made += 1
        self._pass(record)

    @property
    def strips(self) -> list[Strip]:
        """The strips in order of time."""
        return sorted((strip for *_, strip in self._least_sure), key=lambda strip: strip.number)

    def _strip(self, frame: Frame, record: Record) -> Strip:
        return Strip(self._made, self._jpeg(frame), **self._beside(record))

    def _jpeg(self, frame: Frame) -> bytes:
        return jpeg(frame, aspect=self._aspect, rotation=self._rotation)

    @abstractmethod
    def _see(self, index: int, frame: Frame) -> None:
        """A source frame goes by."""

    @abstractmethod
    def _beside(self, record: Record) -> dict[str, bytes | None]:
        """What a strip shows beside the made frame."""

    @abstractmethod
    def _pass(self, record: Record) -> None:
        """A frame was made, and what only it needed can go."""


class PlannedPictures(Pictures):
    """Of the targets of a plan, each between the neighbours that it was made from.

    Of source frames it holds on to what the engine holds, and to a JPEG of each frame that is replaced and not yet
    made.

    Args:
        plan: what will be made, in its order.
        most: see `Pictures`.
        aspect: see `Pictures`.
        rotation: see `Pictures`.
    """

    def __init__(self, plan: Plan, most: int, *, aspect: Fraction | None = None, rotation: int = 0) -> None:
        super().__init__(most, aspect=aspect, rotation=rotation)
        self._targets = deque(plan.targets)
        self._wanted = Counter(index for target in plan.targets for index in _neighbours(target) if index is not None)
        self._replaced = {target.replaces for target in plan.targets if target.why not in _TOLD_ENOUGH} - {None}
        self._sources: dict[int, Frame | bytes] = {}
        self._was: dict[int | None, bytes] = {}

    def _see(self, index: int, frame: Frame) -> None:
        if index in self._replaced:
            self._was[index] = self._jpeg(frame)
        if index in self._wanted:
            self._sources[index] = frame

    def _beside(self, record: Record) -> dict[str, bytes | None]:  # noqa: ARG002 the plan knows more
        target = self._targets[0]
        before, after = (None if index is None else self._source(index) for index in _neighbours(target))
        return {"before": before, "after": after, "was": self._was.get(target.replaces)}

    def _pass(self, record: Record) -> None:  # noqa: ARG002
        target = self._targets.popleft()
        self._was.pop(target.replaces, None)
        for index in _neighbours(target):
            if index is not None:
                self._wanted[index] -= 1
                if not self._wanted[index]:
                    del self._wanted[index]
                    self._sources.pop(index, None)

    def _source(self, index: int) -> bytes | None:
        found = self._sources.get(index)
        if isinstance(found, Frame):
            found = self._sources[index] = self._jpeg(found)  # its planes can go, and the next target has it ready
        return found


class PicturesOnTheWay(Pictures):
    """Of frames made on the way, each between the neighbours that it was made from: strips as of a plan's targets.

    It holds on to the last source frames, no more than whoever makes frames of them holds anyway.

    Args:
        most: see `Pictures`.
        held: how many source frames those are.
        aspect: see `Pictures`.
    """

    def __init__(self, most: int, held: Callable[[], int], *, aspect: Fraction | None = None) -> None:
        super().__init__(most, aspect=aspect)
        self._held = held
        self._sources: dict[int, Frame] = {}

    def _see(self, index: int, frame: Frame) -> None:  # noqa: ARG002 the time says it
        self._sources[frame.pts] = frame
        while len(self._sources) > self._held():
            del self._sources[next(iter(self._sources))]

    def _beside(self, record: Record) -> dict[str, bytes | None]:
        before, after = _nearest(zip(record.references, record.offsets, strict=True))
        was = None
        if record.why not in _TOLD_ENOUGH:
            was = next((frame for frame in self._sources.values() if frame.time == record.time), None)
        frames = {"before": self._source(before), "after": self._source(after), "was": was}
        return {name: None if frame is None else self._jpeg(frame) for name, frame in frames.items()}

    def _pass(self, record: Record) -> None:
        """Frames go by themselves."""

    def _source(self, pts: int | None) -> Frame | None:
        return None if pts is None else self._sources.get(pts)


class PicturesInPlace(Pictures):
    """Of frames made in the place of source frames, parts of them hidden: each beside what was there. Alone, where no
    source is.

    It holds JPEGs of the last `_BEHIND` source frames.
    """

    def __init__(self, most: int, *, aspect: Fraction | None = None, rotation: int = 0) -> None:
        super().__init__(most, aspect=aspect, rotation=rotation)
        self._was: OrderedDict[Fraction, bytes] = OrderedDict()

    def _see(self, index: int, frame: Frame) -> None:  # noqa: ARG002 the time says it
        self._was[frame.time] = self._jpeg(frame)
        while len(self._was) > _BEHIND:
            self._was.popitem(last=False)

    def _beside(self, record: Record) -> dict[str, bytes | None]:
        return {"was": self._was.get(record.time)}

    def _pass(self, record: Record) -> None:
        while self._was and next(iter(self._was)) <= record.time:
            self._was.popitem(last=False)


def _neighbours(target: Target) -> tuple[int | None, int | None]:
    """Source indices of the references nearest in time before and after a target."""
    return _nearest(target.references)


def _nearest(references: Iterable[tuple[int, Fraction]]) -> tuple[int | None, int | None]:
    """Of (reference, offset) the nearest one before and after."""
    known = list(references)
    before = [(offset, reference) for reference, offset in known if offset <= 0]
    after = [(offset, reference) for reference, offset in known if offset > 0]
    return max(before)[1] if before else None, min(after)[1] if after else None
