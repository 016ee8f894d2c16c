"""A device for tests: values are bound and stay there, as on CUDA, and the CPU stands in for it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from vgan_plugin.bundle.store import Bundle
from vgan_plugin.runtime import providers, session


@dataclass(frozen=True)
class Elsewhere(providers.Device):
    """Not the CPU, as far as the sessions know."""

    kind: str = "cuda"
    memory = ("cpu", 0)
    provider = providers.CPU

    def providers(self, stream: int = 0) -> list[tuple[str, dict[str, str]]]:
        del stream  # of CUDA
        return [(providers.CPU, {})]


def sessions(bundle: Bundle, *, captures: bool = False) -> session.GraphSessions:
    """A bundle's sessions on that device."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "choose", lambda asked: Elsewhere(asked=asked, captures=captures))
        return session.GraphSessions(bundle, "cuda", threads=1)
