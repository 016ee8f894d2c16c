"""The baselines that stand beside a model in every run. One that is not installed is left out, with a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vgan_plugin.errors import ExtraMissing, UsageError
from vgan_plugin.evaluate import holes, motion
from vgan_plugin.evaluate.methods import Method, Model, Pairwise
from vgan_plugin.evaluate.sets import Picture, from_rgb8, rgb8
from vgan_plugin.pixels.planes import composite
from vgan_plugin.types import Frame, Mask, OpenRequest


class _Repeat(Model):
    """vgan's own fallback; for holes, what was seen there at the nearest time."""

    def __init__(self) -> None:
        super().__init__(OpenRequest(generator="repeat"), "repeat")

    def inpaint(self, frames: Sequence[Frame], masks: Sequence[Mask]) -> list[Frame] | None:
        """At the same place, without motion."""
        return holes.nearest(frames, masks)


class _Blend(Pairwise):
    """Both pictures, weighted by time; for holes, what was seen there before and after."""

    def __init__(self) -> None:
        super().__init__("blend", "1", _blend)

    def inpaint(self, frames: Sequence[Frame], masks: Sequence[Mask]) -> list[Frame] | None:
        """At the same place, without motion."""
        return holes.nearest(frames, masks, both=True)


def _blend(a: Picture, b: Picture, t: float) -> Picture:
    mixed: Picture = np.clip(a * (1.0 - t) + b * t + 0.5, 0, 255).astype(np.uint8)
    return mixed


class _Dis(Pairwise):
    """Motion by OpenCV's DIS; for holes, from the frame before and the one after, whose own are closed as by `_Repeat`
    first.
    """

    def __init__(self) -> None:
        super().__init__("dis", f"opencv {motion.opencv().__version__}", motion.between, motion.beyond)

    def inpaint(self, frames: Sequence[Frame], masks: Sequence[Mask]) -> list[Frame] | None:
        """Both neighbours moved to the middle between them; at the ends of the clip there is one, held still."""
        closed = holes.nearest(frames, masks)
        made = [closed[0]]
        for before, frame, mask, after in zip(closed, frames[1:], masks[1:], closed[2:], strict=False):
            picture = motion.between(rgb8(before), rgb8(after), 0.5)
            made.append(composite(from_rgb8(picture, frame.pts, frame), frame, mask))
        return [*made, closed[-1]]


class _Telea(Pairwise):
    """OpenCV's inpainting of each picture alone (Telea, "An image inpainting technique", 2004), for holes only."""

    def __init__(self) -> None:
        super().__init__("telea", f"opencv {motion.opencv().__version__}")

    def inpaint(self, frames: Sequence[Frame], masks: Sequence[Mask]) -> list[Frame] | None:
        """Within 3 pixels of the edge, from outside to inside."""
        cv2 = motion.opencv()
        made = []
        for frame, mask in zip(frames, masks, strict=True):
            picture = np.ascontiguousarray(rgb8(frame).transpose(1, 2, 0))
            filled = cv2.inpaint(picture, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA).transpose(2, 0, 1)
            made.append(composite(from_rgb8(filled, frame.pts, frame), frame, mask))
        return made


def _mci() -> Method:
    from vgan_plugin.evaluate.mci import Mci

    return Mci()


def _rife() -> Method:
    from vgan_plugin.evaluate.rife import open_rife

    return open_rife()


BASELINES: dict[str, Callable[[], Method]] = {
    "repeat": _Repeat,
    "blend": _Blend,
    "telea": _Telea,
    "dis": _Dis,
    "mci": _mci,
    "rife": _rife,
}
"""By name, in the order of tables."""


def open_baselines(names: Sequence[str], say: Callable[[str], None]) -> list[Method]:
    """The baselines of those names that can run here; the others are named.

    Raises:
        UsageError: there is no such baseline.
    """
    opened: list[Method] = []
    for name in names:
        if name not in BASELINES:
            raise UsageError(f"There is no baseline {name!r}", f"there are {', '.join(BASELINES)}", "name some of them")
        try:
            opened.append(BASELINES[name]())
        except ExtraMissing as error:
            say(f"{name} is left out: {error.why}; {error.do}")
    return opened
