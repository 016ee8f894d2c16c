"""The baselines that stand beside a model in every run. One that is not installed is left out, with a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vgan_plugin.errors import ExtraMissing, UsageError
from vgan_plugin.evaluate import holes, motion
from vgan_plugin.evaluate.methods import Method, Model, Pairwise
from vgan_plugin.types import Frame, Mask, OpenRequest


class _Plain(Model):
    """`repeat` or `blend`, which for holes look for the nearest times at which a pixel was seen."""

    def __init__(self, name: str) -> None:
        super().__init__(OpenRequest(generator=name), name)

    def inpaint(self, frames: Sequence[Frame], masks: Sequence[Mask]) -> list[Frame] | None:
        """At the same place, without motion."""
        return holes.nearest(frames, masks, both=self.name == "blend")


def _dis() -> Method:
    version = motion.opencv().__version__
    return Pairwise("dis", f"opencv {version}", motion.between, motion.beyond)


def _mci() -> Method:
    from vgan_plugin.evaluate.mci import Mci

    return Mci()


def _rife() -> Method:
    from vgan_plugin.evaluate.rife import open_rife

    return open_rife()


BASELINES: dict[str, Callable[[], Method]] = {
    "repeat": lambda: _Plain("repeat"),
    "blend": lambda: _Plain("blend"),
    "dis": _dis,
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
