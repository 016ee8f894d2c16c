"""Being told to end is an interrupt: the unfinished output is removed on the way out, whatever the moment."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_AGAIN = 0.01
"""Seconds after which an interrupt that was lost comes again."""


class _Interrupt(KeyboardInterrupt):
    """Not the plain one: after that has passed through `exec`, Python exits by SIGINT, whatever was done with it."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Within, SIGINT, SIGTERM and SIGHUP raise a KeyboardInterrupt in the main thread, which reaches the caller.

    Where a callback runs (of a weak reference, of the garbage collector) Python prints an exception and goes on. An
    import has such moments, and the signal would be forgotten: it is raised again then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = sys.unraisablehook
    repeats = hasattr(signal, "setitimer")

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Interrupt

    def lost(unraisable: Any) -> None:
        if repeats and issubclass(unraisable.exc_type, _Interrupt):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        else:
            told(unraisable)

    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup's wish
            before[number] = signal.signal(number, stop)
    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = told
        if repeats:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
