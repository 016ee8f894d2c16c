"""Time stamps as files have them become strictly increasing ones. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from statistics import median_low
from typing import TypeVar

T = TypeVar("T")

RESET = 8
"""So many stamps in a row that do not get past the last good one are a clock that was set back."""
RECENT = 15
"""Frame periods of which the median says how long a frame lasts where nothing else does."""


def increasing(
    stamped: Iterable[tuple[int | None, T]], step: int, seen: Counter[str], resets: list[int] | None = None
) -> Iterator[tuple[int, T]]:
    """Give every item a stamp later than the one before it, changing as little as possible.

    A missing stamp, and one that is not later than the last good one, is spread evenly between its good neighbours
    (at the end, and after more than `RESET` in a row, a frame period each: the median of the last `RECENT` ones,
    because the rate that a file without stamps declares is often a guess). More than `RESET` of them in a row are a
    clock that was set back: from there on every stamp is moved by what makes the first of them follow the last good one
    by a period.

    Args:
        stamped: (stamp or None, item) in presentation order.
        step: one frame period in ticks, at least 1, until the stamps show it.
        seen: counts what was repaired, under ``missing``, ``not increasing`` and ``reset``.
        resets: takes, at every reset, the ticks by which the stamps after it are moved.
    """
    last: int | None = None
    shift = 0
    waiting: list[tuple[int | None, T]] = []
    recent: deque[int] = deque(maxlen=RECENT)
    for stamp, item in stamped:
        stamp = None if stamp is None else stamp + shift
        if stamp is not None and (last is None or stamp > last + len(waiting)):
            if last is None:  # nothing good before: count back from here
                last = stamp - step * (len(waiting) + 1)
            else:
                recent.append((stamp - last) // (len(waiting) + 1))
                step = median_low(recent)
            yield from _spread(waiting, last, stamp)
            waiting.clear()
            last = stamp
            yield stamp, item
            continue
        seen["missing" if stamp is None else "not increasing"] += 1
        waiting.append((stamp, item))
        if len(waiting) > RESET:
            start = (last + step) if last is not None else 0
            first = next((stamp - i * step for i, (stamp, _) in enumerate(waiting) if stamp is not None), None)
            if first is not None:
                seen["reset"] += 1
                seen["not increasing"] -= sum(stamp is not None for stamp, _ in waiting)
                shift += start - first
                if resets is not None:
                    resets.append(shift)
            for i, (stamp, item) in enumerate(waiting):
                wanted = start + i * step if stamp is None or first is None else stamp + start - first
                last = max(wanted, last + 1) if last is not None else wanted
                yield last, item
            waiting.clear()
    if waiting:
        first = last + step if last is not None else 0
        for i, (_, item) in enumerate(waiting):
            yield first + i * step, item


def _spread(waiting: list[tuple[int | None, T]], before: int, after: int) -> Iterator[tuple[int, T]]:
    for i, (_, item) in enumerate(waiting, 1):
        yield before + (after - before) * i // (len(waiting) + 1), item


def notes(seen: Counter[str]) -> list[str]:
    """What `increasing` repaired, a line each."""
    words = {
        "missing": "frames without a time stamp: placed between their neighbours, or a period apart",
        "not increasing": "doubled or backward time stamps: spread between their neighbours",
        "reset": "times the clock was set back: what follows was moved up to continue",
    }
    return [f"{count} {words[what]}" for what, count in sorted(seen.items()) if count]
