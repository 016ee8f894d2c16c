"""Broken: every hook crashes when it is called."""

from vgan_plugin import hookimpl


def _crash():
    raise ZeroDivisionError("a bug of the plugin\nwith a second line")


@hookimpl
def vgan_open_generator(request):
    _crash()


@hookimpl
def vgan_fill_gap(request):
    _crash()


@hookimpl
def vgan_detectors():
    _crash()


@hookimpl
def vgan_plan_gaps(request):
    _crash()


@hookimpl
def vgan_train(request):
    _crash()


@hookimpl
def vgan_export(request):
    _crash()


@hookimpl
def vgan_doctor_checks():
    _crash()
