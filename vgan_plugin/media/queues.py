"""A bounded queue between two threads that knows about ends, errors and early leave. Nothing of media is in here."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Abandoned(Exception):
    """The other side has left, or the work was called off."""


class Channel(Generic[T]):
    """One producer, one consumer. An error of the producer is raised where the consumer reads, and the other way round.

    Args:
        size: how many items may wait; the producer blocks beyond.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._abandoned = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Hand over an item, waiting for room.

        Raises:
            Abandoned: the consumer has left without an error; with one, that error is raised.
        """
        with self._changed:
            while len(self._items) >= self._size and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise self._error or Abandoned
            self._items.append(item)
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what `put` would raise, without handing over anything."""
        if self._abandoned:
            raise self._error or Abandoned

    def finish(self, error: BaseException | None = None) -> None:
        """The producer has ended, well or with an error; what waits is still delivered."""
        with self._changed:
            self._finished = True
            self._error = self._error or error
            self._changed.notify_all()

    def abandon(self, error: BaseException | None = None) -> None:
        """The consumer leaves, or the producer calls the work off: what waits is dropped, both sides are told."""
        with self._changed:
            self._abandoned = True
            self._error = self._error or error
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                while not self._items and not self._finished and not self._abandoned:
                    self._changed.wait()
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    if self._abandoned:
                        raise Abandoned
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


def ahead(items: Iterable[T], size: int, name: str) -> Generator[T, None, None]:
    """Run an iterable in a thread of its own, at most `size` items ahead; closing the iterator stops the thread."""
    channel: Channel[T] = Channel(size)

    def produce() -> None:
        try:
            for item in items:
                channel.put(item)
        except Abandoned:
            return
        except BaseException as error:  # noqa: BLE001  it is raised again in the consumer's thread
            channel.finish(error)
        else:
            channel.finish()

    thread = threading.Thread(target=produce, name=name, daemon=True)
    thread.start()
    try:
        yield from channel
    finally:
        channel.abandon()
        thread.join()
