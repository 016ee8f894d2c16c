"""Where an extra is not installed, the test modules that import it are left out, and the end of the run says which."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDS = {
    "torch": re.compile(r"^(?:import|from) (?:torch|vgan_export|vgan_plugin\.training)\b", re.MULTILINE),
}
_left_out: list[str] = []


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if collection_path.suffix == ".py" and collection_path.name.startswith("test_"):
        text = collection_path.read_text("utf-8")
        for extra, pattern in NEEDS.items():
            if find_spec(extra) is None and pattern.search(text):
                _left_out.append(f"{collection_path.name} (needs {extra})")
                return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        terminalreporter.write_line(f"left out: {', '.join(sorted(set(_left_out)))}")
