"""Every host opens its generator here: before the first frame, and only one that was made for the task."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from vgan_plugin.bundle import locate, store
from vgan_plugin.errors import TaskMissing, VganError
from vgan_plugin.plugins import get_plugin_manager
from vgan_plugin.runtime.generator import NAME
from vgan_plugin.types import FrameGenerator, OpenRequest


def open_generator(
    request: OpenRequest | None, task: str, size: tuple[int, int] | None = None, *, many: bool = False
) -> FrameGenerator:
    """The generator for a host; the caller closes it.

    Args:
        request: which generator, model and device; None = ours, where it runs best.
        task: what it must be made for, such as ``fill``.
        size: (height, width) of the frames to come; None = not known.
        many: the host makes frame after frame and waits for none by itself, so that several are made at once; but not
            where each is made from the one before.

    Raises:
        VganError: it cannot be opened, or was not made for the task.
    """
    lanes = None if many and task != "inpaint" else 1
    generator = get_plugin_manager().open_generator(replace(request or OpenRequest(), size=size, lanes=lanes))
    if task not in generator.info.tasks:
        generator.close()
        raise TaskMissing(
            f"Generator {generator.info.name!r} is not made for {task!r}",
            f"it can do: {', '.join(generator.info.tasks) or 'nothing'}",
            _who_can(task),
        )
    return generator


def _who_can(task: str) -> str:
    """What to name instead: the bundles and generators that were made for a task."""
    manager = get_plugin_manager()
    bundles = []
    for path in locate.available(manager.bundle_folders()):
        with suppress(VganError):  # one that cannot be read can do nothing
            if task in store.peek(path).tasks:
                bundles.append(f"--model {locate.name_of(path)}")
    others = [f"--generator {info.name}" for info in manager.generators() if task in info.tasks and info.name != NAME]
    return "name one that is: " + (", ".join(bundles + others) or "none is installed")
