"""Files that go on: what `vgan extend` calls."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from vgan_plugin.errors import UsageError
from vgan_plugin.gaps import MOST, extension_plan
from vgan_plugin.hosts.job import Asked, Job, Wishes
from vgan_plugin.hosts.report import Report

_FAR = 8
"""Frames ahead that training has seen."""


def extend(source: Path, output: Path, frames: int, *, before: bool = False, **asked: Unpack[Asked]) -> Report:
    """Predict frames past the end of a file, or before its start; the others leave as they came.

    Args:
        source: a local video file.
        output: the file to make, or ``null:``.
        frames: how many.
        before: before the start: all times of the output count from the first of them.
        asked: see `hosts.job.Wishes`.

    Raises:
        UsageError: too many, or none.
        VganError: as for `hosts.file.repair`.
    """
    if not 1 <= frames <= MOST:  # known before the long part
        raise UsageError(f"{frames} frames cannot be added", f"1 to {MOST} can be", "name a number in between")
    with Job(source, output, "predict", Wishes(**asked)) as job:
        timeline, events = job.look()
        plan = extension_plan(timeline, (event.first for event in events if event.kind == "cut"), frames, before=before)
        job.begin(plan)
        if frames > _FAR:
            job.note(f"frames more than {_FAR} away are farther than training has seen: they are guesses")
        job.fill(plan, rate=1 / timeline.period_seconds)
        return job.end()
