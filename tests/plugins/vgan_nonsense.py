"""Broken: answers every call with something of the wrong kind."""

from vgan_plugin import hookimpl


@hookimpl
def vgan_open_generator(request):
    return "a generator"


@hookimpl
def vgan_fill_gap(request):
    return []


@hookimpl
def vgan_detectors():
    return ["a detector"]


@hookimpl
def vgan_plan_gaps(request):
    return {}


@hookimpl
def vgan_doctor_checks():
    return 7
