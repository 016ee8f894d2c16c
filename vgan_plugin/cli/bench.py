"""`vgan bench`: how long everything takes here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.cli.output import print_json
from vgan_plugin.errors import OutputError, UsageError

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_LARGEST = 16384


def size(text: str) -> tuple[int, int]:
    """``1920x1080`` as (1920, 1080)."""
    match = _SIZE.fullmatch(text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (16 <= width <= _LARGEST and 16 <= height <= _LARGEST) or width % 2 or height % 2:
        raise click.BadParameter(f"{text!r} is not a size such as 1920x1080 (even, 16 to {_LARGEST})")
    return width, height


@click.command("bench")
@click.argument("source", metavar="[IN]", required=False, type=shared.file_path)
@click.option("--model", metavar="NAME|PATH", default="base", show_default=True, help="Bundle to time.")
@click.option("--device", metavar="auto|cpu|cuda|cuda:N", default="auto", show_default=True, help="Where to run.")
@click.option("--size", "sizes", metavar="WxH", type=size, multiple=True, help="Repeatable.  [default: 480p, 1080p]")
@click.option(
    "--against",
    type=click.Choice(["rife", "rife-torch", "minterpolate", "mvtools"]),
    multiple=True,
    help="Time these in the same run. Repeatable.",
)
@click.option(
    "--seconds",
    type=shared.Number(0, 3600),
    default=30.0,
    show_default=True,
    help="What the rounds of a size may take.",
)
@click.option("--plot", metavar="P.svg", type=shared.file_path, help="Draw it.")
@shared.streams
def command(source: Path | None, plot: Path | None, **options: Any) -> int:
    """Time a made frame and all it needs, stage by stage, and whole files.

    With a video IN, every second frame of it is made and compared with the truth. The number of cores is that which
    the process may use: `taskset -c 0 vgan bench` times one.
    """
    from vgan_plugin import bench
    from vgan_plugin.bench import report

    out = shared.output_of(options)
    if plot is not None and plot.suffix.lower() != ".svg":
        raise UsageError(f"Plot {plot} cannot be drawn", "its name does not end in .svg", "name it so")
    found = bench.run(
        bench.Request(
            source, options["model"], options["device"], options["sizes"], options["against"], options["seconds"]
        ),
        out.say,
    )
    if plot is not None:
        try:
            plot.write_text(report.plot(found), "utf-8")
        except OSError as error:
            raise OutputError(
                f"Cannot write the plot {plot}", error.strerror or str(error), "check its folder"
            ) from error
    if out.json:
        print_json({**found, "status": 0})
        return 0
    machine = found["machine"]
    out.result(
        f"vgan {found['vgan']}, {found['date']}, {machine['cpu']}, {machine['cores']} cores, load {machine['load']:.1f}"
    )
    out.table(report.COLUMNS, list(report.rows(found)))
    for line in report.lines(found):
        out.result(line)
    return 0
