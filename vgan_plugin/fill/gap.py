"""The host's stateless call: one gap, given as frames."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from vgan_plugin.errors import UsageError
from vgan_plugin.fill.background import around
from vgan_plugin.fill.engine import Engine
from vgan_plugin.fill.inpaint import REACH, Inpainter, Scene, inpaint_stream
from vgan_plugin.gaps import Plan, Target
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.types import Fill, FillRequest, Frame, FrameGenerator, Mask, OpenRequest


def fill_gap(request: FillRequest, generator: FrameGenerator) -> Fill:
    """Fill one gap, given as frames: the same bytes as `fill_stream` when `before` starts where the chain does.

    Args:
        request: see `FillRequest`; of `before`, the last block + lead - 1 frames count.
        generator: who makes the frames.

    Raises:
        UsageError: the request has no frame to work from, or masks or known parts that do not match its times.
    """
    for name, items in (("masks", request.masks), ("known", request.known)):
        if items and len(items) != len(request.times):
            raise UsageError(
                f"The request has {len(items)} {name} for {len(request.times)} times", "each wants one", "match them"
            )
    window = generator.block + generator.lead - 1
    before = request.before[-window:] if window > 0 else request.before[-2:]
    frames = before + request.after[:2]
    if not frames and not any(known is not None for known in request.known):
        raise UsageError("The request has no frames", "a gap is filled from its neighbours", "give before or after")
    notes: list[str] = []
    if request.known and any(known is not None for known in request.known):
        return _mended(request, generator)
    if generator.block and len(before) < generator.lead:
        notes.append(f"lead-in of {len(before)} frames: {generator.lead} or more let the memory settle")
    first = len(before) - 1 if before and request.after else max(0, len(before) - 2)
    pair = (first, first + 1) if first + 1 < len(frames) else (first, None)
    base = _fine_enough(frames[0].time_base, request.times)
    targets = tuple(_target(time, pair, frames, request.period, base) for time in request.times)
    plan = Plan(base, len(frames), request.period, targets=targets)
    engine = Engine(plan, generator, frames.__getitem__, say=notes.append, block=generator.block and len(frames))
    none = (None,) * len(targets)
    made = [
        engine.make(target, known, mask, request.seed)
        for target, known, mask in zip(targets, request.known or none, request.masks or none, strict=True)
    ]
    methods = dict.fromkeys(filled.method for filled in made)
    return Fill(
        tuple(filled.frame for filled in made),
        tuple(filled.confidence for filled in made),
        ", ".join(methods) or generator.info.name,
        tuple(notes),
    )


def _mended(request: FillRequest, generator: FrameGenerator) -> Fill:
    """The frames of which parts are known, between good ones: what others show is found, the rest is made."""
    notes: list[str] = []
    parts = list(zip(request.times, request.known, request.masks or (None,) * len(request.times), strict=True))
    like = next(frame for frame in (*request.known, *request.before, *request.after) if frame is not None)
    base = _fine_enough(like.time_base, (*request.times, *(f.time for f in (*request.before, *request.after))))
    whole = np.ones((like.height, like.width), np.bool_)
    masks: dict[int, Mask] = {}
    frames: list[Frame] = []
    for time, known, mask in sorted(
        [(frame.time, frame, whole & False) for frame in (*request.before[-REACH:], *request.after[:REACH])]
        + [(time, known or like, whole if known is None or mask is None else mask) for time, known, mask in parts],
        key=lambda part: part[0],
    ):
        masks[len(frames)] = mask
        frames.append(replace(known, pts=int(time / base), time_base=base))
    scene = Scene(request.period, around(np.logical_or.reduce(list(masks.values()))))
    inpainter = Inpainter(scene, masks.get, generator, seed=request.seed, say=notes.append)
    made = {frame.time: (frame, record) for frame, record in inpaint_stream(frames, inpainter) if record is not None}
    wanted = [made[time] if time in made else (replace(known or like, corrupt=False), None) for time, known, _ in parts]
    methods = dict.fromkeys(record.method for _, record in wanted if record is not None)
    return Fill(
        tuple(frame for frame, _ in wanted),
        tuple(1.0 if record is None else record.confidence for _, record in wanted),
        ", ".join(methods) or generator.info.name,
        tuple(notes),
    )


_door = threading.Lock()
_open: dict[OpenRequest, FrameGenerator] = {}
"""The generator of the last stateless call: opening one for every gap would cost more than filling it."""


def fill_gap_once(request: FillRequest) -> Fill:
    """`fill_gap` with the generator that the request names, opened through the plugins and kept for the next call.

    Raises:
        VganError: the generator cannot be opened.
    """
    with _door:  # a generator serves one caller at a time
        if request.open not in _open:
            while _open:
                _open.popitem()[1].close()
            _open[request.open] = get_plugin_manager().open_generator(request.open)
        return fill_gap(request, _open[request.open])


def _target(
    time: Fraction, pair: tuple[int, int | None], frames: tuple[Frame, ...], period: Fraction, base: Fraction
) -> Target:
    a, b = pair
    offset_a, offset_b = (Fraction(0) if i is None else (frames[i].time - time) / period for i in pair)
    return Target(int(time / base), a, b, (offset_a, offset_b))


def _fine_enough(base: Fraction, times: Iterable[Fraction]) -> Fraction:
    """The time base, or a fraction of it in whose ticks every time is a whole number."""
    return base / math.lcm(*((time / base).denominator for time in times))
