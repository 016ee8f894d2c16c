"""Our own plugin, behind the same entry point as a stranger's. Each hook delegates; nothing heavy loads before it must.

All are `trylast`: whoever else answers, answers first.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vgan_plugin.detect import Detector
from vgan_plugin.errors import ExtraMissing
from vgan_plugin.gaps import Plan
from vgan_plugin.hookspecs import PlanRequest, hookimpl
from vgan_plugin.types import (
    Check,
    ExportRequest,
    Fill,
    FillRequest,
    FrameGenerator,
    GeneratorInfo,
    OpenRequest,
    TrainRequest,
)

RECURRENT = GeneratorInfo(
    name="recurrent",
    title="recurrent GAN with a motion prior, run by ONNX Runtime",
    tasks=("fill", "interpolate", "inpaint", "predict", "synthesize"),
    licence="Apache-2.0",
)


@hookimpl(trylast=True)
def vgan_generators() -> Iterable[GeneratorInfo]:
    """Ours: the recurrent network, and the two declared fallbacks."""
    from vgan_plugin.runtime.simple import BLEND, REPEAT

    return RECURRENT, BLEND, REPEAT


@hookimpl(trylast=True)
def vgan_open_generator(request: OpenRequest) -> FrameGenerator | None:
    """The recurrent network is also the answer when no generator is named."""
    from vgan_plugin.runtime.simple import BLEND, REPEAT, Simple

    for simple in (BLEND, REPEAT):
        if request.generator == simple.name:
            return Simple(simple)
    if request.generator in (None, RECURRENT.name):
        from vgan_plugin.plugins import get_plugin_manager
        from vgan_plugin.runtime.tiled import open_fitted

        return open_fitted(request, get_plugin_manager().bundle_folders())
    return None


@hookimpl(trylast=True)
def vgan_fill_gap(request: FillRequest) -> Fill | None:
    """Serve any generator that can be opened, a stranger's too."""
    from vgan_plugin.fill import fill_gap_once

    return fill_gap_once(request)


@hookimpl(trylast=True)
def vgan_detectors() -> Iterable[type[Detector]]:
    """Time stamps, damage, repeats, blanks, cuts."""
    from vgan_plugin.detect import BUILTIN

    return BUILTIN


@hookimpl(trylast=True)
def vgan_plan_gaps(request: PlanRequest) -> Plan | None:
    """The planner."""
    from vgan_plugin.gaps import plan_gaps

    return plan_gaps(request.timeline, request.events, request.policy)


@hookimpl(trylast=True)
def vgan_train(request: TrainRequest) -> Path | None:
    """The trainer, where torch is installed."""
    try:
        from vgan_plugin.training.train import train
    except ModuleNotFoundError as error:
        raise _extra(error, "Training", "train") from error
    return train(request)


@hookimpl(trylast=True)
def vgan_export(request: ExportRequest) -> Path | None:
    """The exporter, where torch and onnx are installed."""
    try:
        from vgan_export.pack import export
    except ModuleNotFoundError as error:
        raise _extra(error, "Export", "export") from error
    return export(request)


@hookimpl(trylast=True)
def vgan_doctor_checks() -> Iterable[Check]:
    """Our own health: runtime, providers, bundles, codecs, one small frame."""
    from vgan_plugin.doctor import own_checks

    return own_checks()


def _extra(error: ModuleNotFoundError, what: str, extra: str) -> Exception:
    """A missing optional dependency has its own message; a missing module of ours is a bug and stays one."""
    if (error.name or "").startswith("vgan"):
        return error
    return ExtraMissing(f"{what} needs more packages", f"{error.name} is not installed", f'pip install "vgan[{extra}]"')
