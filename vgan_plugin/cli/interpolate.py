"""`vgan interpolate`: raise the frame rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.errors import UsageError


@click.command("interpolate")
@click.argument("source", metavar="IN", type=shared.file_path)
@click.argument("output", metavar="OUT", type=shared.file_path)
@click.option("--factor", metavar="N", type=click.IntRange(min=2), help="n frames become N(n-1)+1.")
@click.option("--rate", metavar="FPS", help="Frames a second: 60, 60000/1001, 59.94.")
@shared.generator
@shared.encoder
@shared.streams
def command(source: Path, output: Path, factor: int | None, rate: str | None, **options: Any) -> int:
    """Raise the frame rate of IN, at exact time stamps. Repairs nothing; say `vgan fill` for that.

    Nothing is made across a cut: there the frame before it is repeated, and named.
    """
    from vgan_plugin.cli import jobs
    from vgan_plugin.hosts.file import interpolate

    out = shared.output_of(options)
    if (factor is None) == (rate is None):
        raise UsageError("The new frame rate is unclear", "a factor or a rate is needed, not both", "give one of them")
    exact = None
    if rate is not None:
        exact, snapped = shared.parse_rate(rate)
        if snapped:
            out.say(f"a rate of {rate} is taken for {exact}")
    with jobs.ReportFile(options["report"], source, output, overwrite=options["overwrite"]) as report_file:
        with out.progress() as tick:
            report = interpolate(
                source,
                output,
                factor=factor,
                rate=exact,
                generator=shared.open_request(options),
                encoding=jobs.encoding_of(options),
                min_confidence=options["min_confidence"],
                pictures=report_file.pictures,
                tick=tick,
                say=out.say,
            )
        report_file.write(report)
    return jobs.finish(report, out)
