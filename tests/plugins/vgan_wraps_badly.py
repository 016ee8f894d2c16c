"""Broken: a wrapper that crashes after the others have answered."""

from vgan_plugin import hookimpl


@hookimpl(wrapper=True)
def vgan_plan_gaps(request):
    yield
    raise LookupError("lost on the way out")
