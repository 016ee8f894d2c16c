"""A generator whose every answer depends on everything it may depend on, so that the smallest difference shows."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from vgan_plugin.types import Frame, GeneratorInfo, Made, Mask, RenderRequest


def digest(*parts: Any) -> str:
    """A hash of values and planes."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Frame):
            for plane in part.planes:
                found.update(np.ascontiguousarray(plane).tobytes())
        else:
            found.update(repr(part).encode())
    return found.hexdigest()


class Toy:
    """Features, state and frames are hashes of all that went in.

    Args:
        block: B.
        lead: W.
        confidence: what it claims for every frame.
        fails: asked before each call with its name and frame's or target's pts; raises to make the call fail.
    """

    def __init__(
        self,
        block: int = 4,
        lead: int = 2,
        confidence: float = 0.5,
        fails: Callable[[str, int], None] = lambda _call, _pts: None,
    ) -> None:
        self.info = GeneratorInfo("toy", "a toy", ("fill",), "Apache-2.0")
        self.block, self.lead, self.confidence, self.fails = block, lead, confidence, fails
        self.provenance = {"provider": "python"}
        self.encoded: list[int] = []
        self.remembered: list[int] = []
        self.steps: list[Fraction] = []
        self.closed = False

    def encode(self, frame: Frame, valid: Mask | None = None) -> Any:
        self.fails("encode", frame.pts)
        self.encoded.append(frame.pts)
        return frame.pts, digest(frame)

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> Any:
        self.fails("remember", features[0])
        self.remembered.append(features[0])
        self.steps.append(dt)
        return digest(features, previous, dt, state)

    def render(self, request: RenderRequest) -> Made:
        self.fails("render", request.pts)
        refs = [None if ref is None else (digest(ref.frame), ref.features) for ref in (request.a, request.b)]
        remembered = request.state, request.later
        seed = digest(refs, remembered, request.offsets, request.pts, request.seed, request.mask is None)
        rng = np.random.default_rng(int(seed[:16], 16))
        planes = tuple(rng.integers(16, 235, plane.shape, plane.dtype) for plane in request.like.planes)
        made = replace(request.like, planes=planes, pts=request.pts, time_base=request.time_base)
        return Made(made, self.confidence)

    def close(self) -> None:
        self.closed = True


class Abreast(Toy):
    """A toy that may be asked for several frames at once, is late by chance, and watches how many it is asked for."""

    def __init__(self, lanes: int, seed: int = 0, latest: float = 0.002, **more: Any) -> None:
        super().__init__(**more)
        self.lanes, self._latest, self._random = lanes, latest, random.Random(seed)
        self._lock, self.running, self.most, self.threads = threading.Lock(), 0, 0, set[int]()

    def render(self, request: RenderRequest) -> Made:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.threads.add(threading.get_ident())
            wait = self._random.random() * self._latest
        try:
            time.sleep(wait)
            return super().render(request)
        finally:
            with self._lock:
                self.running -= 1
