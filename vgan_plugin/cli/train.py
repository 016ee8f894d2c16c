"""`vgan train`: the user's own footage becomes a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.cli.output import print_json
from vgan_plugin.errors import UsageError


@click.command("train")
@click.argument("data", metavar="DATA", type=shared.file_path)
@click.argument("run", metavar="RUN", type=shared.file_path)
@click.option(
    "--preset",
    metavar="tiny|lite|base|dream|textbook",
    default="base",
    show_default=True,
    help="Size and schedule; the last two make video from noise.",
)
@click.option(
    "--task",
    "tasks",
    metavar="fill|interpolate|inpaint|predict|synthesize",
    multiple=True,
    help="What it is for: several times or with commas; default: the preset's mixture.",
)
@click.option("--minutes", metavar="M", type=shared.Number(min=0), help="Stop after M minutes; run again to go on.")
@click.option("--dry-run", is_flag=True, help="Read the data, build everything, take one step, write nothing.")
@click.option("--start-from", metavar="RUN|BUNDLE", type=shared.file_path, help="Weights to start from.")
@click.option("--seed", metavar="S", type=int, default=0, show_default=True, help="Seed of the whole run.")
@click.option("--set", "settings", metavar="K=V", type=shared.key_value, multiple=True, help="A trainer's setting.")
@shared.streams
def command(
    data: Path, run: Path, settings: tuple[tuple[str, str], ...], tasks: tuple[str, ...], **options: Any
) -> int:
    """Train on the clips and pictures in DATA; RUN is made, or gone on with. Needs the extra `train`.

    The settings that --set takes are listed in docs/training.md.
    """
    from vgan_plugin.plugins import get_plugin_manager
    from vgan_plugin.training.presets import for_purposes
    from vgan_plugin.types import TrainRequest

    chosen = dict(settings)
    if tasks:
        if "tasks" in chosen:
            raise UsageError("Both --task and --set tasks= say what is trained", "only one of them can", "drop one")
        chosen["tasks"] = for_purposes([name for part in tasks for name in part.split(",")])
    out = shared.output_of(options)
    out.log("vgan_plugin.training")
    folder = get_plugin_manager().train(
        TrainRequest(
            data=data,
            run=run,
            preset=options["preset"],
            minutes=options["minutes"],
            dry_run=options["dry_run"],
            start_from=options["start_from"],
            seed=options["seed"],
            options=chosen,
        )
    )
    if out.json:
        print_json({"format": 1, "run": str(folder), "dry_run": options["dry_run"], "status": 0})
    elif not options["dry_run"]:
        out.result(f"{folder}: `vgan export {folder} BUNDLE` makes a bundle of it")
    return 0
