"""Does the bundle give what the trained network gives? Both run the same chain, and their pictures are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vgan_plugin.bundle.signature import Graph
from vgan_plugin.bundle.store import Bundle
from vgan_plugin.errors import ExportFailed
from vgan_plugin.runtime.session import GraphSessions, Value
from vgan_plugin.training.generator import NOISE, STRIDE, Features, Generator
from vgan_plugin.training.recurrence import State

SIZES = ((64, 96), (49, 83), (117, 61))
"""(H, W) compared at; two of them odd."""
OFFSETS = ((-0.5, 0.5), (-2.0, -1.0), (-0.75, 2.25), (-0.25, 0.75))
"""Times of the references compared at in turn: between, after, and not in the middle."""
STEPS = 64
"""Frames of the chain: more than the longest that is ever run, a block and its lead-in."""
ALLOWED = {"fp32": (1e-4, 1e-6), "fp16": (5e-3, 1e-4), "int8": (2e-1, 4e-3)}
"""Differences allowed, largest and mean, of the range 0..1: some three times those of the bundles that ship."""


def compare(generator: Generator, bundle: Bundle, steps: int = STEPS) -> dict[str, Any]:
    """Run the network and each precision of the bundle over a chain of moving frames at several sizes, on the CPU.

    Args:
        generator: in evaluation mode, weights as packed.
        bundle: what was packed.
        steps: frames of the chain; one frame is made at each third step.

    Returns:
        The report for `bundle.json`: for each size the largest and mean difference of the picture, and the largest of
        confidence and state; the same for the graphs in other precisions under ``variants``.

    Raises:
        ExportFailed: a difference is larger than allowed.
    """
    reports = {precision: _report(generator, bundle, precision, steps) for precision in bundle.manifest.precisions}
    return reports.pop("fp32") | {"variants": reports}


def _report(generator: Generator, bundle: Bundle, precision: str, steps: int) -> dict[str, Any]:
    sessions = GraphSessions(bundle, "cpu", precision=precision)
    found = [_at(generator, sessions, size, steps) for size in SIZES]
    sessions.close()
    largest, mean = ALLOWED[precision]
    for size in found:
        if size["largest"] > largest or size["mean"] > mean:
            raise ExportFailed(
                f"The graphs in {precision} do not give what the network gives at {size['height']}x{size['width']}",
                f"largest difference {size['largest']:.2e} (allowed {largest}), mean {size['mean']:.2e} ({mean})",
                "update torch and onnxscript, and export again",
            )
    return {
        "steps": steps,
        "allowed": {"largest": largest, "mean": mean},
        "engine": sessions.provenance["provider"]["engine"],
        "torch": torch.__version__,
        "sizes": found,
    }


@torch.no_grad()
def _at(generator: Generator, sessions: GraphSessions, size: tuple[int, int], steps: int) -> dict[str, Any]:
    height, width = size
    trained, exported = _Trained(generator), Exported(sessions)
    largest = confidence = state = 0.0
    means = []
    for i, frame in enumerate(moving(height, width, steps)):
        padded = F.pad(frame, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        trained.observe(padded)
        exported.observe(padded.numpy())
        state = max(state, float(np.abs(exported.state["hidden"] - trained.state.hidden.numpy()).max()))
        if i % 3 == 2:
            offsets = OFFSETS[i // 3 % len(OFFSETS)]
            (rgb, sure), (got, got_sure) = trained.render(offsets), exported.render(offsets)
            difference = np.abs(got - rgb)
            largest = max(largest, float(difference.max()))
            means.append(float(difference.mean()))
            confidence = max(confidence, float(np.abs(got_sure - sure).max()))
    return {
        "height": height,
        "width": width,
        "largest": largest,
        "mean": float(np.mean(means)),
        "confidence": confidence,
        "state": state,
    }


def moving(height: int, width: int, steps: int) -> list[Tensor]:
    """Smooth random pictures, (1, 3, H, W) in [0, 1], a background and a patch before it that move differently."""
    noise = torch.Generator().manual_seed(0)
    far = F.interpolate(torch.rand(1, 3, 24, 24, generator=noise), size=(2 * height, 2 * width), mode="bicubic")
    near = F.interpolate(torch.rand(1, 3, 9, 9, generator=noise), size=(height // 2, width // 2), mode="bicubic")
    frames = []
    for i in range(steps):
        y, x = i % height, 2 * i % width
        frame = far[..., y : y + height, x : x + width].clamp(0, 1).clone()
        top, left = i % (height // 3), (width // 3 - i) % (width // 3)
        frame[..., top : top + near.shape[2], left : left + near.shape[3]] = near.clamp(0, 1)
        frames.append(frame)
    return frames


def _noise(frame: Tensor, synthesises: bool) -> Tensor:
    """Zeros, as where nothing is synthesised, or the same draw every time."""
    shape = (1, NOISE, frame.shape[2] // STRIDE, frame.shape[3] // STRIDE)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)) if synthesises else frame.new_zeros(shape)


class _Trained:
    """The chain in torch."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.seen: list[Features] = []
        self.state: State
        self.last: State

    def observe(self, frame: Tensor) -> None:
        now = self.generator.encode(frame, torch.ones_like(frame[:, :1]))
        before = self.seen[-1] if self.seen else now
        self.last = self.state if self.seen else self._start(now)
        self.state = self.generator.remember(now, before, torch.full((1,), float(bool(self.seen))), self.last)
        self.seen = [*self.seen[-2:], now]

    def _start(self, features: Features) -> State:
        if self.generator.preset.synthesises:
            return self.generator.seed(_noise(features.image, synthesises=True))
        return self.generator.initial_state(features)

    def render(self, offsets: tuple[float, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Between the last but two and the last but one, or before or after both."""
        a, b = self.seen[-3:-1]
        frame = b.image[:, :3]
        noise = _noise(frame, self.generator.preset.synthesises)
        known, mask, times = torch.zeros_like(frame), torch.ones_like(frame[:, :1]), torch.tensor([offsets])
        made = self.generator.render(a, b, self.last, times, known, mask, noise, self.state.motion)
        return made.rgb.numpy(), made.confidence.numpy()


class Sessions(Protocol):
    """What of `GraphSessions` a chain needs."""

    @property
    def graphs(self) -> Mapping[str, Graph]:
        """Signatures by name."""

    def run(self, graph: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Run one graph."""

    def to_numpy(self, value: Value) -> NDArray[Any]:
        """A value in host memory."""


class Exported:
    """The same chain through the sessions that serve it."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.seen: list[dict[str, Value]] = []
        self.state: dict[str, NDArray[np.float32]]
        self.last: dict[str, NDArray[np.float32]]

    def observe(self, frame: NDArray[np.float32]) -> None:
        """Take the next source frame, (1, 3, H, W)."""
        now = self.sessions.run("encode", {"frame": frame, "valid": np.ones_like(frame[:, :1])})
        before = self.seen[-1] if self.seen else now
        if not self.seen:
            self.state = self._start(frame)
        inputs = {name: now[name] for name in ("d16", "y16", "y8", "y4", "f16")}
        inputs |= {"previous_" + name: before[name] for name in ("d16", "y16", "y8", "y4")}
        inputs |= {"dt": np.full(1, bool(self.seen), np.float32), **self.state}
        out = self.sessions.run("remember", inputs)
        self.last = self.state
        self.state = {name.removeprefix("next_"): self.sessions.to_numpy(value) for name, value in out.items()}
        self.seen = [*self.seen[-2:], now]

    def _start(self, frame: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        graphs, (height, width) = self.sessions.graphs, frame.shape[2:]
        state = {t.name.removeprefix("next_") for t in graphs["remember"].outputs}
        inputs = [t for t in graphs["remember"].inputs if t.name in state]
        start = {t.name: np.zeros(t.resolve({"H": height, "W": width}), np.float32) for t in inputs}
        if "seed" in graphs:
            out = self.sessions.run("seed", {"noise": _noise(torch.from_numpy(frame), synthesises=True).numpy()})
            start |= {name: self.sessions.to_numpy(value) for name, value in out.items()}
        return start

    def render(self, offsets: tuple[float, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Picture and confidence between the last but two and the last but one, or before or after both."""
        a, b = self.seen[-3:-1]
        image = self.sessions.to_numpy(b["image"])
        height, width = image.shape[2:]
        noise = _noise(torch.from_numpy(image), "seed" in self.sessions.graphs)
        inputs: dict[str, Value] = {}
        for prefix, tensors in (("a_", a), ("b_", b)):
            inputs |= {prefix + name: value for name, value in tensors.items()}
        inputs |= {
            "hidden": self.last["hidden"],
            "motion": self.last["motion"],
            "later": self.state["motion"],
            "before": np.array(offsets[:1], np.float32),
            "after": np.array(offsets[1:], np.float32),
            "known": np.zeros((1, 3, height, width), np.float32),
            "mask": np.ones((1, 1, height, width), np.float32),
            "noise": noise.numpy(),
        }
        out = self.sessions.run("render", inputs)
        return self.sessions.to_numpy(out["rgb"]), self.sessions.to_numpy(out["confidence"])
