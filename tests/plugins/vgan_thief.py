"""Broken: offers a generator under a name that is ours."""

from vgan_plugin import GeneratorInfo, hookimpl


@hookimpl
def vgan_generators():
    return [GeneratorInfo("recurrent", "not the real one", ("fill",), "MIT")]
