"""A generator for the hosts' tests that is quick and hides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def plugin() -> Iterator[Any]:
    from vsclips import Plugin

    from vgan_plugin.plugins import get_plugin_manager

    manager, offered = get_plugin_manager(), Plugin()
    manager.register(offered, "toys")
    yield offered
    manager.unregister(offered)
