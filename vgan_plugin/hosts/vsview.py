"""vsview: what the viewer finds under its entry-point groups `vsview`, `vsview.frameprops` and `vsview.scening`.

A panel that lists made frames and shows them beside what was there, a category of frame properties, and our reports and
plans as scenes. Nothing heavy is imported before the viewer asks. The viewer's video processor is left alone: it would
take the place of everybody else's.
"""

from __future__ import annotations

from typing import Any

import pluggy

view = pluggy.HookimplMarker("vsview")
frameprops = pluggy.HookimplMarker("vsview.frameprops")
scening = pluggy.HookimplMarker("vsview.scening")


@view
def vsview_register_toolpanel() -> type[Any]:
    """The panel."""
    from vgan_plugin.hosts.vsview_panel import Panel

    return Panel


@frameprops
def vsview_frameprops_register_category_matchers() -> Any:
    """Our properties stand together."""
    from vsview.app.tools.frameprops.api import CategoryMatcher

    return CategoryMatcher(name="vgan", priority=200, order=0, prefixes={"VGan"})


@frameprops
def vsview_frameprops_register_formatter_properties() -> Any:
    """Our properties in words."""
    from vsview.app.tools.frameprops.api import FormatterProperty

    return [
        FormatterProperty(prop_key="VGanMade", value_formatter={0: "No", 1: "Yes"}),
        FormatterProperty(prop_key="VGanMethod"),
        FormatterProperty(prop_key="VGanConfidence", value_formatter="{:.1%}".format),
        FormatterProperty(prop_key="VGanSource", value_formatter=lambda _: "the frame shown there without vgan"),
    ]


@scening
def vsview_scening_register_parser() -> Any:
    """Reports and plans as scenes."""
    from vgan_plugin.hosts.vsview_scenes import Documents

    return Documents()


@scening
def vsview_scening_register_serializer() -> Any:
    """Scenes as a plan."""
    from vgan_plugin.hosts.vsview_scenes import Plans

    return Plans()
