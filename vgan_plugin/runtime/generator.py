"""Our generator: the recurrent network of a bundle behind the `FrameGenerator` protocol.

Frames come and go as integer planes; the network sees padded RGB. The state is a value that the caller holds: nothing
that was asked before changes what is made now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgan_plugin.bundle import locate, store
from vgan_plugin.bundle.store import Bundle
from vgan_plugin.errors import TaskMissing
from vgan_plugin.pixels.colour import alpha, from_rgb, to_rgb
from vgan_plugin.pixels.extrapolate import extrapolate
from vgan_plugin.pixels.membrane import closed
from vgan_plugin.pixels.planes import composite, pad
from vgan_plugin.runtime.planes import DevicePlanes
from vgan_plugin.runtime.session import GraphSessions, Value
from vgan_plugin.runtime.simple import nearest
from vgan_plugin.types import RGB, Frame, GeneratorInfo, Made, Mask, OpenRequest, Reference, RenderRequest

NAME = "recurrent"
Confidence = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Features:
    """What the graph `encode` gave for one frame, where it gave it (host or device), the padded (H, W), and which
    pixels of the frame are to be trusted (None: all).
    """

    tensors: Mapping[str, Value]
    size: tuple[int, int]
    valid: Mask | None = None


def open_recurrent(request: OpenRequest, extra: Iterable[Path] = ()) -> RecurrentGenerator:
    """Open the bundle a request names, on the device it names.

    Args:
        request: model, device, precision, threads, lanes.
        extra: more folders to look for the model in, those that plugins give.

    Raises:
        BundleError: there is no such bundle, or it cannot be used, or not in this precision.
        DeviceMissing: the device was asked for by name and is not there.
    """
    bundle = store.load(locate.find(request.model, extra))
    sessions = GraphSessions(bundle, request.device, request.threads, request.precision, lanes=request.lanes)
    generator = RecurrentGenerator(bundle, sessions)
    if request.size is not None:
        generator.prepare(*request.size)
    return generator


class RecurrentGenerator:
    """A bundle's `encode`, `remember` and `render`, over frames.

    Args:
        bundle: the verified bundle.
        sessions: its graphs on a device.
    """

    def __init__(self, bundle: Bundle, sessions: GraphSessions) -> None:
        manifest = bundle.manifest
        self.info = GeneratorInfo(NAME, manifest.title, manifest.tasks, manifest.licence)
        self.block, self.lead = manifest.block, manifest.lead
        self._stride = manifest.stride
        self._inputs = {t.name: t for graph in ("render", "remember") for t in sessions.graphs[graph].inputs}
        self._state = tuple(t.name.removeprefix("next_") for t in manifest.graphs["remember"].outputs)
        self._read = {graph: [t.name for t in manifest.graphs[graph].inputs] for graph in ("render", "remember")}
        self._sessions = sessions
        self._planes = None if sessions.device.kind == "cpu" else DevicePlanes(sessions)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What really runs: model, provider, device, node counts."""
        return self._sessions.provenance

    @property
    def lanes(self) -> int:
        """How many frames may be made at once; it may be lowered before the first one."""
        return self._sessions.lanes

    @lanes.setter
    def lanes(self, count: int) -> None:
        self._sessions.lanes = count

    def prepare(self, height: int, width: int) -> None:
        """Load every graph for frames of this size, so that one that cannot run is an error now.

        Raises:
            VganError: as `GraphSessions.prepare`.
        """
        self._sessions.prepare(*(max(2, -(-side // self._stride)) * self._stride for side in (height, width)))

    def encode(self, frame: Frame, valid: Mask | None = None) -> Features:
        """Features of one source frame; `valid` (H, W): True = trust this pixel."""
        padded = self._pad(frame if valid is None else closed(frame, valid))
        size = (padded.height, padded.width)
        trust = _ones(size) if valid is None else _plane(valid, size)
        tensors = self._sessions.run("encode", {"frame": self._rgb(padded), "valid": trust}, size)
        return Features(tensors, size, valid)

    def remember(self, features: Features, previous: Features | None, dt: Fraction, state: Any) -> Any:
        """One step of a chain: the state's tensors after this frame, by name."""
        now, before = features.tensors, (previous or features).tensors
        if state is None:
            state = {name: self._zeros(name, features.size) for name in self._state}
        outputs = self._sessions.run(
            "remember",
            {
                **{name: now[name] for name in self._read["remember"] if name in now},
                **{"previous_" + name: v for name, v in before.items() if "previous_" + name in self._read["remember"]},
                "dt": np.array([0 if previous is None else dt], np.float32),
                **state,
            },
            features.size,
        )
        return {name: outputs[f"next_{name}"] for name in self._state}

    def render(self, request: RenderRequest) -> Made:
        """Make one frame; deterministic for one seed, on one kind of device.

        Where both references lie on one side of it, the nearer one is moved on along the motion between them, and the
        network makes what comes in from beyond its edge.

        Raises:
            ValueError: there is nothing to make it from: no reference, and no state of a seed.
            ArithmeticError: the network gave no numbers.
        """
        a, b, (before, after) = request.a, request.b, request.offsets
        if a is None and b is None and request.state is None:
            raise ValueError("a frame is made from a reference, or from the state of a seed")
        if a is not None and b is not None and before * after > 0 and "predict" in self.info.tasks:
            return self._moved_on(request, a, b)
        return self._made(request)

    def seed(self, seed: int, like: Frame) -> Any:
        """The state that a video from noise begins with.

        Args:
            seed: which video.
            like: a frame of its size.

        Raises:
            TaskMissing: the bundle has no such graph.
        """
        if "synthesize" not in self.info.tasks:
            raise TaskMissing(
                f"Bundle {self.info.title!r} makes nothing from noise", "it has no seed", "name one that synthesizes"
            )
        padded = self._pad(like)
        size = (padded.height, padded.width)
        sown = self._sessions.run("seed", {"noise": self._noise(seed, None, size)}, size)
        return {name: sown[name] if name in sown else self._zeros(name, size) for name in self._state}

    def _moved_on(self, request: RenderRequest, a: Reference, b: Reference) -> Made:
        """A prediction, or the time before the start."""
        before, after = request.offsets
        near, far, share = (b, a, -after) if before < 0 else (a, b, before)
        guess = extrapolate(
            near.frame.rgb(),
            far.frame.rgb(),
            float(share / (after - before)),
            near.features.valid,
            far.features.valid,
        )
        frame = from_rgb(guess.rgb, request.like, request.pts, request.time_base, alpha(near.frame))
        sure: Confidence = (1 / (1 + 50 * guess.error)).astype(np.float32)
        known, mask = request.known, request.mask
        if known is None or mask is None:
            rest = guess.unseen
        else:
            frame, rest = composite(frame, known, mask), guess.unseen & mask
        if rest.any():
            made = self._made(replace(request, known=frame, mask=rest))
            frame = made.frame
            if made.map is not None:
                sure = np.where(rest, made.map, sure).astype(np.float32)
        confidence = float(sure.mean() if mask is None else sure[mask].mean() if mask.any() else 1.0)
        return Made(frame, confidence, map=sure)

    def _made(self, request: RenderRequest) -> Made:
        """What the network makes."""
        a, b = request.a, request.b
        near = None if a is None and b is None else nearest(a, b, request.offsets)
        if near is None and request.state is None and request.known is None:
            raise ValueError("a frame is made from a reference, a seed's state, or what is known of it")
        features = self._nothing(request.like) if near is None else near.features
        size = features.size
        before, after = request.offsets
        if (a is None and not before) or (b is None and not after):
            # A lone reference is held still: it is seen from both sides, and the absent one is trusted nowhere.
            apart = abs(before or after) or Fraction(1)
            before, after = -apart, apart
        state, reads = request.state, self._read["render"]
        inputs: dict[str, Value] = {}
        for prefix, reference in (("a_", a), ("b_", b)):
            tensors = self._absent(features) if reference is None else reference.features.tensors
            inputs |= {prefix + name: value for name, value in tensors.items()}
        inputs |= {
            **{name: state[name] if state else self._zeros(name, size) for name in self._state if name in reads},
            "before": np.array([before], np.float32),
            "after": np.array([after], np.float32),
            "noise": self._noise(request.seed, request.pts, size),
        }
        if "later" in reads:
            inputs["later"] = request.later["motion"] if request.later else self._zeros("later", size)
        known, mask = request.known, request.mask
        if known is None or mask is None:
            inputs |= {"known": _zeros((1, 3, *size)), "mask": _ones(size)}
        else:
            inputs |= {"known": self._rgb(self._pad(known)), "mask": _plane(mask, size)}
        outputs = self._sessions.run("render", inputs, size)
        frame, sure = self._seen(outputs, request, None if near is None else near.frame)
        if known is None or mask is None:
            return Made(frame, float(sure.mean()), map=sure)
        confidence = float(sure[mask].mean()) if mask.any() else 1.0
        return Made(composite(frame, known, mask), confidence, map=sure)

    def _rgb(self, padded: Frame) -> Value:
        return to_rgb(padded)[None] if self._planes is None else self._planes.to_rgb(padded)

    def _seen(
        self, outputs: Mapping[str, Value], request: RenderRequest, near: Frame | None
    ) -> tuple[Frame, Confidence]:
        """The frame that the network gave, and its confidence; alpha, of which the network knows nothing, is that of
        `near`.
        """
        like = request.like
        if self._planes is not None and self._planes.takes(like):
            planes, sure, finite = self._planes.from_rgb(outputs["rgb"], outputs["confidence"], like)
            if like.format.alpha:
                planes += ((near or like).planes[-1],)
            frame = replace(like, planes=planes, pts=request.pts, time_base=request.time_base, corrupt=False)
            if finite:
                return frame, sure
        else:
            rgb: RGB = self._sessions.to_numpy(outputs["rgb"])[0, :, : like.height, : like.width]
            sure = self._sessions.to_numpy(outputs["confidence"])[0, 0, : like.height, : like.width]
            if math.isfinite(float(rgb.sum()) + float(sure.sum())):  # a sum holds every NaN, and needs no memory
                see_through = None if near is None else alpha(near)
                return from_rgb(rgb, like, request.pts, request.time_base, see_through), sure
        raise ArithmeticError("the network gave no numbers")

    def close(self) -> None:
        """Free the sessions."""
        self._sessions.close()

    def _pad(self, frame: Frame) -> Frame:
        """Two strides each way at least: motion is smoothed among neighbouring cells, and a lone cell has none."""
        return pad(frame, self._stride, 2 * self._stride)

    def _nothing(self, like: Frame) -> Features:
        """Features where there is no reference at all: of a frame of zeros, trusted nowhere."""
        padded = self._pad(like)
        size = (padded.height, padded.width)
        inputs = {"frame": _zeros((1, 3, *size)), "valid": _zeros((1, 1, *size))}
        return Features(self._sessions.run("encode", inputs, size), size)

    def _absent(self, other: Features) -> dict[str, Value]:
        """Features of a reference that is not there: the other's motion evidence, trusted nowhere."""
        tensors = dict(other.tensors)
        tensors["image"] = self._zeros("a_image", other.size)
        return tensors

    def _zeros(self, name: str, size: tuple[int, int]) -> NDArray[Any]:
        tensor = self._inputs[name]
        return _zeros(tensor.resolve({"H": size[0], "W": size[1]}), tensor.dtype)

    def _noise(self, seed: int | None, pts: int | None, size: tuple[int, int]) -> NDArray[np.float32]:
        """Standard normal, a function of the seed and the frame's time (None: of the whole video); zeros without a
        seed.
        """
        if seed is None:
            return self._zeros("noise", size)
        shape = self._inputs["noise"].resolve({"H": size[0], "W": size[1]})
        entropy = [seed] if pts is None else [seed, abs(pts), pts < 0]
        return np.random.default_rng(entropy).standard_normal(shape, dtype=np.float32)


def _plane(mask: Mask, size: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) booleans as (1, 1, H', W') floats, the edge replicated to the padded size."""
    rows, columns = (p - s for p, s in zip(size, mask.shape, strict=True))
    return np.pad(mask, ((0, rows), (0, columns)), mode="edge").astype(np.float32)[None, None]


@lru_cache(maxsize=16)
def _zeros(shape: tuple[int, ...], dtype: str = "float32") -> NDArray[Any]:
    return _frozen(np.zeros(shape, dtype))


@lru_cache(maxsize=4)
def _ones(size: tuple[int, int]) -> NDArray[np.float32]:
    return _frozen(np.ones((1, 1, *size), np.float32))


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Shared between calls, so nobody may write to it."""
    array.flags.writeable = False
    return array
