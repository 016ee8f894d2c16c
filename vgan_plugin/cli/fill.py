"""`vgan fill`: find and repair missing, frozen, blank and corrupt frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vgan_plugin.cli import options as shared


@click.command("fill")
@click.argument("source", metavar="IN", type=shared.file_path)
@click.argument("output", metavar="OUT", type=shared.file_path)
@shared.planning
@click.option(
    "--mask", metavar="M", type=shared.file_path, help="Damaged parts of frames, white: the rest of them is kept."
)
@click.option("--fit", is_flag=True, help="Scale masks of another size; hold the last of too few, leave out surplus.")
@shared.generator
@shared.encoder
@shared.streams
def command(source: Path, output: Path, **options: Any) -> int:
    """Find and repair missing, frozen, blank and corrupt frames of IN.

    What was fine leaves as it came: frames, sound, subtitles, chapters, time stamps. A clip with nothing wrong is
    copied without re-encoding. OUT may be null: to time a run.
    """
    from vgan_plugin.cli import jobs
    from vgan_plugin.hosts.file import repair
    from vgan_plugin.hosts.masks import Holes

    out = shared.output_of(options)
    policy = jobs.policy_of(options)
    with jobs.ReportFile(options["report"], source, output, overwrite=options["overwrite"]) as report_file:
        with out.progress() as tick:
            report = repair(
                source,
                output,
                generator=shared.open_request(options),
                policy=policy,
                plan=options["plan"],
                holes=Holes(options["mask"], fit=options["fit"]) if options["mask"] is not None else None,
                encoding=jobs.encoding_of(options),
                min_confidence=options["min_confidence"],
                pictures=report_file.pictures,
                tick=tick,
                say=out.say,
            )
        report_file.write(report)
    return jobs.finish(report, out)
