"""What the docs say of the training is what the code does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from vgan_plugin.training import train
from vgan_plugin.training.presets import Schedule

pytestmark = pytest.mark.needs_torch
DOCS = Path(__file__).parents[2] / "docs" / "training.md"


def test_the_loop_in_the_docs_is_the_loop_that_runs():
    block = re.search(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert block
    source = [line.strip() for line in Path(train.__file__).read_text("utf-8").splitlines()]
    lines = [line.strip() for line in block[1].splitlines()]
    first = source.index(lines[0])
    assert source[first : first + len(lines)] == lines


def test_every_setting_is_described():
    described = re.findall(r"^        (\w+): ", Schedule.__doc__ or "", re.MULTILINE)
    assert described == [f.name for f in dataclasses.fields(Schedule)]


def test_the_docs_name_only_settings_that_exist():
    names = {f.name for f in dataclasses.fields(Schedule)}
    named = re.findall(r"--set (\w+)=", DOCS.read_text("utf-8"))
    assert named
    assert {n for n in named if n != "NAME"} <= names
