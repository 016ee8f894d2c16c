"""One sequential pass: source frames in, kept and made frames out, in order of presentation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from vgan_plugin.errors import PlanUnusable
from vgan_plugin.fill.engine import Engine, Filled, Say, references
from vgan_plugin.fill.lanes import Line
from vgan_plugin.gaps import Plan
from vgan_plugin.types import Frame, FrameGenerator


@dataclass(frozen=True, slots=True)
class Record:
    """One made frame as the report names it.

    Attributes:
        index: its place in the output, from 0.
        pts: its time in ticks of `time_base`.
        time_base: seconds a tick of the output.
        method: who made it.
        references: times of the source frames it was made from, in ticks of the source.
        offsets: their times minus its own, in source-frame periods.
        confidence: 0..1, mean over the made pixels.
        why: kind of the event it repairs, ``at`` (asked for by index), or ``rate``.
        fallback: why a fallback made it; empty otherwise.
    """

    index: int
    pts: int
    time_base: Fraction
    method: str
    references: tuple[int, ...]
    offsets: tuple[Fraction, ...]
    confidence: float
    why: str
    fallback: str = ""

    @property
    def time(self) -> Fraction:
        """When it is shown, in seconds, exact."""
        return self.pts * self.time_base


Item = tuple[Frame, Record | None]
"""A frame of the output, and how it was made; None: it is the source's own."""


def fill_stream(
    frames: Iterable[Frame],
    plan: Plan,
    generator: FrameGenerator,
    *,
    min_confidence: float = 0.0,
    say: Say = lambda _: None,
) -> Iterator[Item]:
    """The whole product in one loop: source frames in, output frames out, in order of presentation.

    Kept frames leave with their own planes (the same arrays) and their time in the plan's ticks; made ones come with
    a record. Only frames that a later target needs, or that wait for one before them, are held. What the generator can
    make at once (`Concurrent`) is made at once, and comes out in order all the same.

    Args:
        frames: every source frame in presentation order.
        plan: what to make.
        generator: who makes it.
        min_confidence: see `Engine`.
        say: see `Engine`.

    Raises:
        PlanUnusable: the frames are more or fewer than the plan's.
    """
    engine = Engine(plan, generator, min_confidence=min_confidence, say=say)
    left_out = plan.dropped | {target.replaces for target in plan.targets}
    kept: deque[Frame] = deque()
    targets = deque(plan.targets)
    times: dict[int, int] = {}  # pts of frames that targets still refer to
    seen = out = 0
    last: int | None = None

    def ready(latest: int, ended: bool) -> Iterator[Item]:
        nonlocal last, out
        while kept or targets:
            target = targets[0] if targets else None
            made = target is not None and (not kept or target.pts < kept[0].pts)
            if made and (engine.latest(targets[0]) >= seen or (targets[0].pts > latest and not ended)):
                return
            pts = targets[0].pts if made else kept[0].pts
            if last is not None and pts <= last:
                raise _misfit(f"two frames of the output lie at {pts}")
            if made:
                line.make(engine.order(targets.popleft()), partial(_item, index=out, plan=plan, times=times))
            else:
                line.put((kept.popleft(), None))
            out, last = out + 1, pts
            yield from line.leave()

    wanted = {index for target in plan.targets for index in references(target)}
    with Line[Item](engine) as line:
        for index, frame in enumerate(frames):
            if frame.time_base != plan.time_base * plan.scale:
                raise _misfit(f"its ticks are not those of the video ({frame.time_base} s)")
            pts = frame.pts * plan.scale
            engine.observe(index, frame)
            seen = index + 1
            if index in wanted:
                times[index] = frame.pts
            if index not in left_out:
                kept.append(replace(frame, pts=pts, time_base=plan.time_base))
            yield from ready(pts, ended=False)
        if seen != plan.frames:
            raise _misfit(f"it has {plan.frames} frames, the video {seen}")
        yield from ready(0, ended=True)
        yield from line.leave(ended=True)


def _item(filled: Filled, index: int, plan: Plan, times: dict[int, int]) -> Item:
    target = filled.target
    return filled.frame, Record(
        index=index,
        pts=target.pts,
        time_base=plan.time_base,
        method=filled.method,
        references=tuple(times[i] for i, _ in target.references),
        offsets=tuple(offset for _, offset in target.references),
        confidence=filled.confidence,
        why=target.why,
        fallback=filled.fallback,
    )


def _misfit(why: str) -> PlanUnusable:
    return PlanUnusable("The plan does not fit the video", why, "scan the video again")
