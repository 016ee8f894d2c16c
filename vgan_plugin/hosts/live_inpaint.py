"""Holes in frames that go by once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from vgan_plugin.errors import MaskUnusable
from vgan_plugin.fill import Inpainter, Item, Say, Scene
from vgan_plugin.fill.background import around
from vgan_plugin.hosts.live import Live
from vgan_plugin.hosts.masks import Holes, pictures_in, survey
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import FrameGenerator, Mask


class LiveInpaint(Live):
    """Make the masked pixels anew on the way; repairs nothing else.

    Args:
        generator: see `Live`.
        masks: where the holes are.
        period: one source-frame period in seconds.
        later: look into later frames, too; else only into the past.
        rate: see `Live`.
        timeline: see `Live`.
        min_confidence: see `Live`.
        say: see `Live`.
    """

    def __init__(
        self,
        generator: FrameGenerator,
        masks: StreamMasks,
        period: Fraction,
        *,
        later: bool = True,
        rate: Fraction | None = None,
        timeline: Timeline | None = None,
        min_confidence: float = 0.0,
        say: Say = lambda _: None,
    ) -> None:
        super().__init__(generator, rate=rate, timeline=timeline, min_confidence=min_confidence, say=say)
        self._masks = masks
        self._inpainter: Inpainter | None = None
        if masks.area is not None:
            scene = Scene(period, around(masks.area), later=later)
            self._inpainter = Inpainter(scene, masks.mask, generator, min_confidence=min_confidence, say=say)

    @property
    def _delay(self) -> int:
        """The detectors' look-ahead, for cuts, and how far the search for what is hidden looks into the future."""
        return self._sees + (self._inpainter.latency if self._inpainter is not None else 0)

    def _advance(self, *, ended: bool) -> Iterator[Item]:
        newest = self.frames_in - 1
        last = newest if ended else newest - self._sees
        if last > self._done:
            cuts: set[int] = set()
            if self._touched(last):
                events, oldest = self._here(self._timeline()), min(self._frames)
                cuts = {event.first + oldest for event in events if event.kind == "cut"}
                self._note((event for event in events if event.kind == "cut"), last)
            for index in range(self._done + 1, last + 1):
                frame = self._frames[index]
                if self._inpainter is None:
                    yield self._pass((frame, None))
                    continue
                if index in cuts:
                    self._inpainter.cut(index)
                for item in self._inpainter.push(frame):
                    yield self._pass(item)
            self._forget(last)
        if ended:
            if self._inpainter is not None:
                for item in self._inpainter.finish():
                    yield self._pass(item)
            self._masks.end(self.frames_in)

    def _pass(self, item: Item) -> Item:
        self.frames_out += 1
        return item


class StreamMasks:
    """The masks of a stream whose length nobody knows: one picture or boxes hold for all frames, else one a frame.

    Args:
        holes: where they come from.
        times: time of source frame i in seconds.
        timeline: the times of the whole stream, where they are known.
        size: (height, width) of the frames.

    Attributes:
        area: (H, W), the pixels that are masked in any frame; None = none is.

    Raises:
        MaskUnusable: they do not fit, or hide everything.
        InputError: they cannot be read.
    """

    def __init__(
        self, holes: Holes, times: Callable[[int], Fraction], timeline: Timeline | None, size: tuple[int, int]
    ) -> None:
        height, width = size
        holes.check(width, height)
        self._holes, self._times = holes, times
        self._count = len(timeline) if timeline is not None else pictures_in(holes)
        self._always: Mask | None = None
        self._last: Mask | None = None
        if timeline is None and self._count == 1:
            free = replace(holes, start=None, end=None)
            self._always = self.area = next(free.read(Timeline((0,), Fraction(1, 25)), width, height))
            all_of_it = self.area is not None and bool(self.area.all()) and holes.start is None and holes.end is None
        else:
            line = timeline or Timeline(tuple(range(self._count)), times(1) - times(0))
            seen = survey(holes, line, width, height)
            self.area, all_of_it = seen.area, seen.whole == self._count
            self._each = holes.read(line, width, height)
        if all_of_it:
            raise MaskUnusable(
                "The mask hides every pixel of every frame",
                "nothing is left that the rest could be made from",
                "mask less, or make a video from noise with `vgan synthesize`",
            )

    def mask(self, index: int) -> Mask | None:
        """The mask of source frame `index`; asked in order.

        Raises:
            MaskUnusable: there are fewer masks than frames.
        """
        if self._always is not None:
            time, holes = self._times(index), self._holes
            inside = (holes.start is None or time >= holes.start) and (holes.end is None or time < holes.end)
            return self._always if inside else None
        if index < self._count or not self._holes.fit:
            for mask in self._each:
                self._last = mask
                return mask
            raise self._other(f"more than {self._count} frames come")
        return self._last

    def end(self, frames: int) -> None:
        """The stream has ended.

        Raises:
            MaskUnusable: there are more masks than frames.
        """
        if self._always is None and self.area is not None and frames < self._count and not self._holes.fit:
            raise self._other(f"{frames} frames came")

    def _other(self, why: str) -> MaskUnusable:
        return MaskUnusable(
            f"There are {self._count} masks",
            why,
            "give as many, or say --fit to hold the last one or leave out the rest",
        )
