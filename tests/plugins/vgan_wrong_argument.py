"""Broken: a hook with an argument that its specification does not have."""

from vgan_plugin import hookimpl


@hookimpl
def vgan_fill_gap(frames):
    return None
