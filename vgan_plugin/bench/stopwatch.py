"""Seconds of the wall and of all cores, collected by stage."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Times:
    """What one stage took, call by call, in seconds."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def result(self) -> dict[str, float]:
        """Median and 95th percentile of the wall, median of CPU time, in milliseconds."""
        return {
            "ms": quantile(self.wall, 0.5) * 1e3,
            "p95_ms": quantile(self.wall, 0.95) * 1e3,
            "cpu_ms": quantile(self.cpu, 0.5) * 1e3,
        }


class Stopwatch:
    """Times by stage."""

    def __init__(self) -> None:
        self.stages: dict[str, Times] = defaultdict(Times)

    @contextmanager
    def stage(self, name: str, share: int = 1) -> Iterator[None]:
        """Time what happens inside; `share`: among how many equal items it is divided."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        times = self.stages[name]
        times.cpu.append((time.process_time() - cpu) / share)
        times.wall.append((time.perf_counter() - wall) / share)

    def results(self) -> dict[str, dict[str, float]]:
        """Every stage that was timed."""
        return {name: times.result() for name, times in self.stages.items()}


def quantile(values: Sequence[float], share: float) -> float:
    """By linear interpolation between the sorted values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
