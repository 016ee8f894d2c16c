"""Broken: a detector that crashes on the third frame, and one that gives no events but numbers."""

from vgan_plugin import hookimpl


class Blinks:
    lookahead = 1

    def feed(self, index, frame):
        if index == 2:
            raise IndexError("blinked")
        return ()

    def finish(self):
        raise AssertionError("asked although it had crashed")


class Counts(Blinks):
    def feed(self, index, frame):
        return [index]


class Dies:
    lookahead = 0

    def __init__(self):
        raise OSError("no")


@hookimpl
def vgan_detectors():
    return [Blinks, Counts, Dies]
