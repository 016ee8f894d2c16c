"""A good plugin: a generator that holds the frame before, a detector, a training, an export, a check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from vgan_plugin import (
    Check,
    Event,
    ExportRequest,
    Fill,
    FillRequest,
    Frame,
    FrameGenerator,
    GeneratorInfo,
    Made,
    OpenRequest,
    RenderRequest,
    TrainRequest,
    hookimpl,
)

INFO = GeneratorInfo("nearest", "holds the frame before", ("fill",), "MIT")


class Nearest:
    info = INFO
    block = 0
    lead = 0
    provenance = {"provider": "hand"}  # noqa: RUF012

    def encode(self, frame: Frame, valid: Any = None) -> None: ...

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> None: ...

    def render(self, request: RenderRequest) -> Made:
        held = request.a or request.b
        assert held is not None
        return Made(replace(held.frame, pts=request.pts, time_base=request.time_base), 0.25)

    def close(self) -> None: ...


class Never:
    """Sees nothing."""

    lookahead = 0

    def feed(self, index: int, frame: Frame) -> Iterable[Event]:
        return ()

    def finish(self) -> Iterable[Event]:
        return ()


@hookimpl
def vgan_generators() -> Iterable[GeneratorInfo]:
    return (INFO,)


@hookimpl
def vgan_open_generator(request: OpenRequest) -> FrameGenerator | None:
    return Nearest() if request.generator == INFO.name else None


@hookimpl
def vgan_fill_gap(request: FillRequest) -> Fill | None:
    if request.open.generator != INFO.name or not request.before:
        return None  # not mine
    frames = tuple(replace(request.before[-1], pts=int(t / request.period)) for t in request.times)
    return Fill(frames, (0.25,) * len(frames), INFO.name)


@hookimpl
def vgan_detectors() -> Iterable[type[Never]]:
    return (Never,)


@hookimpl
def vgan_train(request: TrainRequest) -> Path | None:
    return request.run if request.preset == INFO.name else None


@hookimpl
def vgan_export(request: ExportRequest) -> Path | None:
    return request.bundle if request.run.name == INFO.name else None


@hookimpl
def vgan_doctor_checks() -> Iterable[Check]:
    return (Check("nearest", "good", "holds"),)
