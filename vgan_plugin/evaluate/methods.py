"""Who makes the frames: our bundles and any plugin's generator through `fill`, and the baselines beside them."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.bundle import locate, store
from vgan_plugin.bundle.card import CARD
from vgan_plugin.errors import PluginFailed
from vgan_plugin.evaluate.sets import Picture, from_rgb8, label, rgb8
from vgan_plugin.evaluate.windows import Window
from vgan_plugin.fill import Inpainter, Scene, fill_gap, inpaint_stream
from vgan_plugin.fill.background import around
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.types import FillRequest, Frame, FrameGenerator, Made, Mask, OpenRequest, RenderRequest

_REMEMBERED = 16
"""Frames whose features are kept: neighbouring windows share most of their lead-in."""


@dataclass(frozen=True, eq=False)
class Answer:
    """One made frame, how sure its maker is of it (None: it does not say), and of each pixel (H, W)."""

    frame: Frame
    confidence: float | None = None
    sure: NDArray[np.float32] | None = None


class Method(Protocol):
    """Anything that fills windows.

    Attributes:
        name: as tables name it.
        identity: what remembered results depend on beside the clip: a hash of weights, or a version.
    """

    name: str
    identity: str

    def make(self, window: Window) -> list[Answer] | None:
        """The frames of a window, or None when this method does not do such a task."""
        ...

    def inpaint(self, frames: Sequence[Frame], masks: Sequence[Mask], /) -> list[Frame] | None:
        """A clip's frames with their holes (True = hidden) made, or None when this method does not inpaint."""
        ...

    def close(self) -> None:
        """Free what was opened."""
        ...


class Model:
    """A generator, opened through the plugins, as `vgan fill` opens it.

    Args:
        request: which generator, model and device.
        name: as tables name it.

    Raises:
        VganError: it cannot be opened.
    """

    def __init__(self, request: OpenRequest, name: str) -> None:
        self._generator = _Watched(get_plugin_manager().open_generator(request))
        self.name = name
        self.identity = f"{self._generator.info.name} {identity(request)}"

    def make(self, window: Window) -> list[Answer] | None:
        """Through `fill_gap`, with as much lead-in as the bundle asks for.

        Raises:
            PluginFailed: it failed, and a fallback would be measured in its place.
        """
        if not window.after and "predict" not in self._generator.info.tasks:
            return None
        needed = max(2, self._generator.lead)
        self._generator.made.clear()
        fill = fill_gap(
            FillRequest(window.before[-needed:], window.after, window.times, window.period), self._generator
        )
        if fill.method != self._generator.info.name:
            raise self._failed("; ".join(fill.notes))
        says = self._generator.block > 0
        return [
            Answer(frame, sure if says else None, made.map)
            for frame, sure, made in zip(fill.frames, fill.confidence, self._generator.made, strict=True)
        ]

    def inpaint(self, frames: Sequence[Frame], masks: Sequence[Mask]) -> list[Frame] | None:
        """As `vgan inpaint` does, looking to both sides in time.

        Raises:
            PluginFailed: as for `make`.
        """
        if "inpaint" not in self._generator.info.tasks:
            return None
        scene = Scene(frames[1].time - frames[0].time, around(np.any(masks, 0)))
        inpainter = Inpainter(scene, masks.__getitem__, self._generator)
        made = []
        for frame, record in inpaint_stream(frames, inpainter):
            self._generator.made.clear()
            if record is not None and record.fallback:
                raise self._failed(record.fallback)
            made.append(frame)
        return made

    def _failed(self, why: str) -> PluginFailed:
        return PluginFailed(f"{self.name} cannot be measured", why, "measure another, or see to its failure first")

    def close(self) -> None:
        """Close the generator."""
        self._generator.close()


def identity(request: OpenRequest) -> str:
    """A hash of all of a bundle that its frames depend on: of every file but its card. Empty without a bundle."""
    if request.generator is not None:
        return ""
    files = store.peek(locate.find(request.model, get_plugin_manager().bundle_folders())).files
    return hashlib.sha256(json.dumps(sorted(item for item in files.items() if item[0] != CARD)).encode()).hexdigest()


class _Watched:
    """A generator whose features are kept for the next windows, and whose answers are seen whole."""

    def __init__(self, generator: FrameGenerator) -> None:
        self._inner = generator
        self.info, self.block, self.lead = generator.info, generator.block, generator.lead
        self.made: list[Made] = []
        self._features: OrderedDict[int, tuple[Frame, Any]] = OrderedDict()

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self._inner.provenance

    def encode(self, frame: Frame, valid: Mask | None = None) -> Any:
        if valid is not None:
            return self._inner.encode(frame, valid)
        if id(frame) not in self._features:
            self._features[id(frame)] = frame, self._inner.encode(frame)  # the frame is held, so its id stays its own
        while len(self._features) > _REMEMBERED:
            self._features.popitem(last=False)
        return self._features[id(frame)][1]

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> Any:
        return self._inner.remember(features, previous, dt, state)

    def render(self, request: RenderRequest) -> Made:
        self.made.append(self._inner.render(request))
        return self.made[-1]

    def close(self) -> None:
        self._inner.close()


def open_models(models: Sequence[str], generators: Sequence[str], device: str, stack: ExitStack) -> list[Method]:
    """Bundles and plugins' generators, closed when the stack is; bundles of one name are named by their paths.

    Raises:
        VganError: one cannot be opened.
    """
    opened: list[Method] = []
    labels = [label(model) for model in models]
    asked = [
        (OpenRequest(model=model, device=device), name if labels.count(name) == 1 else model)
        for model, name in zip(models, labels, strict=True)
    ]
    for request, name in asked + [(OpenRequest(generator=name, device=device), name) for name in generators]:
        opened.append(model := Model(request, name))
        stack.callback(model.close)
    return opened


Between = Callable[[Picture, Picture, float], Picture]
"""The frame at t, 0 < t < 1, between two pictures."""
Beyond = Callable[[Picture, Picture, float], Picture]
"""The frame t periods after the second of two pictures."""


class Pairwise:
    """A baseline that knows two pictures and a time.

    Args:
        name: as tables name it.
        identity: its version.
        between: makes what lies between, where it can.
        beyond: makes what comes after, where it can.
    """

    def __init__(self, name: str, identity: str, between: Between | None = None, beyond: Beyond | None = None) -> None:
        self.name, self.identity = name, identity
        self._between, self._beyond = between, beyond

    def make(self, window: Window) -> list[Answer] | None:
        """In 8 bit RGB; in the clip's own format the answer is converted like any other."""
        a, b = (rgb8(frame) for frame in (*window.before[-2:], *window.after[:1])[-2:])
        make = self._between if window.after else self._beyond
        if make is None:
            return None
        pictures = [make(a, b, float(window.place(time))) for time in window.times]
        return [Answer(as_made(picture, window, frame)) for picture, frame in zip(pictures, window.truth, strict=True)]

    def inpaint(self, frames: Sequence[Frame], masks: Sequence[Mask]) -> list[Frame] | None:  # noqa: ARG002
        """It knows no holes."""
        return None

    def close(self) -> None:
        """Nothing is open."""


def as_made(picture: Picture, window: Window, target: Frame) -> Frame:
    """A picture as a frame of the window's own format at the target's time."""
    return from_rgb8(picture, target.pts, window.before[-1])
