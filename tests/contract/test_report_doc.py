"""docs/report.md names what is in a report, and the keys that the page knows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import clips

from vgan_plugin.cli import main
from vgan_plugin.hosts import page

DOC = (Path(__file__).parents[2] / "docs" / "report.md").read_text("utf-8")


def named(row: str) -> set[str]:
    """The words in backticks of the second cell of a row."""
    found = re.search(rf"^\| [^|]*`{row}`[^|]* \| (.*) \|$", DOC, re.MULTILINE)
    assert found, row
    return set(re.findall(r"`(\w+)`", found[1]))


def test_every_name_of_a_report_is_there_and_no_other(tmp_path: Path) -> None:
    frames = clips.drop(clips.moving_frames(30), 5, *range(12, 20))
    source = clips.write_clip(tmp_path / "in.mkv", frames)
    options = ["--max-gap", "4", "--generator", "blend", "--report", str(tmp_path / "r.json"), "--quiet"]
    assert main(["fill", str(source), str(tmp_path / "out.mkv"), *options]) == 1
    report = json.loads((tmp_path / "r.json").read_text())
    table = DOC.split("## For programs", 1)[1]
    rows = {name for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)}
    assert rows == set(report)
    assert named("events") == set(report["events"][0])
    assert named("made") == set(report["made"][0]) | {"fallback"}
    assert set(report["unrepaired"][0]) == named("events") | {"unrepaired"}


def test_the_keys_are_those_of_the_page() -> None:
    script = Path(page.__file__).with_name("script.js").read_text("utf-8")
    keys = script.split("const KEYS = {", 1)[1].split("};", 1)[0]
    known = set(re.findall(r"^\s*\"?([\w+-]+)\"?: \(|, \"?([\w+-]+)\"?: \(", keys, re.MULTILINE))
    names = {a or b for a, b in known} - {"="}
    shown = {"→": "ArrowRight", "←": "ArrowLeft", "\N{MINUS SIGN}": "-"}
    told = {shown.get(key, key.lower()) for key in re.findall(r"<kbd>(.)</kbd>", DOC)}
    assert told == names
