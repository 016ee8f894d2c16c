"""`vgan extend`: predict past the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vgan_plugin.cli import options as shared


@click.command("extend")
@click.argument("source", metavar="IN", type=shared.file_path)
@click.argument("output", metavar="OUT", type=shared.file_path)
@click.option("--frames", metavar="N", type=int, required=True, help="How many.")
@click.option("--before", is_flag=True, help="Before the start instead of past the end.")
@shared.generator
@shared.encoder
@shared.streams
def command(source: Path, output: Path, frames: int, before: bool, **options: Any) -> int:
    """Predict N frames past the end of IN, or before its start. Its own frames leave as they came."""
    from vgan_plugin.cli import jobs
    from vgan_plugin.hosts.extension import extend

    out = shared.output_of(options)
    with jobs.ReportFile(options["report"], source, output, overwrite=options["overwrite"]) as report_file:
        with out.progress() as tick:
            report = extend(
                source,
                output,
                frames,
                before=before,
                generator=shared.open_request(options),
                encoding=jobs.encoding_of(options),
                min_confidence=options["min_confidence"],
                pictures=report_file.pictures,
                tick=tick,
                say=out.say,
            )
        report_file.write(report)
    return jobs.finish(report, out)
