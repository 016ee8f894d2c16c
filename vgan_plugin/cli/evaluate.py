"""`vgan evaluate`: how good the pictures are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.cli.output import Output, print_json
from vgan_plugin.errors import ExtraMissing

_T = TypeVar("_T")


def whole_numbers(text: str) -> tuple[int, ...]:
    """``1,3,7``."""
    parts = text.split(",") if text else []
    if any(not part.strip().isdigit() or not 1 <= int(part) <= 64 for part in parts):
        raise click.BadParameter(f"{text!r} is not a list of whole numbers from 1 to 64, such as 1,3,7")
    return tuple(dict.fromkeys(int(part) for part in parts))


def windows(text: str) -> int | None:
    """A number, or ``all``."""
    if text == "all":
        return None
    if not text.isdigit() or int(text) < 1:
        raise click.BadParameter(f"{text!r} is neither a number from 1 nor all")
    return int(text)


what = shared.chain(
    click.option(
        "--gaps",
        metavar="1,3,7",
        type=whole_numbers,
        default="1,3,7",
        show_default=True,
        help="Gaps to cut; empty: none.",
    ),
    click.option("--predict", is_flag=True, help="Frames 1 and 4 after the last one, too."),
    click.option("--double", is_flag=True, help="Halve the clip's rate and raise it again, too; with VMAF."),
    click.option(
        "--inpaint",
        is_flag=True,
        help="Holes in every frame, too: a box, a strip, lost blocks and slices, masks beside the clip.",
    ),
    click.option(
        "--windows",
        "most",
        metavar="N|all",
        type=windows,
        default="6",
        show_default=True,
        help="Gaps a clip, each alone; all: as many as fit with 4 good frames between, at once.",
    ),
    click.option(
        "--pixels",
        type=click.Choice(("rgb", "clip")),
        default="rgb",
        show_default=True,
        help="Work in 8 bit RGB, or in the clip's own format.",
    ),
    click.option("--fast", is_flag=True, help="PSNR and confidence alone."),
)
who = shared.chain(
    click.option(
        "--model", metavar="NAME|PATH", multiple=True, default=("base",), show_default=True, help="Bundle; repeatable."
    ),
    click.option("--generator", metavar="NAME", multiple=True, help="Another plugin's generator, too; repeatable."),
    click.option("--device", metavar="auto|cpu|cuda|cuda:N", default="auto", show_default=True, help="Where to run."),
    click.option(
        "--baselines",
        metavar="A,B|none",
        default="repeat,blend,telea,dis,mci,rife",
        show_default=True,
        help="What stands beside.",
    ),
    click.option("--against", metavar="NAME", help="What the others are compared with.  [default: dis, else blend]"),
)


@click.command("evaluate")
@click.argument("data", metavar="DATA...", type=shared.file_path, nargs=-1, required=True)
@what
@who
@click.option(
    "--out", metavar="FOLDER", type=shared.file_path, help="Keep results here; a later run goes on from them."
)
@shared.streams
def command(data: tuple[Path, ...], **options: Any) -> int:
    """Take frames out of whole clips, make them anew, and compare.

    DATA: videos, folders of pictures, folders of three pictures (first, truth, last), and folders of these.
    """
    from vgan_plugin.evaluate import baselines, motion, report, run, sets, tables
    from vgan_plugin.evaluate.methods import open_models
    from vgan_plugin.evaluate.vmaf import find_ffmpeg

    out = shared.output_of(options)
    sources, skipped = sets.find(data)
    for line in skipped:
        out.say(line)
    flow = not options["fast"] and _there(motion.opencv, "what needs optical flow", out) is not None
    protocol = run.Protocol(
        gaps=options["gaps"],
        predict=options["predict"],
        double=options["double"],
        inpaint=options["inpaint"],
        most=options["most"],
        own_pixels=options["pixels"] == "clip",
        flow=flow,
        ssim=not options["fast"],
        ffmpeg=_there(find_ffmpeg, "VMAF", out) if options["double"] else None,
    )
    memory = run.Memory(options["out"] / "results.jsonl" if options["out"] else None)
    names = [] if options["baselines"] == "none" else options["baselines"].split(",")
    with ExitStack() as stack:
        methods = open_models(options["model"], options["generator"], options["device"], stack)
        methods += baselines.open_baselines(names, out.say)
        with out.progress() as tick:
            records, unread = run.evaluate(sources, methods, protocol, memory, tick=tick, say=out.say)
        against = tables.opponent(records, options["against"])
        if options["out"]:
            report.write(options["out"], records, against, sources, methods, protocol)
    summaries = {task: tables.summary(records, task, against) for task in tables.tasks(records)}
    status = 1 if unread else 0
    if out.json:
        print_json({**report.as_json(records, against), "unread": unread, "status": status})
    for task, summary in summaries.items():
        out.result(f"{task}:")
        out.table(*tables.summary_rows(summary, against))
        out.result("")
        out.table(*tables.nested_rows("PSNR of", tables.by_clip(records, task)))
        out.result("")
    return status


def _there(find: Callable[[], _T], what: str, out: Output) -> _T | None:
    """What an optional package gives, or None and a word about what is left out."""
    try:
        return find()
    except ExtraMissing as error:
        out.say(f"{what} is left out: {error.why}; {error.do}")
        return None
