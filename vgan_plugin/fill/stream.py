"""One sequential pass: source frames in, kept and made frames out, in order of presentation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from vgan_plugin.errors import PlanUnusable
from vgan_plugin.fill.engine import Engine, Filled, Say, references
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


def fill_stream(
    frames: Iterable[Frame],
    plan: Plan,
    generator: FrameGenerator,
    *,
    min_confidence: float = 0.0,
    say: Say = lambda _: None,
) -> Iterator[tuple[Frame, Record | None]]:
    """The whole product in one loop: source frames in, output frames out, in order of presentation.

    Kept frames leave with their own planes (the same arrays) and their time in the plan's ticks; made ones come with
    a record. Only frames that a later target needs, or that wait for one before them, are held.

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
    out = seen = 0
    last: int | None = None

    def ready(latest: int, ended: bool) -> Iterator[tuple[Frame, Record | None]]:
        nonlocal out, last
        while kept or targets:
            target = targets[0] if targets else None
            if target is not None and (not kept or target.pts < kept[0].pts):
                if engine.latest(target) >= seen or (target.pts > latest and not ended):
                    return
                filled = engine.make(targets.popleft())
                item: tuple[Frame, Record | None] = filled.frame, _record(filled, out, plan, times)
            else:
                item = kept.popleft(), None
            if last is not None and item[0].pts <= last:
                raise _misfit(f"two frames of the output lie at {item[0].pts}")
            out, last = out + 1, item[0].pts
            yield item

    wanted = {index for target in plan.targets for index in references(target)}
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


def _record(filled: Filled, index: int, plan: Plan, times: dict[int, int]) -> Record:
    target = filled.target
    return Record(
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
