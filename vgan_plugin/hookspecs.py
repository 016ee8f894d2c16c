"""The hooks: one Protocol class whose docstrings are the reference (`docs/hooks.md` is held to it by a test).

Write a plugin by defining any of these functions with `@vgan_plugin.hookimpl`, and name its module in the entry-point
group ``vgan``. Arguments are one frozen request object each, so that a new field breaks nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pluggy

from vgan_plugin.detect import Detector
from vgan_plugin.gaps import Event, GapPolicy, Plan
from vgan_plugin.timeline import Timeline
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

hookspec = pluggy.HookspecMarker("vgan")
hookimpl = pluggy.HookimplMarker("vgan")


@dataclass(frozen=True)
class PlanRequest:
    """What is to be planned.

    Attributes:
        timeline: exact times of the source frames.
        events: what the detectors saw, in order.
        policy: what the user allows.
    """

    timeline: Timeline
    events: tuple[Event, ...]
    policy: GapPolicy


class Hooks(Protocol):
    """The eight hooks of vgan, API 1."""

    @hookspec
    def vgan_generators(self) -> Iterable[GeneratorInfo]:
        """Say which generators this plugin offers. Loads nothing.

        Returns: descriptions, one a generator; those written for another API version are dropped with a message.
        Since: API 1.
        """
        ...

    @hookspec(firstresult=True)
    def vgan_open_generator(self, request: OpenRequest) -> FrameGenerator | None:
        """Open a live generator, once per clip.

        Args:
            request: generator's name, model, device, precision, threads.
        Returns: the generator, or None when the request is for somebody else's.
        Raises: VganError when it is ours but cannot be opened (model, device); anything else is a bug of the plugin.
        Since: API 1.
        """
        ...

    @hookspec(firstresult=True)
    def vgan_fill_gap(self, request: FillRequest) -> Fill | None:
        """Make the frames of one gap: the host's call, stateless.

        Args:
            request: good frames before (with lead-in) and after, exact times, masks, seed, which generator.
        Returns: frames in the order of `request.times` with confidences, or None to let the next plugin try.
        Raises: VganError when the host should know; anything else is a bug of the plugin.
        Since: API 1.
        """
        ...

    @hookspec
    def vgan_detectors(self) -> Iterable[type[Detector]]:
        """Offer classes that see faults. Each is made anew for each clip, fed every frame in order, and gives events.

        Returns: classes, called without arguments.
        Since: API 1.
        """
        ...

    @hookspec(firstresult=True)
    def vgan_plan_gaps(self, request: PlanRequest) -> Plan | None:
        """Turn events into a plan. Ours comes last; a wrapper vetoes, adds or replaces.

        Args:
            request: timeline, events, policy.
        Returns: the plan, or None to let the next plugin try.
        Since: API 1.
        """
        ...

    @hookspec(firstresult=True)
    def vgan_train(self, request: TrainRequest) -> Path | None:
        """Train a generator: clips and a preset become a run folder. Needs the training extra.

        Args:
            request: data, run folder, preset, budget, seed.
        Returns: the run folder, or None when the request is for somebody else's.
        Raises: VganError for unusable data, a run folder of another kind, NaN.
        Since: API 1.
        """
        ...

    @hookspec(firstresult=True)
    def vgan_export(self, request: ExportRequest) -> Path | None:
        """Turn a run folder into a bundle with its parity report. Needs the export extra.

        Args:
            request: run folder, bundle folder, name.
        Returns: the bundle folder, or None when the run is somebody else's.
        Raises: VganError when the graphs do not give what the trainer's network gives.
        Since: API 1.
        """
        ...

    @hookspec
    def vgan_doctor_checks(self) -> Iterable[Check]:
        """Look at this plugin's own health.

        Returns: findings, each with evidence and remedy.
        Since: API 1.
        """
        ...
