"""`vgan synthesize`: from noise, or from a first frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.cli.bench import size
from vgan_plugin.types import OpenRequest


@click.command("synthesize")
@click.argument("output", metavar="OUT", type=shared.file_path)
@click.option("--frames", metavar="N", type=int, required=True, help="How many; 1 makes a picture.")
@click.option("--seed", metavar="S", type=int, required=True, help="The same seed makes the same video.")
@click.option(
    "--from", "start", metavar="IMAGE", type=shared.file_path, help="Begin with this picture, not with noise."
)
@click.option("--size", metavar="WxH", type=size, help="[default: the picture's, else 64x64]")
@click.option("--rate", metavar="FPS", default="25", show_default=True, help="Frames a second.")
@click.option("--model", metavar="NAME|PATH", default="dream", show_default=True, help="Bundle to use.")
@click.option("--generator", metavar="NAME", help="Generator to use.  [default: the model's]")
@click.option("--device", metavar="auto|cpu|cuda|cuda:N", default="auto", show_default=True, help="Where to run.")
@shared.encoder
@shared.streams
def command(output: Path, frames: int, seed: int, start: Path | None, **options: Any) -> int:
    """Make N frames of noise: OUT is a video, a .gif, or for one frame a picture.

    What comes out looks like what the bundle was trained on, and like nothing else.
    """
    from vgan_plugin.cli import jobs
    from vgan_plugin.hosts.synthesis import synthesize

    out = shared.output_of(options)
    inputs = [output] if start is None else [output, start]
    with jobs.ReportFile(options["report"], *inputs, overwrite=options["overwrite"]) as report_file:
        with out.progress() as tick:
            report = synthesize(
                output,
                frames,
                seed,
                start=start,
                size=options["size"],
                rate=shared.parse_rate(options["rate"])[0],
                generator=OpenRequest(options["generator"], options["model"], options["device"]),
                encoding=jobs.encoding_of(options),
                pictures=report_file.pictures,
                tick=tick,
                say=out.say,
            )
        report_file.write(report)
    return jobs.finish(report, out)
