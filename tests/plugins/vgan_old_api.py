"""Broken: written for another hook interface."""

from vgan_plugin import GeneratorInfo, hookimpl


@hookimpl
def vgan_generators():
    return [GeneratorInfo("ancient", "from another time", ("fill",), "MIT", api=0)]


@hookimpl
def vgan_open_generator(request):
    raise AssertionError("asked although it was written for another API")
