"""What the pages at the front door say is so: links lead somewhere, commands and targets exist, the Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import clips
import pytest

from vgan_plugin.cli import vgan

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "README.md"]


def blocks(language: str) -> list[str]:
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    return [match[2] for match in found if match[1] == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_every_command_and_option_that_readme_names_exists() -> None:
    context = click.Context(vgan)
    text = "\n".join(blocks("")) + "\n" + "\n".join(re.findall(r"`(vgan [^`]+)`", README.read_text()))
    lines = [line for line in text.splitlines() if line.startswith("vgan ")]
    named = set()
    for line in lines:
        _, name, *words = shlex.split(line, comments=True)
        command = vgan.get_command(context, name)
        assert command, line
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line
        named.add(name)
    assert named == set(vgan.list_commands(context))


def test_the_targets_that_readme_and_contributing_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in (README, ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"^make (\w+)$", page.read_text(), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_python_of_readme_repairs_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    clips.write_clip(Path("broken.mkv"), clips.drop(clips.moving_frames(12), 5))
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == "1 frames made, 0 gaps left\n"
