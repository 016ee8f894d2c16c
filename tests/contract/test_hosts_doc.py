"""The index of hosts leads to every page and every example, and what it calls is there."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INDEX = (ROOT / "docs" / "hosts" / "README.md").read_text("utf-8")
LINKS = {link.rpartition("/")[2] for link in re.findall(r"\]\(([^)]+)\)", INDEX)}


def test_every_page_on_a_host_is_in_the_index() -> None:
    pages = {page.name for page in (ROOT / "docs" / "hosts").glob("*.md")} - {"README.md"}
    assert pages <= LINKS


def test_every_example_is_in_the_index_or_on_the_page_of_examples() -> None:
    told = (ROOT / "examples" / "README.md").read_text("utf-8")
    for example in (ROOT / "examples").iterdir():
        if example.suffix in (".py", ".sh", ".vpy"):
            assert example.name in LINKS or f"`{example.name}`" in told, example.name


def test_what_the_index_calls_is_there() -> None:
    named = re.findall(r"`(vgan_plugin(?:\.\w+)+)\.(\w+)", INDEX)
    assert named
    for module, function in named:
        spec = find_spec(module)
        assert spec
        assert spec.origin
        assert re.search(rf"^def {function}\(", Path(spec.origin).read_text("utf-8"), re.MULTILINE), function
