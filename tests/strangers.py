"""Installs the plugins of tests/plugins into a folder, as pip would: a module and its metadata."""

from __future__ import annotations

import shutil
from pathlib import Path

PLUGINS = Path(__file__).parent / "plugins"


def install(folder: Path, *names: str) -> Path:
    """Put those plugins there, each a distribution with one entry point named as it is without ``vgan_``."""
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(PLUGINS / f"{name}.py", folder)
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[vgan]\n{name.removeprefix('vgan_')} = {name}\n")
    return folder
