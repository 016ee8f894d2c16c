"""Frames that the memory does not hold, made tile by tile: smaller tiles until they fit, then the CPU, and each said.

What is cut how is decided before the first frame, from the memory that is free then. So a made frame still depends on
nothing but its references, and what was asked for before changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vgan_plugin.errors import OutOfMemory
from vgan_plugin.pixels.tiling import Grid, Merger, Tile, crop, crop_mask, grid
from vgan_plugin.runtime import memory
from vgan_plugin.runtime.generator import RecurrentGenerator, open_recurrent
from vgan_plugin.types import Frame, Made, Mask, OpenRequest, PixelFormat, Reference, RenderRequest

BYTES_A_PIXEL = 1000
"""What a frame needs while it is made, features of the frames around it included; see docs/performance.md."""
SHARE = 0.6
"""Of the free memory that a frame may need: others want some, too."""
SMALLEST = 256 * 256
"""Pixels of a tile below which the CPU is better."""


def open_fitted(request: OpenRequest, extra: Iterable[Path] = ()) -> RecurrentGenerator | Tiled:
    """As `open_recurrent`; where the size of the frames is known, in tiles when the memory asks for it."""
    if request.size is None:
        return open_recurrent(request, extra)
    folders = tuple(extra)
    return fitted(
        lambda device: open_recurrent(replace(request, device=device, size=None), folders), request.device, request.size
    )


def fitted(
    open_on: Callable[[str], RecurrentGenerator], device: str, size: tuple[int, int]
) -> RecurrentGenerator | Tiled:
    """A generator whose work fits into the memory of its device.

    Args:
        open_on: opens it on a device.
        device: the device asked for.
        size: (height, width) of the frames to come.

    Raises:
        VganError: as `open_on`; OutOfMemory where not even the CPU holds the smallest tile.
    """
    generator = open_on(device)
    name = str(generator.provenance["provider"]["device"])
    notes: list[str] = []
    free = _free(name)
    most = size[0] * size[1] if free is None else int(SHARE * free / BYTES_A_PIXEL)
    generator.lanes = max(1, min(generator.lanes, most // (size[0] * size[1])))
    while True:
        cut = grid(*size, max(most, SMALLEST))
        if len(cut.tiles) == 1 and not notes and name == "cpu":
            generator.prepare(*size)
            return generator
        try:
            _rehearse(generator, cut)
        except OutOfMemory as error:
            notes.append(f"{_words(cut)} did not fit into {name} ({error.why})")
            generator.lanes = 1
            most = cut.largest[0] * cut.largest[1] // 2
            if most >= SMALLEST:
                continue
            generator.close()
            if name == "cpu":
                raise
            generator, name, most = open_on("cpu"), "cpu", size[0] * size[1]
            generator.lanes = 1
            continue
        return generator if len(cut.tiles) == 1 and not notes else Tiled(generator, cut, size, free, notes)


def _free(name: str) -> int | None:
    kind, _, index = name.partition(":")
    if kind == "cpu":
        return memory.host_available()
    found = memory.device_memory(int(index or 0))
    return None if found is None else found[0]


def _rehearse(generator: RecurrentGenerator, cut: Grid) -> None:
    """One made frame of the largest tile: allocates what there is to allocate."""
    height, width = cut.largest
    frame = Frame((np.zeros((height, width), np.uint8),), PixelFormat.parse("gray"))
    seen = Reference(frame, generator.encode(frame))
    state = generator.remember(seen.features, None, Fraction(0), None)
    half = Fraction(1, 2)
    generator.render(RenderRequest(seen, seen, state, (-half, half), frame, 0, frame.time_base))


def _words(cut: Grid) -> str:
    height, width = cut.largest
    count = len(cut.tiles)
    return f"{width}x{height}" if count == 1 else f"{count} tiles of {width}x{height}"


class Tiled:
    """A `FrameGenerator` that makes each tile alone. Features and states are those of the tiles, in order.

    Args:
        inner: makes the tiles.
        cut: how frames are cut.
        size: (height, width) of the frames.
        free: bytes that were free, for the report.
        notes: what did not fit.
    """

    def __init__(
        self, inner: RecurrentGenerator, cut: Grid, size: tuple[int, int], free: int | None, notes: list[str]
    ) -> None:
        self.info, self.block, self.lead = inner.info, inner.block, inner.lead
        self._inner, self._cut, self._size, self._free, self._notes = inner, cut, size, free, notes

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What really runs, and how frames are cut: ``tiles``, and ``fallback`` for what did not fit."""
        found = dict(self._inner.provenance)
        provider = dict(found["provider"])
        free = "" if self._free is None else f", {self._free / 1e9:.1f} GB were free"
        provider["tiles"] = _words(self._cut) + free
        provider["fallback"] = "; ".join([*filter(None, [provider.get("fallback")]), *self._notes])
        return {**found, "provider": provider}

    def encode(self, frame: Frame, valid: Mask | None = None) -> tuple[Any, ...]:
        """Features of each tile.

        Raises:
            ValueError: the frame has another size than the generator was opened for.
        """
        if (frame.height, frame.width) != self._size:
            raise ValueError(f"{frame!r} is not of the size {self._size[1]}x{self._size[0]} that was to come")
        return tuple(self._inner.encode(crop(frame, tile), crop_mask(valid, tile)) for tile in self._cut.tiles)

    def remember(self, features: Any, previous: Any, dt: Fraction, state: Any) -> tuple[Any, ...]:
        """One step of each tile's chain."""
        nothing = (None,) * len(features)
        return tuple(
            self._inner.remember(now, before, dt, known)
            for now, before, known in zip(features, previous or nothing, state or nothing, strict=True)
        )

    def render(self, request: RenderRequest) -> Made:
        """Make each tile, and lay them together."""
        merger = Merger(self._cut, request.like)
        sure, weight = 0.0, 0
        for i, tile in enumerate(self._cut.tiles):
            made = self._inner.render(self._part(request, i, tile))
            merger.add(tile, made.frame, made.map)
            sure, weight = sure + made.confidence * tile.height * tile.width, weight + tile.height * tile.width
        frame = replace(merger.frame(), pts=request.pts, time_base=request.time_base, corrupt=False)
        return Made(frame, sure / weight, map=merger.map)

    def seed(self, seed: int, like: Frame) -> tuple[Any, ...]:
        """The state of each tile that a video from noise begins with."""
        return tuple(self._inner.seed(seed, crop(like, tile)) for tile in self._cut.tiles)

    def _part(self, request: RenderRequest, index: int, tile: Tile) -> RenderRequest:
        a, b = (
            None if whole is None else Reference(crop(whole.frame, tile), whole.features[index])
            for whole in (request.a, request.b)
        )
        return replace(
            request,
            a=a,
            b=b,
            state=None if request.state is None else request.state[index],
            later=None if request.later is None else request.later[index],
            like=crop(request.like, tile),
            known=None if request.known is None else crop(request.known, tile),
            mask=crop_mask(request.mask, tile),
        )

    def close(self) -> None:
        """Free the sessions."""
        self._inner.close()
