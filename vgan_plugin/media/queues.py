"""A bounded queue between two threads that knows about ends, errors and early leave. Nothing of media is in here."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

T = TypeVar("T")
_END = object()


class Abandoned(Exception):
    """The other side has left, or the work was called off."""


class Channel(Generic[T]):
    """One producer, one consumer. An error of the producer is raised where the consumer reads, and the other way round.

    A signal may interrupt either side anywhere and leave the other able to go on. With a lock it could not: between
    taking a lock and knowing it, Python has a place where a handler raises, and nobody would ever release it.

    Args:
        size: how many items may wait; the producer blocks beyond.
    """

    def __init__(self, size: int) -> None:
        self._items: SimpleQueue[T | object] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._room.put(None)
        self._abandoned = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Hand over an item, waiting for room.

        Raises:
            Abandoned: the consumer has left without an error; with one, that error is raised.
        """
        self.check()
        self._room.get()
        self.check()
        self._items.put(item)

    def check(self) -> None:
        """Raise what `put` would raise, without handing over anything."""
        if self._abandoned:
            raise self._error or Abandoned

    def finish(self, error: BaseException | None = None) -> None:
        """The producer has ended, well or with an error; what waits is still delivered."""
        self._error = self._error or error
        self._items.put(_END)

    def abandon(self, error: BaseException | None = None) -> None:
        """The consumer leaves, or the producer calls the work off: what waits is dropped, both sides are told."""
        self._error = self._error or error
        self._abandoned = True
        self._room.put(None)
        self._items.put(_END)

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._items.get()
            self.check()
            if item is _END:
                if self._error is not None:
                    raise self._error
                return
            self._room.put(None)
            yield cast("T", item)


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
