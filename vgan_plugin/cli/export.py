"""`vgan export`: a run folder becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.cli.output import print_json


@click.command("export")
@click.argument("run", metavar="RUN", type=shared.file_path)
@click.argument("bundle", metavar="BUNDLE", type=shared.file_path)
@click.option("--name", metavar="NAME", help="Name of the bundle.  [default: its folder's]")
@click.option("--overwrite", "-y", is_flag=True, help="Replace an existing bundle.")
@shared.streams
def command(run: Path, bundle: Path, name: str | None, overwrite: bool, **options: Any) -> int:
    """Export the run folder RUN to the bundle folder BUNDLE, with a parity report. Needs the extra `export`."""
    from vgan_plugin.plugins import get_plugin_manager
    from vgan_plugin.types import ExportRequest

    out = shared.output_of(options)
    out.log("vgan_export")
    folder = get_plugin_manager().export(ExportRequest(run, bundle, name, overwrite))
    if out.json:
        print_json({"format": 1, "bundle": str(folder), "status": 0})
    out.result(f"{folder}: use it with --model {folder}")
    return 0
