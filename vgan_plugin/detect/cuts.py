"""Hard cuts: `cut`. Flashes and fast pans are none.

A step is looked at closely when the picture changes much more than it usually does. It is a cut when the second
picture cannot be put together from pieces of the first, moved by a little, nor the first from the second. A hole in
the time stamps, a pan and a moving object change the picture as much, but its pieces are still there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from statistics import median

import numpy as np

from vgan_plugin.detect.look import Look, Small, change, look
from vgan_plugin.gaps import Event
from vgan_plugin.types import Frame

LEAST = 6.0
"""Mean change in levels below which no step is a cut."""
UNUSUAL = 1.6
"""Times the usual change from which on a step is looked at closely."""
ALIKE = 0.5
"""Correlation from which on two pictures show the same: a flash changes the levels, not the picture."""
BLOCK = 8
REACH = 10
"""Search range of a block in samples of the small picture halved: a sixteenth of the picture's width and a half."""
TEXTURE = 3.0
"""Mean deviation in levels that a block must have to be worth finding."""
FOUND = 0.12
"""A cut leaves fewer of the blocks than this to be found..."""
EXPLAINED = 0.85
"""...and their differences at least so large a share of their texture."""
FLASH = 8
"""A uniform picture that lasts no longer and is followed by the shot it interrupts is a flash."""


class Cuts:
    """Finds the first frame of every new shot."""

    lookahead = FLASH + 1

    def __init__(self) -> None:
        self._before: Look | None = None
        self._usual: deque[float] = deque(maxlen=8)
        self._flat: list[tuple[int, Frame]] = []

    def feed(self, index: int, frame: Frame) -> Iterable[Event]:
        """Take the next frame; inside a flash the verdict waits for its end. Damaged frames say nothing."""
        if frame.corrupt:
            return []
        now = look(frame)
        if now.flat and self._before is not None:
            if not self._flat and change(self._before, now).mean < LEAST:
                # A fade has come to its end: nothing abrupt.
                self._before = now
                return []
            self._flat.append((index, frame))
            if len(self._flat) <= FLASH:
                return []
            return list(self._end_of_flash(now))
        found = list(self._next(index, frame, now))
        self._before = now
        return found

    def finish(self) -> Iterable[Event]:
        """A uniform picture that lasts to the end is a shot of its own."""
        return list(self._end_of_flash(None))

    def _next(self, index: int, frame: Frame, now: Look) -> Iterator[Event]:
        before = self._before
        if before is None:
            return
        step = change(before, now).mean
        if self._flat:
            if another_shot(before, now):
                yield from self._end_of_flash(None)
                yield _event(index, frame, step)
            self._flat = []
            self._usual.clear()
            return
        usual = median(self._usual) if self._usual else 0.0
        if step >= max(LEAST, UNUSUAL * usual) and another_shot(before, now):
            yield _event(index, frame, step)
            self._usual.clear()
        else:
            self._usual.append(step)

    def _end_of_flash(self, now: Look | None) -> Iterator[Event]:
        """What seemed a flash is a cut to a uniform picture."""
        if self._flat and self._before is not None:
            index, frame = self._flat[0]
            yield _event(index, frame, change(self._before, look(frame)).mean)
        self._flat = []
        self._usual.clear()
        self._before = now if now is not None else self._before


@lru_cache(maxsize=8)  # detectors ask about the same neighbours
def another_shot(a: Look, b: Look) -> bool:
    """Whether two pictures show different shots: neither can be made of the other's pieces."""
    if a.luma.shape != b.luma.shape:
        return True
    if a.flat or b.flat:
        return change(a, b).mean >= LEAST
    if _correlation(a.luma, b.luma) >= ALIKE:
        return False
    first, second = _coarse(a.luma), _coarse(b.luma)
    return not (_made_of(first, second) or _made_of(second, first))


def _correlation(a: Small, b: Small) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _coarse(luma: Small) -> Small:
    if luma.shape[1] < 12 * BLOCK or luma.shape[0] < 4 * BLOCK:
        return luma
    rows, columns = (side // 2 * 2 for side in luma.shape)
    luma = luma[:rows, :columns]
    return (luma[::2, ::2] + luma[1::2, ::2] + luma[::2, 1::2] + luma[1::2, 1::2]) / np.float32(4)


def _made_of(b: Small, a: Small) -> bool:
    """Whether the textured blocks of `b` can be found in `a`, near where they are."""
    side = min(BLOCK, *b.shape)
    rows, columns = b.shape[0] // side, b.shape[1] // side
    b = b[: rows * side, : columns * side]
    blocks = b.reshape(rows, side, columns, side)
    texture = np.abs(blocks - blocks.mean((1, 3), keepdims=True)).mean((1, 3))
    worth = texture >= min(TEXTURE, float(np.sort(texture, axis=None)[-min(4, texture.size)]))
    reach = min(REACH, b.shape[1] // 4)
    # Outside the picture nothing matches.
    around = np.pad(a, reach, constant_values=np.float32(1e4))
    best = np.full((rows, columns), np.inf, np.float32)
    across = np.arange(columns) * side
    for down in range(2 * reach + 1):
        band = around[down : down + rows * side]
        for right in range(2 * reach + 1):
            difference = np.abs(band[:, right : right + columns * side] - b)
            lines = difference.reshape(rows, side, columns * side).sum(1)
            np.minimum(best, np.add.reduceat(lines, across, 1), out=best)
    best, texture = best[worth] / side**2, texture[worth]
    found = float((best < 0.5 * texture).mean())
    return bool(found >= FOUND or best.sum() < EXPLAINED * texture.sum())


def _event(index: int, frame: Frame, step: float) -> Event:
    reason = f"another picture: {step:.0f} levels of change, and hardly a piece of the one before is in it"
    return Event("cut", index, index, frame.pts, frame.pts, frame.time, 0, round(min(1.0, 0.5 + step / 80), 3), reason)
