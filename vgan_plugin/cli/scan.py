"""`vgan scan`: what `fill` would do; nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.cli.output import print_json


@click.command("scan")
@click.argument("source", metavar="IN", type=shared.file_path)
@shared.planning
@shared.streams
def command(source: Path, **options: Any) -> int:
    """Show what `vgan fill` would find and make in IN; nothing is written.

    With --json: the events and the whole plan, which --plan of `vgan fill` takes back, edited or not.
    """
    from vgan_plugin.cli import jobs
    from vgan_plugin.hosts.file import scan

    out = shared.output_of(options)
    with out.progress() as tick:
        found = scan(source, policy=jobs.policy_of(options), plan=options["plan"], tick=tick, say=out.say)
    plan = found.plan
    if out.json:
        from vgan_plugin.gaps import plan_to_json

        print_json({**plan_to_json(plan), "input": str(source), "notes": found.notes, "status": 0})
        return 0
    for note in found.notes:
        out.say(note)
    jobs.show_events(plan.events, out)
    jobs.show_unrepaired(plan.unrepaired, out)
    repeats = sum(target.method == "repeat" for target in plan.targets)
    told = f", {repeats} of them by repeating" if repeats else ""
    out.result(f"{source}: {plan.frames} frames, {len(plan.targets)} to be made{told}")
    return 0
