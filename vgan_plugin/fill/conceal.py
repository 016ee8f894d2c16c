"""Live, without looking ahead: a frame that does not come in time is predicted from those before it."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from vgan_plugin.errors import UsageError
from vgan_plugin.fill.engine import Engine, Filled, Say
from vgan_plugin.gaps import Plan, Target
from vgan_plugin.types import Frame, FrameGenerator


class Concealer:
    """Good frames go in as they come; what is late is made from the past alone, at once.

    A stream that is concealed is not what `vgan fill` makes of the same frames, which looks to both sides: records of
    such frames say ``late``.

    Args:
        generator: who makes them. The caller opened it and closes it.
        period: one frame period of the stream in seconds.
        min_confidence: see `Engine`.
        say: see `Engine`.
    """

    def __init__(
        self,
        generator: FrameGenerator,
        period: Fraction,
        *,
        min_confidence: float = 0.0,
        say: Say = lambda _: None,
    ) -> None:
        self._frames: dict[int, Frame] = {}
        self._count = self._shot = 0
        self._keep = generator.block + generator.lead + 2
        self._plan = Plan(Fraction(1, 25), 0, period)
        self._engine = Engine(self._plan, generator, self._frames.__getitem__, min_confidence=min_confidence, say=say)

    def push(self, frame: Frame, *, cut: bool = False) -> None:
        """Take a good frame; `cut`: it begins a new shot."""
        if cut:
            self._shot = self._count
            self._engine.plan = Plan(frame.time_base, 0, self._plan.period, cuts=(self._count,))
        elif not self._count:
            self._engine.plan = Plan(frame.time_base, 0, self._plan.period)
        self._frames[self._count] = frame
        self._count += 1
        self._frames.pop(self._count - 1 - self._keep, None)

    def conceal(self, pts: int) -> Filled:
        """The frame at `pts`, in ticks of the stream's frames, as the last two good ones of the shot predict it.

        Several in a row are asked for one after the other: none is made from another. After a single frame it is that
        frame again.

        Raises:
            UsageError: no frame has come yet, or `pts` is not after the last one.
        """
        last = self._count - 1
        if last < 0 or pts <= self._frames[last].pts:
            raise UsageError(f"No frame at {pts} can be predicted", "no frame lies before it", "give one first")
        alone = last == self._shot
        a, b = (last, None) if alone else (last - 1, last)
        base = self._frames[last].time_base
        before, after = (
            Fraction(0) if i is None else (self._frames[i].pts - pts) * base / self._plan.period for i in (a, b)
        )
        method: Literal["generator", "repeat"] = "repeat" if alone else "generator"
        return self._engine.make(Target(pts, a, b, (before, after), why="late", method=method))
