"""The queue between two threads: order, bounds, errors both ways, and leaving early without a hang."""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import pytest

from vgan_plugin.media.queues import Abandoned, Channel, ahead


def test_items_come_in_order_and_the_end_is_told():
    assert list(ahead(range(100), 3, "t")) == list(range(100))


def test_the_producer_is_never_more_than_its_bound_ahead():
    made = []

    def items():
        for i in range(50):
            made.append(i)
            yield i

    passing = ahead(items(), 4, "t")
    next(passing)
    time.sleep(0.05)
    assert len(made) <= 1 + 4 + 1  # taken, waiting, in the producer's hand
    passing.close()


def test_an_error_of_the_producer_is_raised_where_the_items_are_read():
    def items():
        yield 1
        raise LookupError("no more")

    passing = ahead(items(), 2, "t")
    assert next(passing) == 1
    with pytest.raises(LookupError, match="no more"):
        next(passing)


def test_leaving_early_ends_the_producers_thread_and_closes_what_it_reads():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    passing = ahead(items(), 1, "t")
    next(passing)
    passing.close()
    assert threading.active_count() == before
    assert closed.wait(5)


def test_an_error_of_the_consumer_is_raised_where_items_are_put():
    channel = Channel(1)
    channel.put(1)
    threading.Timer(0.02, channel.abandon, [LookupError("full")]).start()
    with pytest.raises(LookupError, match="full"):
        channel.put(2)


def test_work_called_off_stops_both_sides():
    channel = Channel(2)
    channel.put(1)
    channel.abandon()
    with pytest.raises(Abandoned):
        next(iter(channel))
    with pytest.raises(Abandoned):
        channel.put(2)
    with pytest.raises(Abandoned):
        channel.check()


def interrupted(after: int, call: Callable[[], object]) -> bool:
    """Call, and interrupt it after so many steps of Python, as a signal may; whether it came to that."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        if steps > after:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def drain(channel: Channel[int]) -> None:
    for _ in channel:
        pass


def pour(channel: Channel[int]) -> None:
    with suppress(Abandoned):
        for i in range(3):
            channel.put(i)


@pytest.mark.parametrize(
    ("work", "other", "end"),
    [
        (lambda channel: channel.put(1), drain, Channel.finish),
        (lambda channel: next(iter(channel)), pour, Channel.abandon),
    ],
)
def test_an_interrupt_at_any_step_leaves_the_other_side_able_to_end(work: Any, other: Any, end: Any) -> None:
    for step in range(1000):
        channel: Channel[int] = Channel(1)
        thread = threading.Thread(target=other, args=(channel,), daemon=True)
        thread.start()
        reached = interrupted(step, partial(work, channel))
        end(channel)
        thread.join(5)
        assert not thread.is_alive(), f"step {step}"
        if not reached:
            return
    pytest.fail("it never came to the end")
