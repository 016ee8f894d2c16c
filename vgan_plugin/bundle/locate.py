"""Finds bundles: a name or a path becomes a folder or a zip. Nothing is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vgan_plugin.bundle.manifest import FILE_NAME
from vgan_plugin.errors import BundleMissing

VARIABLE = "VGAN_BUNDLES"
"""Environment variable: folders that hold bundles, separated as in PATH."""
SHIPPED = Path(__file__).resolve().parent.parent / "bundles"


def available(extra: Iterable[Path] = ()) -> list[Path]:
    """Every bundle found, in order of precedence; of two with one name the first one wins.

    Args:
        extra: more folders that hold bundles (those that plugins give), looked at last.
    """
    named = [Path(p) for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    found: dict[str, Path] = {}
    for folder in (*named, SHIPPED, *extra):
        for path in _bundles(folder):
            found.setdefault(name_of(path), path)
    return list(found.values())


def find(name_or_path: str | Path, extra: Iterable[Path] = ()) -> Path:
    """The bundle of that name or at that path.

    Args:
        name_or_path: a name, or a path: whatever has a separator, ends in ``.zip``, or exists with a `bundle.json`.
        extra: as for `available`.

    Raises:
        BundleMissing: there is none; says which there are.
    """
    text = os.fspath(name_or_path)
    path = Path(text)
    is_path = isinstance(name_or_path, Path) or path.suffix == ".zip" or path.name != text
    if is_path and _is_bundle(path):
        return path
    there = available(extra)
    for candidate in there:
        if not is_path and name_of(candidate) == text:
            return candidate
    if not is_path and _is_bundle(path):
        return path
    raise BundleMissing(
        f"There is no bundle {text!r}",
        f"found: {', '.join(name_of(p) for p in there) or 'none'}",
        f"name one of them, give the path of a bundle's folder or zip, or set {VARIABLE}",
    )


def name_of(path: Path) -> str:
    """The name a bundle is found by: its folder's, or its zip's without the ending."""
    return path.stem if path.suffix == ".zip" else path.name


def _bundles(folder: Path) -> list[Path]:
    """The bundle that `folder` is, or those that lie in it."""
    if (folder / FILE_NAME).is_file():
        return [folder]
    try:
        return sorted(path for path in folder.iterdir() if _is_bundle(path))
    except OSError:  # a folder that is not there holds no bundles
        return []


def _is_bundle(path: Path) -> bool:
    return (path / FILE_NAME).is_file() or (path.suffix == ".zip" and path.is_file())
