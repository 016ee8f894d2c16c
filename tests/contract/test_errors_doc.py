"""docs/errors.md lists every code, and no other, with the class and exit status it has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from vgan_plugin import errors

DOC = (Path(__file__).parents[2] / "docs" / "errors.md").read_text("utf-8")
ROWS = re.findall(r"^\| (VGAN-\d+) \| `(\w+)` \| (\d+) \| \S", DOC, re.MULTILINE)
CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.VganError)]


def test_the_page_and_the_classes_agree_both_ways() -> None:
    assert sorted(ROWS) == sorted((cls.code, cls.__name__, str(cls.exit_status)) for cls in CLASSES)


def test_every_class_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in CLASSES]
    assert len(set(codes)) == len(codes)


def test_every_exit_status_is_explained() -> None:
    explained = set(re.findall(r"^\| (\d+) \| ", DOC, re.MULTILINE))
    assert {str(cls.exit_status) for cls in CLASSES} | {"0", "1", "2", "70", "130"} == explained


def test_an_error_is_what_why_do_and_code_on_one_line() -> None:
    assert str(errors.InputMissing("Cannot read x", "no such file", "check")) == (
        "Cannot read x: no such file; check [VGAN-302]"
    )
