"""Files with holes in their frames: what `vgan inpaint` calls."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Unpack

from vgan_plugin.errors import MaskUnusable
from vgan_plugin.fill import Inpainter, Scene, inpaint_stream
from vgan_plugin.fill.background import around
from vgan_plugin.gaps import GapPolicy, plan_gaps
from vgan_plugin.hosts.job import Asked, Job, Wishes
from vgan_plugin.hosts.masks import Holes, survey
from vgan_plugin.hosts.pictures import PicturesInPlace
from vgan_plugin.hosts.report import Report

Direction = Literal["both", "forward"]


def inpaint(
    source: Path,
    output: Path,
    holes: Holes,
    *,
    direction: Direction = "both",
    seed: int | None = None,
    **asked: Unpack[Asked],
) -> Report:
    """Make the masked pixels of a file anew: logos, subtitles, scratches, objects. Repairs nothing else.

    What other frames show of what is hidden is found there; the generator makes the rest. All pixels outside the masks
    leave as they came, bit-identical where the encoder is lossless; where nothing is masked at all, the streams are
    copied.

    Args:
        source: a local video file.
        output: the file to make, or ``null:``.
        holes: where.
        direction: ``forward`` looks into the past alone, as live use must.
        seed: of the noise; None = none.
        asked: see `hosts.job.Wishes`.

    Raises:
        MaskUnusable: the masks do not fit, or hide every pixel of every frame.
        VganError: as for `hosts.file.repair`.
    """
    with Job(source, output, "inpaint", Wishes(**asked)) as job:
        width, height = job.reader.facts.width, job.reader.facts.height
        holes.check(width, height)
        timeline, events = job.look()
        seen = survey(holes, timeline, width, height)
        plan = plan_gaps(timeline, [event for event in events if event.kind == "cut"], GapPolicy())
        job.begin(plan)
        rate = 1 / timeline.period_seconds
        if seen.area is None:
            job.note("the masks are empty: nothing is to be made")
            if job.reader.mended or not job.copy():
                job.fill(plan, rate=rate)
            return job.end()
        if seen.whole == len(timeline):
            raise MaskUnusable(
                "The mask hides every pixel of every frame",
                "nothing is left that the rest could be made from",
                "mask less, or make a video from noise with `vgan synthesize`",
            )
        if seen.whole:
            job.note(f"{seen.whole} frames are hidden whole: they are made from their neighbours")
        masks = holes.read(timeline, width, height)
        scene = Scene(timeline.period_seconds, around(seen.area), cuts=plan.cuts, later=direction == "both")
        if job.wishes.pictures:
            facts = job.reader.facts
            job.report.pictures = PicturesInPlace(job.wishes.pictures, aspect=facts.aspect, rotation=facts.rotation)
        job.make(
            lambda frames, maker: inpaint_stream(
                frames,
                Inpainter(
                    scene,
                    lambda _: next(masks),
                    maker,
                    min_confidence=job.wishes.min_confidence,
                    seed=seed,
                    say=job.wishes.say,
                ),
            ),
            rate=rate,
        )
        return job.end()
