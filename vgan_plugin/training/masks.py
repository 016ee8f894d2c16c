"""Damage for training: which pixels of a run of frames are gone. 1 = gone (make this pixel), as everywhere.

Every kind takes a NumPy generator for its few random numbers, so that the same seed gives the same damage, and draws n
windows at once from coordinates, on the device of the footage: (n, frames, side, side) of bool. What covers a scene (a
caption, an object, dirt on a lens) stays or drifts; what a transmission loses (blocks, slices) is elsewhere in each
frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 16
"""Side of a macroblock."""


class _Canvas:
    """Where masks are drawn: coordinates of (n, frames, side, side) pixels, and how each window's damage drifts."""

    def __init__(self, rng: np.random.Generator, n: int, frames: int, side: int, device: torch.device) -> None:
        self.rng, self.n, self.frames, self.side, self.device = rng, n, frames, side, device
        line = torch.arange(side, device=device, dtype=torch.float32)
        self.y, self.x = line.view(1, 1, -1, 1), line.view(1, 1, 1, -1)

    def numbers(self, low: float, high: float, count: int = 1) -> Tensor:
        """Uniform numbers, (n, count, 1, 1)."""
        return self.tensor(self.rng.uniform(low, high, (self.n, count)))

    def tensor(self, values: np.ndarray) -> Tensor:
        """(n, k) as (n, k, 1, 1) on the device."""
        return torch.from_numpy(np.asarray(values, np.float32)).to(self.device)[:, :, None, None]

    def drifting(self, still: float, middle: bool = True) -> tuple[Tensor, Tensor]:
        """(y, x) seen from a shape at the origin that drifts up to 3 pixels a frame, or for a share `still` stays.

        Its place, anywhere in the picture, is where it is in the middle frame.
        """
        drift = self.rng.integers(-3, 4, (2, self.n, 1)) * (self.rng.random((self.n, 1)) >= still)
        place = self.rng.uniform(0, self.side, (2, self.n, 1)) if middle else np.zeros((2, self.n, 1))
        moved = place + drift * (np.arange(self.frames) - self.frames // 2)
        return self.y - self.tensor(moved[0]), self.x - self.tensor(moved[1])


def _box(c: _Canvas) -> Tensor:
    """A rectangle of a tenth to a half of each side: a logo, a sign."""
    y, x = c.drifting(still=0.4)
    return (y.abs() < c.numbers(0.05, 0.25) * c.side) & (x.abs() < c.numbers(0.05, 0.25) * c.side)


def _object(c: _Canvas) -> Tensor:
    """The outline of something that moves: smooth noise over a threshold."""
    y, x = c.drifting(still=0.1, middle=False)
    knots = torch.from_numpy(c.rng.standard_normal((c.n, 1, 9, 9)).astype(np.float32)).to(c.device)
    # So many of the knots are seen that a shape is a sixth to a half of the picture across.
    scale = c.numbers(0.4, 0.9) / c.side
    whole = (c.n, c.frames, c.side, c.side)
    at = torch.stack([(p * 2 * scale - 0.5).expand(whole) for p in (x, y)], -1).flatten(0, 1)
    noise = F.grid_sample(
        knots.repeat_interleave(c.frames, 0), at, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return noise.view(whole) > c.numbers(0.4, 0.9)


def _stroke(c: _Canvas) -> Tensor:
    """A brush drawn over the picture: four joined lines of one width."""
    y, x = c.drifting(still=0.5)
    angle = np.cumsum(c.rng.normal(0, 0.8, (c.n, 4)) + c.rng.uniform(0, 2 * np.pi, (c.n, 1)) * (np.arange(4) == 0), 1)
    reach = c.rng.uniform(0.1, 0.25, (c.n, 4)) * c.side
    ends = np.cumsum(np.stack((reach * np.sin(angle), reach * np.cos(angle)), -1), 1)  # (n, 4, (y, x))
    starts = np.concatenate((np.zeros_like(ends[:, :1]), ends[:, :-1]), 1)
    radius = c.numbers(1.0, c.side / 20)
    mask = torch.zeros((), dtype=torch.bool, device=c.device)
    for k in range(ends.shape[1]):
        dy, dx = (c.tensor(ends[:, k, i, None] - starts[:, k, i, None]) for i in (0, 1))
        py, px = (p - c.tensor(starts[:, k, i, None]) for i, p in ((0, y), (1, x)))
        along = ((py * dy + px * dx) / (dy * dy + dx * dx + 1e-6)).clamp(0, 1)
        mask = mask | ((py - along * dy).square() + (px - along * dx).square() < radius * radius)
    return mask


def _subtitle(c: _Canvas) -> Tensor:
    """One or two rows of letter boxes that stand still."""
    high = c.numbers(c.side / 14, c.side / 7).round().clamp(min=4)
    top = c.side / 2 + c.numbers(0, 1) * (c.side / 2 - high)
    lines = torch.where(c.numbers(0, 1) < 0.3, 2.0, 1.0)
    row = (c.y - top) / (high / lines)
    wide = (high / lines * c.numbers(0.4, 0.9)).clamp(min=3)
    column = (c.x / wide).floor()
    letters = torch.from_numpy(c.rng.random((c.n, 2, c.side)) < 0.85).to(c.device)
    here = (row.floor().clamp(0, 1) * c.side + column).long().expand(c.n, 1, c.side, c.side)
    printed = letters.flatten(1).gather(1, here.flatten(1)).view(here.shape)
    gaps = ((c.x - column * wide) >= 1) & ((row - row.floor()) * high / lines >= 1)
    return (printed & gaps & (row >= 0) & (row < lines)).expand(c.n, c.frames, c.side, c.side)


def _cells(c: _Canvas, lost: np.ndarray) -> Tensor:
    """(n, frames, rows, columns) lost macroblocks of a picture whose grid starts anywhere, as pixels."""
    phase = c.rng.integers(0, BLOCK, (2, c.n, 1, 1, 1))
    line = np.arange(c.side)
    rows, columns = (line[:, None] + phase[0]) // BLOCK, (line[None, :] + phase[1]) // BLOCK
    cell = torch.from_numpy((rows * lost.shape[-1] + columns).reshape(c.n, 1, -1)).to(c.device)
    values = torch.from_numpy(lost).to(c.device).flatten(2)
    return values.gather(2, cell.expand(-1, c.frames, -1)).view(c.n, c.frames, c.side, c.side)


def _blocks(c: _Canvas) -> Tensor:
    """Lost macroblocks, other ones in each frame."""
    cells = c.side // BLOCK + 1
    return _cells(c, c.rng.random((c.n, c.frames, cells, cells)) < c.rng.uniform(0.02, 0.12, (c.n, 1, 1, 1)))


def _slice(c: _Canvas) -> Tensor:
    """From a block on, all that a lost slice held: the rest of its row and up to a third of the rows below."""
    cells = c.side // BLOCK + 1
    order = np.arange(cells * cells)
    first = c.rng.integers(0, cells * cells - 1, (c.n, c.frames, 1))
    rows = c.rng.integers(1, max(2, cells // 3 + 1), (c.n, c.frames, 1))
    lost = (order >= first) & (order < (first // cells + rows) * cells)
    return _cells(c, lost.reshape(c.n, c.frames, cells, cells))


def _scratch(c: _Canvas) -> Tensor:
    """Up to three upright lines of one to three pixels that wander, as on a worn film."""
    mask = torch.zeros((), dtype=torch.bool, device=c.device)
    for k in range(3):
        there = c.numbers(0, 1) < (1.0, 0.5, 0.3)[k]
        place = c.rng.uniform(0, c.side, (c.n, 1)) + np.cumsum(c.rng.normal(0, 1, (c.n, c.frames)), 1)
        away = (c.x - c.tensor(place) - c.numbers(-0.04, 0.04) * c.y).abs()
        top, end = (c.tensor(c.rng.uniform(low, low + 0.6, (c.n, c.frames)) * c.side) for low in (-0.4, 0.5))
        mask = mask | ((away < c.numbers(0.5, 1.5)) & (c.y >= top) & (c.y < end) & there)
    return mask


KINDS: Mapping[str, Callable[[_Canvas], Tensor]] = {
    "box": _box,
    "object": _object,
    "stroke": _stroke,
    "subtitle": _subtitle,
    "blocks": _blocks,
    "slice": _slice,
    "scratch": _scratch,
}
IN_TRANSIT = frozenset(["blocks", "slice"])
"""Kinds that strike single frames: mostly the neighbours are whole."""


def damage(
    rng: np.random.Generator,
    shares: Mapping[str, float],
    n: int,
    frames: int,
    side: int,
    target: int,
    device: torch.device,
) -> Tensor:
    """Damage of n windows, never none in the target frame.

    Args:
        rng: draws it.
        shares: of the kinds; they sum to 1.
        n: windows.
        frames: frames of each.
        side: their side in pixels.
        target: the frame that is to be repaired; in some windows the others are whole.
        device: where the masks are drawn.

    Returns:
        (n, frames, 1, side, side) float of 0 and 1.
    """
    kinds = rng.choice(list(shares), n, p=list(shares.values()))
    order, parts = [], []
    for kind in dict.fromkeys(kinds.tolist()):
        rows = np.flatnonzero(kinds == kind)
        mask = KINDS[kind](_Canvas(rng, len(rows), frames, side, device))
        whole = rng.random((len(rows), 1)) < (0.8 if kind in IN_TRANSIT else 0.25)
        gone = ~(whole & (np.arange(frames) != target))
        parts.append(mask & torch.from_numpy(gone).to(device)[:, :, None, None])
        order.append(rows)
    lost = torch.cat(parts)[torch.from_numpy(np.argsort(np.concatenate(order))).to(device)]
    spared = ~lost[:, target].flatten(1).any(1)  # a box may have drifted out, blocks may have been spared
    line = (torch.arange(side, device=device) - side // 2).abs() < side // 8
    lost[:, target] |= spared[:, None, None] & line[:, None] & line[None]
    return lost.float().unsqueeze(2)
