"""`vgan models`: generators and bundles that are there."""

from __future__ import annotations

from typing import Any

import click

from vgan_plugin.cli import options as shared
from vgan_plugin.cli.output import print_json


@click.command("models")
@click.option("--card", metavar="NAME|PATH", help="Print the model card of a bundle instead.")
@shared.streams
def command(card: str | None, **options: Any) -> int:
    """List the generators that plugins offer and the bundles found.

    Bundles are looked for in the folders of VGAN_BUNDLES, among those that ship, and where plugins say.
    """
    from vgan_plugin.bundle import locate, store
    from vgan_plugin.bundle.card import of_bundle
    from vgan_plugin.errors import VganError
    from vgan_plugin.plugins import get_plugin_manager

    out = shared.output_of(options)
    manager = get_plugin_manager()
    if card is not None:
        bundle = store.load(locate.find(card, manager.bundle_folders()))
        if out.json:
            print_json({"format": 1, "card": of_bundle(bundle), "status": 0})
        for line in of_bundle(bundle).splitlines():
            out.result(line)
        return 0
    generators = manager.generators()
    bundles: list[dict[str, Any]] = []
    for path in locate.available(manager.bundle_folders()):
        found: dict[str, Any] = {"name": locate.name_of(path), "path": str(path)}
        try:
            manifest = store.peek(path)
        except VganError as error:
            found["error"] = str(error)
        else:
            found |= {
                "title": manifest.title,
                "tasks": list(manifest.tasks),
                "parameters": manifest.parameters,
                "precision": manifest.precision,
                "licence": manifest.licence,
            }
        bundles.append(found)
    if out.json:
        listed = [
            {"name": info.name, "title": info.title, "tasks": list(info.tasks), "licence": info.licence}
            for info in generators
        ]
        print_json({"format": 1, "generators": listed, "bundles": bundles, "status": 0})
        return 0
    out.table(
        ("generator", "tasks", "licence", "what"),
        [[info.name, " ".join(info.tasks), info.licence, info.title] for info in generators],
    )
    out.result("")
    out.table(
        ("bundle", "tasks", "parameters", "licence", "where"),
        [
            [
                found["name"],
                " ".join(found.get("tasks", ())) or found["error"],
                f"{found['parameters']:,}" if "parameters" in found else "",
                found.get("licence", ""),
                found["path"],
            ]
            for found in bundles
        ],
    )
    if not bundles:
        out.result("no bundle found")
    return 0
