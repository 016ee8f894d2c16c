"""docs/hooks.md is held to the hooks: every hook has its heading with its arguments, and every example runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from vgan_plugin import GapPolicy, Plan, Timeline
from vgan_plugin.hookspecs import Hooks, PlanRequest
from vgan_plugin.plugins import PluginManager

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
