"""One pass gives what two give: the same frames, the same bytes, with a bounded delay and a bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from clips import blacken, drop, freeze, join, moving_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Toy, digest

from vgan_plugin.detect import scan
from vgan_plugin.errors import InputUnsupported, TaskMissing, UsageError
from vgan_plugin.fill import fill_stream
from vgan_plugin.gaps import GapPolicy, interpolation_plan, plan_gaps
from vgan_plugin.hosts.live import Item, Live, LiveFill, LiveInterpolation, open_generator, stream
from vgan_plugin.runtime.simple import BLEND, Simple
from vgan_plugin.timeline import Timeline
from vgan_plugin.types import Frame, OpenRequest


def facts(items: Iterable[Item]) -> list[tuple[object, ...]]:
    return [
        (
            frame.pts,
            frame.time_base,
            digest(frame),
            record and (record.index, record.references, record.offsets, record.why),
        )
        for frame, record in items
    ]


def two_passes(frames: Sequence[Frame], rate: Fraction | None = None, policy: GapPolicy | None = None) -> list[object]:
    timeline, events = scan(frames, rate=rate)
    return list(facts(fill_stream(frames, plan_gaps(timeline, events, policy), Toy())))


def damaged(frames: Sequence[Frame], *indices: int) -> list[Frame]:
    return [replace(frame, corrupt=i in indices) for i, frame in enumerate(frames)]


def broken(faults: Iterable[tuple[str, int, int]], n: int, cut: int) -> list[Frame]:
    frames = join(moving_frames(cut, 32, 16), moving_frames(n - cut, 32, 16, seed=1))
    lost: list[int] = []
    for kind, first, count in faults:
        run = range(max(first, 1), min(first + count, n))
        if kind == "missing":
            lost += run
        else:
            frames = {"frozen": freeze, "blank": blacken, "corrupt": damaged}[kind](frames, *run)
    return drop(frames, *lost)


fault = st.tuples(st.sampled_from(["missing", "frozen", "blank", "corrupt"]), st.integers(1, 170), st.integers(1, 9))


@given(faults=st.lists(fault, max_size=7), cut=st.integers(20, 150))
@settings(max_examples=12, deadline=None)
def test_one_pass_makes_what_two_passes_make(faults: list[tuple[str, int, int]], cut: int) -> None:
    frames = broken(faults, 170, cut)
    rate = Fraction(25)
    assert facts(stream(frames, LiveFill(Toy(), rate=rate))) == two_passes(frames, rate)
