"""Does the bundle give what the trained network gives? Both run the same chain, and their pictures are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vgan_plugin.bundle.store import Bundle
from vgan_plugin.errors import ExportFailed
from vgan_plugin.runtime.session import GraphSessions, Value
from vgan_plugin.training.generator import BLOCK, LEAD, NOISE, STRIDE, Features, Generator
from vgan_plugin.training.recurrence import State

SIZES = ((64, 96), (49, 83), (117, 61))
"""(H, W) compared at; two of them odd."""
OFFSETS = ((-0.5, 0.5), (-2.0, -1.0), (-0.75, 2.25))
"""Times of the references compared at in turn: between, after, and not in the middle."""
LARGEST, MEAN = 1e-3, 1e-5
"""Differences allowed, of the range 0..1."""


def compare(generator: Generator, bundle: Bundle, steps: int = BLOCK + LEAD) -> dict[str, Any]:
    """Run both over a chain of moving frames at several sizes, on the CPU.

    Args:
        generator: in evaluation mode, weights as packed.
        bundle: what was packed.
        steps: frames of the chain; one frame is made at each third step.

    Returns:
        The report for `bundle.json`: for each size the largest and mean difference of the picture, and the largest of
        confidence and state.

    Raises:
        ExportFailed: a difference is larger than allowed.
    """
    sessions = GraphSessions(bundle, "cpu")
    found = [_at(generator, sessions, size, steps) for size in SIZES]
    sessions.close()
    for size in found:
        if size["largest"] > LARGEST or size["mean"] > MEAN:
            raise ExportFailed(
                f"The exported graphs do not give what the network gives at {size['height']}x{size['width']}",
                f"largest difference {size['largest']:.2e} (allowed {LARGEST}), mean {size['mean']:.2e} ({MEAN})",
                "update torch and onnxscript, and export again",
            )
    engine = sessions.provenance["provider"]["engine"]
    return {
        "steps": steps,
        "allowed": {"largest": LARGEST, "mean": MEAN},
        "engine": engine,
        "torch": torch.__version__,
        "sizes": found,
    }


@torch.no_grad()
def _at(generator: Generator, sessions: GraphSessions, size: tuple[int, int], steps: int) -> dict[str, Any]:
    height, width = size
    trained, exported = _Trained(generator), _Exported(sessions)
    largest = confidence = state = 0.0
    means = []
    for i, frame in enumerate(_moving(height, width, steps)):
        padded = F.pad(frame, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        trained.observe(padded)
        exported.observe(padded.numpy())
        state = max(state, float(np.abs(exported.state[0] - trained.state.hidden.numpy()).max()))
        if i % 3 == 1:
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


def _moving(height: int, width: int, steps: int) -> list[Tensor]:
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


class _Trained:
    """The chain in torch."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.seen: list[Features] = []
        self.state: State

    def observe(self, frame: Tensor) -> None:
        now = self.generator.encode(frame, torch.ones_like(frame[:, :1]))
        before = self.seen[-1] if self.seen else now
        state = self.state if self.seen else self.generator.initial_state(now)
        self.state = self.generator.remember(now, before, torch.full((1,), float(bool(self.seen))), state)
        self.seen = [before, now]

    def render(self, offsets: tuple[float, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        frame = self.seen[1].image[:, :3]
        noise = frame.new_zeros(1, NOISE, frame.shape[2] // STRIDE, frame.shape[3] // STRIDE)
        known, mask, times = torch.zeros_like(frame), torch.ones_like(frame[:, :1]), torch.tensor([offsets])
        a, b = self.seen
        made = self.generator.render(a, b, self.state, times, known, mask, noise)
        return made.rgb.numpy(), made.confidence.numpy()


class _Exported:
    """The same chain through the sessions that serve it."""

    def __init__(self, sessions: GraphSessions) -> None:
        self.sessions = sessions
        self.seen: list[dict[str, Value]] = []
        self.state: tuple[NDArray[np.float32], NDArray[np.float32]]

    def observe(self, frame: NDArray[np.float32]) -> None:
        now = self.sessions.run("encode", {"frame": frame, "valid": np.ones_like(frame[:, :1])})
        before = self.seen[-1] if self.seen else now
        if not self.seen:
            channels = self.sessions.bundle.manifest.graphs["remember"].outputs[0].shape[1]
            empty = np.zeros((1, int(channels), *self.sessions.to_numpy(now["f16"]).shape[2:]), np.float32)
            self.state = (empty, empty)
        inputs = {name: now[name] for name in ("d16", "y16", "f16")}
        inputs |= {"previous_d16": before["d16"], "previous_y16": before["y16"]}
        inputs |= {"dt": np.full(1, bool(self.seen), np.float32), "hidden": self.state[0], "memory": self.state[1]}
        out = self.sessions.run("remember", inputs)
        self.state = (self.sessions.to_numpy(out["next_hidden"]), self.sessions.to_numpy(out["next_memory"]))
        self.seen = [before, now]

    def render(self, offsets: tuple[float, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        image = self.sessions.to_numpy(self.seen[1]["image"])
        height, width = image.shape[2:]
        inputs: dict[str, Value] = {}
        for prefix, tensors in zip(("a_", "b_"), self.seen, strict=True):
            inputs |= {prefix + name: value for name, value in tensors.items()}
        inputs |= {
            "hidden": self.state[0],
            "before": np.array(offsets[:1], np.float32),
            "after": np.array(offsets[1:], np.float32),
            "known": np.zeros((1, 3, height, width), np.float32),
            "mask": np.ones((1, 1, height, width), np.float32),
            "noise": np.zeros((1, NOISE, height // STRIDE, width // STRIDE), np.float32),
        }
        out = self.sessions.run("render", inputs)
        return self.sessions.to_numpy(out["rgb"]), self.sessions.to_numpy(out["confidence"])
