"""Broken: a hook that this version does not know."""

from vgan_plugin import hookimpl


@hookimpl
def vgan_make_coffee():
    return None
