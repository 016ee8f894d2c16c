"""vgan: the plugin that video tools call when a frame is missing.

Public names are loaded when they are first used: importing this package imports nothing heavy and has no side effect.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vgan_plugin.detect import Detector
    from vgan_plugin.errors import VganError
    from vgan_plugin.fill import Engine, fill_stream
    from vgan_plugin.gaps import Event, GapPolicy, Plan, Target, Unrepaired
    from vgan_plugin.hookspecs import Hooks, PlanRequest, hookimpl
    from vgan_plugin.plugins import PluginManager, get_plugin_manager
    from vgan_plugin.timeline import Timeline
    from vgan_plugin.types import (
        API,
        Check,
        Colour,
        Concurrent,
        ExportRequest,
        Fill,
        FillRequest,
        Frame,
        FrameGenerator,
        GeneratorInfo,
        Made,
        OpenRequest,
        PixelFormat,
        Reference,
        RenderRequest,
        Synthesizer,
        TrainRequest,
    )

_HOME = {
    "Detector": "detect",
    "VganError": "errors",
    "Engine": "fill",
    "fill_stream": "fill",
    "Event": "gaps",
    "GapPolicy": "gaps",
    "Plan": "gaps",
    "Target": "gaps",
    "Unrepaired": "gaps",
    "Hooks": "hookspecs",
    "PlanRequest": "hookspecs",
    "hookimpl": "hookspecs",
    "PluginManager": "plugins",
    "get_plugin_manager": "plugins",
    "Timeline": "timeline",
    "API": "types",
    "Check": "types",
    "Colour": "types",
    "Concurrent": "types",
    "ExportRequest": "types",
    "Fill": "types",
    "FillRequest": "types",
    "Frame": "types",
    "FrameGenerator": "types",
    "GeneratorInfo": "types",
    "Made": "types",
    "OpenRequest": "types",
    "PixelFormat": "types",
    "Reference": "types",
    "RenderRequest": "types",
    "Synthesizer": "types",
    "TrainRequest": "types",
}

__all__ = [
    "API",
    "Check",
    "Colour",
    "Concurrent",
    "Detector",
    "Engine",
    "Event",
    "ExportRequest",
    "Fill",
    "FillRequest",
    "Frame",
    "FrameGenerator",
    "GapPolicy",
    "GeneratorInfo",
    "Hooks",
    "Made",
    "OpenRequest",
    "PixelFormat",
    "Plan",
    "PlanRequest",
    "PluginManager",
    "Reference",
    "RenderRequest",
    "Synthesizer",
    "Target",
    "Timeline",
    "TrainRequest",
    "Unrepaired",
    "VganError",
    "__version__",
    "fill_stream",
    "get_plugin_manager",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # asked once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
