"""A video from a seed: each frame from the two before it and the memory of all, the first from noise or given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from vgan_plugin.fill.stream import Record
from vgan_plugin.types import Frame, Made, Reference, RenderRequest, Synthesizer

_BEFORE = (Fraction(-2), Fraction(-1))


def synthesize(
    generator: Synthesizer, like: Frame, count: int, seed: int, first: Frame | None = None
) -> Iterator[tuple[Frame, Record | None]]:
    """Frames one tick apart, from 0.

    The same seed, size and first frame give the same bytes, on one kind of device. Each frame is asked for with `seed`,
    and its own time: the noise is new for each.

    Args:
        generator: who makes them.
        like: a frame of the wanted format, colour, size and time base; its samples mean nothing.
        count: how many.
        seed: which video.
        first: the first frame, which leaves as it came; None = made from noise alone.
    """
    state = generator.seed(seed, like)
    seen: list[Reference] = []
    for k in range(count):
        record = None
        if k == 0 and first is not None:
            frame = replace(first, pts=0, time_base=like.time_base)
        else:
            a, b = seen if len(seen) == 2 else (None, seen[0] if seen else None)
            made: Made = generator.render(RenderRequest(a, b, state, _BEFORE, like, k, like.time_base, seed=seed))
            frame = made.frame
            pairs = [(ref.frame.pts, offset) for ref, offset in zip((a, b), _BEFORE, strict=True) if ref is not None]
            record = Record(
                index=k,
                pts=k,
                time_base=like.time_base,
                method=generator.info.name,
                references=tuple(pts for pts, _ in pairs),
                offsets=tuple(offset for _, offset in pairs),
                confidence=made.confidence,
                why="seed",
            )
        yield frame, record
        now = Reference(frame, generator.encode(frame))
        before = seen[-1].features if seen else None
        state = generator.remember(now.features, before, Fraction(int(bool(seen))), state)
        seen = [*seen, now][-2:]
