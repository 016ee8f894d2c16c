"""`vgan inpaint`: make the masked pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.errors import UsageError

if TYPE_CHECKING:
    from vgan_plugin.hosts.masks import Holes

_TIME = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,2}):)?(\d{1,6}(?:\.\d{1,9})?)")
_BOX = re.compile(r"(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})")


def seconds(text: str) -> Fraction:
    """``12.5``, ``1:02.5`` or ``1:02:03`` in seconds."""
    match = _TIME.fullmatch(text.strip())
    if not match:
        raise click.BadParameter(f"{text!r} is not a time such as 12.5, 1:02.5 or 1:02:03")
    return (int(match[1] or 0) * 60 + int(match[2] or 0)) * 60 + Fraction(match[3])


def box(text: str) -> tuple[int, int, int, int]:
    """``X,Y,W,H``."""
    match = _BOX.fullmatch(text.strip())
    if not match or not (int(match[3]) and int(match[4])):
        raise click.BadParameter(f"{text!r} is not a box X,Y,W,H: left, top, width, height in pixels")
    return int(match[1]), int(match[2]), int(match[3]), int(match[4])


masks = shared.chain(
    click.option(
        "--mask",
        metavar="M",
        type=shared.file_path,
        help="Picture, video, or folder of pictures: white = make this pixel.",
    ),
    click.option("--box", "boxes", metavar="X,Y,W,H", type=box, multiple=True, help="A rectangle to make. Repeatable."),
    click.option("--from", "start", metavar="T", type=seconds, help="Make nothing before: seconds, or 1:02:03.4."),
    click.option("--to", "end", metavar="T", type=seconds, help="Make nothing from here on."),
    click.option(
        "--fit", is_flag=True, help="Scale masks of another size; hold the last of too few, leave out surplus."
    ),
    click.option(
        "--grow",
        metavar="N",
        type=click.IntRange(0, 256),
        default=0,
        show_default=True,
        help="Make every hole wider by so many pixels each way: an exact mask leaves an outline.",
    ),
    click.option(
        "--direction",
        type=click.Choice(["both", "forward"]),
        default="both",
        show_default=True,
        help="Where to look for what is hidden: in earlier and later frames, or in earlier ones alone (waits less).",
    ),
)
"""What to make of which frames, for a file and for a pipe."""


def holes_of(options: Mapping[str, Any]) -> Holes:
    """The holes that the options of `masks` name.

    Raises:
        UsageError: they name none, or no time.
    """
    from vgan_plugin.hosts.masks import Holes

    mask, start, end = options["mask"], options["start"], options["end"]
    if mask is None and not options["boxes"]:
        raise UsageError("Nothing says what to make", "a mask or a box is needed", "give --mask or --box")
    if start is not None and end is not None and start >= end:
        raise UsageError("Nothing lies between --from and --to", f"{start} is not before {end}", "swap them")
    boxes = tuple((None, each) for each in options["boxes"])
    return Holes(mask, boxes, start, end, options["fit"], options["grow"])


@click.command("inpaint")
@click.argument("source", metavar="IN", type=shared.file_path)
@click.argument("output", metavar="OUT", type=shared.file_path)
@masks
@shared.generator
@shared.encoder
@shared.streams
def command(source: Path, output: Path, **options: Any) -> int:
    """Make the masked pixels of IN anew: logos, subtitles, scratches, objects.

    What other frames show of what is hidden is found there, the rest is made. What is not masked leaves as it came.
    """
    from vgan_plugin.cli import jobs
    from vgan_plugin.hosts.inpainting import inpaint

    out = shared.output_of(options)
    holes = holes_of(options)
    inputs = [path for path in (source, output, options["mask"]) if path is not None]
    with jobs.ReportFile(options["report"], *inputs, overwrite=options["overwrite"]) as report_file:
        with out.progress() as tick:
            report = inpaint(
                source,
                output,
                holes,
                direction=options["direction"],
                generator=shared.open_request(options),
                encoding=jobs.encoding_of(options),
                min_confidence=options["min_confidence"],
                pictures=report_file.pictures,
                tick=tick,
                say=out.say,
            )
        report_file.write(report)
    return jobs.finish(report, out)
