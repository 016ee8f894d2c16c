"""docs/hooks.md is held to the hooks: every hook has its heading with its arguments, and every example runs."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from vgan_plugin import Check, Fill, GapPolicy, GeneratorInfo, Plan, Timeline
from vgan_plugin.hookspecs import Hooks, PlanRequest
from vgan_plugin.plugins import PluginManager
from vgan_plugin.testing import GeneratorConformance

DOC = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text("utf-8")
HOOKS = {name: hook for name, hook in vars(Hooks).items() if name.startswith("vgan_")}
BLOCKS = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)


def section(name: str) -> str:
    return DOC.split(f"## {name}(", 1)[1].split("\n## ", 1)[0]


def test_there_are_eight_hooks() -> None:
    assert len(HOOKS) == 8


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_has_a_heading_with_its_exact_arguments_and_an_example(name: str) -> None:
    arguments = ", ".join(list(inspect.signature(HOOKS[name]).parameters)[1:])
    assert f"\n## {name}({arguments})\n" in DOC
    assert f"def {name}({arguments}" in section(name)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hooks_docstring_names_its_arguments_its_answer_and_its_api(name: str) -> None:
    text = inspect.getdoc(HOOKS[name]) or ""
    for argument in list(inspect.signature(HOOKS[name]).parameters)[1:]:
        assert f"{argument}:" in text
    assert "Returns:" in text
    assert "Since: API 1" in text


def form(name: str) -> dict[str, str]:
    """The table of a hook's section."""
    rows = re.findall(r"^\| ([\w ]+) \| (.+) \|$", section(name), re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_the_same_form_and_it_says_who_is_asked(name: str) -> None:
    assert list(form(name)) == ["asked", "when", "takes", "gives", "on error"]
    first = bool(getattr(HOOKS[name], "vgan_spec")["firstresult"])  # noqa: B009 pluggy's mark
    assert form(name)["asked"].startswith("first answer" if first else "collects")


@pytest.mark.parametrize("name", HOOKS)
def test_the_form_names_the_type_and_every_field_of_what_a_hook_takes(name: str) -> None:
    hints = get_type_hints(HOOKS[name])
    hints.pop("return")
    if not hints:
        assert form(name)["takes"] == "nothing"
        return
    (request,) = hints.values()
    named = re.findall(r"`(\w+)`", form(name)["takes"])
    assert named[0] == request.__name__
    fields = {field.name for field in dataclasses.fields(request)}
    assert fields <= set(named)
    assert not {word for word in named[1:] if word.islower()} - fields


@pytest.mark.parametrize(
    ("name", "answer"), [("vgan_generators", GeneratorInfo), ("vgan_fill_gap", Fill), ("vgan_doctor_checks", Check)]
)
def test_the_form_names_every_field_of_what_a_hook_gives(name: str, answer: type) -> None:
    named = set(re.findall(r"`(\w+)`", form(name)["gives"]))
    assert {field.name for field in dataclasses.fields(answer)} <= named


def test_the_generator_of_the_page_conforms() -> None:
    block = next(block for block in BLOCKS if "class Nearest" in block)
    scope: dict[str, Any] = {}
    exec(block, scope)  # noqa: S102 our own page
    suite = type("Suite", (GeneratorConformance,), {"open": lambda _: scope["Nearest"]()})()
    for sentence in [name for name in dir(suite) if name.startswith("test_")]:
        getattr(suite, sentence)()


def test_no_heading_names_a_hook_that_does_not_exist() -> None:
    assert set(re.findall(r"^## (vgan_\w+)", DOC, re.MULTILINE)) == set(HOOKS)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_runs_and_what_it_defines_is_accepted_as_a_plugin(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": f"example_{number}"}
    exec(compile(BLOCKS[number], f"docs/hooks.md, example {number}", "exec"), scope)  # noqa: S102 our own page
    plugin = type("Plugin", (), {name: staticmethod(value) for name, value in scope.items() if name in HOOKS})  # type: ignore[arg-type]
    manager = PluginManager()
    manager.add("example", lambda: plugin)
    assert manager.problems == []


def test_the_wrapping_example_takes_targets_out_of_our_plan() -> None:
    from fractions import Fraction

    from vgan_plugin import Event

    block = next(block for block in BLOCKS if "wrapper=True" in block)
    scope: dict[str, object] = {}
    exec(block, scope)  # noqa: S102 our own page
    manager = PluginManager()
    manager.discover()
    events = tuple(Event(kind, i, i, i, i, Fraction(i, 25), 1, 1.0, "") for kind, i in (("blank", 2), ("corrupt", 4)))  # type: ignore[arg-type]
    request = PlanRequest(Timeline(tuple(range(7)), Fraction(1, 25)), events, GapPolicy())
    before: Plan = manager.plan_gaps(request)
    manager.add("example", lambda: type("P", (), {"vgan_plan_gaps": staticmethod(scope["vgan_plan_gaps"])}))  # type: ignore[arg-type]
    after = manager.plan_gaps(request)
    assert [target.why for target in before.targets] == ["blank", "corrupt"]
    assert [target.why for target in after.targets] == ["corrupt"]
