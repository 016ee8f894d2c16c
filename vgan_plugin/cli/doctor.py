"""`vgan doctor`: is everything in order here?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.cli.output import print_json


@click.command("doctor")
@shared.streams
def command(**options: Any) -> int:
    """Check this installation: plugins, ONNX Runtime and its devices, bundles, codecs, one small frame.

    Exit status 1 when something is bad.
    """
    from vgan_plugin.doctor import diagnose
    from vgan_plugin.plugins import get_plugin_manager

    out = shared.output_of(options)
    checks = diagnose(get_plugin_manager())
    status = int(any(check.verdict == "bad" for check in checks))
    if out.json:
        print_json({"format": 1, "checks": [asdict(check) for check in checks], "status": status})
        return status
    out.table(
        ("check", "verdict", "evidence", "remedy"),
        [[check.name, check.verdict, check.evidence, check.remedy] for check in checks],
    )
    return status
