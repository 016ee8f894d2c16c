"""Slow: a generator that needs a tenth of a second a frame, and leaves a file where it runs when it has begun."""

import os
import time
from dataclasses import replace
from pathlib import Path

from vgan_plugin import GeneratorInfo, Made, hookimpl

INFO = GeneratorInfo("dawdle", "takes its time", ("fill", "interpolate"), "MIT")


class Dawdle:
    info = INFO
    block = 0
    lead = 0
    provenance = {"model": {}, "provider": {"device": "cpu"}}  # noqa: RUF012

    def encode(self, frame, valid=None):
        return None

    def remember(self, features, previous, dt, state):
        return None

    def render(self, request):
        Path(os.environ["VGAN_DAWDLE"]).touch()
        time.sleep(0.1)
        return Made(replace((request.a or request.b).frame, pts=request.pts, time_base=request.time_base), 1.0)

    def close(self):
        pass


@hookimpl
def vgan_generators():
    return [INFO]


@hookimpl
def vgan_open_generator(request):
    return Dawdle() if request.generator == INFO.name else None
