"""Where torch is not installed, the test modules that import it are left out, and the end of the run says which."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

# Small tensors gain nothing from threads, and on a busy machine torch's wait for each other for minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

NEEDS_TORCH = re.compile(r"^(?:import|from) (?:torch|vgan_export|vgan_plugin\.training)\b", re.MULTILINE)
_left_out: list[str] = []


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if find_spec("torch") is not None or not collection_path.match("test_*.py"):
        return None
    if not NEEDS_TORCH.search(collection_path.read_text("utf-8")):
        return None
    _left_out.append(collection_path.name)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        terminalreporter.write_line(f"left out, they need torch: {', '.join(sorted(set(_left_out)))}")
