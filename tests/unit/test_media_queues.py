"""The queue between two threads: order, bounds, errors both ways, and leaving early without a hang."""

import threading
import time

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
