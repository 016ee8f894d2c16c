"""Frames made side by side: on a CPU two frames on a core each are sooner made than one after the other on both."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Self, TypeVar

from vgan_plugin.fill.engine import Engine, Filled, Order
from vgan_plugin.types import Concurrent

T = TypeVar("T")


class Line(Generic[T]):
    """What leaves in order: what is ready, and what is being made.

    A context: whoever leaves it waits for what is being made, and drops it.

    Args:
        engine: whose orders they are. A generator that is not `Concurrent` works in the caller's own thread, when what
            it makes is to leave.

    Attributes:
        longest: how many wait for one that is being made, at most.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        lanes = engine.generator.lanes if isinstance(engine.generator, Concurrent) else 1
        self._pool = ThreadPoolExecutor(lanes, "vgan-lane") if lanes > 1 else None
        self._waiting: deque[tuple[Future[Any] | None, Callable[[], T]]] = deque()
        self.longest = 2 * lanes if lanes > 1 else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is being made, and drop it."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._waiting.clear()

    def put(self, item: T) -> None:
        """Something that is ready."""
        self._waiting.append((None, lambda: item))

    def make(self, order: Order, done: Callable[[Filled], T]) -> None:
        """Begin with an order; `done` makes of its frame what leaves."""
        if order.work is None or self._pool is None:
            self._waiting.append((None, lambda: done(self._engine.finish(order, order.work))))
            return
        made = self._pool.submit(order.work)
        self._waiting.append((made, lambda: done(self._engine.finish(order, made.result))))

    def leave(self, *, ended: bool = False) -> Iterator[T]:
        """What can leave by now; what must not wait any longer is waited for. In the end, everything."""
        while self._waiting and (ended or self._ready(self._waiting[0][0])):
            yield self._waiting.popleft()[1]()

    def _ready(self, made: Future[Any] | None) -> bool:
        return made is None or made.done() or len(self._waiting) > self.longest
